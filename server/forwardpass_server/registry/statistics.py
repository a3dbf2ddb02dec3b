"""Statistics of a version since the server started: batches, rows, calls, and the time they took.

They are counted once for each batch, since counting each call would take too long.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

MAX_SIZES: Final = 1_000
"""The number of batch sizes that have totals of their own; a further size counts as the next power of two."""


@dataclass(slots=True)
class BatchTotals:
    """Totals of the batches of one size, or of several.

    Attributes:
        batches: The number of batches.
        rows: Their rows.
        calls: The calls that they served.
        total_seconds: From the arrival of each call to its response.
        queue_seconds: The part of it before the request was decoded.
        input_seconds: Decoding the requests, per batch.
        infer_seconds: Computing, per batch.
        output_seconds: Encoding the responses, per batch.
    """

    batches: int = 0
    rows: int = 0
    calls: int = 0
    total_seconds: float = 0.0
    queue_seconds: float = 0.0
    input_seconds: float = 0.0
    infer_seconds: float = 0.0
    output_seconds: float = 0.0

    def __add__(self, other: "BatchTotals") -> "BatchTotals":
        return BatchTotals(*(getattr(self, name) + getattr(other, name) for name in _FIELDS))

    def __sub__(self, other: "BatchTotals") -> "BatchTotals":
        return BatchTotals(*(getattr(self, name) - getattr(other, name) for name in _FIELDS))


_FIELDS: Final = tuple(field.name for field in fields(BatchTotals))


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectedStatistics:
    """The statistics of a version at one moment.

    Attributes:
        sizes: The totals by the number of rows in a batch, ascending.
        errors: The number of calls that ended with an error.
        error_seconds: From their arrival to the error, in total.
        last_time: When a batch was last computed, in seconds since 1970; 0 for never.
    """

    sizes: dict[int, BatchTotals]
    errors: int
    error_seconds: float
    last_time: float

    @property
    def all_sizes(self) -> BatchTotals:
        """The totals of all sizes together."""
        return sum(self.sizes.values(), BatchTotals())

    def since(self, before: "CollectedStatistics") -> "CollectedStatistics":
        """Return what was counted after an earlier moment."""
        none = BatchTotals()
        differences = {size: totals - before.sizes.get(size, none) for size, totals in self.sizes.items()}
        return CollectedStatistics(
            sizes={size: totals for size, totals in differences.items() if totals.batches},
            errors=self.errors - before.errors,
            error_seconds=self.error_seconds - before.error_seconds,
            last_time=self.last_time,
        )


EMPTY_STATISTICS: Final = CollectedStatistics(sizes={}, errors=0, error_seconds=0.0, last_time=0.0)
"""The statistics of a version that was never called."""


class Statistics:
    """Counts the calls of one version. May be used by several threads."""

    __slots__ = ("_error_seconds", "_errors", "_last_time", "_lock", "_sizes")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[int, BatchTotals] = {}
        self._errors = 0
        self._error_seconds = 0.0
        self._last_time = 0.0

    def count_batch(
        self, rows: int, arrivals: Sequence[float], *, begun: float, read: float, infer: float, output: float
    ) -> None:
        """Count a batch whose responses are ready.

        Args:
            rows: The number of its rows.
            arrivals: When each of its calls arrived, by `time.monotonic()`.
            begun: When computing began, by `time.monotonic()`.
            read: Seconds that decoding took.
            infer: Seconds that computing took.
            output: Seconds that encoding took.
        """
        now, calls, arrived = time.monotonic(), len(arrivals), sum(arrivals)
        with self._lock:
            of_size = self._sizes.get(rows)
            if of_size is None:
                size = rows if len(self._sizes) < MAX_SIZES else 1 << (rows - 1).bit_length()
                of_size = self._sizes.setdefault(size, BatchTotals())
            of_size.batches += 1
            of_size.rows += rows
            of_size.calls += calls
            of_size.total_seconds += calls * now - arrived
            of_size.queue_seconds += calls * (begun - read) - arrived
            of_size.input_seconds += read
            of_size.infer_seconds += infer
            of_size.output_seconds += output
            self._last_time = now

    def count_error(self, arrived: float) -> None:
        """Count a call that ended with an error; it arrived at `arrived` by `time.monotonic()`."""
        now = time.monotonic()
        with self._lock:
            self._errors += 1
            self._error_seconds += now - arrived

    def add(self, collected: CollectedStatistics) -> None:
        """Count what another process has counted of the same version."""
        last_time = time.monotonic() - (time.time() - collected.last_time)
        with self._lock:
            for size, totals in collected.sizes.items():
                self._sizes[size] = self._sizes.get(size, BatchTotals()) + totals
            self._errors += collected.errors
            self._error_seconds += collected.error_seconds
            if collected.last_time:
                self._last_time = max(self._last_time, last_time)

    def collect(self) -> CollectedStatistics:
        """Return the statistics as they are now."""
        with self._lock:
            sizes = {size: self._sizes[size] + BatchTotals() for size in sorted(self._sizes)}
            last_time = self._last_time and time.time() - (time.monotonic() - self._last_time)
            return CollectedStatistics(
                sizes=sizes, errors=self._errors, error_seconds=self._error_seconds, last_time=last_time
            )
