"""The vocabulary of activation functions: names, parameters, defaults and formulas; and their field in a document.

The server's `core/activations.py` computes each function, with care for every finite number, and
`importers/reference/functions.py` computes it independently for comparison. ONNX export and everything else that
needs a formula takes the expression from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec import expressions
from forwardpass.spec.faults import found, listed, nearest, quoted
from forwardpass.spec.fields.base import Context, Problem, refuse
from forwardpass.spec.fields.numbers import number_fault, rounded
from forwardpass.spec.fields.scalars import NUMBER, Schema
from forwardpass.spec.network import Activation


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of an activation function.

    Attributes:
        default: The value when a spec gives none.
        above: The value that it must exceed, or None where every finite number is right.
    """

    default: float
    above: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """One function of the vocabulary.

    Attributes:
        expression: The formula in the grammar of `expressions`, over `x` and the parameters; empty for a function of
            all nodes of a layer together.
        parameters: The parameters by name.
    """

    expression: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def _function(expression: str, **parameters: Parameter) -> Function:
    return Function(expression=expression, parameters=MappingProxyType(parameters))


ACTIVATIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "identity": _function("x"),
        "relu": _function("relu(x)"),
        "leaky_relu": _function("where(x > 0, x, negative_slope * x)", negative_slope=Parameter(default=0.01)),
        "prelu": _function("where(x > 0, x, slope * x)", slope=Parameter(default=0.25)),
        "relu6": _function("clip(x, 0, 6)"),
        "elu": _function("where(x > 0, x, alpha * expm1(min(x, 0)))", alpha=Parameter(default=1.0)),
        "selu": _function("1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * expm1(min(x, 0)))"),
        "celu": _function("where(x > 0, x, alpha * expm1(min(x, 0) / alpha))", alpha=Parameter(default=1.0, above=0.0)),
        "gelu": _function("x * (0.5 * erfc(x * -sqrt(0.5)))"),
        "gelu_tanh": _function("x * sigmoid(2 * sqrt(2 / pi) * x * (1 + 0.044715 * x * x))"),
        "silu": _function("x * sigmoid(x)"),
        "mish": _function("x * tanh(softplus(x))"),
        "softplus": _function("max(x, 0) + log1p(exp(-abs(beta * x))) / beta", beta=Parameter(default=1.0, above=0.0)),
        "softsign": _function("x / (1 + abs(x))"),
        "tanh": _function("tanh(x)"),
        "sigmoid": _function("sigmoid(x)"),
        "hard_sigmoid": _function("clip(x + 3, 0, 6) / 6"),
        "hard_tanh": _function(
            "clip(x, min_value, max_value)", min_value=Parameter(default=-1.0), max_value=Parameter(default=1.0)
        ),
        "hard_swish": _function("x * (clip(x + 3, 0, 6) / 6)"),
        "log_sigmoid": _function("min(x, 0) - log1p(exp(-abs(x)))"),
        "softmax": _function(""),
        "log_softmax": _function(""),
        "sparsemax": _function(""),
        "exp": _function("exp(x)"),
        "sin": _function("sin(x)"),
        "cos": _function("cos(x)"),
        "gaussian": _function("exp(-x * x)"),
        "step": _function("where(x >= threshold, 1, 0)", threshold=Parameter(default=0.0)),
        "square": _function("x * x"),
    }
)
"""Each function by its name in a spec."""

SYNONYMS: Final[Mapping[str, str]] = MappingProxyType({"swish": "silu"})
"""Other names that are accepted, with the name that they become."""


def range_faults(name: str, parameters: Mapping[str, float]) -> dict[str, str]:
    """Return which parameters of a function are out of range.

    Args:
        name: A name in `ACTIVATIONS`.
        parameters: Finite values, rounded to the network's dtype. Unknown parameters are ignored; missing ones have
            their defaults.

    Returns:
        What is needed, by the parameter's name; empty when all are right.
    """
    known = ACTIVATIONS[name].parameters
    faults = {
        key: f"must be greater than {known[key].above:g}"
        for key, value in parameters.items()
        if key in known and (above := known[key].above) is not None and not value > above
    }
    if name == "hard_tanh":
        low = parameters.get("min_value", known["min_value"].default)
        high = parameters.get("max_value", known["max_value"].default)
        if not low < high:
            key = "max_value" if "max_value" in parameters else "min_value"
            faults[key] = f"min_value ({low:g}) must be less than max_value ({high:g})"
    return faults


