"""The kinds of fields in a document: how each is checked, and what the JSON Schema says of it.

Every check tells its faults in our own words; a list with many tells the first ten.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec import expressions
from forwardpass.spec.activations import ACTIVATIONS, SYNONYMS, range_faults
from forwardpass.spec.faults import found, listed, nearest, quoted
from forwardpass.spec.features import FeatureOutline, example_row
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.names import IDENTIFIER, identifier_fault, label_fault, text_fault, unit_fault
from forwardpass.spec.network import Activation
from forwardpass.spec.numbers import Problem, matrix, number_fault, refuse, vector
from forwardpass.tensors import Array

_Rule: TypeAlias = Callable[[object, int], str | None]
_Schema: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a field's check must know of its surroundings.

    Attributes:
        dtype: The network's, `float64` where the document's own is wrong.
        limits: The largest accepted sizes.
        features: What the features declare, where one of them is typed; else empty.
    """

    dtype: str
    limits: Limits
    features: Sequence[FeatureOutline] = ()


def _one(rule: _Rule, limit: str) -> PlainValidator:
    def check(value: object, info: "ValidationInfo[Context]") -> object:
        fault = rule(value, getattr(info.context.limits, limit))
        if fault is not None:
            refuse([((), fault)])
        return value

    return PlainValidator(check)


def _many(rule: _Rule, *, bare: bool = False) -> PlainValidator:
    def check(value: object, info: "ValidationInfo[Context]") -> tuple[object, ...]:
        if bare and isinstance(value, str):
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
    # Adding 0.0 makes -0.0 and 0.0 one content.
    return float(value) + 0.0


def _scale(value: object, info: "ValidationInfo[Context]") -> float:
    number = _number(value, info)
    if rounded(number, info) == 0:
        dtype = info.context.dtype
        refuse([((), f"is {found(value)}, which is 0 in {dtype}; must not be 0, since inputs are divided by it")])
    return number


def _tolerance(value: Any) -> float:
    # In float64 whatever the network's dtype, being no part of its arithmetic.
    fault = number_fault(value, np.float64)
    if fault is None and value < 0:
        fault = f"is {found(value)}; must be 0 or greater"
    if fault is not None:
        refuse([((), fault)])
    return float(value) + 0.0


def _row(value: object, info: "ValidationInfo[Context]") -> tuple[float, ...]:
    # Checked in the network's dtype, kept in float64: the example's numbers are those that were written.
    vector(value, info.context.dtype)
    return tuple((vector(value, np.float64) + 0.0).tolist())


def _named_row(value: object, info: "ValidationInfo[Context]") -> tuple[float | None, ...] | dict[str, float | None]:
    if info.context.features and isinstance(value, Mapping | list | tuple):
        problems, read = example_row(value, info.context.features, info.context.dtype)
        if problems:
            refuse(problems)
        return {str(key): number for key, number in read.items()} if isinstance(value, Mapping) else (*read.values(),)
    if not isinstance(value, Mapping):
        return _row(value, info)
    faults = ((_word(key), number_fault(number, info.context.dtype)) for key, number in value.items())
    problems = [((key,), fault) for key, fault in faults if fault is not None]
    if problems:
        refuse(problems)
    return {key: float(number) + 0.0 for key, number in value.items()}


def _matrix(value: object, info: "ValidationInfo[Context]") -> Array:
    return matrix(value, info.context.dtype)


def _vector(value: object, info: "ValidationInfo[Context]") -> Array:
    return vector(value, info.context.dtype)


def _activation(value: object, info: "ValidationInfo[Context]") -> Activation:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        refuse(
            [
                (
                    (),
                    f'is {found(value)}; must be a name such as "relu", or an object with a name and parameters',
                )
            ]
        )
    if "expression" in value:
        return _own_activation(value, info)
    if "name" not in value:
        refuse([(("name",), 'is missing; must be the name of an activation function, such as "relu"')])
    word = value["name"]
    if not isinstance(word, str):
        refuse([(("name",), f"is {found(word)}; must be the name of an activation function")])
    name = SYNONYMS.get(word, word)
    if name not in ACTIVATIONS:
        near = nearest(word, [*ACTIVATIONS, *SYNONYMS])
        hint = f"; did you mean {quoted(near)}?" if near else f"; must be one of {', '.join(ACTIVATIONS)}"
        if not word.isidentifier():
            hint += '; a function of your own is {"expression": ...}'
        refuse([(("name",), f"is {quoted(word)}, which is no activation function{hint}")])
    given = {key: number for key, number in value.items() if key != "name"}
    problems = _parameter_problems(name, given, info)
    if problems:
        refuse(problems)
    parameters = {key: float(given.get(key, parameter.default)) + 0.0 for key, parameter in ACTIVATIONS[name].items()}
    return Activation(name=name, parameters=parameters)


