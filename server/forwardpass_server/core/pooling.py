"""Pooling: a window of values becomes one value. Windows that form a grid are read as strided views, without copies."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array, canonicalize

_Indices: TypeAlias = npt.NDArray[np.intp]
_Axes: TypeAlias = list[tuple[int, int]]
"""The size and step of each axis of a grid of indices; the last axis varies fastest."""

_MAX_LOOP: Final = 8
"""The most values along an axis of a window that are reduced one after the other; numpy adds more of them in pairs."""

_REDUCTIONS: Final[Mapping[str, np.ufunc]] = MappingProxyType(
    {"max": np.maximum, "mean": np.add, "sum": np.add, "min": np.minimum}
)


def pool(*, windows: Array, reduce: str) -> Callable[[Array], Array]:
    """Reduce the values of each window; their indices are `(outputs, size)`."""
    places, ufunc = windows.astype(np.intp), _REDUCTIONS[reduce]
    read = _grid_reader(places) or _copier(places)

    def compute(values: Array) -> Array:
        if not len(values):  # a view of no rows would begin beyond their end
            return np.empty((0, len(places)), values.dtype)
        view, axes = read(values)
        for axis in axes:
            view = _reduced(ufunc, view, axis)
        reduced = np.array(view, order="C", copy=None if axes else True).reshape(len(values), len(places))
        if reduce == "mean":
            reduced /= places.shape[1]
        canonicalize(reduced)
        return reduced

    return compute


_Reader: TypeAlias = Callable[[Array], tuple[Array, tuple[int, ...]]]
"""A function of values `(rows, inputs)` that returns their windows, and the axes to reduce one after the other."""


def _grid_reader(places: _Indices) -> _Reader | None:
    """Return a reader of windows that form a grid in the values, as views; None for other windows."""
    start = int(places[0, 0])
    outer, inner = _axes_of(places[:, 0]), _axes_of(places[0])
    if outer is None or inner is None or not (places == places[:, :1] + (places[0] - start)).all():
        return None
    shape, steps = [size for size, _ in (*outer, *inner)], [step for _, step in (*outer, *inner)]
    # The outermost axis of a window first: its values are then often whole runs of neighbours.
    axes = (1 + len(outer),) * len(inner)

    def read(values: Array) -> tuple[Array, tuple[int, ...]]:
        size = values.itemsize
        strides = (values.shape[1] * size, *(step * size for step in steps))
        return np.ndarray((len(values), *shape), values.dtype, values, start * size, strides), axes

    return read


def _copier(places: _Indices) -> _Reader:
    """Return a reader that copies the windows: value by value where few are reduced, else window by window."""
    if places.shape[1] <= _MAX_LOOP:
        columns = np.ascontiguousarray(places.T)
        return lambda values: (np.take(values, columns, axis=1), (1,))
    return lambda values: (np.take(values, places, axis=1), (2,))


def _axes_of(indices: _Indices) -> _Axes | None:
    """Return the axes of indices that form a grid, counted from the first; None for others."""
    axes: _Axes = []
    while len(indices) > 1:
        steps = np.diff(indices)
        changes = np.flatnonzero(steps != steps[0])
        size = int(changes[0]) + 1 if len(changes) else len(indices)
        if len(indices) % size:
            return None
        runs = indices.reshape(-1, size)
        if not (runs == runs[:, :1] + np.arange(size) * steps[0]).all():
            return None
        axes.insert(0, (size, int(steps[0])))
        indices = runs[:, 0]
    return axes


def _reduced(ufunc: np.ufunc, view: Array, axis: int) -> Array:
    size = view.shape[axis]
    if size > _MAX_LOOP:
        whole: Array = ufunc.reduce(view, axis=axis)
        return whole
    before: tuple[Any, ...] = (slice(None),) * axis
    result: Array = view[(*before, 0)]
    for index in range(1, size):
        part = view[(*before, index)]
        result = ufunc(result, part, out=result if index > 1 else None, order="C")
    return result
