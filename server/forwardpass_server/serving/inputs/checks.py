"""Checked inputs: which values are rejected with which error, and which ones a response warns of.

The core finds the violations and their places; here each gets its feature's name and the value as the caller gave it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from forwardpass.errors import (
    Fault,
    FeatureMismatchError,
    InvalidRequestError,
    MissingValueError,
    NonFiniteInputError,
    OutOfRangeError,
    ShapeMismatchError,
    UnknownCategoryError,
)
from forwardpass.spec.feature_kinds import category_hint, range_words
from forwardpass.v1.prediction_service_pb2 import InputWarning

from forwardpass_server.core import validate_and_fill

if TYPE_CHECKING:
    from forwardpass.spec import Feature
    from forwardpass.tensors import Array

    from forwardpass_server.core import FeatureViolations
    from forwardpass_server.core.validation import Places
    from forwardpass_server.registry import LoadedVersion

MAX_LISTED: Final = 100
"""Warnings of a response, or faults of an error, that are listed; the others are counted."""

MAX_OMITTED_VALUES: Final = 2**22
"""Values of a request that may be left out where they have fill values."""

_MAX_HINTS: Final = 8
"""Texts of one request that are compared with the categories: a caller's typing errors must stay cheap."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Origin:
    """The place of each input in the request.

    Attributes:
        path: Says where in the request the value of a row and column stands.
        text: Returns that value where it is a text, else None.
    """

    path: Callable[[int, int], str]
    text: Callable[[int, int], str | None] = lambda _row, _column: None


@dataclass(frozen=True, kw_only=True, slots=True)
class InputWarnings:
    """The warnings of a response: the first of them, and how many there are."""

    first: tuple[InputWarning, ...]
    count: int


class CheckedInputs(NamedTuple):
    """Inputs that were read and accepted.

    Attributes:
        matrix: `(rows, inputs)` in the dtype of the network.
        warnings: The warnings about them, or None.
    """

    matrix: "Array"
    warnings: InputWarnings | None = None


def matrix_origin(given: str) -> Origin:
    """Return the origin of a matrix that a request has by the name `given`."""
    return Origin(path=lambda row, column: f"{given}[{row}][{column}]")


def check_omitted(count: int, loaded: "LoadedVersion") -> None:
    """Reject a request whose rows would take far more memory than it has bytes, since they leave out most features.

    Raises:
        ShapeMismatchError: More than `MAX_OMITTED_VALUES` values are left out.
    """
    if count > MAX_OMITTED_VALUES:
        message = f"leave out {count:,} values, more than {MAX_OMITTED_VALUES:,}; send fewer rows, or every feature"
        raise ShapeMismatchError(
            f"the rows {message}",
            faults=[Fault(path="inputs", message=f"the rows {message}")],
            network=loaded.name,
            version=loaded.version,
        )


def validate_and_fill_inputs(
    numbers: "Array", loaded: "LoadedVersion", origin: Origin, given: "Array"
) -> CheckedInputs:
    """Put fill values in the place of missing values and unknown categories, and reject the rest.

    Args:
        numbers: `(rows, inputs)` in the dtype of the network, whose features are typed.
        loaded: The network.
        origin: Where they came from.
        given: The numbers before they were rounded to that dtype.

    Raises:
        MissingValueError: A value is missing, and its feature has no fill value.
        NonFiniteInputError: There is infinity, or a number too large for the dtype, and the network does not allow it.
        UnknownCategoryError: A value of a category is no category, and its feature has no fill value.
        FeatureMismatchError: A boolean is neither 1 nor 0.
        OutOfRangeError: A number is out of its feature's range, and the feature rejects that.
    """
    assert loaded.typed is not None  # noqa: S101 - callers check
    filled, violations = validate_and_fill(loaded.typed.rules, numbers)
    if violations is None:
        return CheckedInputs(filled)
    for violation, kind in _REJECTIONS.items():
        places = getattr(violations, violation)
        if len(places):
            # As infinity, a number that is too large for the dtype would not be the caller's.
            values = np.where(np.isinf(numbers), given, numbers)
            raise rejection(kind, values, places, loaded, origin)
    return CheckedInputs(filled, _warnings(numbers, violations, loaded))


