"""Operators that compute each element by itself, with one tensor that depends on the inputs.

A function stays pending until something needs its values, so that what an exporter wrote in several nodes can
become one activation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import kind_of
from forwardpass.importers.onnx.draft import with_function
from forwardpass.importers.onnx.folding import folded
from forwardpass.importers.onnx.functions import (
    IDENTITY,
    MAX_PARTS,
    Function,
    as_condition,
    as_number,
    call,
    condition,
    literal,
    template,
)
from forwardpass.importers.onnx.groups import grouped
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.importers.onnx.step import FLOATS, Reader, Result, Step
from forwardpass.importers.onnx.values import Constant, Flow


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unary:
    """An operator of one tensor.

    Attributes:
        text: What it computes of `x`, its attributes being parameters.
        defaults: The value of each attribute that is left out.
        name: The spec's own activation for it, or empty.
        parameters: What that activation calls the attributes.
    """

    text: str
    defaults: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


_UNARY: Final[Mapping[str, _Unary]] = MappingProxyType(
    {
        "Relu": _Unary(text="relu(x)"),
        "LeakyRelu": _Unary(
            text="where(x > 0, x, alpha * x)",
            defaults={"alpha": 0.01},
            name="leaky_relu",
            parameters={"alpha": "negative_slope"},
        ),
        "ThresholdedRelu": _Unary(text="where(x > alpha, x, 0)", defaults={"alpha": 1.0}),
        "Elu": _Unary(
            text="where(x > 0, x, alpha * expm1(x))",
            defaults={"alpha": 1.0},
            name="elu",
            parameters={"alpha": "alpha"},
        ),
        "Celu": _Unary(
            text="where(x > 0, x, alpha * expm1(x / alpha))",
            defaults={"alpha": 1.0},
            name="celu",
            parameters={"alpha": "alpha"},
        ),
        # The operator's constants are float32, of float64 too, and the spec's own are not.
        "Selu": _Unary(
            text="where(x > 0, gamma * x, gamma * alpha * expm1(x))",
            defaults={"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
        ),
        "Sigmoid": _Unary(text="sigmoid(x)"),
        "HardSigmoid": _Unary(text="clip(alpha * x + beta, 0, 1)", defaults={"alpha": 0.2, "beta": 0.5}),
        "HardSwish": _Unary(text="x * clip(x / 6 + 0.5, 0, 1)", name="hard_swish"),
        "Swish": _Unary(text="x * sigmoid(alpha * x)", defaults={"alpha": 1.0}),
        "Mish": _Unary(text="x * tanh(softplus(x))", name="mish"),
        "Softplus": _Unary(text="softplus(x)"),
        "Softsign": _Unary(text="x / (1 + abs(x))", name="softsign"),
        "Shrink": _Unary(
            text="where(x < -lambd, x + bias, where(x > lambd, x - bias, 0))", defaults={"lambd": 0.5, "bias": 0.0}
        ),
        "Tanh": _Unary(text="tanh(x)"),
        "Exp": _Unary(text="exp(x)"),
        "Sin": _Unary(text="sin(x)"),
        "Cos": _Unary(text="cos(x)"),
        "Tan": _Unary(text="sin(x) / cos(x)"),
        "Sinh": _Unary(text="(expm1(x) - expm1(-x)) / 2"),
        "Cosh": _Unary(text="(exp(x) + exp(-x)) / 2"),
        "Asinh": _Unary(text="where(x < 0, -1, 1) * log1p(abs(x) + x * x / (1 + sqrt(1 + x * x)))"),
        "Acosh": _Unary(text="log1p(x - 1 + sqrt((x - 1) * (x + 1)))"),
        "Atanh": _Unary(text="0.5 * log1p(2 * x / (1 - x))"),
        "Abs": _Unary(text="abs(x)"),
        "Neg": _Unary(text="-x"),
        "Sign": _Unary(text="where(x > 0, 1, where(x < 0, -1, x))"),
        "Sqrt": _Unary(text="sqrt(x)"),
        "Reciprocal": _Unary(text="1 / x"),
        "Log": _Unary(text="log(x)"),
        "Erf": _Unary(text="erf(x)"),
        "IsNaN": _Unary(text="x != x"),
        "Binarizer": _Unary(text="where(x > threshold, 1, 0)", defaults={"threshold": 0.0}),
    }
)
"""Each operator of one tensor; all of float numbers."""

_TRUE: Final = frozenset({"IsNaN"})
"""Operators that make booleans."""


def _unary(step: Step) -> Result:
    value = step.value(0)
    if isinstance(value, Constant):
        return folded(step.draft, step.op, step.constant(0))
    known, flow = _UNARY[step.op], step.number_flow(0)
    numbers = {name: step.number(name, default) for name, default in known.defaults.items()}
    activation: Any = known.name or None
    if known.parameters:
        activation = {"name": known.name, **{known.parameters[name]: _short(numbers[name], flow) for name in numbers}}
    kind = "bool" if step.op in _TRUE else flow.kind
    return applied(step, flow, known.text, kind=kind, activation=activation, **numbers)


def _short(number: float, flow: Flow) -> float:
    """Return a float32 attribute as the decimal that was meant, where the network is of float32."""
    return float(str(np.float32(number))) if flow.kind == "float32" else number


def applied(step: Step, flow: Flow, text: str, *, kind: str = "", activation: Any = None, **numbers: float) -> Flow:
    """Let a function of each element be computed.

    Args:
        step: The node that computes it.
        flow: What it is computed of.
        text: The function, as an expression over `x` and the numbers.
        kind: The element type of its values; that of `x` when left out.
        activation: The spec's own activation that is the same, or None.
        numbers: The expression's parameters.
    """
    if not np.isfinite([*numbers.values()]).all():
        raise Refused(f"has an attribute that is no finite number: {numbers}")
    if flow.function is not None and activation is not None:
        flow = step.draft.settle(flow, step.hint)
    words = {name: literal(number, flow.kind) for name, number in numbers.items()}
    build = condition if kind == "bool" else template
    flow = pending(step, flow, lambda x: build(text, x=as_number(x), **words), kind)
    if activation is not None and flow.function is not None:
        flow = with_function(flow, replace(flow.function, activation=activation))
    return flow


def pending(step: Step, flow: Flow, build: Callable[[Function], Function], kind: str = "") -> Flow:
    """Let a function of what is pending be pending, or of a new layer's nodes where the two are too much together.

    Args:
        step: The node that computes it.
        flow: What it is computed of.
        build: Makes the function, of the function of `x` that stands for the tensor.
        kind: The element type of its values; the tensor's when left out.
    """
    function = build(flow.function or IDENTITY)
    if function.parts > MAX_PARTS:
        flow = step.draft.settle(flow, step.hint)
        function = build(IDENTITY)
    return with_function(flow, function, kind)


def _gelu(step: Step) -> Result:
    name = _GELUS[step.attributes.get("approximate", b"none").decode()]
    return applied(step, step.number_flow(0), "x * (1 + erf(x / sqrt(2))) / 2", activation=name)


_GELUS: Final = MappingProxyType({"none": "gelu", "tanh": "gelu_tanh"})


def _not(step: Step) -> Result:
    if isinstance(step.value(0), Constant):
        return folded(step.draft, step.op, step.constant(0))
    return pending(step, step.flow(0), lambda x: call("not", as_condition(x)), "bool")


def _softmax(step: Step) -> Result:
    """Over one axis; before operator set 13, over that and all axes after it."""
    flow = step.number_flow(0)
    rank = len(flow.shape)
    old = step.version < 13
    axis = step.axis(1 if old else -1, rank)
    return grouped(step, flow, range(axis, rank) if old else [axis], _SOFTMAX[step.op])


_SOFTMAX: Final = MappingProxyType({"Softmax": "softmax", "LogSoftmax": "log_softmax"})


def _cast(step: Step) -> Result:
    kind = kind_of(step.whole("to", 0))
    value = step.value(0)
    if isinstance(value, Constant):
        if value.array.dtype == object:
            return value
        with np.errstate(all="ignore"):
            return Constant(array=step.constant(0).astype(kind))
    return cast(step, value, kind)


def cast(step: Step, flow: Flow, kind: str) -> Flow:
    """Give a tensor another element type, where that changes no value."""
    if kind == "bool" and flow.kind != "bool":
        return pending(step, flow, as_condition, "bool")
    if flow.kind == "bool":
        return pending(step, flow, as_number, kind)
    if kind == flow.kind or (kind in FLOATS and flow.kind in FLOATS):
        step.draft.narrowed |= (flow.kind, kind) == ("float64", "float32")
        return replace(flow, kind=kind)
    whole = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    if flow.kind in whole and (kind in FLOATS or _holds(kind, flow.kind)):
        return replace(flow, kind=kind)
    raise Refused(f"casts {flow.kind} to {kind}, which changes values; leave it out, or cast the inputs before")


def _holds(kind: str, other: str) -> bool:
    return kind in {"int32", "int64"} or (kind[:1] != "f" and np.can_cast(other, kind))


ELEMENTWISE: Final[Mapping[str, Reader]] = MappingProxyType(
    {**dict.fromkeys(_UNARY, _unary), "Not": _not, "Gelu": _gelu, **dict.fromkeys(_SOFTMAX, _softmax), "Cast": _cast}
)
"""What reads each operator of one tensor that computes element by element, or over an axis."""
