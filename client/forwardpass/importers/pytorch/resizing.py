"""Interpolation of the last axes to other sizes: by the nearest element, or by weights along each axis."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.pytorch.along_axis import multiply_along
from forwardpass.importers.pytorch.reductions import adaptive_pool
from forwardpass.importers.pytorch.rows_axis import whole
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_CUBIC: Final = -0.75
"""The coefficient of PyTorch's bicubic convolution (Keys, 1981)."""


def interpolate(
    graph: LayerOperations,
    x: TensorRef,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> TensorRef:
    """Give the axes behind the channels other sizes: `functional.interpolate`."""
    if antialias:
        raise UnsupportedError("resizes with antialias, which is not followed; leave it out")
    axes = whole(x).rank - 2
    lengths = whole(x).index.shape[2:]
    scales = [None] * axes if scale_factor is None else _each(scale_factor, axes)
    sizes = [
        math.floor(length * scale) for length, scale in zip(lengths, scales, strict=True) if scale is not None
    ] or _each(size, axes)
    if mode == "area":
        return adaptive_pool(graph, x, sizes, axes=axes, reduce="mean")
    if recompute_scale_factor:
        scales = [None] * axes
    return _resized(graph, x, sizes, scales, mode, align=bool(align_corners))


def _resized(
    graph: LayerOperations, x: TensorRef, sizes: Sequence[int], scales: Sequence[Any], mode: str, *, align: bool
) -> TensorRef:
    for place, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
        known = whole(x)
        axis = known.axis(known.rank - len(sizes) + place)
        length = known.index.shape[axis]
        step = length / size if scale is None else 1 / scale
        if mode in _NEAREST:
            # As PyTorch, which computes the places in float32.
            places = (np.arange(size, dtype=np.float32) + np.float32(_NEAREST[mode])) * np.float32(step)
            x = known.arranged(np.take(known.index, np.minimum(places.astype(int), length - 1), axis))
            continue
        if size == length and "cubic" not in mode:
            continue  # PyTorch copies, whatever the factor
        weights = _weights(length, size, step, np.dtype(graph.dtype), cubic="cubic" in mode, align=align)
        x = multiply_along(graph, x, axis, weights)
    return x


_NEAREST: Final[Mapping[str, float]] = MappingProxyType({"nearest": 0.0, "nearest-exact": 0.5})
"""What is added to a place before it is scaled, by the mode."""


def _weights(length: int, size: int, step: float, dtype: np.dtype[Any], *, cubic: bool, align: bool) -> Array:
    """Return the weights of the old places for each new one, `(size, length)`, in the dtype as PyTorch does."""
    number, new = dtype.type, np.arange(size, dtype=dtype)
    if align:
        places = new * number((length - 1) / (size - 1) if size > 1 else 0.0)
    else:
        places = (new + number(0.5)) * number(step) - number(0.5)
    places = places if cubic else np.maximum(places, 0)
    first = np.floor(places).astype(int)
    found = np.zeros((size, length))
    for offset in range(-1, 3) if cubic else range(2):
        distance = np.abs(places - first - offset)
        share = _cubic(distance) if cubic else 1 - distance
        np.add.at(found, (np.arange(size), np.clip(first + offset, 0, length - 1)), share)
    return found


def _cubic(distance: Array) -> Array:
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC
    chosen: Array = np.where(distance <= 1, near, far)
    return chosen


def _each(number: Any, axes: int) -> list[Any]:
    if number is None:
        raise UnsupportedError("is called without a size")
    return [number] * axes if isinstance(number, int | float) else list(number)


def _of_program(mode: str) -> Callable[..., TensorRef]:
    """Return what a traced graph calls for a mode, with the factors last."""

    def apply(graph: LayerOperations, x: TensorRef, size: Any, *rest: Any) -> TensorRef:
        align, scales = (None, *rest) if mode in _NEAREST else rest
        return interpolate(graph, x, size, scales, mode, align)

    return apply


RESIZING: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "interpolate": interpolate,
        **{f"upsample_nearest{axes}d": _of_program("nearest") for axes in (1, 2, 3)},
        **{f"_upsample_nearest_exact{axes}d": _of_program("nearest-exact") for axes in (1, 2, 3)},
        **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"), _of_program("linear")),
        "upsample_bicubic2d": _of_program("bicubic"),
    }
)
"""The function for each operation, by its name in torch."""
