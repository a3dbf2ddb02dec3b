"""Convolutions: weights shared by all windows of a grid (ONNX's operator Conv), and the gradient of that.

A row has the values of the first channel, then those of the next; its windows are copied side by side, a column for
each position, and multiplied by the weights (im2col; Chellapilla, Puri & Simard, 2006). Each row is a product of its
own, of a shape that does not depend on the number of rows, so that its bits depend on no other row. The columns of a
large row are made and multiplied in blocks of positions, whose shapes follow from the layer alone.

All that follows from the geometry is computed once, when a network is compiled: a small convolution takes a few
microseconds, which is as long as numpy needs for a few calls.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass_server.core.arrays import Array, View, frozen
from forwardpass_server.core.scratch import Allocate, copies

MAX_COLUMN_NUMBERS: Final = 2**17
"""The most numbers of a block of columns where a window has fewer: 512 KiB of float32, half of a core's cache."""

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
        input_dilations: The distance between neighbouring values of the input along each axis, with zeros between them.
        group: The number of groups of channels.
    """

    channels: int
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilations: tuple[int, ...]
    input_dilations: tuple[int, ...]
    group: int

    @property
    def padded(self) -> tuple[int, ...]:
        """The size of each axis with its padding and the zeros between its values."""
        known = zip(self.before, self.sizes, self.input_dilations, self.after, strict=True)
        return tuple(before + (size - 1) * gap + 1 + after for before, size, gap, after in known)

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of windows along each axis."""
        known = zip(self.padded, self.kernel, self.dilations, self.strides, strict=True)
        return tuple((size - (length - 1) * gap - 1) // stride + 1 for size, length, gap, stride in known)

    @property
    def window(self) -> int:
        """The number of values of a window."""
        return self.channels // self.group * prod(self.kernel)

    @property
    def inside(self) -> tuple[slice, ...]:
        """The index of the values within `(rows, channels, *padded)`, which has zeros elsewhere."""
        known = zip(self.before, self.sizes, self.input_dilations, strict=True)
        along = (slice(start, start + (size - 1) * gap + 1, gap) for start, size, gap in known)
        return (slice(None), slice(None), *along)

    def windows(self, itemsize: int) -> View:
        """Return the view of padded values as windows, `(channels, *kernel, *grid)`."""
        shape = (self.channels, *self.padded)
        row, channel, *axes = (itemsize * prod(shape[index:]) for index in range(len(shape) + 1))
        along = (step * gap for step, gap in zip(axes, self.dilations, strict=True))
        between = (step * stride for step, stride in zip(axes, self.strides, strict=True))
        windows = (self.channels, *self.kernel, *self.grid)
        return View(shape=windows, strides=(row, channel, *along, *between))

    @property
    def is_pointwise(self) -> bool:
        """Whether each window is the values at one place, and each place has a window."""
        return self.kernel == self.strides == (1,) * AXES

    @property
    def is_of_parts(self) -> bool:
        """Whether the windows are consecutive parts of the row, one after the other: tokens, each read whole."""
        if self.channels > 1 or self.padded != self.sizes or self.strides != (1,) * AXES:
            return False
        return any(self.kernel == ((1,) * axis + self.sizes[axis:]) for axis in range(AXES))

    @property
    def has_lines(self) -> bool:
        """Whether windows along the last axis are copied first, which several windows share."""
        return prod(self.kernel[:-1]) > 1 < self.kernel[-1] and self.strides[-2] == 1

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
    input_dilations: tuple[int, ...],
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
        input_dilations=(*ones, *input_dilations),
        group=group,
    )


def conv(*, weights: Array, bias: Array, **settings: object) -> Callable[[Array], Array]:
    """Multiply each window by the weights, `(filters, window)`, and add the bias, `(filters,)`."""
    multiply, column = products(weights=weights, **settings), frozen(bias.reshape(-1, 1))
    if not bias.any():
        return lambda values: _as_rows(multiply(values))

    def compute(values: Array) -> Array:
        result = multiply(values)
        result += column
        return _as_rows(result)

    return compute


def _as_rows(sums: Array) -> Array:
    """Return `(rows, filters, positions)` as `(rows, outputs)`; of no rows too."""
    rows, filters, positions = sums.shape
    return sums.reshape(rows, filters * positions)


