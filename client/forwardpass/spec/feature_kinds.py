"""Typed features: the keys of each kind of feature, and the number that a network computes for a value.

A feature takes one input. A number stands for itself, a category is its index, a boolean is 1 or 0. A missing value is
NaN until it gets its fill value, and a text that is no category is `UNKNOWN`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from forwardpass.normal_forms import normal_form_hint
from forwardpass.spec.faults import Faults, found, join, listed, nearest, quoted
from forwardpass.spec.fields.base import Problem
from forwardpass.spec.fields.numbers import number_fault

FeatureKind: TypeAlias = Literal["number", "category", "boolean"]
"""The kind of a feature's values."""

OutOfRange: TypeAlias = Literal["warn", "refuse"]
"""How a number out of its feature's range is handled."""

REFUSE: Final = "refuse"
"""The word for no fill value: a row with such a value is refused."""

NAN: Final = "nan"
"""The word for NaN as a fill value, which layers may replace."""

UNKNOWN: Final = -1.0
"""The input for a text that is no category, before it gets its fill value."""

_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "mean": frozenset({"number", "boolean"}),
    "scale": frozenset({"number", "boolean"}),
    "range": frozenset({"number"}),
    "out_of_range": frozenset({"number"}),
    "categories": frozenset({"category"}),
    "unknown": frozenset({"category"}),
}
"""The kinds of features that a key goes with. Keys that are not listed go with every kind."""

_TYPED: Final = frozenset({"kind", "range", "out_of_range", "categories", "unknown", "missing"})
_MAX_SHOWN: Final = 5
_COMPARED: Final = 100
"""The most categories that an unknown text is compared with: that takes time, and a caller can send many such texts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureOutline:
    """The declaration of a feature, before it is checked.

    Attributes:
        name: The name, of any type.
        kind: The kind, None where it is not one of the three.
        keys: The keys that the declaration has.
        categories: The categories, of any type.
        index: The index of each category that is a text.
        range: The ends of the range, None where there is no end or it is no number.
        refuses: Whether numbers out of range are refused.
        missing: The fill value of a missing value.
        unknown: The fill value of a text that is no category.
    """

    name: object
    kind: str | None = "number"
    keys: frozenset[str] = frozenset()
    categories: Sequence[object] = ()
    index: Mapping[str, int]
    range: tuple[float | None, float | None] = (None, None)
    refuses: bool = False
    missing: object = REFUSE
    unknown: object = REFUSE

    @property
    def is_typed(self) -> bool:
        """Whether the declaration has a key that only typed features have."""
        return not _TYPED.isdisjoint(self.keys)


def read_feature(feature: object) -> FeatureOutline:
    """Read the declaration of a feature, whatever its type."""
    if not isinstance(feature, Mapping):
        return FeatureOutline(name=feature, index={})
    kind, categories = feature.get("kind", "number"), feature.get("categories")
    categories = categories if isinstance(categories, list | tuple) else ()
    return FeatureOutline(
        name=feature.get("name"),
        kind=kind if isinstance(kind, str) and kind in get_args(FeatureKind) else None,
        keys=frozenset(key for key in feature if isinstance(key, str)),
        categories=categories,
        index={category: index for index, category in enumerate(categories) if isinstance(category, str)},
        range=_ends(feature.get("range")),
        refuses=_is_word(feature.get("out_of_range"), REFUSE),
        missing=feature.get("missing", REFUSE),
        unknown=feature.get("unknown", REFUSE),
    )


def _ends(value: object) -> tuple[float | None, float | None]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None, None
    low, high = (end if number_fault(end, np.float64) is None else None for end in value)
    return low, high


def check_features(features: Sequence[FeatureOutline], faults: Faults) -> None:
    """Report every key that does not go with its feature's kind, or with another key."""
    for index, feature in enumerate(features):
        if feature.is_typed and feature.kind is not None:
            for key, message in _feature_faults(feature):
                faults.add(join("spec", "inputs", index, *key), message)


def _feature_faults(feature: FeatureOutline) -> Iterator[tuple[tuple[str | int, ...], str]]:
    kind = feature.kind or ""
    for key in sorted(feature.keys):
        kinds = _KINDS.get(key)
        if kinds is not None and kind not in kinds:
            yield (key,), f"does not go with a feature of the kind {quoted(kind)}; leave it out"
    if kind == "category" and not feature.categories:
        yield ("categories",), "is missing or empty; must be a list of the categories"
    first: dict[str, int] = {}
    for place, category in enumerate(feature.categories):
        if isinstance(category, str) and first.setdefault(category, place) != place:
            yield ("categories", place), f"{quoted(category)} appears before, at index {first[category]}"
    low, high = feature.range
    if low is not None and high is not None and low > high:
        yield ("range",), f"is [{low}, {high}]; the first end must not be above the second"
    if "out_of_range" in feature.keys and "range" not in feature.keys:
        yield ("out_of_range",), "needs a range; add `range`, or leave it out"
    for key, value in (("missing", feature.missing), ("unknown", feature.unknown)):
        fault = _fill_value_fault(value, feature) if key in feature.keys else None
        if fault is not None:
            yield (key,), fault


