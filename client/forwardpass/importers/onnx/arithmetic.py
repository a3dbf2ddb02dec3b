"""Elementwise operators of several tensors or constants."""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph.arithmetic import combine, prelu
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
from forwardpass.importers.onnx.broadcasting import fit, fitting, merged, scaled
from forwardpass.importers.onnx.constant_folding import folded, numbers_of
from forwardpass.importers.onnx.elementwise import applied, pending
from forwardpass.importers.onnx.graph_builder import columns_of
from forwardpass.importers.onnx.lifting import lifted
from forwardpass.importers.onnx.node_context import FLOATS, NodeContext, NodeReader, Result
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.onnx.whole_numbers import WHOLE, check_whole, is_shift, shifted, wrapped
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

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{op: op.lower() for op in ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "FMod", *_LOGICAL)},
        "Sum": "add",
        "Equal": "equal",
        "Greater": "greater",
        "GreaterOrEqual": "greater_equal",
        "Less": "less",
        "LessOrEqual": "less_equal",
    }
)
"""The operator of the graph for each ONNX operator."""

_BY_ELEMENT: Final = frozenset({"Add", "Sum", "Sub", "Mul", "Div", "Max", "Min"})
"""Operators of a tensor and a constant for each element that are one layer."""

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
            return folded(node.graph, op, one.array, other.array)
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
    done = combine(node.graph, _NAMES[op], first, second)
    return node.graph.tensor(done, first.row_axis, _kind(op, first))


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
    if is_shift(op, tensor, array, left=left):
        tensor = fit(node, tensor, array)
        numbers = columns_of(tensor, array).astype(np.float64)
        return shifted(node, tensor, -numbers if op == "Sub" else numbers)
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
        if whole or (op not in _BY_ELEMENT and op not in _COMPARISONS):
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
    by_element = numbers.reshape(tensor.shape)
    operands = (by_element, tensor) if left else (tensor, by_element)
    return node.graph.tensor(combine(node.graph, _NAMES[op], *operands), tensor.row_axis, tensor.kind)


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
    return node.graph.tensor(prelu(node.graph, tensor, slopes), tensor.row_axis, tensor.kind)


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
