"""Pooling layers: of windows along one to three axes, and of all places."""

from collections.abc import Mapping, Sequence
from functools import reduce
from math import prod
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import Indices, TensorRef
from forwardpass.importers.graph.convolution import conv_layer, same_pads
from forwardpass.importers.keras.data_format import channels_first, in_data_format, spatial_axes
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS

_GLOBAL: Final[Mapping[str, str]] = MappingProxyType(
    {f"Global{name}Pooling{axes}D": word for name, word in (("Average", "mean"), ("Max", "max")) for axes in (1, 2, 3)}
)
_LOCAL: Final[Mapping[str, str]] = MappingProxyType(
    {f"{name}Pooling{axes}D": word for name, word in (("Average", "mean"), ("Max", "max")) for axes in (1, 2, 3)}
)
"""The reduction of each layer, by class name."""


_MAX_PLACES: Final = 64 * DEFAULT_LIMITS.max_width
"""The most places in all windows of a layer."""


def _everywhere(call: LayerCall) -> TensorRef:
    x, axes = channels_first(call), spatial_axes(call)
    channels, places = x.shape[0], prod(x.shape[1:])
    pooled = _pool(call, x, np.arange(places)[None], _GLOBAL[call.kind])
    if not call.boolean("keepdims", False):
        return pooled.reshape(channels)
    return in_data_format(call, pooled.reshape(channels, *[1] * axes))


def _locally(call: LayerCall) -> TensorRef:
    x, axes, word = channels_first(call), spatial_axes(call), _LOCAL[call.kind]
    sizes = call.integers("pool_size", axes, 2)
    strides = sizes if call.config.get("strides") is None else call.integers("strides", axes)
    if min(*sizes, *strides) < 1 or max(sizes) > DEFAULT_LIMITS.max_width:
        raise UnsupportedError(f"has windows of {sizes} every {strides} places")
    padding = call.text("padding", "valid")
    if padding not in {"valid", "same"}:
        raise UnsupportedError(f"has padding={padding!r}; valid and same are read")
    pads = same_pads(x.shape[1:], sizes, strides) if padding == "same" else [(0, 0)] * axes
    known = zip(x.shape[1:], pads, sizes, strides, strict=True)
    counts = [(places + sum(pad) - size) // stride + 1 for places, pad, size, stride in known]
    if min(counts) < 1:
        raise UnsupportedError(f"has windows of {sizes} for {list(x.shape[1:])} places")
    _check_windows(x.shape[0], counts, sizes)
    known = zip(counts, pads, sizes, strides, strict=True)
    along = [np.arange(count)[:, None] * stride + np.arange(size) - pad[0] for count, pad, size, stride in known]
    inside = [(places >= 0) & (places < length) for places, length in zip(along, x.shape[1:], strict=True)]
    if word == "mean" and not all(each.all() for each in inside):
        pooled = _averaged(call, x, sizes, strides, pads, [each.sum(axis=1) for each in inside])
    else:
        pooled = _pool(call, x, _together(along, x.shape[1:]), word)
    return in_data_format(call, pooled.reshape(x.shape[0], *counts))


def _check_windows(channels: int, counts: Sequence[int], sizes: Sequence[int]) -> None:
    check_width(channels * prod(counts))
    if channels * prod(counts) * prod(sizes) > _MAX_PLACES:
        raise UnsupportedError("has windows that are too many or too large")


def _together(along: Sequence[Indices], lengths: Sequence[int]) -> Indices:
    """Return the places of each window over all axes, `(windows, size)`, from those along each axis."""
    whole: Indices = np.zeros((1, 1), np.int64)
    for windows, length in zip(along, lengths, strict=True):
        # A repeated place does not change the maximum.
        inside = np.clip(windows, 0, length - 1)
        whole = (whole[:, None, :, None] * length + inside[None, :, None, :]).reshape(len(whole) * len(inside), -1)
    return whole


def _pool(call: LayerCall, x: TensorRef, windows: Indices, word: str) -> TensorRef:
    """Reduce windows of places, `(windows, size)`, in every channel; return `(channels, windows)`."""
    channels, places = x.shape[0], prod(x.shape[1:])
    check_width(x.size)
    nodes, columns = call.graph.all_nodes(x)
    every = (np.arange(channels)[:, None, None] * places + windows).reshape(-1, windows.shape[1])
    pooled = call.layer(nodes, len(every), kind="pool", windows=columns[every], reduce=word)
    return pooled.reshape(channels, len(windows))


def _averaged(
    call: LayerCall,
    x: TensorRef,
    sizes: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    counts: Sequence[Indices],
) -> TensorRef:
    """Average windows that reach over the edge: sum each as a convolution does, and divide by the places inside.

    Args:
        call: The layer.
        x: `(channels, *sizes)`.
        sizes: The size of a window along each axis.
        strides: The distance between windows along each axis.
        pads: The places before and after each axis.
        counts: The number of places inside of each window along each axis.
    """
    ones = np.ones((x.shape[0], 1, *sizes))
    document, shape = conv_layer(
        x.shape, ones, None, strides=strides, pads=pads, dilations=[1] * len(sizes), group=x.shape[0]
    )
    sums = call.layer(x, prod(shape), hint="_sums", **document).reshape(*shape)
    shares = np.broadcast_to(1 / reduce(np.multiply.outer, counts), shape)
    return call.elementwise(sums, {"kind": "scale_shift", "scale": shares.ravel()})


POOLING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {**dict.fromkeys(_GLOBAL, _everywhere), **dict.fromkeys(_LOCAL, _locally)}
)
"""By class name."""
