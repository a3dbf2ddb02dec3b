"""Summaries of wide stages: cells of heat, histograms, and a line of statistics."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from forwardpass.render.graphs.stages import Stage
from forwardpass.render.graphs.values import Heat, Rest
from forwardpass.render.numerals import count, percent, short
from forwardpass.tensors import Array

MAX_CELLS: Final = 1024
_MATRIX: Final = 28
_BARS: Final = 12


def tones(values: Array) -> Array:
    """Return each value divided by the largest size among them; 0 for NaN."""
    known: Array = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(np.abs(known).max(initial=0.0))
    scaled: Array = known / top if top > 0 else np.zeros(len(known))
    return np.where(np.isposinf(values), 1.0, np.where(np.isneginf(values), -1.0, scaled))


def heat_of_values(values: Array, *, is_strip: bool) -> Heat:
    """Return the cells of a stage's activations: a square where their number is one, else rows.

    Args:
        values: `(nodes,)`.
        is_strip: Whether it is a single row, of at most 48 cells.
    """
    most = 48 if is_strip else MAX_CELLS
    cells, merged = _largest_of_neighbours(tones(values), most)
    said = "one node" if merged == 1 else f"the largest of {merged} nodes"
    detail = f"{count(len(values), 'node')}; each cell is {said}"
    return Heat(columns=len(cells) if is_strip else _columns(len(cells)), tones=tuple(cells.tolist()), detail=detail)


def _columns(cells: int) -> int:
    side = math.isqrt(cells)
    return side if side * side == cells else min(cells, 2 ** round(math.log2(side) + 0.5))


def heat_of_weights(weights: Array) -> Heat:
    """Return the cells of a matrix of weights: a row for each node, a column for each input, or for some of them."""
    rows, columns = (np.unique(np.linspace(0, size, min(size, _MATRIX) + 1).astype(int)[:-1]) for size in weights.shape)
    highest = np.maximum.reduceat(np.maximum.reduceat(weights, rows, axis=0), columns, axis=1)
    lowest = np.minimum.reduceat(np.minimum.reduceat(weights, rows, axis=0), columns, axis=1)
    largest = np.where(highest >= -lowest, highest, lowest).astype(np.float64)
    nodes, inputs = weights.shape
    return Heat(
        columns=len(columns),
        tones=tuple(tones(largest.ravel()).tolist()),
        detail=f"weights: {count(nodes, 'node')} down, {count(inputs, 'input')} across"
        + ("" if weights.size == largest.size else "; each cell is the largest weight of an area"),
    )


def rest_of_values(values: Array, shown: Sequence[int]) -> Rest:
    """Return the histogram of the nodes that are not shown."""
    left = np.delete(values.astype(np.float64), list(shown))
    finite = left[np.isfinite(left)]
    label = f"{len(left):,} more"
    if not len(finite):
        return Rest(label=label, bars=(), low="", high="", detail=f"{count(len(left), 'node')} without a number")
    low, high = float(finite.min()), float(finite.max())
    # As shares of the range, each end divided first: the range of finite numbers may be infinite.
    shares = (finite / 2 - low / 2) / (high / 2 - low / 2) if high > low else np.full(len(finite), 0.5)
    bars = np.histogram(np.clip(shares, 0, 1), bins=_BARS, range=(0, 1))[0]
    zeros = int((finite == 0).sum())
    detail = f"{count(len(left), 'node')} from {short(low)} to {short(high)}, mean {short(float(finite.mean()))}"
    return Rest(
        label=label,
        bars=tuple(bars.tolist()),
        low=short(low),
        high=short(high) if high > low else "",
        detail=detail + (f"; {zeros:,} of them 0" if zeros else ""),
    )


def rest_of_names(total: int, shown: Sequence[int]) -> Rest:
    """Return the nodes that are not shown, where they have no values."""
    left = total - len(shown)
    return Rest(
        label=f"{left:,} more", bars=(), low="", high="", detail=f"{count(left, 'node')} that are not drawn one by one"
    )


def facts_of_values(values: Array) -> str:
    """Return the range of a stage's activations and how many are 0, in a line."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return "no finite value"
    low, high = short(float(finite.min())), short(float(finite.max()))
    zeros = int((finite == 0).sum())
    span = low if low == high else f"{low} to {high}"
    return span + (f", {zeros:,} of {len(values):,} at 0" if zeros and len(values) > 1 else "")


def facts_of_weights(stage: Stage) -> str:
    """Return the mean, the deviation and the share of zeros of a dense layer's weights, in a line."""
    if stage.layer is None or "weights" not in stage.layer.arrays:
        return ""
    weights = stage.layer.weights
    zeros = 1 - np.count_nonzero(weights) / max(1, weights.size)
    text = f"weights {short(float(weights.mean()))} ± {short(float(weights.std()))}"
    return text + (f", {percent(zeros)} zero" if zeros else "")


def _largest_of_neighbours(cells: Array, most: int) -> tuple[Array, int]:
    merged = -(-len(cells) // most)
    if merged <= 1:
        return cells, 1
    starts = np.arange(0, len(cells), merged)
    highest, lowest = np.maximum.reduceat(cells, starts), np.minimum.reduceat(cells, starts)
    return np.where(highest >= -lowest, highest, lowest), merged
