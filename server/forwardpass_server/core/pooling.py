"""Pooling: a window of values becomes one value. Windows that form a grid are read as strided views, without copies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from forwardpass_server.core.arrays import Array, canonicalize
from forwardpass_server.core.places import Axes, Indices, axes_of
from forwardpass_server.core.scratch import Allocate

_MAX_LOOP: Final = 8
"""The most values along an axis of a window that are reduced one after the other; numpy adds more of them in pairs."""

_MAX_SPAN: Final = 6
"""The most values for each window where windows are reduced at every value: windows of 2 x 2, or 3 x 3 that overlap."""

REDUCTIONS: Final[Mapping[str, np.ufunc]] = MappingProxyType(
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
    places, ufunc = windows.astype(np.intp), REDUCTIONS[reduce]
    runs = find_runs(windows=windows)
    read = _reader_of_runs(runs, ufunc) if runs else _grid_reader(places) or _copier(places)
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


Run: TypeAlias = tuple[Array, Array, Array]
"""Two arrays, and where to write their reduction; all of one axis and length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Windows that are reduced at every value, each axis of them as a few long runs.

    That computes values that no window needs as well, which is faster than many short runs.

    Attributes:
        start: The index of the first value of the first window.
        outer: The axes of the windows.
        inner: The axes of a window.
    """

    start: int
    outer: Axes
    inner: Axes

    def views(self, values: Array, allocate: Allocate) -> tuple[tuple[Run, ...], Array]:
        """Return the runs to reduce, one after the other, and the view of the reduced windows after that.

        Args:
            values: `(rows, inputs)`, contiguous.
            allocate: Returns memory for reduced values.

        Returns:
            The runs, and a view `(rows, *windows)`.
        """
        size, (rows, width) = values.itemsize, values.shape
        flat, runs = values.reshape(-1), list[Run]()
        for count, step in self.inner:
            length = flat.size - (count - 1) * step
            result, before = allocate((length,), values.dtype), flat[:length]
            for start in range(step, count * step, step):
                runs.append((before, flat[start : start + length], result))
                before = result
            flat = result
        shape, steps = zip(*self.outer, strict=True) if self.outer else ((), ())
        strides = (width * size, *[step * size for step in steps])
        return tuple(runs), np.ndarray((rows, *shape), values.dtype, flat, self.start * size, strides)


def find_runs(*, windows: Array) -> Runs | None:
    """Return windows that form a grid in the values and are fast to reduce at every value, or None for others."""
    places = windows.astype(np.intp)
    found = _find_axes(places)
    span = int(places.max() - places.min()) + 1
    if found is None or len(places) * _MAX_SPAN < span or any(size > _MAX_LOOP or step <= 0 for size, step in found[1]):
        return None
    return Runs(start=int(places[0, 0]), outer=found[0], inner=found[1])


def _find_axes(places: Indices) -> tuple[Axes, Axes] | None:
    """Return the axes of windows that form a grid, and those of each window; None for other windows."""
    outer, inner = axes_of(places[:, 0]), axes_of(places[0])
    if outer is None or inner is None or not (places == places[:, :1] + (places[0] - places[0, 0])).all():
        return None
    return outer, inner


def _reader_of_runs(runs: Runs, ufunc: np.ufunc) -> _Reader:
    def view(values: Array) -> Array:
        reductions, reduced = runs.views(values, np.empty)
        for one, other, out in reductions:
            ufunc(one, other, out=out)
        return reduced

    return _Reader(view=view, axes=())


def _grid_reader(places: Indices) -> _Reader | None:
    """Return a reader of windows that form a grid in the values, as views; None for other windows."""
    found = _find_axes(places)
    if found is None:
        return None
    (outer, inner), start = found, int(places[0, 0])
    shape, steps = [size for size, _ in (*outer, *inner)], [step for _, step in (*outer, *inner)]

    def view(values: Array) -> Array:
        size, (rows, width) = values.itemsize, values.shape
        strides = (width * size, *[step * size for step in steps])
        return np.ndarray((rows, *shape), values.dtype, values, start * size, strides)

    # The outermost axis of a window first: its values are then often whole runs of neighbours.
    return _Reader(view=view, axes=tuple((1 + len(outer), size) for size, _ in inner))


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
