"""Pooling layers: of windows along one to three axes, and of all places."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from forwardpass.importers.graph import TensorRef, reduce_axes
from forwardpass.importers.graph.convolution import same_pads
from forwardpass.importers.graph.windows import Windows, pool
from forwardpass.importers.keras.data_format import channels_first, in_data_format, spatial_axes
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader
from forwardpass.importers.unsupported import UnsupportedError

_GLOBAL: Final[Mapping[str, str]] = MappingProxyType(
    {f"Global{name}Pooling{axes}D": word for name, word in (("Average", "mean"), ("Max", "max")) for axes in (1, 2, 3)}
)
_LOCAL: Final[Mapping[str, str]] = MappingProxyType(
    {f"{name}Pooling{axes}D": word for name, word in (("Average", "mean"), ("Max", "max")) for axes in (1, 2, 3)}
)
"""The reduction of each layer, by class name."""


def _everywhere(call: LayerCall) -> TensorRef:
    x, axes = channels_first(call), spatial_axes(call)
    if call.kind == "GlobalAveragePooling1D" and call.masks and call.masks[0] is not None:
        pooled = _of_counted(call, x, call.masks[0]())
    else:
        pooled = reduce_axes(call.graph, x, range(1, axes + 1), _GLOBAL[call.kind])
    return in_data_format(call, pooled.reshape(-1, *[1] * axes)) if call.boolean("keepdims", False) else pooled


def _of_counted(call: LayerCall, x: TensorRef, mask: TensorRef) -> TensorRef:
    """Return the mean of the steps `(channels, steps)` that a mask counts."""
    counted = call.graph.elementwise("where(y != 0, x, 0)", x, mask)
    sums = reduce_axes(call.graph, counted, [1], "sum")
    count = reduce_axes(call.graph, mask.reshape(-1), [0], "sum")
    return call.graph.elementwise("x / y", sums, count.reshape(1))


def _locally(call: LayerCall) -> TensorRef:
    x, axes = channels_first(call), spatial_axes(call)
    sizes = call.integers("pool_size", axes, 2)
    strides = sizes if call.config.get("strides") is None else call.integers("strides", axes)
    padding = call.text("padding", "valid")
    if padding not in {"valid", "same"}:
        raise UnsupportedError(f"has padding={padding!r}; valid and same are read")
    ones = [1] * axes
    windows = Windows(kernel=sizes, strides=strides, pads=[(0, 0)] * axes, dilations=ones)
    if padding == "same":
        windows = replace(windows, pads=same_pads(x.shape[1:], sizes, strides))
    return in_data_format(call, pool(call.graph, x, windows, _LOCAL[call.kind]))


POOLING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {**dict.fromkeys(_GLOBAL, _everywhere), **dict.fromkeys(_LOCAL, _locally)}
)
"""By class name."""
