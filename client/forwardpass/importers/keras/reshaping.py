"""Reshaping layers, and layers of training alone. Only padding becomes a layer of the network."""

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.convolution import conv_layer
from forwardpass.importers.keras.data_format import channels_first, in_data_format, is_channels_first, spatial_axes
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width
from forwardpass.importers.unsupported import UnsupportedError

_NOTHING: Final = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise"),
    *("AlphaDropout", "ActivityRegularization", "Identity", "TFDIdentity"),
    *(
        f"Random{name}"
        for name in (
            *("Brightness", "ColorDegeneration", "ColorJitter", "Contrast", "ElasticTransform", "Erasing", "Flip"),
            *("GaussianBlur", "Grayscale", "Hue", "Invert", "Perspective", "Posterization", "Rotation", "Saturation"),
            *("Sharpness", "Shear", "Translation", "Zoom"),
        )
    ),
)
"""Layers that do something in training only."""


def _same(call: LayerCall) -> TensorRef:
    return call.input


def _flatten(call: LayerCall) -> TensorRef:
    values = call.input
    if is_channels_first(call) and len(values.shape) > 1:
        values = values.with_index(np.moveaxis(values.index, 0, -1))
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
    """Repeat each place along each axis."""
    call.require("interpolation", "nearest", "computes places between others; use interpolation='nearest'")
    x, times = channels_first(call), call.integers("size", spatial_axes(call), 2)
    if min(times) < 1:
        raise UnsupportedError(f"has size={times}, where numbers from 1 on are needed")
    check_width(prod(times) * x.size)
    index = x.index
    for axis, number in enumerate(times, 1):
        index = np.repeat(index, number, axis=axis)
    return in_data_format(call, x.with_index(index))


def _crop(call: LayerCall) -> TensorRef:
    x = channels_first(call)
    kept = [range(first, size - last) for size, (first, last) in zip(x.shape[1:], _ends(call, "cropping"), strict=True)]
    if not all(kept):
        raise UnsupportedError(f"leaves nothing of {list(x.shape[1:])} places")
    for axis, places in enumerate(kept, 1):
        x = x.take(list(places), axis)
    return in_data_format(call, x)


def _pad(call: LayerCall) -> TensorRef:
    """Put zeros around each channel: each is convolved with one weight of 1, over places that convolutions pad."""
    x, pads = channels_first(call), _ends(call, "padding")
    ones = [1] * len(pads)
    weights = np.ones((x.shape[0], 1, *ones))
    document, shape = conv_layer(x.shape, weights, None, strides=ones, pads=pads, dilations=ones, group=x.shape[0])
    return in_data_format(call, call.layer(x, prod(shape), **document).reshape(*shape))


def _ends(call: LayerCall, key: str) -> list[tuple[int, int]]:
    """Return a setting of two numbers for each axis: `[[before, after], ...]`, and for one axis `[before, after]`."""
    axes, value = spatial_axes(call), call.config.get(key)
    if isinstance(value, int):
        value = [value] * axes if axes > 1 else [value, value]
    pairs = [value] if axes == 1 else value
    known = [[one, one] if isinstance(one, int) else one for one in pairs] if isinstance(pairs, list) else []
    if len(known) != axes or not all(_is_pair(pair) for pair in known):
        raise UnsupportedError(f"has {key}={value!r}, where two numbers from 0 on are needed for each of {axes} axes")
    return [(first, last) for first, last in known]


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) and one >= 0 for one in value)


SHAPING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(_NOTHING, _same),
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Permute": _permute,
        "RepeatVector": _repeat,
        **{
            f"{name}{axes}D": reader
            for name, reader in (("UpSampling", _upsample), ("Cropping", _crop), ("ZeroPadding", _pad))
            for axes in (1, 2, 3)
        },
    }
)
"""By class name."""
