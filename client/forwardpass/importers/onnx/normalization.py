"""Normalization operators, by trained statistics or by those of the row."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import places_of
from forwardpass.importers.graph.normalization import divide_by, rms_norm
from forwardpass.importers.graph.reductions import moments
from forwardpass.importers.onnx.arithmetic import combined
from forwardpass.importers.onnx.broadcasting import layered
from forwardpass.importers.onnx.elementwise import applied
from forwardpass.importers.onnx.lifting import padded
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result, not_rows
from forwardpass.importers.onnx.reductions import reduced
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError


def _batch(node: NodeContext) -> Result:
    """`(X - mean) / sqrt(variance + epsilon) * scale + B`, by channels, which are axis 1."""
    tensor = node.float_tensor(0)
    if node.integer("training_mode", 0) or any(node.used[1:]):
        raise UnsupportedError("is in training mode; export the model for inference, as by `model.eval()`")
    if not node.integer("spatial", 1):
        raise UnsupportedError("has numbers for each element rather than each channel")
    rank = len(tensor.shape)
    if rank < 2 or tensor.row_axis not in {0, None}:
        raise UnsupportedError("needs its rows as axis 0, and channels as axis 1")
    names = ("gamma", "beta", "mean", "variance")
    channels = (-1, *(1,) * (rank - 2))
    numbers = {
        name: np.broadcast_to(node.constant(place).reshape(channels), tensor.shape).ravel()
        for place, name in enumerate(names, start=1)
    }
    return layered(node, tensor, kind="batch_norm", epsilon=node.number("epsilon", 1e-5), **numbers)


def _instance(node: NodeContext) -> Result:
    """Normalize each channel of each row by its own moments, then scale and shift it."""
    tensor = node.float_tensor(0)
    rank = len(tensor.shape)
    if rank < 3 or tensor.row_axis not in {0, None}:
        raise UnsupportedError("needs its rows as axis 0, channels as axis 1, and more axes after them")
    normal = node.graph.layer_norm(node.graph.plain(tensor), rank - 2, None, None, node.number("epsilon", 1e-5))
    scale, shift = (node.constant(place).reshape(-1, *(1,) * (rank - 2)) for place in (1, 2))
    return node.graph.tensor(node.graph.scale_shift(normal, scale, shift), tensor.row_axis, tensor.kind)


def _response(node: NodeContext) -> Result:
    """`X / (bias + alpha / size * the sum of X^2 over channels nearby)^beta` (Krizhevsky et al., 2012)."""
    tensor = node.float_tensor(0)
    size = node.integer("size", 0)
    if len(tensor.shape) < 2 or tensor.row_axis not in {0, None} or not 0 < size <= 2 * tensor.shape[1]:
        raise UnsupportedError("needs its rows as axis 0, channels as axis 1, and a size of at most twice these")
    before = (size - 1) // 2
    square = applied(node, tensor, "x * x")
    widths = [(0, 0), (before, size - 1 - before), *[(0, 0)] * (len(tensor.shape) - 2)]
    wide = padded(node, square, widths, np.zeros(()))
    channels = np.arange(tensor.shape[1])[:, None] + np.arange(size)
    windows = np.moveaxis(np.take(places_of(wide.shape), channels, axis=1), 2, -1)
    total = node.graph.tensor(node.graph.pool(wide, windows, "sum"), tensor.row_axis, tensor.kind)
    alpha, beta = node.number("alpha", 1e-4), node.number("beta", 0.75)
    divisor = applied(
        node, total, "(bias + factor * x) ** beta", bias=node.number("bias", 1.0), factor=alpha / size, beta=beta
    )
    return _joined(node, "Div", tensor, divisor)


def _layer(node: NodeContext) -> Result:
    """Normalize over all axes from `axis` on; return the mean and inverse deviation too where they are read."""
    tensor = node.float_tensor(0)
    axis = node.axis(-1, len(tensor.shape))
    axes = range(axis, len(tensor.shape))
    for each in axes:
        not_rows(tensor, each)
    gamma, beta = (
        np.broadcast_to(node.constant(place), tensor.shape[axis:]) if node.has(place) else None for place in (1, 2)
    )
    x = node.graph.plain(tensor)
    normal = node.graph.layer_norm(x, len(axes), gamma, beta, node.number("epsilon", 1e-5))
    whole = node.graph.tensor(normal, tensor.row_axis, tensor.kind)
    if not any(node.used[1:]):
        return whole
    found = moments(node.graph, tensor, axes, keepdims=True)
    variance, mean = (node.graph.tensor(each, tensor.row_axis, tensor.kind) for each in found)
    return whole, mean, applied(node, variance, "1 / sqrt(x + epsilon)", epsilon=node.number("epsilon", 1e-5))


def _root_mean_square(node: NodeContext) -> Result:
    """`X / sqrt(mean(X^2) + epsilon) * scale`, over all axes from one on."""
    tensor = node.float_tensor(0)
    axes = range(node.axis(-1, len(tensor.shape)), len(tensor.shape))
    for each in axes:
        not_rows(tensor, each)
    normal = rms_norm(node.graph, tensor, axes, node.number("epsilon", 1e-5))
    return combined(node, "Mul", node.graph.tensor(normal, tensor.row_axis, tensor.kind), node.value(1))


def _to_length_one(node: NodeContext) -> Result:
    """`X / norm(X)`, by the sum of sizes or the root of the sum of squares."""
    tensor = node.float_tensor(0)
    axes = [node.axis(-1, len(tensor.shape))]
    return _over_norm(node, tensor, axes, _NORMS["L1" if node.integer("p", 2) == 1 else "L2"])


def _normalizer(node: NodeContext) -> Result:
    """Read the Normalizer of ai.onnx.ml, over the last axis; a row of zeros stays as it is."""
    tensor = node.float_tensor(0)
    norm = node.attributes.get("norm", b"MAX").decode()
    if norm not in _NORMS:
        raise UnsupportedError(f"normalizes by {norm}; supported are {', '.join(_NORMS)}")
    return _over_norm(node, tensor, [len(tensor.shape) - 1], _NORMS[norm])


_NORMS: Final[Mapping[str, str]] = MappingProxyType({"L1": "l1", "L2": "l2", "MAX": "max"})
"""The reduction of each norm."""


def _over_norm(node: NodeContext, tensor: GraphTensor, axes: Sequence[int], norm: str) -> GraphTensor:
    size = reduced(node, tensor, axes, norm)
    return node.graph.tensor(divide_by(node.graph, tensor, size), tensor.row_axis, tensor.kind)


def _joined(node: NodeContext, op: str, one: GraphTensor, other: GraphTensor | Constant) -> GraphTensor:
    joined = combined(node, op, one, other)
    return joined if isinstance(joined, GraphTensor) else one


NORMALIZATION: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        "BatchNormalization": _batch,
        "LayerNormalization": _layer,
        "InstanceNormalization": _instance,
        "LRN": _response,
        "RMSNormalization": _root_mean_square,
        "LpNormalization": _to_length_one,
    }
)
"""The reader of each normalization operator."""

NORMALIZER: Final = _normalizer
