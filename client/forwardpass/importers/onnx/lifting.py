"""Constants as tensors of nodes, where an operator joins them with elements that depend on the inputs."""

from collections.abc import Sequence

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.node_context import NodeContext
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError


def lifted(node: NodeContext, array: Array, like: GraphTensor) -> GraphTensor:
    """Return a constant as a tensor that broadcasts with another one."""
    from_right = 0 if like.row_axis is None else len(like.shape) - like.row_axis
    if array.ndim < from_right:
        array = array.reshape((1,) * (from_right - array.ndim) + array.shape)
    if from_right and array.shape[-from_right] != 1:
        raise UnsupportedError(
            f"has constants of {array.shape[-from_right]} rows; a network computes each row by itself"
        )
    if array.dtype.kind not in "biuf":
        raise UnsupportedError("joins texts with elements that depend on the inputs")
    rows = array.ndim - from_right if from_right else None
    return node.graph.nodes_of_constants(array, rows, str(array.dtype))


def all_lifted(node: NodeContext, values: Sequence[Constant | GraphTensor]) -> list[GraphTensor]:
    """Return values of which at least one is a tensor, all as tensors."""
    like = next(value for value in values if isinstance(value, GraphTensor))
    return [lifted(node, numbers_of(value), like) if isinstance(value, Constant) else value for value in values]


def filled(node: NodeContext, tensor: GraphTensor, keep: Array, filling: Array) -> GraphTensor:
    """Return a tensor with a number in place of the elements that are not kept.

    Args:
        node: The node.
        tensor: The tensor.
        keep: Whether each element is kept, of a shape that broadcasts with the tensor's.
        filling: The number, `()` or `(1,)`.
    """
    whole, (index, other) = _beside(node, tensor, filling)
    return GraphTensor(sources=whole, index=np.where(keep, index, other), row_axis=tensor.row_axis, kind=tensor.kind)


def padded(node: NodeContext, tensor: GraphTensor, widths: Sequence[tuple[int, int]], filling: Array) -> GraphTensor:
    """Return a tensor with a number before and after each axis."""
    whole, (index, other) = _beside(node, tensor, filling)
    wide = np.pad(index, widths, constant_values=int(other))
    return GraphTensor(sources=whole, index=wide, row_axis=tensor.row_axis, kind=tensor.kind)


def _beside(node: NodeContext, tensor: GraphTensor, filling: Array) -> tuple[tuple[str, ...], list[Array]]:
    """Return the sources of a tensor and a number, and the places of their elements among these."""
    tensor = node.graph.without_pending(tensor)
    number = node.graph.nodes_of_constants(filling.reshape(()).astype(tensor.kind), None, tensor.kind)
    sources, (index, other) = node.graph.side_by_side([tensor, number])
    return sources, [index, other]
