"""Operations that read several elements of a row together: over axes, and in windows."""

import math
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS
from forwardpass.importers.graph.reductions import REDUCTIONS
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.node_context import NodeContext, not_rows
from forwardpass.importers.onnx.reshaping import joined
from forwardpass.importers.onnx.values import GraphTensor
from forwardpass.importers.unsupported import UnsupportedError

_MAX_GROUPS: Final = 64
"""The largest number of layers for one node."""


_IN_GROUPS: Final = MappingProxyType({"softmax": "group_softmax", "layer_norm": "layer_norm"})
"""The kind of a layer that computes several groups, by an activation or a kind."""


def grouped(
    node: NodeContext, tensor: GraphTensor, axes: Sequence[int], activation: str = "identity", **document: Any
) -> GraphTensor:
    """Compute all elements along some axes together, by one layer or by one for each place of the other axes.

    Args:
        node: The node.
        tensor: The tensor.
        axes: The axes, not negative.
        activation: The activation of the layers.
        document: The other fields of each layer in a spec.
    """
    tensor = node.graph.without_pending(tensor)
    moved, order = _moved(tensor, axes)
    groups = moved.reshape(-1, math.prod(tensor.shape[axis] for axis in axes))
    known = _IN_GROUPS.get(str(document.get("kind", activation)))
    if known is not None and len(groups) > 1:
        flat = replace(tensor, index=groups.reshape(1, -1), row_axis=0)
        tiled = {key: np.tile(value, len(groups)) for key, value in document.items() if isinstance(value, np.ndarray)}
        fields: dict[str, Any] = {**document, **tiled, "kind": known, "groups": len(groups)}
        whole = node.graph.nodes(
            node.graph.layer(node.hint, [flat], groups.size, **fields), groups.shape, 0, tensor.kind
        )
        return _back(whole, moved.shape, order, tensor.row_axis)
    if len(groups) > _MAX_GROUPS:
        raise UnsupportedError(
            f"is computed for {len(groups):,} groups of elements in each row, a layer for each; at most "
            f"{_MAX_GROUPS} are read"
        )
    parts = []
    for columns in groups:
        part = replace(tensor, index=columns.reshape(1, -1), row_axis=0)
        name = node.graph.layer(node.hint, [part], columns.size, **{**PASS, **document, "activation": activation})
        parts.append(node.graph.nodes(name, (1, columns.size), 0, tensor.kind))
    whole = joined(node, parts, 1)
    return _back(whole, moved.shape, order, tensor.row_axis)


def _back(whole: GraphTensor, shape: Sequence[int], order: Sequence[int], rows: int | None) -> GraphTensor:
    """Return elements that were moved in the order of the tensor that they came from."""
    return replace(whole, index=whole.index.reshape(shape).transpose(np.argsort(order)), row_axis=rows)


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


def _moved(tensor: GraphTensor, axes: Sequence[int]) -> tuple[Array, list[int]]:
    """Return the index with some axes moved last, and the order of the axes."""
    last = [not_rows(tensor, axis) for axis in axes]
    order = [axis for axis in range(len(tensor.shape)) if axis not in last] + last
    return tensor.index.transpose(order), order
