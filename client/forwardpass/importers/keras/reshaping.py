"""Reshaping layers, and layers of training alone; none becomes a layer of the network."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width
from forwardpass.importers.unsupported import UnsupportedError

_NOTHING: Final = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise"),
    *("AlphaDropout", "ActivityRegularization", "Identity"),
)
"""Layers that do something in training only."""


def _same(call: LayerCall) -> TensorRef:
    return call.input


def _flatten(call: LayerCall) -> TensorRef:
    values = call.input
    if len(values.shape) > 1:
        call.require("data_format", "channels_last", "moves an axis first, which is not supported; use channels_last")
    return values.reshape(values.size)


def _reshape(call: LayerCall) -> TensorRef:
    shape = call.config.get("target_shape", call.options.get("newshape"))
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise UnsupportedError(f"has target_shape={shape!r}, where a list of integers is needed")
    try:
        return call.input.reshape(*shape)
    except ValueError:
        raise UnsupportedError(
            f"makes {shape} of {list(call.input.shape)}, which is another number of values"
        ) from None


def _permute(call: LayerCall) -> TensorRef:
    dims = call.config.get("dims")
    rank = len(call.input.shape)
    if not isinstance(dims, list) or sorted(dims) != list(range(1, rank + 1)):
        raise UnsupportedError(f"has dims={dims!r} for values of {rank} axes")
    values = call.input
    return values.with_index(values.index.transpose([axis - 1 for axis in dims]))


def _repeat(call: LayerCall) -> TensorRef:
    times, values = call.integer("n"), call.input
    check_width(max(times, 0) * values.size)
    return values.with_index(np.repeat(values.index[None], times, axis=0))


def _upsample(call: LayerCall) -> TensorRef:
    times, values = call.integer("size", 2), call.input
    check_width(max(times, 0) * values.size)
    return values.with_index(np.repeat(values.index, times, axis=0))


def _crop(call: LayerCall) -> TensorRef:
    values = call.input
    cropping = call.config.get("cropping", [1, 1])
    first, last = [cropping] * 2 if isinstance(cropping, int) else cropping
    kept = range(first, values.shape[0] - last)
    if first < 0 or last < 0 or not kept:
        raise UnsupportedError(f"leaves nothing of {values.shape[0]} places")
    return values.take(list(kept))


SHAPING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(_NOTHING, _same),
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Permute": _permute,
        "RepeatVector": _repeat,
        "UpSampling1D": _upsample,
        "Cropping1D": _crop,
    }
)
"""By class name."""
