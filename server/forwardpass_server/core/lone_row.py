"""The sums of a convolution of a lone row, in memory whose views are made once for each thread.

A small convolution takes as long as numpy needs for a few calls, and making a view takes as long as copying what it
shows. So a thread makes all views when it computes its first lone row, and keeps them for the next ones. The copies
and the product are those of `convolution.products`, and so is every bit.
"""

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array, frozen
from forwardpass_server.core.convolution import MAX_COLUMN_NUMBERS, Geometry, geometry_of, split_windows
from forwardpass_server.core.scratch import Allocate

MAX_NUMBERS: Final = 2 * MAX_COLUMN_NUMBERS
"""The most numbers of the windows, the weights, which are kept twice, and the sums; a larger row gains little."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Views:
    """Memory for a row, and views of it.

    Attributes:
        padded: The row with its padding, `(1, channels, *padded)`.
        inside: The row within its padding, `(1, channels, *sizes)`.
        copied: Where to copy windows, and what from, one after the other.
        columns: All windows as the product reads them, `(1, group, window, positions)`.
        sums: The product, `(1, group, filters of a group, positions)`.
    """

    padded: Array
    inside: Array
    copied: tuple[tuple[Array, Array], ...]
    columns: Array
    sums: Array


class LoneRow:
    """A convolution of a lone row, without its bias."""

    def __init__(self, geometry: Geometry, weights: Array) -> None:
        """Compute what follows from the geometry, as `convolution.products` does."""
        self._geometry = geometry
        self._shape = (1, geometry.channels, *geometry.sizes)
        self._is_padded = geometry.padded != geometry.sizes
        self._steps = [geometry]
        if geometry.has_lines:
            *self._steps, weights = split_windows(geometry, weights)
        self._grouped = frozen(weights.reshape(geometry.group, -1, geometry.window))

    def views(self, allocate: Allocate) -> Views:
        """Return memory for a row, which `multiply` writes."""
        geometry, dtype = self._geometry, self._grouped.dtype
        padded = allocate((1, geometry.channels, *geometry.padded), dtype)
        copied, values = [], padded
        for step in self._steps:
            source = step.windows(dtype.itemsize).of(values)
            values = allocate(source.shape, dtype)
            copied.append((values, source))
        group, of_group, window = self._grouped.shape
        return Views(
            padded=padded,
            inside=padded[geometry.inside],
            copied=tuple(copied),
            columns=values.reshape(1, group, window, -1),
            sums=allocate((1, group, of_group, prod(geometry.grid)), dtype),
        )

    def multiply(self, values: Array, views: Views) -> None:
        """Write the sums of a row, `(1, inputs)`."""
        if self._is_padded:
            views.padded.fill(0)  # other steps use the memory
        views.inside[...] = values.reshape(self._shape)
        for target, source in views.copied:
            target[...] = source
        np.matmul(self._grouped, views.columns, out=views.sums)


def lone_row(*, weights: Array, **settings: object) -> LoneRow | None:
    """Return the convolution of a lone row, or None where that of many rows does as well."""
    geometry = geometry_of(**settings)  # type: ignore[arg-type] # the settings of the kind, which are checked
    if geometry.is_of_parts or geometry.is_pointwise:
        return None
    positions = prod(geometry.grid)
    numbers = positions * (geometry.window * geometry.group + len(weights)) + weights.size
    is_small = len(geometry.blocks()) == 1 and numbers <= MAX_NUMBERS
    return LoneRow(geometry, weights) if is_small else None
