"""Convolutions: weights shared by all windows of a grid (ONNX's operator Conv), and the gradient of that.

A row has the values of the first channel, then those of the next; its windows are copied side by side, a column for
each position, and multiplied by the weights (im2col; Chellapilla, Puri & Simard, 2006). Each row is a product of its
own, of a shape that does not depend on the number of rows, so that its bits depend on no other row. The columns of a
large row are made and multiplied in blocks of positions, whose shapes follow from the layer alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array, frozen

MAX_COLUMN_NUMBERS: Final = 2**18
"""The most numbers of a block of columns where a window has fewer: 1 MiB of float32, about a core's cache."""

AXES: Final = 3
"""The axes of the grid; a layer with fewer gets others of size 1 before them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """The geometry of a convolution over three axes.

    Attributes:
        channels: The number of channels.
        sizes: The size of each axis.
        kernel: The size of the kernel along each axis.
        strides: The distance between neighbouring windows along each axis.
        before: The zeros before each axis.
        after: The zeros after each axis.
        dilations: The distance between neighbouring values of a window along each axis.
        group: The number of groups of channels.
    """

    channels: int
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int

    @property
    def padded(self) -> tuple[int, ...]:
        """The size of each axis with its padding."""
        return tuple(map(sum, zip(self.before, self.sizes, self.after, strict=True)))

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of windows along each axis."""
        known = zip(self.padded, self.kernel, self.dilations, self.strides, strict=True)
        return tuple((size - (length - 1) * gap - 1) // stride + 1 for size, length, gap, stride in known)

    @property
    def window(self) -> int:
        """The number of values of a window."""
        return self.channels // self.group * prod(self.kernel)

    def unpadded(self, padded: Array) -> Array:
        """Return the values within the padding of `(rows, channels, *padded)` as a view."""
        inside = (slice(start, start + size) for start, size in zip(self.before, self.sizes, strict=True))
        return padded[(slice(None), slice(None), *inside)]

    def pad(self, values: Array) -> Array:
        """Return rows `(rows, inputs)` as `(rows, channels, *padded)`, a view where nothing is padded."""
        shaped = values.reshape(len(values), self.channels, *self.sizes)
        if self.padded == self.sizes:
            return shaped
        padded = np.zeros((len(values), self.channels, *self.padded), values.dtype)
        self.unpadded(padded)[...] = shaped
        return padded

    def windows(self, padded: Array) -> Array:
        """Return the windows of padded values, contiguous, as a view `(rows, channels, *kernel, *grid)`."""
        rows, channels, *axes = padded.strides
        along = tuple(step * gap for step, gap in zip(axes, self.dilations, strict=True))
        between = tuple(step * stride for step, stride in zip(axes, self.strides, strict=True))
        shape = (len(padded), self.channels, *self.kernel, *self.grid)
        return np.ndarray(shape, padded.dtype, padded, strides=(rows, channels, *along, *between))

    @property
    def is_pointwise(self) -> bool:
        """Whether each window is the values at one place, and each place has a window."""
        return self.kernel == self.strides == (1,) * AXES

    def blocks(self) -> list[tuple[tuple[slice, ...], slice]]:
        """Return the blocks of positions: a slice along each axis, and the places of these among all positions."""
        most = max(MAX_COLUMN_NUMBERS // (self.window * self.group), 1)
        grid, axis = self.grid, 0
        while axis < AXES - 1 and prod(grid[axis + 1 :]) > most:
            axis += 1
        step = max(most // prod(grid[axis + 1 :]), 1)
        starts = product(*map(range, grid[:axis]), range(0, grid[axis], step))
        rest = (slice(None),) * (AXES - 1 - axis)
        blocks = [(*(slice(at, at + 1) for at in before), slice(at, at + step), *rest) for *before, at in starts]
        return [(block, self._places(block)) for block in blocks]

    def _places(self, block: tuple[slice, ...]) -> slice:
        ranges = [part.indices(size) for part, size in zip(block, self.grid, strict=True)]
        start = int(np.ravel_multi_index([start for start, _, _ in ranges], self.grid))
        return slice(start, start + prod(stop - start for start, stop, _ in ranges))


def geometry_of(
    input_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    group: int,
) -> Geometry:
    """Return the geometry that the settings of a layer declare, with axes of size 1 before its own."""
    axes = len(kernel_shape)
    ones, zeros = (1,) * (AXES - axes), (0,) * (AXES - axes)
    return Geometry(
        channels=input_shape[0],
        sizes=(*ones, *input_shape[1:]),
        kernel=(*ones, *kernel_shape),
        strides=(*ones, *strides),
        before=(*zeros, *pads[:axes]),
        after=(*zeros, *pads[axes:]),
        dilations=(*ones, *dilations),
        group=group,
    )


def conv(*, weights: Array, bias: Array, **settings: object) -> Callable[[Array], Array]:
    """Multiply each window by the weights, `(filters, window)`, and add the bias, `(filters,)`."""
    geometry = geometry_of(**settings)  # type: ignore[arg-type] # the settings of the kind, which are checked
    grouped = frozen(weights.reshape(geometry.group, -1, geometry.window))
    filters, positions = len(weights), prod(geometry.grid)
    column = bias.reshape(-1, 1)
    blocks = geometry.blocks()
    largest = max(place.stop - place.start for _, place in blocks) * geometry.window * geometry.group
    height = max(MAX_COLUMN_NUMBERS // largest, 1) if len(blocks) == 1 else 1

    def compute(values: Array) -> Array:
        rows = len(values)
        if not rows:  # a view of no rows would begin beyond their end
            return np.empty((0, filters * positions), values.dtype)
        result = np.empty((rows, geometry.group, filters // geometry.group, positions), values.dtype)
        padded = geometry.pad(values)
        if geometry.is_pointwise:
            np.matmul(grouped, padded.reshape(rows, geometry.group, geometry.window, positions), out=result)
        else:
            windows = geometry.windows(padded)
            scratch = np.empty(height * largest, values.dtype)
            for start, (block, place) in product(range(0, rows, height), blocks):
                part = slice(start, start + height)
                source = windows[part][(..., *block)]
                copied = scratch[: source.size]
                np.copyto(copied.reshape(source.shape), source)
                columns = copied.reshape(len(source), geometry.group, geometry.window, -1)
                np.matmul(grouped, columns, out=result[part, ..., place])
        flat = result.reshape(rows, filters, positions)
        flat += column
        return flat.reshape(rows, filters * positions)

    return compute


def conv_gradient(*, weights: Array, bias: Array, **settings: object) -> Callable[[Array, Array], Array]:
    """Return the vector-Jacobian product of `conv`: each gradient goes back to the values of its window."""
    del bias
    geometry = geometry_of(**settings)  # type: ignore[arg-type] # the settings of the kind, which are checked
    turned = frozen(weights.reshape(geometry.group, -1, geometry.window).swapaxes(1, 2))
    filters, positions = len(weights), prod(geometry.grid)
    blocks = geometry.blocks()

    def compute(gradient: Array, values: Array) -> Array:
        rows = len(values)
        grouped = gradient.reshape(rows, geometry.group, filters // geometry.group, positions)
        padded = np.zeros((rows, geometry.channels, *geometry.padded), values.dtype)
        windows = geometry.windows(padded)
        for row, (block, place) in product(range(rows), blocks):
            columns = np.matmul(turned, np.ascontiguousarray(grouped[row, ..., place]))
            target = windows[row][(..., *block)]
            parts = columns.reshape(target.shape)
            # The windows overlap, but the values at one place of the kernel do not.
            for at in product(*map(range, geometry.kernel)):
                target[(slice(None), *at)] += parts[(slice(None), *at)]
        return np.ascontiguousarray(geometry.unpadded(padded)).reshape(rows, values.shape[1])

    return compute
