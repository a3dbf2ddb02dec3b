"""Places: where the values of a layer are in another array, which is read by a view instead of copied."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array

Indices: TypeAlias = npt.NDArray[np.intp]

Axes: TypeAlias = list[tuple[int, int]]
"""The size and step of each axis of a grid of indices; the last axis varies fastest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Indices that form a grid in a row of values.

    Attributes:
        start: The first index.
        shape: The size of each axis.
        steps: The distance between neighbours along each axis.
    """

    start: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    def reader(self, width: int, dtype: "np.dtype[Any]") -> Callable[[Array], Array]:
        """Return a function of contiguous rows `(rows, width)` that returns a view of the grid, `(rows, *shape)`."""
        size, shape = dtype.itemsize, self.shape
        if prod(shape) == width and self == whole_grid(shape):
            whole = (-1, *shape)
            return lambda rows: rows.reshape(whole)
        start, strides = self.start * size, (width * size, *[step * size for step in self.steps])

        def view(rows: Array) -> Array:
            count = len(rows)
            if not count:  # a view of no rows would begin beyond their end
                return np.empty((0, *shape), dtype)
            return np.ndarray((count, *shape), dtype, rows, start, strides)

        return view


def whole_grid(shape: tuple[int, ...]) -> Grid:
    """Return the grid of all indices of a row in their order."""
    return Grid(start=0, shape=shape, steps=tuple(prod(shape[axis + 1 :]) for axis in range(len(shape))))


def find_grid(indices: Indices) -> Grid | None:
    """Return the grid of indices `(*shape)`, or None if they form none. Axes of one index have a step of 0."""
    start, shape = int(indices.flat[0]), indices.shape
    origin = (0,) * len(shape)
    neighbours = [(*origin[:axis], 1, *origin[axis + 1 :]) for axis in range(len(shape))]
    steps = tuple(int(indices[at]) - start if size > 1 else 0 for at, size in zip(neighbours, shape, strict=True))
    places = start + np.tensordot(steps, np.indices(shape), axes=1)
    return Grid(start=start, shape=shape, steps=steps) if np.array_equal(places, indices) else None


def axes_of(indices: Indices) -> Axes | None:
    """Return the axes of indices that form a grid, counted from the first; None for others."""
    axes: Axes = []
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


def copier(indices: Indices, width: int, dtype: "np.dtype[Any]") -> Callable[[Array], Array]:
    """Return a function of contiguous rows `(rows, width)` that copies the values at the indices, `(rows, indices)`."""
    axes = axes_of(indices)
    if not axes:
        return lambda rows: np.take(rows, indices, axis=1)
    shape, steps = zip(*axes, strict=True)
    view = Grid(start=int(indices[0]), shape=shape, steps=steps).reader(width, dtype)
    return lambda rows: np.array(view(rows), order="C").reshape(-1, len(indices))


def is_matrix(grid: Grid) -> bool:
    """Return whether a BLAS reads the last two axes as a matrix, as it is or transposed."""
    (*_, rows, columns), (*_, down, along) = grid.shape, grid.steps
    return min(rows, columns) > 1 and ((along == 1 and down >= columns) or (down == 1 and along >= rows))


def is_turned(grid: Grid) -> bool:
    """Return whether the matrix of the last two axes is read transposed."""
    return grid.steps[-1] != 1
