"""Reductions and softmax over axes that are not those of the rows."""

from collections.abc import Sequence

from forwardpass.importers.graph.reductions import REDUCTIONS
from forwardpass.importers.onnx.node_context import NodeContext, not_rows
from forwardpass.importers.onnx.values import GraphTensor


def reduced(
    node: NodeContext, tensor: GraphTensor, axes: Sequence[int], reduce: str, *, keep: bool = True
) -> GraphTensor:
    """Reduce axes by one of `REDUCTIONS`."""
    axes = [not_rows(tensor, axis) for axis in axes]
    done = REDUCTIONS[reduce](node.graph, tensor, axes, keepdims=keep)
    return node.graph.tensor(done, tensor.row_axis if keep else rows_without(tensor, axes), tensor.kind)


def rows_without(tensor: GraphTensor, axes: Sequence[int]) -> int | None:
    """Return the axis of the rows of a tensor that lacks some axes."""
    rows = tensor.row_axis
    return None if rows is None else rows - sum(axis < rows for axis in axes)


def softmax(node: NodeContext, tensor: GraphTensor, axes: Sequence[int], activation: str) -> GraphTensor:
    """Apply `softmax` or `log_softmax` to the elements along consecutive axes together."""
    shape, first = tensor.shape, not_rows(tensor, axes[0])
    for axis in axes:
        not_rows(tensor, axis)
    flat = node.graph.plain(tensor).reshape(*shape[:first], -1, *shape[first + len(axes) :])
    done = node.graph.softmax(flat, first, activation).reshape(*shape)
    return node.graph.tensor(done, tensor.row_axis, tensor.kind)
