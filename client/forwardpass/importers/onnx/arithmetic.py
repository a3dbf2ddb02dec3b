"""Elementwise operators of several tensors or constants."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np

from forwardpass.importers.graph.functions import REMAINDER
from forwardpass.importers.graph.pending_functions import (
    IDENTITY,
    MAX_PARTS,
    PendingFunction,
    as_condition,
    as_number,
    call,
    literal,
    template,
)
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.broadcasting import fit, fitting, joined_by, layered, merged, scaled
from forwardpass.importers.onnx.constant_folding import folded, numbers_of
from forwardpass.importers.onnx.elementwise import applied, pending
from forwardpass.importers.onnx.graph_builder import columns_of
from forwardpass.importers.onnx.lifting import lifted
from forwardpass.importers.onnx.node_context import FLOATS, NodeContext, NodeReader, Result
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.onnx.whole_numbers import WHOLE, check_whole, wrapped
from forwardpass.importers.unsupported import UnsupportedError

_ARITHMETIC: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict(zip(("Add", "Sub", "Mul", "Div", "Pow", "Sum"), ("+", "-", "*", "/", "**", "+"), strict=True)),
        **dict(zip(("Max", "Min", "Mod", "FMod"), ("max", "min", "mod", "fmod"), strict=True)),
    }
)
_COMPARISONS: Final[Mapping[str, str]] = MappingProxyType(
    {"Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<=", "Equal": "=="}
)
_LOGICAL: Final[Mapping[str, str]] = MappingProxyType({"And": "and", "Or": "or", "Xor": "!="})
_SYMBOLS: Final[Mapping[str, str]] = MappingProxyType({**_ARITHMETIC, **_COMPARISONS, **_LOGICAL})
"""The operator or function of the expression grammar for each ONNX operator."""

_MIRRORED: Final[Mapping[str, str]] = MappingProxyType(
    {"Greater": "Less", "GreaterOrEqual": "LessOrEqual", "Less": "Greater", "LessOrEqual": "GreaterOrEqual"}
)
"""The comparison with its operands exchanged."""


def _binary(node: NodeContext) -> Result:
    return combined(node, node.op, node.value(0), node.value(1))


def _mod(node: NodeContext) -> Result:
    """`A mod B` with the sign of the divisor, or of the dividend as C's fmod has it."""
    return combined(node, "FMod" if node.integer("fmod", 0) else "Mod", node.value(0), node.value(1))


def _variadic(node: NodeContext) -> Result:
    """Combine any number of tensors; those that depend on the inputs by one layer."""
    values = [node.value(place) for place in range(len(node.inputs))]
    tensors = [value for value in values if isinstance(value, GraphTensor)]
    merge = {"Sum": "sum", "Mean": "mean", "Max": "max"}.get(node.op)
    if merge is not None and len(tensors) == len(values) > 2:
        for tensor in tensors:
            _check_numbers(node, node.op, tensor)
        return merged(node, merge, fitting(node, tensors))
    op = "Sum" if node.op == "Mean" else node.op
    whole = reduce(lambda one, other: combined(node, op, one, other), values)
    if node.op != "Mean" or len(values) == 1:
        return whole
    return combined(node, "Div", whole, Constant(array=np.array(len(values), whole.kind)))


def combined(
    node: NodeContext, op: str, one: Constant | GraphTensor, other: Constant | GraphTensor
) -> Constant | GraphTensor:
    """Combine two tensors by an operator.

    Args:
        node: The node, for its name and graph.
        op: The name of the operator.
        one: The left operand.
        other: The right one.
    """
    if isinstance(one, Constant):
        if isinstance(other, Constant):
            return folded(node.graph, op, numbers_of(one), numbers_of(other))
        return _with_constant(node, op, other, numbers_of(one), left=True)
    if isinstance(other, Constant):
        return _with_constant(node, op, one, numbers_of(other), left=False)
    _check_numbers(node, op, one)
    _check_numbers(node, op, other)
    first, second = fitting(node, [one, other])
    return wrapped(node, op, _joined_tensors(node, op, first, second))


