"""Operators along an axis: running sums and products, products, log-sum-exp, and places of the largest element."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.onnx.arithmetic import combined
from forwardpass.importers.onnx.broadcasting import fitting, joined_by
from forwardpass.importers.onnx.constant_folding import numbers_of, reduced_constant
from forwardpass.importers.onnx.elementwise import applied
from forwardpass.importers.onnx.lifting import lifted, padded
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result, front, not_rows
from forwardpass.importers.onnx.reductions import reduced
from forwardpass.importers.onnx.reshaping import joined
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.onnx.whole_numbers import WHOLE, check_whole, wrapped
from forwardpass.importers.unsupported import UnsupportedError

_MAX_RUNNING: Final = 131_072
"""The elements of all steps of one running sum."""


def _running(node: NodeContext) -> Result:
    """Return running sums or products along a constant axis, in steps that double (Hillis & Steele, 1986)."""
    axis = int(node.constant(1).ravel()[0])
    tensor = node.tensor(0)
    axis = not_rows(tensor, front(axis, len(tensor.shape)))
    if tensor.kind in WHOLE:
        check_whole(node, node.op, tensor, tensor.shape[axis])
    else:
        tensor = node.float_tensor(0)
    steps = math.ceil(math.log2(tensor.shape[axis])) if tensor.shape[axis] > 1 else 0
    if tensor.size * steps > _MAX_RUNNING:
        raise UnsupportedError(
            f"runs over {tensor.size:,} elements in {steps} steps, a layer for each; at most {_MAX_RUNNING:,} elements "
            "of all steps are read"
        )
    op, first = ("Add", 0.0) if node.op == "CumSum" else ("Mul", 1.0)
    length, is_reverse = tensor.shape[axis], node.integer("reverse", 0)
    if is_reverse:
        tensor = replace(tensor, index=np.flip(tensor.index, axis))
    if node.integer("exclusive", 0):
        widths = [(1, 0) if place == axis else (0, 0) for place in range(len(tensor.shape))]
        tensor = _part(padded(node, tensor, widths, np.array(first)), axis, 0, length)
    step = 1
    while step < length:
        later, earlier = _part(tensor, axis, step, length), _part(tensor, axis, 0, length - step)
        both = combined(node, op, later, earlier)
        if isinstance(both, GraphTensor):
            tensor = joined(node, [_part(tensor, axis, 0, step), both], axis)
        step *= 2
    if is_reverse:
        tensor = replace(tensor, index=np.flip(tensor.index, axis))
    return wrapped(node, node.op, tensor)


def _part(tensor: GraphTensor, axis: int, start: int, end: int) -> GraphTensor:
    return replace(tensor, index=tensor.index[(slice(None),) * axis + (slice(start, end),)])


def _axes(node: NodeContext, value: Constant | GraphTensor) -> list[int]:
    given = node.integers("axes", 1)
    if not given and node.integer("noop_with_empty_axes", 0):
        return []
    axes = {front(axis, len(value.shape)) for axis in given or range(len(value.shape))}
    return sorted(not_rows(value, axis) for axis in axes)


def _product(node: NodeContext) -> Result:
    """Multiply the elements of axes, by halves."""
    value = node.value(0)
    axes, keep = _axes(node, value), bool(node.integer("keepdims", 1))
    if isinstance(value, Constant):
        return reduced_constant(node.graph, node.op, numbers_of(value), axes, keep=keep)
    tensor = node.float_tensor(0)
    for axis in axes:
        while (length := tensor.shape[axis]) > 1:
            half = length // 2
            both = combined(node, "Mul", _part(tensor, axis, 0, half), _part(tensor, axis, half, 2 * half))
            rest = [_part(tensor, axis, 2 * half, length)] if length % 2 else []
            tensor = joined(node, [both, *rest], axis) if isinstance(both, GraphTensor) else tensor
    return tensor if keep else _without(tensor, axes)


def _without(tensor: GraphTensor, axes: Sequence[int]) -> GraphTensor:
    """Leave out axes of one element."""
    kept = [axis for axis in range(len(tensor.shape)) if axis not in axes]
    rows = None if tensor.row_axis is None else kept.index(tensor.row_axis)
    return replace(tensor, index=tensor.index.reshape([tensor.shape[axis] for axis in kept]), row_axis=rows)


def _log_sum_exp(node: NodeContext) -> Result:
    """`log(sum(exp(x)))`, by the exponentials of the differences from the largest element where that is finite."""
    tensor = node.float_tensor(0)
    axes = _axes(node, tensor)
    if not axes:
        return tensor
    largest = node.graph.materialize(reduced(node, tensor, axes, "max"), node.hint)
    level = node.graph.materialize(applied(node, largest, "where(x - x == 0, x, 0)"), node.hint)
    difference = combined(node, "Sub", tensor, level)
    if not isinstance(difference, GraphTensor):
        raise UnsupportedError("reads a constant where a network's values are needed")
    total = applied(node, reduced(node, applied(node, difference, "exp(x)"), axes, "sum"), "log(x)")
    whole = combined(node, "Add", total, level)
    keep = bool(node.integer("keepdims", 1)) or not isinstance(whole, GraphTensor)
    return whole if keep else _without(whole, axes)  # type: ignore[arg-type] # it is a tensor


def place_of_largest(
    node: NodeContext, tensor: GraphTensor, axis: int, *, last: bool = False, keep: bool = True
) -> GraphTensor:
    """Return the place of the first or last largest element along an axis; NaN where an element is."""
    size = tensor.shape[not_rows(tensor, axis)]
    largest = reduced(node, tensor, [axis], "max")
    places = np.arange(size, dtype=np.float64).reshape(-1, *(1,) * (len(tensor.shape) - axis - 1))
    parts = fitting(node, [tensor, largest, lifted(node, places, tensor)])
    other = -1 if last else size
    found = joined_by(node, f"where(x == y, z, where(y == y, {other}, y))", parts)
    return replace(reduced(node, found, [axis], "max" if last else "min", keep=keep), kind="int64")


def _hardmax(node: NodeContext) -> Result:
    """Return 1 for the first largest element along an axis, else 0; before operator set 13, along all from one on."""
    tensor = node.float_tensor(0)
    rank = len(tensor.shape)
    axis = node.axis(1 if node.version < 13 else -1, rank)
    if node.version < 13 and math.prod(tensor.shape[axis + 1 :]) > 1:
        raise UnsupportedError("is along several axes; export the model with operator set 13 or later")
    found = place_of_largest(node, tensor, axis)
    places = np.arange(tensor.shape[axis], dtype=np.float64).reshape(-1, *(1,) * (rank - axis - 1))
    parts = fitting(node, [found, lifted(node, places, tensor)])
    return joined_by(node, "where(x == y, 1, where(x == x, 0, x))", parts, tensor.kind)


ACCUMULATION: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        "CumSum": _running,
        "CumProd": _running,
        "ReduceProd": _product,
        "ReduceLogSumExp": _log_sum_exp,
        "Hardmax": _hardmax,
    }
)
"""The reader of each operator along an axis."""