def _fill_value_fault(value: object, feature: FeatureOutline) -> str | None:
    if _is_word(value, REFUSE, NAN):
        return None
    if feature.kind == "category":
        if isinstance(value, str) and value not in feature.index:
            return f"is {quoted(value)}, which is not one of the categories; {_words('a category')}"
        return None if isinstance(value, str) else f"is {found(value)}; {_words('a category')}"
    if isinstance(value, str):
        return f"is {quoted(value)}; {_words('a number' if feature.kind == 'number' else 'true or false')}"
    if feature.kind == "boolean":
        return None if is_boolean(value) else f"is {found(value)}; {_words('true or false')}"
    return f"is {found(value)}; {_words('a number')}" if isinstance(value, bool) else None


def _is_word(value: object, *words: str) -> bool:
    return isinstance(value, str) and value in words


def _words(what: str) -> str:
    return f'must be {what}, "{REFUSE}" or "{NAN}"'


def is_boolean(value: object) -> bool:
    """Return whether a value is true, false, 1 or 0."""
    return isinstance(value, bool | np.bool_ | int | float) and value in (0, 1)


def example_row(
    value: Sequence[object] | Mapping[Any, object], features: Sequence[FeatureOutline], dtype: str
) -> tuple[list[Problem], dict[object, float | None]]:
    """Read the inputs of an example, in a list or by name.

    Returns:
        The problems, each with its place; and the number of each place or name, None for a missing value.
    """
    named = isinstance(value, Mapping)
    by_name: dict[object, FeatureOutline] = {
        feature.name: feature for feature in features if named and isinstance(feature.name, str)
    }
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    problems: list[Problem] = []
    numbers: dict[object, float | None] = {}
    for place, given in items:
        feature = by_name.get(place) if named else (features[place] if place < len(features) else None)
        if feature is None or feature.kind is None:
            continue  # reported elsewhere
        fault, number = _example_value(given, feature, dtype, named=named)
        numbers[place] = number
        if fault is not None:
            problems.append(((place if isinstance(place, str | int) else found(place),), fault))
    return problems, numbers


def _example_value(
    value: object, feature: FeatureOutline, dtype: str, *, named: bool
) -> tuple[str | None, float | None]:
    """Return what is wrong with a value, and its number."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ("is missing and has no fill value" if _is_word(feature.missing, REFUSE) else None), None
    if feature.kind == "category":
        return _example_category(value, feature, named=named)
    if feature.kind == "boolean":
        return (None, float(value)) if is_boolean(value) else (f"is {found(value)}; must be true or false", None)  # type: ignore[arg-type]
    fault = number_fault(value, dtype)
    if fault is not None:
        return fault, None
    number = float(value) + 0.0  # type: ignore[arg-type] # a number, by the check
    if feature.refuses and is_out_of_range(number, feature.range, dtype):
        return f"is {found(value)}; {range_words(feature.range)}", None
    return None, number


def _example_category(value: object, feature: FeatureOutline, *, named: bool) -> tuple[str | None, float | None]:
    if isinstance(value, str):
        if value in feature.index:
            return None, float(feature.index[value])
        if not _is_word(feature.unknown, REFUSE):
            return None, UNKNOWN
        return f"is {quoted(value)}, which is not a category; {_some(feature.index)}", None
    if named or number_fault(value, np.float64) is not None:
        return f"is {found(value)}; must be a category, a text in quotes", None
    number = float(value)  # type: ignore[arg-type] # a number, by the check
    if number.is_integer() and 0 <= number < len(feature.categories):
        return None, number + 0.0
    if not _is_word(feature.unknown, REFUSE):
        return None, UNKNOWN
    return f"is {found(value)}; must be a category, or the index of one, from 0 to {len(feature.categories) - 1}", None


def is_out_of_range(number: float, ends: tuple[float | None, float | None], dtype: str) -> bool:
    """Return whether a number is out of a range, with both rounded to a dtype."""
    round_ = np.dtype(dtype).type
    low, high = ends
    with np.errstate(over="ignore"):
        below = low is not None and round_(number) < round_(low)
        return bool(below or (high is not None and round_(number) > round_(high)))


def range_words(ends: tuple[float | None, float | None]) -> str:
    """Return a range in words."""
    low, high = ends
    if low is None:
        return f"at most {high:g} is in range"
    return f"at least {low:g} is in range" if high is None else f"from {low:g} to {high:g} is in range"


def category_hint(word: str, categories: Mapping[str, int]) -> str:
    """Return a hint that names the nearest category, or some of the categories where none is near."""
    other_form = normal_form_hint(word, categories)
    if other_form:
        return other_form
    alike = (
        categories
        if len(categories) <= _COMPARED
        else (category for category in categories if category[:1] == word[:1])
    )
    near = nearest(word, islice(alike, _COMPARED))
    return f"; did you mean {quoted(near)}?" if near is not None else f"; {_some(categories)}"


def _some(categories: Mapping[str, int]) -> str:
    more = f" and {len(categories) - _MAX_SHOWN} more" if len(categories) > _MAX_SHOWN else ""
    return f"the categories are {listed(list(islice(categories, _MAX_SHOWN)))}{more}"
