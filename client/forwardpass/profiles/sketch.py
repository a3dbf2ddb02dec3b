"""Quantiles of many columns at once, of any number of rows, in bounded memory.

Rows are gathered until there are `capacity` of them. Then each column is sorted and every other number is kept, which
stands for two; whether the even or the odd ones are kept is drawn. Numbers that stand for two are gathered in the same
way, then those that stand for four, and so on, as in Manku, Rajagopalan and Lindsay, "Approximate medians and other
quantiles in one pass and with limited memory" (SIGMOD 1998), and Karnin, Lang and Liberty, "Optimal quantile
approximation in streams" (FOCS 2016), whose random choice lets errors cancel. All columns have the same number of rows,
so they are compacted together.

Halving numbers that stand for `w` rows each moves no rank by more than `w`. The sum of these is `max_rank_error`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(slots=True)
class _Level:
    """Numbers that stand for the same number of rows."""

    blocks: list[Matrix] = field(default_factory=list)
    rows: int = 0

    def append(self, block: Matrix) -> None:
        self.blocks.append(block)
        self.rows += len(block)


class QuantileSketch:
    """Quantiles of columns. With at most `capacity` rows they are those of `numpy.quantile`.

    NaN and infinity are left out of a column, so that its quantiles are those of its finite numbers.
    """

    def __init__(self, columns: int, capacity: int, *, seed: int = 0) -> None:
        """Create a sketch without rows.

        Args:
            columns: The number of columns.
            capacity: The rows that are gathered before they are halved, at least 2.
            seed: Of the random choices; the same rows in the same parts give the same quantiles.
        """
        if capacity < 2:
            raise ValueError(f"capacity is {capacity}; at least 2 rows are needed")
        self.rows = 0
        self._columns = columns
        self._capacity = capacity // 2 * 2
        self._random = np.random.default_rng(seed)
        self._levels = [_Level()]
        self._moved = 0
        self._minima = np.full(columns, np.inf)
        self._maxima = np.full(columns, -np.inf)

    @property
    def max_rank_error(self) -> float:
        """The largest possible error of a quantile's rank, as a share of the rows."""
        return self._moved / self.rows if self.rows else 0.0

    def add(self, values: npt.NDArray[np.floating[Any]]) -> None:
        """Add rows, `(rows, columns)`."""
        block = np.where(np.isfinite(values), values, np.nan).astype(np.float64, copy=False)
        self.rows += len(block)
        self._minima = np.fmin(self._minima, np.fmin.reduce(block, axis=0, initial=np.inf))
        self._maxima = np.fmax(self._maxima, np.fmax.reduce(block, axis=0, initial=-np.inf))
        for start in range(0, len(block), self._capacity):
            self._insert(0, block[start : start + self._capacity])

    def quantiles(self, probabilities: npt.NDArray[np.float64]) -> Matrix:
        """Return the quantiles, `(probabilities, columns)`, interpolated linearly; NaN where no number is finite."""
        weights = np.concatenate([np.full(level.rows, 2**height) for height, level in enumerate(self._levels)])
        result = np.full((len(probabilities), self._columns), np.nan)
        for column in range(self._columns):
            parts = [block[:, column] for level in self._levels for block in level.blocks]
            values = np.concatenate(parts) if parts else np.empty(0)
            result[:, column] = _weighted_quantiles(values, weights, probabilities)
        # The ends may have been halved away.
        result[probabilities == 0] = np.where(np.isfinite(self._minima), self._minima, np.nan)
        result[probabilities == 1] = np.where(np.isfinite(self._maxima), self._maxima, np.nan)
        return result

    def _insert(self, height: int, block: Matrix) -> None:
        """Add numbers that stand for `2**height` rows each; halve them as long as they are too many."""
        if height == len(self._levels):
            self._levels.append(_Level())
        level = self._levels[height]
        level.append(block)
        if level.rows <= self._capacity:
            return
        gathered = np.concatenate(level.blocks)
        halved = np.sort(gathered[: self._capacity], axis=0)[self._random.integers(2) :: 2]
        self._levels[height] = _Level([gathered[self._capacity :].copy()], len(gathered) - self._capacity)
        self._moved += 2**height
        self._insert(height + 1, halved)


def _weighted_quantiles(
    values: Matrix, weights: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> Matrix:
    """Return the quantiles of numbers that stand for several rows each, as `numpy.quantile` does for their rows."""
    finite = ~np.isnan(values)
    values, weights = values[finite], weights[finite]
    if not len(values):
        return np.full(len(probabilities), np.nan)
    order = np.argsort(values, kind="stable")
    values, ends = values[order], np.cumsum(weights[order])
    last = int(ends[-1]) - 1
    ranks = probabilities * last
    below = np.floor(ranks)
    low = values[np.searchsorted(ends, below, side="right")]
    high = values[np.searchsorted(ends, np.minimum(below + 1, last), side="right")]
    share = ranks - below
    with np.errstate(over="ignore", invalid="ignore"):
        distance = high - low
        near_low, near_high = low + distance * share, high - distance * (1 - share)
    # From the nearer end, as numpy does; where the distance overflows, from both.
    near = np.where(share < 0.5, near_low, near_high)
    interpolated: Matrix = np.where(np.isfinite(distance), near, low * (1 - share) + high * share)
    return interpolated
