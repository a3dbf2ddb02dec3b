"""Arrays and numbers of layers that must be more than finite: places, marks, orders, sizes."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec.faults import found
from forwardpass.spec.fields import NUMBER, NUMBERS, Context, rounded
from forwardpass.spec.numbers import Problem, matrix, number_fault, refuse, vector
from forwardpass.tensors import Array

_Rule: TypeAlias = Callable[[Array], Array]
"""From an array to where it is wrong, as an array of booleans of its shape."""

_INTEGER: Final = {"type": "integer", "minimum": 0}
_ROWS: Final = {"type": "array", "items": NUMBERS, "minItems": 1}


def _rows(value: object, dtype: npt.DTypeLike) -> Array:
    if isinstance(value, Mapping):
        refuse([((), "is an object; must be a list of rows")])
    return matrix(value, dtype)


def _checked(read: Callable[[object, Any], Array], wrong: _Rule, must: str) -> PlainValidator:
    """Make a check of an array that tells the places where a rule does not hold."""

    def check(value: object, info: "ValidationInfo[Context]") -> Array:
        array = read(value, info.context.dtype)
        places = np.argwhere(wrong(array)).tolist() if array.size else []
        problems: list[Problem] = [
            (tuple(place), f"is {found(array[tuple(place)].item())}; {must}") for place in places
        ]
        if problems:
            refuse(problems)
        return array

    return PlainValidator(check)


def _no_place(array: Array) -> Array:
    wrong: Array = (array < 0) | (array != np.floor(array))
    return wrong


def _descending(array: Array) -> Array:
    wrong: Array = np.append(False, array[1:] <= array[:-1])
    return wrong


def _repeated(array: Array) -> Array:
    wrong = np.ones(array.shape, dtype=bool)
    wrong[np.unique(array, return_index=True)[1]] = False
    return wrong


def _epsilon(value: object, info: "ValidationInfo[Context]") -> float:
    return _number(value, info, lambda number: number > 0, "greater than 0")


def _rate(value: object, info: "ValidationInfo[Context]") -> float:
    return _number(value, info, lambda number: 0 <= number < 1, "from 0 to less than 1")


def _number(value: Any, info: "ValidationInfo[Context]", holds: Callable[[float], bool], must: str) -> float:
    fault = number_fault(value, info.context.dtype)
    if fault is None and not holds(rounded(float(value), info)):
        fault = f"is {found(value)}; must be {must}"
    if fault is not None:
        refuse([((), fault)])
    return float(value) + 0.0


Indices: TypeAlias = Annotated[
    Any,
    _checked(vector, _no_place, "must be the index of a value that the layer reads, from 0"),
    WithJsonSchema({**NUMBERS, "items": _INTEGER}),
]
Windows: TypeAlias = Annotated[
    Any,
    _checked(_rows, _no_place, "must be the index of a value that the layer reads, from 0"),
    WithJsonSchema({"type": "array", "items": {**NUMBERS, "items": _INTEGER}, "minItems": 1}),
]
Mask: TypeAlias = Annotated[
    Any,
    _checked(_rows, lambda array: (array != 0) & (array != 1), "must be 1 where a weight counts, else 0"),
    WithJsonSchema(_ROWS),
]
Variance: TypeAlias = Annotated[
    Any,
    _checked(vector, lambda array: array < 0, "a variance must be 0 or greater"),
    WithJsonSchema({**NUMBERS, "items": {**NUMBER, "minimum": 0}}),
]
Table: TypeAlias = Annotated[
    Any, _checked(_rows, lambda array: np.zeros(array.shape, dtype=bool), ""), WithJsonSchema(_ROWS)
]
Ascending: TypeAlias = Annotated[
    Any, _checked(vector, _descending, "must be greater than the one before"), WithJsonSchema(NUMBERS)
]
Different: TypeAlias = Annotated[
    Any, _checked(vector, _repeated, "which is there already"), WithJsonSchema({**NUMBERS, "uniqueItems": True})
]
Epsilon: TypeAlias = Annotated[float, PlainValidator(_epsilon), WithJsonSchema({**NUMBER, "exclusiveMinimum": 0})]
Rate: TypeAlias = Annotated[
    float, PlainValidator(_rate), WithJsonSchema({**NUMBER, "minimum": 0, "exclusiveMaximum": 1})
]
