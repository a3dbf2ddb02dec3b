"""Matrix products: a dense layer for a constant, products and sums for two tensors."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arithmetic import combined
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.node_context import FLOATS, NodeContext, NodeReader, Result
from forwardpass.importers.onnx.reductions import pooled
from forwardpass.importers.onnx.reshaping import broadcast, joined, transposed
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError


def _gemm(node: NodeContext) -> Result:
    """`alpha * A' * B' + beta * C`."""
    one, other = node.value(0), node.value(1)
    if len(one.shape) != 2 or len(other.shape) != 2:
        raise UnsupportedError("multiplies tensors that are no matrices")
    if node.integer("transA", 0):
        one = transposed(node, one, [1, 0])
    if node.integer("transB", 0):
        other = transposed(node, other, [1, 0])
    whole = product(node, one, other, node.number("alpha", 1.0))
    if not node.has(2):
        return whole
    addend, beta = node.value(2), node.number("beta", 1.0)
    if beta != 1:
        addend = combined(node, "Mul", addend, Constant(array=np.array(beta, addend.kind)))
    return combined(node, "Add", whole, addend)


def _matmul(node: NodeContext) -> Result:
    return product(node, node.value(0), node.value(1))


def product(
    node: NodeContext, one: Constant | GraphTensor, other: Constant | GraphTensor, factor: float = 1.0
) -> Constant | GraphTensor:
    """Multiply matrices as `numpy.matmul` does, and the product by a factor."""
    if isinstance(one, Constant) and isinstance(other, Constant):
        raise UnsupportedError("multiplies constants; let the exporter fold them")
    # Vectors become matrices of one row or column; the product drops that axis again.
    squeezed = [-2] * (len(one.shape) == 1) + [-1] * (len(other.shape) == 1)
    one, other = _matrix(one, 0), _matrix(other, 1)
    if one.shape[-1] != other.shape[-2]:
        raise UnsupportedError(f"multiplies matrices of the shapes {list(one.shape)} and {list(other.shape)}")
    for value in (one, other):
        if isinstance(value, GraphTensor) and value.kind not in FLOATS:
            raise UnsupportedError(
                f"computes in {value.kind}; networks compute in float32 or float64, cast to one of them"
            )
    if isinstance(one, GraphTensor) and isinstance(other, Constant):
        whole = _times(node, one, _by(factor, other.array))
    elif isinstance(one, Constant) and isinstance(other, GraphTensor):
        whole = _turned(_times(node, _turned(other), np.swapaxes(_by(factor, one.array), -1, -2)))
    else:
        whole = _both(node, one, other)  # type: ignore[arg-type] # neither is constant
        if factor != 1:
            whole = _scaled(node, whole, factor)
    if not squeezed:
        return whole
    axes = [axis % len(whole.shape) for axis in squeezed]
    if whole.row_axis in axes:
        raise UnsupportedError("multiplies along the axis of the rows; a network computes each row by itself")
    rows = None if whole.row_axis is None else whole.row_axis - sum(axis < whole.row_axis for axis in axes)
    return replace(whole, index=whole.index.squeeze(tuple(axes)), row_axis=rows)


def _by(factor: float, weights: Array) -> Array:
    scaled: Array = weights if factor == 1 else weights * weights.dtype.type(factor)
    return scaled


def _matrix(value: Constant | GraphTensor, axis: int) -> Constant | GraphTensor:
    if len(value.shape) == 0:
        raise UnsupportedError("multiplies a single number; Mul does that")
    if len(value.shape) > 1:
        return value
    if isinstance(value, Constant):
        return Constant(array=np.expand_dims(value.array, axis))
    rows = None if value.row_axis is None else value.row_axis + (axis == 0)
    return replace(value, index=np.expand_dims(value.index, axis), row_axis=rows)


def _turned(tensor: GraphTensor) -> GraphTensor:
    rank = len(tensor.shape)
    rows = tensor.row_axis
    if rows is not None and rows >= rank - 2:
        rows = 2 * rank - 3 - rows
    return replace(tensor, index=np.swapaxes(tensor.index, -1, -2), row_axis=rows)


def _scaled(node: NodeContext, tensor: GraphTensor, factor: float) -> GraphTensor:
    scaled = combined(node, "Mul", tensor, Constant(array=np.array(factor, tensor.kind)))
    return scaled if isinstance(scaled, GraphTensor) else tensor


def _times(node: NodeContext, tensor: GraphTensor, weights: Array) -> GraphTensor:
    """Multiply matrices that depend on the inputs by constant ones, one block of weights for each matrix row."""
    rank = max(len(tensor.shape), weights.ndim)
    if tensor.row_axis == len(tensor.shape) - 1:
        raise UnsupportedError("sums over the rows; a network computes each row by itself")
    place = None if tensor.row_axis is None else tensor.row_axis + rank - len(tensor.shape)
    if place is not None and place < rank - 2 and weights.ndim > rank - place - 1 and weights.shape[place - rank] != 1:
        raise UnsupportedError("has other weights for each row; a network computes each row alike")
    try:
        leads = np.broadcast_shapes(tensor.shape[:-2], weights.shape[:-2])
    except ValueError:
        raise UnsupportedError(
            f"multiplies matrices of the shapes {list(tensor.shape)} and {list(weights.shape)}"
        ) from None
    widened = broadcast(node, tensor, (*leads, 1, 1))
    tensor = widened if isinstance(widened, GraphTensor) else tensor
    inputs, outputs = weights.shape[-2:]
    blocks = np.broadcast_to(weights, (*leads, inputs, outputs)).reshape(-1, inputs, outputs)
    each = tensor.shape[-2]
    count = len(blocks) * each
    node.graph.budget.check_weights(count * outputs, count * inputs, expanded=count > 1)
    dense = np.zeros((len(blocks) * each, outputs, len(blocks) * each, inputs), weights.dtype)
    for place_of, block in enumerate(np.repeat(blocks, each, axis=0) if len(blocks) * each > 1 else blocks):
        dense[place_of, :, place_of] = block.T
    matrix = dense.reshape(dense.shape[0] * outputs, -1)
    name = node.graph.layer(node.hint, [tensor], len(matrix), kind="dense", weights=matrix)
    return node.graph.nodes(name, (*tensor.shape[:-1], outputs), place, tensor.kind)


def _both(node: NodeContext, one: GraphTensor, other: GraphTensor) -> GraphTensor:
    """Multiply matrices that both depend on the inputs."""
    if one.row_axis == len(one.shape) - 1 or other.row_axis == len(other.shape) - 2:
        raise UnsupportedError("sums over the rows; a network computes each row by itself")
    places = {None if each.row_axis is None else each.row_axis - len(each.shape) for each in (one, other)}
    if len(places) == 1 and not places & {-1, -2}:
        return _in_groups(node, one, other)
    return _summed(node, one, other)


def _in_groups(node: NodeContext, one: GraphTensor, other: GraphTensor) -> GraphTensor:
    """Multiply the matrices of a row, by one layer; the rows are along an axis before them."""
    (rows, inner), columns = one.shape[-2:], other.shape[-1]
    try:
        leads = np.broadcast_shapes(one.shape[:-2], other.shape[:-2])
    except ValueError:
        raise UnsupportedError(f"multiplies matrices of the shapes {list(one.shape)} and {list(other.shape)}") from None
    whole = [broadcast(node, one, (*leads, rows, inner)), broadcast(node, other, (*leads, inner, columns))]
    flat = [
        replace(each, index=each.index.reshape(1, -1), row_axis=0) for each in whole if isinstance(each, GraphTensor)
    ]
    groups = math.prod(leads)
    sizes: dict[str, Any] = {"groups": groups, "rows": rows, "inner": inner, "columns": columns}
    name = node.graph.layer(node.hint, [joined(node, flat, 1)], groups * rows * columns, kind="matmul", **sizes)
    place = None if one.row_axis is None else one.row_axis - len(one.shape) + len(leads) + 2
    return node.graph.nodes(name, (*leads, rows, columns), place, one.kind)


def _summed(node: NodeContext, one: GraphTensor, other: GraphTensor) -> GraphTensor:
    """Multiply every two elements, and sum the products."""
    terms = combined(
        node,
        "Mul",
        replace(one, index=one.index[..., :, None, :], row_axis=_before(one, 1)),
        replace(other, index=np.swapaxes(other.index, -1, -2)[..., None, :, :], row_axis=_before(_turned(other), 2)),
    )
    if not isinstance(terms, GraphTensor):
        raise UnsupportedError("multiplies no tensors")
    windows = terms.index.reshape(-1, terms.shape[-1])
    return pooled(node, terms, windows, "sum", terms.shape[:-1], terms.row_axis)


def _before(tensor: GraphTensor, last: int) -> int | None:
    """Return the axis of the rows after another axis was inserted before the last ones."""
    rank = len(tensor.shape)
    return None if tensor.row_axis is None else tensor.row_axis + (tensor.row_axis >= rank - last)


LINEAR: Final[Mapping[str, NodeReader]] = MappingProxyType({"Gemm": _gemm, "MatMul": _matmul})
"""The reader of each matrix product."""
