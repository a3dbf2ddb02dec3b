"""Tensors and constants in one shape, and the layers that combine their elements."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.node_context import NodeContext
from forwardpass.importers.onnx.reshaping import broadcast
from forwardpass.importers.onnx.values import GraphTensor
from forwardpass.importers.unsupported import UnsupportedError


def fit(node: NodeContext, tensor: GraphTensor, array: Array) -> GraphTensor:
    """Broadcast a tensor to the shape of a constant, which must be for one row."""
    from_right = 0 if tensor.row_axis is None else len(tensor.shape) - tensor.row_axis
    if tensor.row_axis is not None and array.ndim >= from_right and array.shape[-from_right] != 1:
        raise UnsupportedError(
            f"has constants of {array.shape[-from_right]} rows; a network computes each row by itself"
        )
    wide = broadcast(node, tensor, array.shape)
    return wide if isinstance(wide, GraphTensor) else tensor


def fitting(node: NodeContext, tensors: Sequence[GraphTensor]) -> list[GraphTensor]:
    """Broadcast tensors to one shape."""
    from_right = {None if tensor.row_axis is None else len(tensor.shape) - tensor.row_axis for tensor in tensors}
    if len(from_right) > 1:
        raise UnsupportedError("joins tensors whose rows are not the same axis")
    try:
        shape = np.broadcast_shapes(*(tensor.shape for tensor in tensors))
    except ValueError:
        raise UnsupportedError(
            f"joins tensors of the shapes {', '.join(str(list(tensor.shape)) for tensor in tensors)}"
        ) from None
    fitted = (broadcast(node, tensor, shape) for tensor in tensors)
    return [tensor for tensor in fitted if isinstance(tensor, GraphTensor)]


def scaled(node: NodeContext, tensor: GraphTensor, **numbers: Array) -> GraphTensor:
    """Multiply by `scale` and add `shift`, arrays with a number for each element; either may be absent."""
    return layered(node, tensor, kind="scale_shift", **numbers)


def layered(node: NodeContext, tensor: GraphTensor, **document: Any) -> GraphTensor:
    """Add a layer that computes each element by itself, with arrays of a number for each, and return its nodes."""
    shaped = {
        key: value.reshape(tensor.shape) if isinstance(value, np.ndarray) else value for key, value in document.items()
    }
    return node.graph.tensor(node.graph.by_element(node.graph.plain(tensor), **shaped), tensor.row_axis, tensor.kind)


def merged(node: NodeContext, merge: str, tensors: Sequence[GraphTensor]) -> GraphTensor:
    """Merge tensors element by element by one layer."""
    whole = node.graph.merge([node.graph.plain(tensor) for tensor in tensors], merge)
    return node.graph.tensor(whole, tensors[0].row_axis, tensors[0].kind)


def joined_by(node: NodeContext, expression: str, tensors: Sequence[GraphTensor], kind: str = "") -> GraphTensor:
    """Compute an expression over x, y and z of two or three tensors of one shape by one layer."""
    parts = [node.graph.materialize(tensor, node.hint) for tensor in tensors]
    width = tensors[0].index.size
    name = node.graph.layer(node.hint, parts, width, merge="concatenate", kind="elementwise", expression=expression)
    return node.graph.like(name, tensors[0], kind)