def _activation(value: object, info: "ValidationInfo[Context]") -> Activation:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        refuse([((), f'is {found(value)}; must be a name such as "relu", or an object with a name and parameters')])
    if "expression" in value:
        return _expression(value, info)
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
            hint += '; an expression is written as {"expression": ...}'
        refuse([(("name",), f"is {quoted(word)}, which is not an activation function{hint}")])
    given = {key: number for key, number in value.items() if key != "name"}
    problems = _parameter_problems(name, given, info)
    if problems:
        refuse(problems)
    known = ACTIVATIONS[name].parameters
    parameters = {key: float(given.get(key, parameter.default)) + 0.0 for key, parameter in known.items()}
    return Activation(name=name, parameters=parameters)


def _expression(value: Mapping[Any, object], info: "ValidationInfo[Context]") -> Activation:
    text, parameters = value["expression"], value.get("parameters", {})
    problems: list[Problem] = [
        ((_word(key),), f"the key {quoted(_word(key))} does not go with an expression; it takes parameters alone")
        for key in value
        if key not in {"expression", "parameters"}
    ]
    if not isinstance(text, str):
        problems.append((("expression",), f'is {found(text)}; must be a text such as "x * sigmoid(1.702 * x)"'))
    if isinstance(parameters, Mapping):
        problems += _expression_parameter_problems(parameters, info)
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


def _expression_parameter_problems(parameters: Mapping[Any, object], info: "ValidationInfo[Context]") -> list[Problem]:
    most = expressions.MAX_PARAMETERS
    if len(parameters) > most:
        return [(("parameters",), f"has {len(parameters)} parameters; at most {most} are allowed")]
    faults = (
        (name, expressions.parameter_fault(name) or number_fault(value, info.context.dtype))
        for name, value in parameters.items()
    )
    return [(("parameters", _word(name)), fault) for name, fault in faults if fault is not None]


def _parameter_problems(name: str, given: Mapping[Any, object], info: "ValidationInfo[Context]") -> list[Problem]:
    known = ACTIVATIONS[name].parameters
    problems: list[Problem] = []
    numbers: dict[str, float] = {}
    for key, value in given.items():
        if key not in known:
            near = nearest(_word(key), known)
            has = f"; did you mean {quoted(near)}?" if near else f"; it has {listed(known) or 'none'}"
            problems.append(((_word(key),), f"{quoted(_word(key))} is not a parameter of {name}{has}"))
        elif (fault := number_fault(value, info.context.dtype)) is not None:
            problems.append(((key,), fault))
        else:
            numbers[key] = rounded(float(value), info.context.dtype)  # type: ignore[arg-type] # a number, by the check
    if not problems:
        problems += [((key,), f"is {found(given[key])}; {fault}") for key, fault in range_faults(name, numbers).items()]
    return problems


def _word(key: object) -> str:
    return key if isinstance(key, str) else found(key)


_EXPRESSION: Final[Schema] = {
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


def _activation_schema() -> Schema:
    plain = [*(name for name, known in ACTIVATIONS.items() if not known.parameters), *SYNONYMS]
    forms: list[Schema] = [{"name": {"enum": plain}}]
    for name, known in ACTIVATIONS.items():
        if known.parameters:
            schemas = {key: _parameter_schema(parameter) for key, parameter in known.parameters.items()}
            forms.append({"name": {"const": name}, **schemas})
    objects = [
        {"type": "object", "properties": form, "required": ["name"], "additionalProperties": False} for form in forms
    ]
    return {"anyOf": [{"enum": [*ACTIVATIONS, *SYNONYMS]}, *objects, _EXPRESSION]}


def _parameter_schema(parameter: Parameter) -> Schema:
    above = {} if parameter.above is None else {"exclusiveMinimum": parameter.above}
    return {**NUMBER, "default": parameter.default, **above}


ActivationField: TypeAlias = Annotated[Activation, PlainValidator(_activation), WithJsonSchema(_activation_schema())]
"""An activation function in a document: a name, an object with a name and parameters, or one with an expression."""
