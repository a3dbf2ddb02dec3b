"""Cells of a table as inputs of a network, by the kind of the feature of their column."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from forwardpass.exact_numbers import NoNumberError, read_number
from forwardpass.models import FeatureInfo
from forwardpass.spec.feature_kinds import REFUSE, UNKNOWN, category_hint

Value: TypeAlias = float | str | bool | None
"""A number, a text, true or false, or nothing."""

PLAIN: Final = FeatureInfo(name="")
"""The feature of a column that is no feature's: numbers without missing values."""

_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def value_of(cell: object, feature: FeatureInfo) -> Value:
    """Read a cell, text of CSV or a value of Parquet, as a value of a feature; None where it is empty.

    Raises:
        ValueError: It is no such value, or empty where it has no fill value; the message says what is needed.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        if feature.missing == REFUSE:
            raise ValueError(f"{_NEEDED[feature.kind]} is needed")
        return None
    try:
        return _KINDS[feature.kind](cell)
    except NoNumberError as error:
        raise ValueError(f"it {error.message}") from None
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{_NEEDED[feature.kind]} is needed") from None


def input_of(cell: object, feature: FeatureInfo, categories: Mapping[str, int]) -> float:
    """Read a cell as an input of a network.

    A text becomes the index of its category, or `UNKNOWN` where a fill value replaces it. A missing value is NaN.

    Args:
        cell: Text of CSV, or a value of Parquet.
        feature: The feature of its column.
        categories: The index of each of the feature's categories.

    Raises:
        ValueError: As `value_of` does; and where a text is no category, and its feature has no fill value.
    """
    value = value_of(cell, feature)
    if value is None:
        return math.nan
    if not isinstance(value, str):
        return float(value)
    if value not in categories and feature.unknown == REFUSE:
        raise ValueError(f"that is no category{category_hint(value, categories)}")
    return categories.get(value, UNKNOWN)


def input_readers(features: Sequence[FeatureInfo], width: int) -> list[Callable[[Any], float]]:
    """Return a reader for each input of a network, whose inputs may have no names."""
    if all(feature.kind == "number" and feature.missing == REFUSE for feature in features):
        return [float] * width  # the usual network, by the shortest way
    return [_reader(feature) for feature in features]


def _reader(feature: FeatureInfo) -> Callable[[Any], float]:
    categories = {category: index for index, category in enumerate(feature.categories)}
    return lambda cell: input_of(cell, feature, categories)


def misfit(cell: object, column: str, feature: FeatureInfo) -> str:
    """Return why a cell cannot be read; return "" for one that can."""
    try:
        input_of(cell, feature, {category: index for index, category in enumerate(feature.categories)})
    except ValueError as error:
        empty = cell is None or (isinstance(cell, str) and not cell.strip())
        return f"has {'nothing' if empty else repr(cell)} in column {column!r}; {error}"
    return ""


def _number(cell: object) -> float:
    """Read a number; an integer stays one, so that it is judged as one."""
    if not isinstance(cell, str):
        return read_number(cell)
    try:
        integer = int(cell)
    except ValueError:
        return float(cell)
    read_number(integer)
    return integer


def integer_of(cell: object) -> int | None:
    """Return a cell that is written as an integer, or None."""
    try:
        return int(cell) if isinstance(cell, str) else None
    except ValueError:
        return None


def _text(cell: object) -> str:
    if not isinstance(cell, str):
        raise TypeError
    return cell


def _truth(cell: object) -> bool:
    return _TRUTHS[str(cell).strip().lower()]


_KINDS: Final[Mapping[str, Callable[[Any], Value]]] = {"number": _number, "category": _text, "boolean": _truth}
_NEEDED: Final[Mapping[str, str]] = {"number": "a number", "category": "a text", "boolean": "true or false"}