def _own_activation(value: Mapping[Any, object], info: "ValidationInfo[Context]") -> Activation:
    text, parameters = value["expression"], value.get("parameters", {})
    problems: list[Problem] = [
        ((_word(key),), f"the key {quoted(_word(key))} does not go with an expression; it takes parameters alone")
        for key in value
        if key not in {"expression", "parameters"}
    ]
    if not isinstance(text, str):
        problems.append((("expression",), f'is {found(text)}; must be a text such as "x * sigmoid(1.702 * x)"'))
    if isinstance(parameters, Mapping):
        problems += _own_parameter_problems(parameters, info)
    else:
        problems.append((("parameters",), f"is {found(parameters)}; must be an object of names and numbers"))
    if problems or not isinstance(text, str) or not isinstance(parameters, Mapping):
        refuse(problems)
    numbers = {name: float(number) + 0.0 for name, number in sorted(parameters.items())}
    try:
        tree = expressions.parse(text, numbers)
        expressions.fold(tree, numbers, info.context.dtype)
    except expressions.ExpressionError as error:
        refuse([(("expression",), str(error))])
    unread = [name for name in numbers if name not in expressions.parameters_of(tree)]
    if unread:
        refuse([(("parameters", name), "the expression does not read it; leave it out") for name in unread])
    return Activation(name="", parameters=numbers, expression=expressions.show(tree))


def _own_parameter_problems(parameters: Mapping[Any, object], info: "ValidationInfo[Context]") -> list[Problem]:
    most = expressions.MAX_PARAMETERS
    if len(parameters) > most:
        return [(("parameters",), f"has {len(parameters)} parameters; at most {most} are allowed")]
    faults = (
        (name, expressions.parameter_fault(name) or number_fault(value, info.context.dtype))
        for name, value in parameters.items()
    )
    return [(("parameters", _word(name)), fault) for name, fault in faults if fault is not None]


def _parameter_problems(name: str, given: Mapping[Any, object], info: "ValidationInfo[Context]") -> list[Problem]:
    known = ACTIVATIONS[name]
    problems: list[Problem] = []
    numbers: dict[str, float] = {}
    for key, value in given.items():
        if key not in known:
            near = nearest(_word(key), known)
            has = f"; did you mean {quoted(near)}?" if near else f"; it has {listed(known) or 'none'}"
            problems.append(((_word(key),), f"{quoted(_word(key))} is no parameter of {name}{has}"))
        elif (fault := number_fault(value, info.context.dtype)) is not None:
            problems.append(((key,), fault))
        else:
            numbers[key] = rounded(float(value), info)  # type: ignore[arg-type] # a number, by the check
    if not problems:
        problems += [((key,), f"is {found(given[key])}; {fault}") for key, fault in range_faults(name, numbers).items()]
    return problems


def rounded(number: float, info: "ValidationInfo[Context]") -> float:
    """Return a number as the network's dtype has it."""
    return float(np.dtype(info.context.dtype).type(number))


def _word(key: object) -> str:
    return key if isinstance(key, str) else found(key)


_NAME: Final[_Schema] = {"type": "string", "minLength": 1, "maxLength": DEFAULT_LIMITS.max_name_length}
_UNIT: Final[_Schema] = {"type": "string", "maxLength": DEFAULT_LIMITS.max_name_length}
_TEXT: Final[_Schema] = {"type": "string", "maxLength": DEFAULT_LIMITS.max_text_length}
_IDENTIFIER: Final[_Schema] = {**_NAME, "pattern": f"^{IDENTIFIER}$"}
_NAMES: Final[_Schema] = {"type": "array", "items": _IDENTIFIER, "minItems": 1, "uniqueItems": True}
NUMBER: Final[_Schema] = {"type": "number"}
NUMBERS: Final[_Schema] = {"type": "array", "items": NUMBER, "minItems": 1}
_MATRIX: Final[_Schema] = {
    "anyOf": [
        {"type": "array", "items": NUMBERS, "minItems": 1},
        {
            "type": "object",
            "propertyNames": _IDENTIFIER,
            "additionalProperties": NUMBERS,
            "minProperties": 1,
        },
    ]
}
_VALUE: Final[_Schema] = {"type": ["number", "string", "boolean", "null"]}
_NAMED_ROW: Final[_Schema] = {
    "anyOf": [
        {"type": "array", "items": _VALUE, "minItems": 1},
        {"type": "object", "additionalProperties": _VALUE},
    ]
}