_Words: TypeAlias = "Callable[[Feature | None, float | str, Mapping[str, int] | None], str]"
"""Says what is wrong with a value, given its feature, if that is typed, and its categories, if a hint is due."""


class Rejection(NamedTuple):
    """One kind of value that is rejected: its error, and its words."""

    error: type[InvalidRequestError]
    words: _Words


def _unknown_words(feature: "Feature | None", value: object, categories: Mapping[str, int] | None) -> str:
    if isinstance(value, str):
        return f"is {value[:60]!r}, which is no category" + (
            category_hint(value, categories) if categories is not None else ""
        )
    last = len(feature.categories) - 1 if feature is not None else 0
    return f"is {value}, which is the index of no category; they are from 0 to {last}"


def _range_words(feature: "Feature | None", value: object, _: object) -> str:
    ends = (None, None) if feature is None else (feature.low, feature.high)
    return f"is {value}, which is out of range: {range_words(ends)}"


def _infinite_words(_: object, value: float | str, __: object) -> str:
    if isinstance(value, float) and not isinf(value):
        return f"is {value:g}, which float32 cannot hold; its largest number is 3.40282e+38"
    return f"is {value}; a finite number is needed"


MISSING: Final = Rejection(MissingValueError, lambda *_: "is missing and has no fill value")
INFINITE: Final = Rejection(NonFiniteInputError, _infinite_words)

_REJECTIONS: Final[Mapping[str, Rejection]] = {
    "missing": MISSING,
    "infinite": INFINITE,
    "unknown": Rejection(UnknownCategoryError, _unknown_words),
    "neither": Rejection(FeatureMismatchError, lambda _, value, __: f"is {value}; true or false, 1 or 0, is needed"),
    "refused": Rejection(OutOfRangeError, _range_words),
}
"""How each kind of `core.FeatureViolations` is rejected; the first kind that occurs becomes the error."""


def rejection(
    kind: Rejection, numbers: "Array", places: "Places", loaded: "LoadedVersion", origin: Origin
) -> InvalidRequestError:
    """Return the error of values that are rejected.

    Args:
        kind: Why.
        numbers: `(rows, inputs)`: the values.
        places: `(count, 2)`: the row and column of each that is rejected.
        loaded: The network.
        origin: Where the values came from.
    """
    faults: list[Fault] = []
    values: list[float | str] = []
    for row, column in places[:MAX_LISTED].tolist():
        text, typed = origin.text(row, column), loaded.typed
        value = float(numbers[row, column]) if text is None else text
        hinted = typed.categories[column] if typed is not None and len(faults) < _MAX_HINTS else None
        feature = None if typed is None else typed.features[column]
        words = f"{kind.words(feature, value, hinted)} (feature {loaded.input_names[column]!r})"
        faults.append(Fault(path=origin.path(row, column), message=words))
        values.append(value)
    row, column = places[0].tolist()
    more = f"; {len(places) - 1} more are alike" if len(places) > 1 else ""
    return kind.error(
        f"{faults[0].path}: {faults[0].message}; {loaded.display_name} rejects that{more}",
        faults=faults,
        row=row,
        feature=loaded.input_names[column],
        value=values[0],
        count=len(places),
        network=loaded.name,
        version=loaded.version,
    )


def _warnings(numbers: "Array", violations: "FeatureViolations", loaded: "LoadedVersion") -> InputWarnings:
    assert loaded.typed is not None  # noqa: S101 - as above
    first = []
    for row, column in violations.warned[:MAX_LISTED].tolist():
        feature, value = loaded.typed.features[column], float(numbers[row, column])
        words = f"is {value:g}{f' {feature.unit}' if feature.unit else ''}, which is out of range"
        message = f"{feature.name!r} {words}: {range_words((feature.low, feature.high))}"
        first.append(InputWarning(row=row, feature=feature.name, value=value, message=message))
    return InputWarnings(first=tuple(first), count=len(violations.warned))
