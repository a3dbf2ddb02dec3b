"""Elementwise operators of one tensor.

A function stays pending until another node needs its values, so that a function that an exporter wrote in several
nodes becomes one activation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph.functions import EXPRESSIONS, SHRINK
from forwardpass.importers.graph.pending_functions import (
    PendingFunction,
    as_condition,
    as_number,
    call,
    condition,
    literal,
    template,
)
from forwardpass.importers.onnx.arrays import kind_of
from forwardpass.importers.onnx.constant_folding import folded
from forwardpass.importers.onnx.node_context import FLOATS, NodeContext, NodeReader, Result
from forwardpass.importers.onnx.reductions import softmax
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unary:
    """An operator of one tensor.

    Attributes:
        text: Its expression of `x`, with its attributes as parameters.
        defaults: The default of each attribute.
        name: The activation that is the same, or empty.
        parameters: The parameter of that activation for each attribute.
    """

    text: str
    defaults: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


_UNARY: Final[Mapping[str, _Unary]] = MappingProxyType(
    {
        **{
            name.title(): _Unary(text=f"{name}(x)")
            for name in ("relu", "sigmoid", "softplus", "tanh", "exp", "sin", "cos")
        },
        **{
            name.title(): _Unary(text=EXPRESSIONS[name])
            for name in (
                *("abs", "neg", "sign", "floor", "ceil", "round", "sqrt", "reciprocal", "log", "erf", "tan", "asin"),
                *("acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"),
            )
        },
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
        # The constants of this operator are float32 even in float64; those of the activation `selu` are not.
        "Selu": _Unary(
            text="where(x > 0, gamma * x, gamma * alpha * expm1(x))",
            defaults={"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
        ),
        "HardSigmoid": _Unary(text="clip(alpha * x + beta, 0, 1)", defaults={"alpha": 0.2, "beta": 0.5}),
        "HardSwish": _Unary(text="x * clip(x / 6 + 0.5, 0, 1)", name="hard_swish"),
        "Swish": _Unary(text="x * sigmoid(alpha * x)", defaults={"alpha": 1.0}),
        "Mish": _Unary(text="x * tanh(softplus(x))", name="mish"),
        "Softsign": _Unary(text="x / (1 + abs(x))", name="softsign"),
        "Shrink": _Unary(text=SHRINK, defaults={"lambd": 0.5, "bias": 0.0}),
        "IsNaN": _Unary(text="x != x"),
        "IsInf": _Unary(
            text="x - x != 0 and (x > 0 and detect_positive != 0 or x < 0 and detect_negative != 0)",
            defaults={"detect_positive": 1.0, "detect_negative": 1.0},
        ),
        "Binarizer": _Unary(text="where(x > threshold, 1, 0)", defaults={"threshold": 0.0}),
    }
)
"""The operators of one float tensor."""

_TRUE: Final = frozenset({"IsNaN", "IsInf"})
"""Operators that return booleans."""


def _unary(node: NodeContext) -> Result:
    value = node.value(0)
    if isinstance(value, Constant):
        return folded(node.graph, node.op, node.constant(0))
    known, tensor = _UNARY[node.op], node.float_tensor(0)
    numbers = {name: node.number(name, default) for name, default in known.defaults.items()}
    activation: Any = known.name or None
    if known.parameters:
        activation = {"name": known.name, **{known.parameters[name]: _short(numbers[name], tensor) for name in numbers}}
    kind = "bool" if node.op in _TRUE else tensor.kind
    return applied(node, tensor, known.text, kind=kind, activation=activation, **numbers)


def _short(number: float, tensor: GraphTensor) -> float:
    """Return a float32 attribute with its shortest digits, where the network is of float32."""
    return float(str(np.float32(number))) if tensor.kind == "float32" else number


def applied(
    node: NodeContext, tensor: GraphTensor, text: str, *, kind: str = "", activation: Any = None, **numbers: float
) -> GraphTensor:
    """Apply a function to each element; it stays pending.

    Args:
        node: The node.
        tensor: The argument.
        text: The function, as an expression over `x` and the numbers.
        kind: The element type of its values; that of `x` when left out.
        activation: The activation that is the same, or None.
        numbers: The expression's parameters.
    """
    if not np.isfinite([*numbers.values()]).all():
        raise UnsupportedError(f"has an attribute that is no finite number: {numbers}")
    if tensor.pending is not None and activation is not None:
        tensor = node.graph.materialize(tensor, node.hint)
    words = {name: literal(number, tensor.kind) for name, number in numbers.items()}
    build = condition if kind == "bool" else template
    tensor = pending(node, tensor, lambda x: build(text, x=as_number(x), **words), kind)
    if activation is not None and tensor.pending is not None:
        tensor = replace(tensor, pending=replace(tensor.pending, activation=activation))
    return tensor


def pending(
    node: NodeContext, tensor: GraphTensor, build: Callable[[PendingFunction], PendingFunction], kind: str = ""
) -> GraphTensor:
    """Compose a function of each element with the pending one; the kind is that of its values, or the tensor's."""
    return replace(node.graph.composed(tensor, build), kind=kind or tensor.kind)