def products(*, weights: Array, **settings: object) -> Callable[[Array], Array]:
    """Return a function of rows `(rows, inputs)` that returns the sums of a convolution without its bias.

    They are a new array, `(rows, filters, positions)`.
    """
    geometry = geometry_of(**settings)  # type: ignore[arg-type] # the settings of the kind, which are checked
    pad, multiply = _padder(geometry), _multiplier(geometry, weights)
    filters, positions, group = len(weights), prod(geometry.grid), geometry.group
    of_group = filters // group

    def compute(values: Array) -> Array:
        rows = len(values)
        result = np.empty((rows, group, of_group, positions), values.dtype)
        if rows:  # a view of no rows would begin beyond their end
            multiply(pad(values), result)
        return result.reshape(rows, filters, positions)

    return compute


def _padder(geometry: Geometry) -> Callable[[Array], Array]:
    """Return a function of rows `(rows, inputs)` that returns them as `(rows, channels, *padded)`, contiguous."""
    channels, sizes, padded, inside = geometry.channels, geometry.sizes, geometry.padded, geometry.inside
    if padded == sizes:
        return lambda values: values.reshape(-1, channels, *sizes)

    def pad(values: Array) -> Array:
        result = np.zeros((len(values), channels, *padded), values.dtype)
        result[inside] = values.reshape(-1, channels, *sizes)
        return result

    return pad


_Multiplier: TypeAlias = Callable[[Array, Array], None]
"""Multiplies the windows of `(rows, channels, *padded)`, and writes `(rows, group, filters of a group, positions)`."""


def _multiplier(geometry: Geometry, weights: Array) -> _Multiplier:
    """Return the fastest multiplier of a geometry."""
    if geometry.is_of_parts:
        return _multiplier_of_parts(geometry, weights)
    if geometry.is_pointwise:
        return _multiplier_without_copies(geometry, weights)
    return _multiplier_of_lines(geometry, weights) if geometry.has_lines else _multiplier_of_windows(geometry, weights)


def _multiplier_of_parts(geometry: Geometry, weights: Array) -> _Multiplier:
    shared, shape = frozen(weights), (prod(geometry.grid), geometry.window)

    def multiply(padded: Array, out: Array) -> None:
        tokens = padded.reshape(len(padded), 1, *shape)
        np.matmul(shared, tokens.swapaxes(2, 3), out=out)

    return multiply


def _multiplier_without_copies(geometry: Geometry, weights: Array) -> _Multiplier:
    grouped = frozen(weights.reshape(geometry.group, -1, geometry.window))

    def multiply(padded: Array, out: Array) -> None:
        np.matmul(grouped, padded.reshape(len(padded), geometry.group, geometry.window, -1), out=out)

    return multiply


def _multiplier_of_windows(geometry: Geometry, weights: Array) -> _Multiplier:
    """Return a multiplier that copies the windows of some positions, or of some rows, at a time."""
    blocks, key = _Blocks(geometry, geometry.windows(weights.itemsize), weights), object()
    view, at_once = blocks.view, blocks.at_once

    def multiply(padded: Array, out: Array) -> None:
        windows = view.of(padded)
        columns = copies.views(key, blocks.allocate_columns)
        for start in range(0, len(windows), at_once):
            blocks.multiply(windows[start : start + at_once], columns, out[start : start + at_once])

    return multiply


def _multiplier_of_lines(geometry: Geometry, weights: Array) -> _Multiplier:
    """Return a multiplier that copies windows along the last axis, and makes whole windows of these copies.

    The first copy is a fraction of the second, and the second copies long runs: both take less time than one copy of
    windows, whose runs are as short as the grid is wide.
    """
    lines, planes, weights = split_windows(geometry, weights)
    blocks = _Blocks(planes, planes.windows(weights.itemsize), weights)
    view, at_once, key = lines.windows(weights.itemsize), blocks.at_once, object()

    def make(allocate: Allocate) -> tuple[Array, Array, Array]:
        copied = allocate((at_once, *view.shape), weights.dtype)
        return copied, blocks.view.of(copied), blocks.allocate_columns(allocate)

    def multiply(padded: Array, out: Array) -> None:
        source = view.of(padded)
        copied, windows, columns = copies.views(key, make)
        for start in range(0, len(source), at_once):
            part = source[start : start + at_once]
            count = len(part)
            np.copyto(copied[:count], part)
            blocks.multiply(windows[:count], columns, out[start : start + count])

    return multiply


