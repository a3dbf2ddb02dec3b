"""Pooling layers: along one axis, and over all axes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import Indices, TensorRef
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS

_GLOBAL: Final[Mapping[str, str]] = MappingProxyType(
    {f"Global{name}Pooling{axes}D": word for name, word in (("Average", "mean"), ("Max", "max")) for axes in (1, 2, 3)}
)
_LOCAL: Final[Mapping[str, str]] = MappingProxyType({"AveragePooling1D": "mean", "MaxPooling1D": "max"})


def _places_last(call: LayerCall, axes: int) -> TensorRef:
    """Return the values as `(channels, places)`, with the places of all axes in one."""
    values = call.input
    if len(values.shape) != axes + 1:
        raise UnsupportedError(f"is given values of shape {list(values.shape)}; {axes + 1} axes are read")
    if call.text("data_format", "channels_last") == "channels_last":
        index = np.moveaxis(values.index, -1, 0)
        return values.with_index(index.reshape(values.shape[-1], -1))
    return values.reshape(values.shape[0], -1)


def _everywhere(call: LayerCall) -> TensorRef:
    axes = int(call.kind[-2])
    values = _places_last(call, axes)
    pooled = _pool(call, values, np.arange(values.shape[1])[None], _GLOBAL[call.kind])
    if not call.boolean("keepdims", False):
        return pooled.reshape(values.shape[0])
    ones = (1,) * axes
    first = call.text("data_format", "channels_last") == "channels_first"
    return pooled.reshape(*((values.shape[0], *ones) if first else (*ones, values.shape[0])))


def _locally(call: LayerCall) -> TensorRef:
    values = _places_last(call, 1)
    size = call.integer("pool_size", 2)
    stride = size if call.config.get("strides") is None else call.integer("strides")
    if not (0 < size <= DEFAULT_LIMITS.max_width and stride > 0):
        raise UnsupportedError(f"has windows of {size} every {stride} places")
    if size * values.shape[1] > DEFAULT_LIMITS.max_parameters:
        raise UnsupportedError("has windows that are too many or too large")
    windows = _windows(values.shape[1], size, stride, call.text("padding", "valid"), _LOCAL[call.kind])
    pooled = _pool(call, values, windows, _LOCAL[call.kind])
    if call.text("data_format", "channels_last") == "channels_first":
        return pooled
    return pooled.with_index(pooled.index.T)


def _windows(places: int, size: int, stride: int, padding: str, reduce: str) -> Indices:
    """Return the places of each window, `(windows, size)`."""
    if padding == "valid":
        if places < size:
            raise UnsupportedError(f"has windows of {size} for {places} places")
        return np.arange(0, places - size + 1, stride)[:, None] + np.arange(size)
    count = -(-places // stride)
    before = max((count - 1) * stride + size - places, 0) // 2
    windows = np.arange(count)[:, None] * stride + np.arange(size) - before
    inside = (windows >= 0) & (windows < places)
    if reduce == "mean" and not inside.all():
        raise UnsupportedError(f"has windows that reach over the edge of {places} places; use padding='valid'")
    # A repeated place does not change the maximum.
    nearest: Indices = np.clip(windows, 0, places - 1)
    return nearest


def _pool(call: LayerCall, values: TensorRef, windows: Indices, reduce: str) -> TensorRef:
    """Return the values `(channels, windows)`."""
    channels, places = values.shape
    check_width(channels * len(windows))
    check_width(values.size)
    if channels * windows.size > DEFAULT_LIMITS.max_parameters:
        raise UnsupportedError("has windows that are too many or too large")
    every = (np.arange(channels)[:, None, None] * places + windows).reshape(-1, windows.shape[1])
    pooled = call.layer(values, len(every), kind="pool", windows=every, reduce=reduce)
    return pooled.reshape(channels, len(windows))


POOLING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {**dict.fromkeys(_GLOBAL, _everywhere), **dict.fromkeys(_LOCAL, _locally)}
)
"""By class name."""
