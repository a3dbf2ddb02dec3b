"""Operators along an axis: running sums and products, and places of the largest element."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from forwardpass.importers.graph import reductions
from forwardpass.importers.graph.running import accumulate
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result, front, not_rows
from forwardpass.importers.onnx.reductions import rows_without
from forwardpass.importers.onnx.values import GraphTensor
from forwardpass.importers.onnx.whole_numbers import WHOLE, check_whole, wrapped
from forwardpass.importers.unsupported import UnsupportedError


def _running(node: NodeContext) -> Result:
    """Return running sums or products along a constant axis."""
    axis = int(node.constant(1).ravel()[0])
    tensor = node.tensor(0)
    axis = not_rows(tensor, front(axis, len(tensor.shape)))
    if tensor.kind in WHOLE:
        check_whole(node, node.op, tensor, tensor.shape[axis])
    else:
        tensor = node.float_tensor(0)
    merge = "sum" if node.op == "CumSum" else "multiply"
    options = {key: bool(node.integer(key, 0)) for key in ("reverse", "exclusive")}
    done = accumulate(node.graph, tensor, axis, merge, **options)
    return wrapped(node, node.op, node.graph.tensor(done, tensor.row_axis, tensor.kind))


def place_of_extreme(node: NodeContext, *, largest: bool) -> GraphTensor:
    """Return the place of the first or last largest or smallest element along an axis."""
    tensor = node.float_tensor(0)
    axis = not_rows(tensor, node.axis(0, len(tensor.shape)))
    last, keep = bool(node.integer("select_last_index", 0)), bool(node.integer("keepdims", 1))
    done = reductions.place_of_extreme(node.graph, tensor, axis, largest=largest, last=last, keepdims=keep)
    return node.graph.tensor(done, tensor.row_axis if keep else rows_without(tensor, [axis]), "int64")


def _hardmax(node: NodeContext) -> Result:
    """Return 1 for the first largest element along an axis, else 0; before operator set 13, along all from one on."""
    tensor = node.float_tensor(0)
    rank = len(tensor.shape)
    axis = node.axis(1 if node.version < 13 else -1, rank)
    if node.version < 13 and math.prod(tensor.shape[axis + 1 :]) > 1:
        raise UnsupportedError("is along several axes; export the model with operator set 13 or later")
    done = reductions.hardmax(node.graph, tensor, not_rows(tensor, axis))
    return node.graph.tensor(done, tensor.row_axis, tensor.kind)


ACCUMULATION: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        "CumSum": _running,
        "CumProd": _running,
        "Hardmax": _hardmax,
    }
)
"""The reader of each operator along an axis."""