def split_windows(geometry: Geometry, weights: Array) -> tuple[Geometry, Geometry, Array]:
    """Return the geometry of windows along the last axis, that of whole windows of these, and their weights."""
    *kernel, width = geometry.kernel
    *strides, stride = geometry.strides
    *dilations, dilation = geometry.dilations
    lines = replace(geometry, kernel=(1, 1, width), strides=(1, 1, stride), dilations=(1, 1, dilation))
    planes = Geometry(
        channels=geometry.channels * width,
        sizes=lines.grid,
        kernel=(*kernel, 1),
        strides=(*strides, 1),
        before=(0,) * AXES,
        after=(0,) * AXES,
        dilations=(*dilations, 1),
        input_dilations=(1,) * AXES,
        group=geometry.group,
    )
    shaped = weights.reshape(-1, geometry.channels // geometry.group, *geometry.kernel)
    return lines, planes, np.moveaxis(shaped, -1, 2)


class _Blocks:
    """The products of windows in blocks of positions, or of several rows where one block has all positions of each.

    Attributes:
        view: The view of a row as windows.
        at_once: The most rows of a product.
    """

    def __init__(self, geometry: Geometry, view: View, weights: Array) -> None:
        self.view = view
        self._blocks: list[tuple[tuple[Any, ...], slice]] = [
            ((Ellipsis, *block), place) for block, place in geometry.blocks()
        ]
        self._shape = geometry.group, geometry.window, -1
        self._weights = frozen(weights.reshape(geometry.group, -1, geometry.window))
        positions = max(place.stop - place.start for _, place in self._blocks)
        self._largest = positions * geometry.window * geometry.group
        self._is_one = len(self._blocks) == 1
        self.at_once = max(MAX_COLUMN_NUMBERS // self._largest, 1) if self._is_one else 1

    def allocate_columns(self, allocate: Allocate) -> Array:
        """Return memory for the columns of the largest block, or of `at_once` rows."""
        shape = (self.at_once, *self.view.shape) if self._is_one else (self._largest,)
        return allocate(shape, self._weights.dtype)

    def multiply(self, windows: Array, columns: Array, out: Array) -> None:
        """Multiply the windows of at most `at_once` rows, and write `(rows, group, filters of a group, positions)`."""
        rows = len(windows)
        if self._is_one:
            copied = columns[:rows]
            np.copyto(copied, windows)
            np.matmul(self._weights, copied.reshape(rows, *self._shape), out=out)
            return
        for block, place in self._blocks:
            source = windows[block]
            copied = columns[: source.size].reshape(source.shape)
            np.copyto(copied, source)
            np.matmul(self._weights, copied.reshape(rows, *self._shape), out=out[..., place])


def conv_gradient(*, weights: Array, bias: Array, **settings: object) -> Callable[[Array, Array], Array]:
    """Return the vector-Jacobian product of `conv`: each gradient goes back to the values of its window."""
    del bias
    geometry = geometry_of(**settings)  # type: ignore[arg-type] # the settings of the kind, which are checked
    turned = frozen(weights.reshape(geometry.group, -1, geometry.window).swapaxes(1, 2))
    filters, positions = len(weights), prod(geometry.grid)
    blocks, view = geometry.blocks(), geometry.windows(weights.itemsize)

    def compute(gradient: Array, values: Array) -> Array:
        rows = len(values)
        grouped = gradient.reshape(rows, geometry.group, filters // geometry.group, positions)
        padded = np.zeros((rows, geometry.channels, *geometry.padded), values.dtype)
        windows = view.of(padded)
        for row, (block, place) in product(range(rows), blocks):
            columns = np.matmul(turned, np.ascontiguousarray(grouped[row, ..., place]))
            target = windows[row][(..., *block)]
            parts = columns.reshape(target.shape)
            # The windows overlap, but the values at one place of the kernel do not.
            for at in product(*map(range, geometry.kernel)):
                target[(slice(None), *at)] += parts[(slice(None), *at)]
        return np.ascontiguousarray(padded[geometry.inside]).reshape(rows, values.shape[1])

    return compute
