"""Pooling along one axis of places, and over all places at once."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.drafts import Places, Values
from forwardpass.importers.keras.refused import Refused
from forwardpass.importers.keras.step import Read, Step, check_width
from forwardpass.spec.limits import DEFAULT_LIMITS

_GLOBAL: Final[Mapping[str, str]] = MappingProxyType(
    {f"Global{name}Pooling{axes}D": word for name, word in (("Average", "mean"), ("Max", "max")) for axes in (1, 2, 3)}
)
_LOCAL: Final[Mapping[str, str]] = MappingProxyType({"AveragePooling1D": "mean", "MaxPooling1D": "max"})


def _places_last(step: Step, axes: int) -> Values:
    """Return the values with the channels first and the places, of all axes together, last: `(channels, places)`."""
    values = step.values
    if len(values.shape) != axes + 1:
        raise Refused(f"is given values of shape {list(values.shape)}; {axes + 1} axes are read")
    if step.word("data_format", "channels_last") == "channels_last":
        index = np.moveaxis(values.index, -1, 0)
        return Values(sources=values.sources, index=index.reshape(values.shape[-1], -1))
    return values.reshaped(values.shape[0], -1)


def _everywhere(step: Step) -> Values:
    axes = int(step.kind[-2])
    values = _places_last(step, axes)
    pooled = _pool(step, values, np.arange(values.shape[1])[None], _GLOBAL[step.kind])
    if not step.flag("keepdims", False):
        return pooled.reshaped(values.shape[0])
    ones = (1,) * axes
    first = step.word("data_format", "channels_last") == "channels_first"
    return pooled.reshaped(*((values.shape[0], *ones) if first else (*ones, values.shape[0])))


def _locally(step: Step) -> Values:
    values = _places_last(step, 1)
    size = step.whole("pool_size", 2)
    stride = size if step.config.get("strides") is None else step.whole("strides")
    if not (0 < size <= DEFAULT_LIMITS.max_width and stride > 0):
        raise Refused(f"has windows of {size} every {stride} places")
    if size * values.shape[1] > DEFAULT_LIMITS.max_parameters:
        raise Refused("has windows that are too many or too large")
    windows = _windows(values.shape[1], size, stride, step.word("padding", "valid"), _LOCAL[step.kind])
    pooled = _pool(step, values, windows, _LOCAL[step.kind])
    if step.word("data_format", "channels_last") == "channels_first":
        return pooled
    return Values(sources=pooled.sources, index=pooled.index.T)


def _windows(places: int, size: int, stride: int, padding: str, reduce: str) -> Places:
    """Return the places of each window, `(windows, size)`."""
    if padding == "valid":
        if places < size:
            raise Refused(f"has windows of {size} for {places} places")
        return np.arange(0, places - size + 1, stride)[:, None] + np.arange(size)
    count = -(-places // stride)
    before = max((count - 1) * stride + size - places, 0) // 2
    windows = np.arange(count)[:, None] * stride + np.arange(size) - before
    inside = (windows >= 0) & (windows < places)
    if reduce == "mean" and not inside.all():
        raise Refused(f"has windows that reach over the edge of {places} places; use padding='valid'")
    # A place that is there twice does not change the largest.
    nearest: Places = np.clip(windows, 0, places - 1)
    return nearest


def _pool(step: Step, values: Values, windows: Places, reduce: str) -> Values:
    """Return the values `(channels, windows)`."""
    channels, places = values.shape
    check_width(channels * len(windows))
    check_width(values.width)
    if channels * windows.size > DEFAULT_LIMITS.max_parameters:
        raise Refused("has windows that are too many or too large")
    every = (np.arange(channels)[:, None, None] * places + windows).reshape(-1, windows.shape[1])
    pooled = step.layer(values, len(every), kind="pool", windows=every, reduce=reduce)
    return pooled.reshaped(channels, len(windows))


POOLING: Final[Mapping[str, Read]] = MappingProxyType(
    {**dict.fromkeys(_GLOBAL, _everywhere), **dict.fromkeys(_LOCAL, _locally)}
)
"""By class."""
