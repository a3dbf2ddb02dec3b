"""Pooling: a window of values becomes one value. Windows that form a grid are read as strided views, without copies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array, canonicalize
from forwardpass_server.core.places import Indices, axes_of

_MAX_LOOP: Final = 8
"""The most values along an axis of a window that are reduced one after the other; numpy adds more of them in pairs."""

_MAX_SPAN: Final = 6
"""The most values for each window where windows are reduced at every value: windows of 2 x 2, or 3 x 3 that overlap."""

_REDUCTIONS: Final[Mapping[str, np.ufunc]] = MappingProxyType(
    {"max": np.maximum, "mean": np.add, "sum": np.add, "min": np.minimum}
)


def pool(*, windows: Array, reduce: str) -> Callable[[Array], Array]:
    """Reduce the values of each window; their indices are `(outputs, size)`."""
    reduced, size = reducer(windows=windows, reduce=reduce), windows.shape[1]

    def compute(values: Array) -> Array:
        result = reduced(values)
        if reduce == "mean":
            result /= size
        canonicalize(result)
        return result

    return compute


def reducer(*, windows: Array, reduce: str) -> Callable[[Array], Array]:
    """Return a function of values `(rows, inputs)` that reduces each window, a mean to its sum.

    It returns a new contiguous array, `(rows, outputs)`, where zeros and NaN are not canonical.
    """
    places, ufunc = windows.astype(np.intp), _REDUCTIONS[reduce]
    read = _grid_reader(places, ufunc) or _copier(places)
    outputs, steps = len(places), tuple(_reduction(ufunc, axis, size) for axis, size in read.axes)

    def compute(values: Array) -> Array:
        rows = len(values)
        if not rows:  # a view of no rows would begin beyond their end
            return np.empty((0, outputs), values.dtype)
        view = read.view(values)
        for step in steps:
            view = step(view)
        return np.array(view, order="C", copy=None if steps else True).reshape(rows, outputs)

    return compute


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """A reader of windows.

    Attributes:
        view: Returns the windows of values `(rows, inputs)`, with further axes for each window; one may be reduced.
        axes: The axes to reduce one after the other, each with its size.
    """

    view: Callable[[Array], Array]
    axes: tuple[tuple[int, int], ...]


def _grid_reader(places: Indices, ufunc: np.ufunc) -> _Reader | None:
    """Return a reader of windows that form a grid in the values, as views; None for other windows."""
    start = int(places[0, 0])
    outer, inner = axes_of(places[:, 0]), axes_of(places[0])
    if outer is None or inner is None or not (places == places[:, :1] + (places[0] - start)).all():
        return None
    span = int(places.max() - places.min()) + 1
    along: list[Callable[[Array], Array]] = []
    if len(places) * _MAX_SPAN >= span and all(size <= _MAX_LOOP and step > 0 for size, step in inner):
        along = [_reduction_along(ufunc, size, step) for size, step in inner]
        inner = []
    shape, steps = [size for size, _ in (*outer, *inner)], [step for _, step in (*outer, *inner)]

    def view(values: Array) -> Array:
        size, (rows, width) = values.itemsize, values.shape
        strides = (width * size, *[step * size for step in steps])
        for reduce in along:
            values = reduce(values)
        return np.ndarray((rows, *shape), values.dtype, values, start * size, strides)

    # The outermost axis of a window first: its values are then often whole runs of neighbours.
    return _Reader(view=view, axes=tuple((1 + len(outer), size) for size, _ in inner))


def _reduction_along(ufunc: np.ufunc, size: int, step: int) -> Callable[[Array], Array]:
    """Return a function that reduces each of some values with those at some steps after it, as one run.

    It computes values that no window needs as well, which is faster than many short runs.
    """

    def reduce(values: Array) -> Array:
        flat = values.reshape(-1)
        length = flat.size - (size - 1) * step
        result: Array = ufunc(flat[:length], flat[step : step + length])
        for start in range(2 * step, size * step, step):
            ufunc(result, flat[start : start + length], out=result)
        return result

    return reduce


def _copier(places: Indices) -> _Reader:
    """Return a reader that copies the windows: value by value where few are reduced, else window by window."""
    size = places.shape[1]
    if size <= _MAX_LOOP:
        columns = np.ascontiguousarray(places.T)
        return _Reader(view=lambda values: np.take(values, columns, axis=1), axes=((1, size),))
    return _Reader(view=lambda values: np.take(values, places, axis=1), axes=((2, size),))


def _reduction(ufunc: np.ufunc, axis: int, size: int) -> Callable[[Array], Array]:
    """Return a function that reduces an axis of this size."""
    if size > _MAX_LOOP:
        return lambda view: ufunc.reduce(view, axis=axis)
    first, *others = ((slice(None),) * axis + (index,) for index in range(size))

    def reduce(view: Array) -> Array:
        result, out = view[first], None
        for index in others:
            result = out = ufunc(result, view[index], out=out, order="C")
        return result

    return reduce
