"""Layers that move values, or do nothing; none becomes a layer of the network."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.drafts import Values
from forwardpass.importers.keras.refused import Refused
from forwardpass.importers.keras.step import Read, Step, check_width

_NOTHING: Final = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise"),
    *("AlphaDropout", "ActivityRegularization", "Identity"),
)
"""Layers that only training has to do with."""


def _same(step: Step) -> Values:
    return step.values


def _flatten(step: Step) -> Values:
    values = step.values
    if len(values.shape) > 1:
        step.only("data_format", "channels_last", "moves an axis first, which is not read; use channels_last")
    return values.reshaped(values.width)


def _reshape(step: Step) -> Values:
    shape = step.config.get("target_shape", step.options.get("newshape"))
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise Refused(f"has target_shape={shape!r}, where a list of whole numbers is read")
    try:
        return step.values.reshaped(*shape)
    except ValueError:
        raise Refused(f"makes {shape} of {list(step.values.shape)}, which is another number of values") from None


def _permute(step: Step) -> Values:
    dims = step.config.get("dims")
    rank = len(step.values.shape)
    if not isinstance(dims, list) or sorted(dims) != list(range(1, rank + 1)):
        raise Refused(f"has dims={dims!r} for values of {rank} axes")
    values = step.values
    return Values(sources=values.sources, index=values.index.transpose([axis - 1 for axis in dims]))


def _repeat(step: Step) -> Values:
    times, values = step.whole("n"), step.values
    check_width(max(times, 0) * values.width)
    return Values(sources=values.sources, index=np.repeat(values.index[None], times, axis=0))


def _upsample(step: Step) -> Values:
    times, values = step.whole("size", 2), step.values
    check_width(max(times, 0) * values.width)
    return Values(sources=values.sources, index=np.repeat(values.index, times, axis=0))


def _crop(step: Step) -> Values:
    values = step.values
    cropping = step.config.get("cropping", [1, 1])
    first, last = [cropping] * 2 if isinstance(cropping, int) else cropping
    kept = range(first, values.shape[0] - last)
    if first < 0 or last < 0 or not kept:
        raise Refused(f"leaves nothing of {values.shape[0]} places")
    return values.take(list(kept))


SHAPING: Final[Mapping[str, Read]] = MappingProxyType(
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
"""By class."""