_EXPRESSION: Final[_Schema] = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "minLength": 1, "maxLength": expressions.MAX_LENGTH},
        "parameters": {
            "type": "object",
            "propertyNames": {"pattern": f"^{expressions.NAME}$"},
            "additionalProperties": NUMBER,
            "maxProperties": expressions.MAX_PARAMETERS,
        },
    },
    "required": ["expression"],
    "additionalProperties": False,
}


def _activation_schema() -> _Schema:
    plain = [*(name for name, parameters in ACTIVATIONS.items() if not parameters), *SYNONYMS]
    forms: list[_Schema] = [{"name": {"enum": plain}}]
    for name, parameters in ACTIVATIONS.items():
        if parameters:
            forms.append({"name": {"const": name}, **{key: _parameter_schema(key, name) for key in parameters}})
    objects = [
        {"type": "object", "properties": form, "required": ["name"], "additionalProperties": False} for form in forms
    ]
    return {"anyOf": [{"enum": [*ACTIVATIONS, *SYNONYMS]}, *objects, _EXPRESSION]}


def _parameter_schema(key: str, name: str) -> _Schema:
    parameter = ACTIVATIONS[name][key]
    above = {} if parameter.above is None else {"exclusiveMinimum": parameter.above}
    return {**NUMBER, "default": parameter.default, **above}


Identifier: TypeAlias = Annotated[str, _one(identifier_fault, "max_name_length"), WithJsonSchema(_IDENTIFIER)]
Identifiers: TypeAlias = Annotated[
    tuple[str, ...], _many(identifier_fault), WithJsonSchema({"type": "array", "items": _IDENTIFIER})
]
Names: TypeAlias = Annotated[tuple[str, ...], _many(identifier_fault), WithJsonSchema(_NAMES)]
Sources: TypeAlias = Annotated[
    tuple[str, ...],
    _many(identifier_fault, bare=True),
    WithJsonSchema({"anyOf": [_IDENTIFIER, _NAMES]}),
]
Label: TypeAlias = Annotated[str, _one(label_fault, "max_name_length"), WithJsonSchema(_NAME)]
Labels: TypeAlias = Annotated[
    tuple[str, ...],
    _many(label_fault),
    WithJsonSchema({"type": "array", "items": _NAME, "uniqueItems": True}),
]
Unit: TypeAlias = Annotated[str, _one(unit_fault, "max_name_length"), WithJsonSchema(_UNIT)]
Text: TypeAlias = Annotated[str, _one(text_fault, "max_text_length"), WithJsonSchema(_TEXT)]
Number: TypeAlias = Annotated[float, PlainValidator(_number), WithJsonSchema(NUMBER)]
Scale: TypeAlias = Annotated[float, PlainValidator(_scale), WithJsonSchema({**NUMBER, "not": {"const": 0}})]
Tolerance: TypeAlias = Annotated[float, PlainValidator(_tolerance), WithJsonSchema({**NUMBER, "minimum": 0})]
Row: TypeAlias = Annotated[tuple[float, ...], PlainValidator(_row), WithJsonSchema(NUMBERS)]
NamedRow: TypeAlias = Annotated[
    tuple[float | None, ...] | dict[str, float | None], PlainValidator(_named_row), WithJsonSchema(_NAMED_ROW)
]
Matrix: TypeAlias = Annotated[Any, PlainValidator(_matrix), WithJsonSchema(_MATRIX)]
Vector: TypeAlias = Annotated[Any, PlainValidator(_vector), WithJsonSchema(NUMBERS)]
Function: TypeAlias = Annotated[Activation, PlainValidator(_activation), WithJsonSchema(_activation_schema())]