def _gelu(node: NodeContext) -> Result:
    name = _GELUS[node.attributes.get("approximate", b"none").decode()]
    return applied(node, node.float_tensor(0), "x * (1 + erf(x / sqrt(2))) / 2", activation=name)


_GELUS: Final = MappingProxyType({"none": "gelu", "tanh": "gelu_tanh"})


def _not(node: NodeContext) -> Result:
    if isinstance(node.value(0), Constant):
        return folded(node.graph, node.op, node.constant(0))
    return pending(node, node.tensor(0), lambda x: call("not", as_condition(x)), "bool")


def _softmax(node: NodeContext) -> Result:
    """Read softmax over one axis; before operator set 13, over that axis and all after it."""
    tensor = node.float_tensor(0)
    rank = len(tensor.shape)
    old = node.version < 13
    axis = node.axis(1 if old else -1, rank)
    return softmax(node, tensor, range(axis, rank) if old else [axis], _SOFTMAX[node.op])


_SOFTMAX: Final = MappingProxyType({"Softmax": "softmax", "LogSoftmax": "log_softmax"})


def _cast(node: NodeContext) -> Result:
    return _cast_to(node, kind_of(node.integer("to", 0)))


def _cast_to(node: NodeContext, kind: str) -> Result:
    value = node.value(0)
    if isinstance(value, Constant):
        if value.array.dtype == object and kind in {"int32", "int64"}:
            return value
        with np.errstate(all="ignore"):
            return Constant(array=node.constant(0).astype(kind))
    return cast(node, value, kind)


def cast(node: NodeContext, tensor: GraphTensor, kind: str) -> GraphTensor:
    """Cast a tensor to another element type, where that changes no value."""
    if kind == "bool" and tensor.kind != "bool":
        return pending(node, tensor, as_condition, "bool")
    if tensor.kind == "bool":
        return pending(node, tensor, as_number, kind)
    if kind == tensor.kind or (kind in FLOATS and tensor.kind in FLOATS):
        node.graph.narrowed |= (tensor.kind, kind) == ("float64", "float32")
        return replace(tensor, kind=kind)
    whole = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    if tensor.kind in whole and (kind in FLOATS or _holds(kind, tensor.kind)):
        return replace(tensor, kind=kind)
    raise UnsupportedError(
        f"casts {tensor.kind} to {kind}, which changes values; leave it out, or cast the inputs before"
    )


def _holds(kind: str, other: str) -> bool:
    return kind in {"int32", "int64"} or (kind[:1] != "f" and np.can_cast(other, kind))


def _cast_like(node: NodeContext) -> Result:
    like = node.value(1)
    if node.graph.bfloat16 and like.kind == "float32" and isinstance(like, Constant):
        raise UnsupportedError("casts to what may be bfloat16, which changes values; leave it out")
    return _cast_to(node, like.kind)


ELEMENTWISE: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        **dict.fromkeys(_UNARY, _unary),
        **dict.fromkeys(_SOFTMAX, _softmax),
        "Not": _not,
        "Gelu": _gelu,
        "Cast": _cast,
        "CastLike": _cast_like,
    }
)
"""The reader of each operator of one tensor."""