def _joined_tensors(node: NodeContext, op: str, first: GraphTensor, second: GraphTensor) -> GraphTensor:
    """Combine tensors of one shape."""
    if first.same_columns(second):
        x, y = first.pending or IDENTITY, second.pending or IDENTITY
        function = _function(op, x, y)
        if function.parts <= MAX_PARTS:
            return replace(first, pending=function, kind=_kind(op, first))
    if op == "Div" and first.kind in WHOLE:
        return joined_by(node, "x / y", [first, second])
    return _BOTH[op](node, first, second) if op in _BOTH else _compared(node, op, first, second)


def _check_numbers(node: NodeContext, op: str, tensor: GraphTensor) -> None:
    if op not in _COMPARISONS and (tensor.kind == "bool") != (op in _LOGICAL):
        raise UnsupportedError(f"computes with {tensor.kind}, which has no such operator")
    if op in {*_ARITHMETIC, "Mean"} and tensor.kind not in FLOATS:
        if tensor.kind not in WHOLE:
            raise UnsupportedError(
                f"computes in {tensor.kind}; networks compute in float32 or float64, cast to one of them"
            )
        check_whole(node, op, tensor)


def _kind(op: str, tensor: GraphTensor) -> str:
    return tensor.kind if op in _ARITHMETIC else "bool"


def _function(op: str, one: PendingFunction, other: PendingFunction) -> PendingFunction:
    if op == "FMod":
        return template(REMAINDER, x=as_number(one), y=as_number(other))
    form = as_condition if op in {"And", "Or"} else as_number
    return call(_SYMBOLS[op], form(one), form(other))


def _with_constant(node: NodeContext, op: str, tensor: GraphTensor, array: Array, *, left: bool) -> GraphTensor:
    """Combine a tensor with a constant, which is the left or the right operand."""
    return wrapped(node, op, _joined_constant(node, op, tensor, array, left=left))


def _joined_constant(node: NodeContext, op: str, tensor: GraphTensor, array: Array, *, left: bool) -> GraphTensor:
    _check_numbers(node, op, tensor)
    tensor = fit(node, tensor, array)
    numbers = columns_of(tensor, array).astype(tensor.kind)
    if tensor.kind in WHOLE:
        numbers = numbers.astype(np.float64)
    if not np.isfinite(numbers.astype(np.float64)).all():
        bound = {"Max": -np.inf, "Min": np.inf}.get(op)
        if (numbers == bound).all():
            return tensor
        return _with_lifted(node, op, tensor, array, left=left)
    if op in {"Div", "Mod", "FMod"} and not left and (numbers == 0).any():
        raise UnsupportedError("divides by a constant that is 0")
    if not (numbers == numbers[:1]).all():
        whole = op == "Div" and tensor.kind in WHOLE
        if whole or (op not in _COLUMNS and op not in _COMPARISONS):
            return _with_lifted(node, op, tensor, array, left=left)
        return _with_column(node, op, tensor, numbers, left=left)
    constant = literal(float(numbers[0]), tensor.kind)
    return pending(
        node, tensor, lambda x: _function(op, constant, x) if left else _function(op, x, constant), _kind(op, tensor)
    )


def _with_lifted(node: NodeContext, op: str, tensor: GraphTensor, array: Array, *, left: bool) -> GraphTensor:
    """Combine a tensor with a constant as with another tensor."""
    constant, tensor = fitting(node, [lifted(node, array.astype(tensor.kind), tensor), tensor])
    return _joined_tensors(node, op, constant, tensor) if left else _joined_tensors(node, op, tensor, constant)


