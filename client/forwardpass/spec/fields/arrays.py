"""Fields that are arrays of numbers: of any numbers, or of indices, masks, variances and others with a rule."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec.faults import found
from forwardpass.spec.fields.base import Context, Problem, refuse
from forwardpass.spec.fields.numbers import matrix, vector
from forwardpass.spec.fields.scalars import NAME_OF_NODE, NUMBER, NUMBERS, Schema
from forwardpass.tensors import Array

_Rule: TypeAlias = Callable[[Array], Array]
"""A function of an array that returns where it is wrong, as an array of booleans of the same shape."""


def _matrix(value: object, info: "ValidationInfo[Context]") -> Array:
    return matrix(value, info.context.dtype)


def _vector(value: object, info: "ValidationInfo[Context]") -> Array:
    return vector(value, info.context.dtype)


def _rows(value: object, dtype: npt.DTypeLike) -> Array:
    if isinstance(value, Mapping):
        refuse([((), "is an object; must be a list of rows")])
    return matrix(value, dtype)


def _array(read: Callable[[object, Any], Array], wrong: _Rule, must: str) -> PlainValidator:
    """Make the check of an array that reports each place where a rule does not hold."""

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


def _is_no_index(array: Array) -> Array:
    wrong: Array = (array < 0) | (array != np.floor(array))
    return wrong


def _is_not_ascending(array: Array) -> Array:
    wrong: Array = np.append(False, array[1:] <= array[:-1])
    return wrong


def _is_repeated(array: Array) -> Array:
    wrong = np.ones(array.shape, dtype=bool)
    wrong[np.unique(array, return_index=True)[1]] = False
    return wrong


_INDEX: Final[Schema] = {"type": "integer", "minimum": 0}
_ROWS: Final[Schema] = {"type": "array", "items": NUMBERS, "minItems": 1}
_MATRIX: Final[Schema] = {
    "anyOf": [
        _ROWS,
        {
            "type": "object",
            "propertyNames": NAME_OF_NODE,
            "additionalProperties": NUMBERS,
            "minProperties": 1,
        },
    ]
}

Matrix: TypeAlias = Annotated[Any, PlainValidator(_matrix), WithJsonSchema(_MATRIX)]
Vector: TypeAlias = Annotated[Any, PlainValidator(_vector), WithJsonSchema(NUMBERS)]
Indices: TypeAlias = Annotated[
    Any,
    _array(vector, _is_no_index, "must be the index of a value that the layer reads, from 0"),
    WithJsonSchema({**NUMBERS, "items": _INDEX}),
]
Windows: TypeAlias = Annotated[
    Any,
    _array(_rows, _is_no_index, "must be the index of a value that the layer reads, from 0"),
    WithJsonSchema({"type": "array", "items": {**NUMBERS, "items": _INDEX}, "minItems": 1}),
]
Mask: TypeAlias = Annotated[
    Any,
    _array(_rows, lambda array: (array != 0) & (array != 1), "must be 1 where a weight counts, else 0"),
    WithJsonSchema(_ROWS),
]
Variance: TypeAlias = Annotated[
    Any,
    _array(vector, lambda array: array < 0, "a variance must be 0 or greater"),
    WithJsonSchema({**NUMBERS, "items": {**NUMBER, "minimum": 0}}),
]
Table: TypeAlias = Annotated[
    Any, _array(_rows, lambda array: np.zeros(array.shape, dtype=bool), ""), WithJsonSchema(_ROWS)
]
Ascending: TypeAlias = Annotated[
    Any, _array(vector, _is_not_ascending, "must be greater than the one before"), WithJsonSchema(NUMBERS)
]
Different: TypeAlias = Annotated[
    Any, _array(vector, _is_repeated, "which is a duplicate"), WithJsonSchema({**NUMBERS, "uniqueItems": True})
]
