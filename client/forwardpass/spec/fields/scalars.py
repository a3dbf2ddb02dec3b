"""Fields of one value or a list of texts: names, labels, texts and numbers.

Every check words its faults itself. A list reports the first ten.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec import convolution
from forwardpass.spec.convolution import MAX_AXES
from forwardpass.spec.faults import found
from forwardpass.spec.fields.base import Context, Problem, refuse
from forwardpass.spec.fields.numbers import number_fault, rounded
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.spec.names import IDENTIFIER, identifier_fault, label_fault, text_fault, unit_fault

_Rule: TypeAlias = Callable[[object, int], str | None]
"""A function of a value and the largest accepted length that returns what is wrong, or None."""

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema."""


def _text(rule: _Rule, limit: str) -> PlainValidator:
    def check(value: object, info: "ValidationInfo[Context]") -> object:
        fault = rule(value, getattr(info.context.limits, limit))
        if fault is not None:
            refuse([((), fault)])
        return value

    return PlainValidator(check)


def texts(rule: _Rule, *, allow_one: bool = False) -> PlainValidator:
    """Make the check of a list of texts, or of one text too."""

    def check(value: object, info: "ValidationInfo[Context]") -> tuple[object, ...]:
        if allow_one and isinstance(value, str):
            value = (value,)
        if not isinstance(value, list | tuple):
            refuse([((), f"is {found(value)}; must be a list of texts")])
        faults = ((index, rule(item, info.context.limits.max_name_length)) for index, item in enumerate(value))
        problems: list[Problem] = [((index,), fault) for index, fault in faults if fault is not None]
        if problems:
            refuse(problems)
        return tuple(value)

    return PlainValidator(check)


def _number(value: Any, info: "ValidationInfo[Context]") -> float:
    fault = number_fault(value, info.context.dtype)
    if fault is not None:
        refuse([((), fault)])
    return float(value) + 0.0  # makes -0.0 and 0.0 the same content


def _scale(value: object, info: "ValidationInfo[Context]") -> float:
    number = _number(value, info)
    dtype = info.context.dtype
    if rounded(number, dtype) == 0:
        refuse([((), f"is {found(value)}, which is 0 in {dtype}; must not be 0, since inputs are divided by it")])
    return number


def _number_that(holds: Callable[[float], bool], must: str) -> PlainValidator:
    """Make the check of a number for which a condition holds in the network's dtype."""

    def check(value: Any, info: "ValidationInfo[Context]") -> float:
        dtype = info.context.dtype
        fault = number_fault(value, dtype)
        if fault is None and not holds(rounded(float(value), dtype)):
            fault = f"is {found(value)}; must be {must}"
        if fault is not None:
            refuse([((), fault)])
        return float(value) + 0.0

    return PlainValidator(check)


def _count(value: object, info: "ValidationInfo[Context]") -> int:
    most = info.context.limits.max_width
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        refuse([((), f"is {found(value)}; must be an integer from 1 to {most}")])
    return value


def _integers(least: int) -> PlainValidator:
    """Make the check of a list of integers of a convolution's geometry."""

    def check(value: object) -> tuple[int, ...]:
        numbers = convolution.integers(value, least)
        if isinstance(numbers, str):
            refuse([((), numbers)])
        return tuple(numbers)

    return PlainValidator(check)


def _tolerance(value: Any) -> float:
    fault = number_fault(value, "float64")  # whatever the network's dtype: it is no part of its arithmetic
    if fault is None and value < 0:
        fault = f"is {found(value)}; must be 0 or greater"
    if fault is not None:
        refuse([((), fault)])
    return float(value) + 0.0


NUMBER: Final[Schema] = {"type": "number"}
NUMBERS: Final[Schema] = {"type": "array", "items": NUMBER, "minItems": 1}


def _integers_schema(least: int, shortest: int, longest: int) -> Schema:
    number = {"type": "integer", "minimum": least, "maximum": convolution.MAX_NUMBER}
    return {"type": "array", "items": number, "minItems": shortest, "maxItems": longest}


_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": DEFAULT_LIMITS.max_name_length}
_UNIT: Final[Schema] = {"type": "string", "maxLength": DEFAULT_LIMITS.max_name_length}
_TEXT: Final[Schema] = {"type": "string", "maxLength": DEFAULT_LIMITS.max_text_length}
NAME_OF_NODE: Final[Schema] = {**_NAME, "pattern": f"^{IDENTIFIER}$"}
_NAMES: Final[Schema] = {"type": "array", "items": NAME_OF_NODE, "minItems": 1, "uniqueItems": True}

Identifier: TypeAlias = Annotated[str, _text(identifier_fault, "max_name_length"), WithJsonSchema(NAME_OF_NODE)]
Identifiers: TypeAlias = Annotated[
    tuple[str, ...], texts(identifier_fault), WithJsonSchema({"type": "array", "items": NAME_OF_NODE})
]
Names: TypeAlias = Annotated[tuple[str, ...], texts(identifier_fault), WithJsonSchema(_NAMES)]
Sources: TypeAlias = Annotated[
    tuple[str, ...], texts(identifier_fault, allow_one=True), WithJsonSchema({"anyOf": [NAME_OF_NODE, _NAMES]})
]
Label: TypeAlias = Annotated[str, _text(label_fault, "max_name_length"), WithJsonSchema(_NAME)]
Labels: TypeAlias = Annotated[
    tuple[str, ...], texts(label_fault), WithJsonSchema({"type": "array", "items": _NAME, "uniqueItems": True})
]
Unit: TypeAlias = Annotated[str, _text(unit_fault, "max_name_length"), WithJsonSchema(_UNIT)]
Text: TypeAlias = Annotated[str, _text(text_fault, "max_text_length"), WithJsonSchema(_TEXT)]
Number: TypeAlias = Annotated[float, PlainValidator(_number), WithJsonSchema(NUMBER)]
Scale: TypeAlias = Annotated[float, PlainValidator(_scale), WithJsonSchema({**NUMBER, "not": {"const": 0}})]
Tolerance: TypeAlias = Annotated[float, PlainValidator(_tolerance), WithJsonSchema({**NUMBER, "minimum": 0})]
Count: TypeAlias = Annotated[
    int,
    PlainValidator(_count),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": DEFAULT_LIMITS.max_width}),
]

Shape: TypeAlias = Annotated[tuple[int, ...], _integers(1), WithJsonSchema(_integers_schema(1, 1, MAX_AXES + 1))]
Sizes: TypeAlias = Annotated[tuple[int, ...], _integers(1), WithJsonSchema(_integers_schema(1, 1, MAX_AXES))]
Pads: TypeAlias = Annotated[tuple[int, ...], _integers(0), WithJsonSchema(_integers_schema(0, 2, 2 * MAX_AXES))]
Epsilon: TypeAlias = Annotated[
    float,
    _number_that(lambda number: number > 0, "greater than 0"),
    WithJsonSchema({**NUMBER, "exclusiveMinimum": 0}),
]
Rate: TypeAlias = Annotated[
    float,
    _number_that(lambda number: 0 <= number < 1, "from 0 to less than 1"),
    WithJsonSchema({**NUMBER, "minimum": 0, "exclusiveMaximum": 1}),
]