def _with_column(node: NodeContext, op: str, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:
    """Combine each element with its own constant."""
    if op in _COMPARISONS:
        difference = scaled(node, tensor, shift=-numbers)
        symbol = _SYMBOLS[_MIRRORED.get(op, op) if left else op]
        return applied(node, difference, f"x {symbol} 0", kind="bool")
    return _COLUMNS[op](node, tensor, numbers, left=left)


def _add(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - either side is the same
    return scaled(node, tensor, shift=numbers)


def _multiply(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - as above
    return scaled(node, tensor, scale=numbers)


def _raise(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - as above
    return layered(node, tensor, kind="clip", low=numbers)


def _lower(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - as above
    return layered(node, tensor, kind="clip", high=numbers)


def _subtract(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:
    if left:
        return scaled(node, tensor, scale=-np.ones_like(numbers), shift=numbers)
    return scaled(node, tensor, shift=-numbers)


def _divide(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:
    if left:
        return scaled(node, applied(node, tensor, "1 / x"), scale=numbers)
    return scaled(node, tensor, scale=1 / numbers)


class _OnColumns(Protocol):
    def __call__(self, node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor: ...


_COLUMNS: Final[Mapping[str, _OnColumns]] = MappingProxyType(
    {
        "Add": _add,
        "Sum": _add,
        "Sub": _subtract,
        "Mul": _multiply,
        "Div": _divide,
        "Max": _raise,
        "Min": _lower,
    }
)
"""The layer that combines each element with its own constant, by operator."""


def _minus(node: NodeContext, tensor: GraphTensor) -> GraphTensor:
    return applied(node, tensor, "-x")


_BOTH: Final[Mapping[str, Callable[[NodeContext, GraphTensor, GraphTensor], GraphTensor]]] = MappingProxyType(
    {
        "Add": lambda node, one, other: merged(node, "sum", [one, other]),
        "Sum": lambda node, one, other: merged(node, "sum", [one, other]),
        "Sub": lambda node, one, other: merged(node, "sum", [one, _minus(node, other)]),
        "Mul": lambda node, one, other: merged(node, "multiply", [one, other]),
        "Div": lambda node, one, other: merged(node, "multiply", [one, applied(node, other, "1 / x")]),
        "Pow": lambda node, one, other: joined_by(node, "x ** y", [one, other]),
        "Max": lambda node, one, other: merged(node, "max", [one, other]),
        "Min": lambda node, one, other: _minus(node, merged(node, "max", [_minus(node, one), _minus(node, other)])),
        "And": lambda node, one, other: merged(node, "multiply", [one, other]),
        "Mod": lambda node, one, other: joined_by(node, "mod(x, y)", [one, other]),
        "FMod": lambda node, one, other: joined_by(node, REMAINDER, [one, other]),
        "Or": lambda node, one, other: merged(node, "max", [one, other]),
        "Xor": lambda node, one, other: applied(node, merged(node, "sum", [one, other]), "x == 1", kind="bool"),
    }
)
"""The layers that combine two tensors of different nodes, by operator."""


def _compared(node: NodeContext, op: str, one: GraphTensor, other: GraphTensor) -> GraphTensor:
    if op not in _COMPARISONS:
        raise UnsupportedError(f"joins two tensors by {op}, for which there is no layer")
    return joined_by(node, f"where(x {_SYMBOLS[op]} y, 1, 0)", [one, other], "bool")


def _clip(node: NodeContext) -> Result:
    """Bound by `min`, then by `max`, which are attributes before operator set 11."""
    value = node.value(0)
    for place, (name, op) in enumerate((("min", "Max"), ("max", "Min")), start=1):
        bound = node.value(place) if node.has(place) else None
        if bound is None and name in node.attributes:
            bound = Constant(array=np.array(node.attributes[name], np.float32))
        if bound is not None:
            value = combined(node, op, value, bound)
    return value


def _prelu(node: NodeContext) -> Result:
    tensor, slopes = node.float_tensor(0), node.constant(1)
    tensor = fit(node, tensor, slopes)
    numbers = columns_of(tensor, slopes)
    if (numbers == numbers[:1]).all():
        slope = float(numbers[0])
        short = float(str(numbers[0]))
        activation = {"name": "prelu", "slope": short}
        return applied(node, tensor, "where(x > 0, x, slope * x)", activation=activation, slope=slope)
    tensor = node.graph.materialize(tensor, node.hint)
    below = scaled(node, applied(node, tensor, "min(x, 0)"), scale=numbers)
    return merged(node, "sum", [applied(node, tensor, "relu(x)"), below])


MERGING: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", *_COMPARISONS, *_LOGICAL), _binary),
        **dict.fromkeys(("Sum", "Mean", "Max", "Min"), _variadic),
        "Mod": _mod,
        "Clip": _clip,
        "PRelu": _prelu,
    }
)
"""The reader of each elementwise operator of several tensors."""
