"""Statistics of a shadow: the choice of the rows that it computes, and the counts of their comparisons.

Each row is sampled independently, with the share as its probability, so no pattern in the traffic biases the counts.
The distances between sampled rows have a geometric distribution; drawing them makes the rows between them free.
"""

import threading
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

_BLOCK: Final = 1024
"""The number of distances that are drawn at a time."""

_MAX_DISTANCE: Final = 2**40
"""The longest distance between sampled rows. A server would need years for it, and sums of it do not overflow."""

_NO_ROWS: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowTotals:
    """The totals of a shadow. All but the last two count rows.

    Attributes:
        rows: Rows that the live version computed.
        sampled: Rows that were sampled for the shadow.
        compared: Sampled rows that the shadow computed.
        dropped: Sampled rows that were dropped since there was no time.
        failed: Sampled rows that the shadow could not compute.
        beyond: Compared rows with an output that differs by more than the tolerance.
        relabeled: Compared rows with another label.
        worst_absolute: The largest difference of two numbers.
        failure: Why rows failed the last time; empty if none has failed.
    """

    rows: int = 0
    sampled: int = 0
    compared: int = 0
    dropped: int = 0
    failed: int = 0
    beyond: int = 0
    relabeled: int = 0
    worst_absolute: float = 0.0
    failure: str = ""

    def since(self, before: "ShadowTotals") -> "ShadowTotals":
        """Return what was counted after an earlier moment, with the largest difference of all time."""
        counts = {name: getattr(self, name) - getattr(before, name) for name in _COUNTS}
        return replace(self, **counts)

    def __add__(self, other: "ShadowTotals") -> "ShadowTotals":
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        worst = max(self.worst_absolute, other.worst_absolute)
        return replace(self, **counts, worst_absolute=worst, failure=other.failure or self.failure)


_COUNTS: Final = ("rows", "sampled", "compared", "dropped", "failed", "beyond", "relabeled")
"""The fields of `ShadowTotals` that count rows."""


class ShadowStatistics:
    """Samples rows for a shadow and counts their comparisons. May be used by several threads."""

    def __init__(self, share: float, seed: int) -> None:
        """Start with nothing counted.

        Args:
            share: The probability of each row to be sampled.
            seed: The same seed samples the same rows.
        """
        self._share = share
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._totals = ShadowTotals()
        self._rows = 0
        self._elsewhere = ShadowTotals()
        # The next sampled rows, counted from the first row ever; never empty.
        self._positions = self._draw_positions(-1)
        self._next = int(self._positions[0])

    def sample(self, rows: int) -> npt.NDArray[np.int64]:
        """Count computed rows, and return the indices of those that are sampled, ascending."""
        with self._lock:
            start, end = self._rows, self._rows + rows
            self._rows = end
            if self._next >= end:
                return _NO_ROWS
            blocks = [self._positions]
            while (last := int(blocks[-1][-1])) < end:
                blocks.append(self._draw_positions(last))
            positions = np.concatenate(blocks)
            count = int(np.searchsorted(positions, end))
            self._positions, self._next = positions[count:], int(positions[count])
            self._totals = replace(self._totals, sampled=self._totals.sampled + count)
            return positions[:count] - start

    def count_dropped(self, rows: int) -> None:
        """Count sampled rows that were dropped since there was no time."""
        with self._lock:
            self._totals = replace(self._totals, dropped=self._totals.dropped + rows)

    def count_failed(self, rows: int, failure: str) -> None:
        """Count sampled rows that could not be computed, and keep the reason."""
        with self._lock:
            self._totals = replace(self._totals, failed=self._totals.failed + rows, failure=failure)

    def count_compared(self, rows: int, *, beyond: int, relabeled: int, worst: float) -> None:
        """Count compared rows.

        Args:
            rows: The number of rows.
            beyond: How many of them differ by more than the tolerance.
            relabeled: How many of them have another label.
            worst: The largest difference of two numbers.
        """
        with self._lock:
            totals = self._totals
            self._totals = replace(
                totals,
                compared=totals.compared + rows,
                beyond=totals.beyond + beyond,
                relabeled=totals.relabeled + relabeled,
                worst_absolute=max(totals.worst_absolute, worst),
            )

    def add(self, totals: ShadowTotals) -> None:
        """Count what another process has counted of the same shadow."""
        with self._lock:
            self._elsewhere += totals

    def collect(self) -> ShadowTotals:
        """Return the totals as they are now."""
        with self._lock:
            return replace(self._totals, rows=self._rows) + self._elsewhere

    def _draw_positions(self, last: int) -> npt.NDArray[np.int64]:
        """Draw the sampled rows after `last`, always the same number of them, whatever the size of the batches."""
        distances = self._random.geometric(self._share, size=_BLOCK)
        positions: npt.NDArray[np.int64] = last + np.cumsum(np.minimum(distances, _MAX_DISTANCE))
        return positions
