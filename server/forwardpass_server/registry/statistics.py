"""What was computed of one version since the server started: how often, how much, how long.

Counted once for each batch, by the number of its rows, since a call by itself has no time for it.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

MAX_SIZES: Final = 1_000
"""Of so many different sizes each has figures of its own; a further one counts as the next power of two."""


@dataclass(slots=True)
class Figures:
    """Figures of batches of one size, or of several; times in seconds.

    Attributes:
        batches: How many matrices were computed.
        rows: How many rows they had.
        calls: How many calls they answered.
        total: From the arrival of each call to its answer, added up.
        queue: The part of it before its request was read.
        input: Reading requests, for each batch.
        infer: Computing, for each batch.
        output: Writing answers, for each batch.
    """

    batches: int = 0
    rows: int = 0
    calls: int = 0
    total: float = 0.0
    queue: float = 0.0
    input: float = 0.0
    infer: float = 0.0
    output: float = 0.0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*(getattr(self, name) + getattr(other, name) for name in _NAMES))


_NAMES: Final = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """A version's figures at a moment.

    Attributes:
        sizes: Those of its batches, by their rows, ascending.
        failures: How many calls were refused.
        failed: Seconds from their arrival to the refusal, added up.
        last: When a batch was last computed, in seconds since 1970; 0 for never.
    """

    sizes: dict[int, Figures]
    failures: int
    failed: float
    last: float

    @property
    def whole(self) -> Figures:
        """The figures of all sizes together."""
        return sum(self.sizes.values(), Figures())


NOTHING: Final = Counted(sizes={}, failures=0, failed=0.0, last=0.0)
"""The figures of a version that was never called."""


class Statistics:
    """Counts for one version. May be used by several threads."""

    __slots__ = ("_failed", "_failures", "_last", "_lock", "_sizes")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[int, Figures] = {}
        self._failures = 0
        self._failed = 0.0
        self._last = 0.0

    def computed(
        self, rows: int, arrivals: Sequence[float], *, begun: float, read: float, infer: float, output: float
    ) -> None:
        """Count a batch that was just answered.

        Args:
            rows: How many rows it had.
            arrivals: When each of its calls arrived, by `time.monotonic()`.
            begun: When computing began.
            read: Seconds that reading it took.
            infer: Seconds that computing it took.
            output: Seconds that writing the answers took.
        """
        now, calls, arrived = time.monotonic(), len(arrivals), sum(arrivals)
        with self._lock:
            of_size = self._sizes.get(rows)
            if of_size is None:
                size = rows if len(self._sizes) < MAX_SIZES else 1 << (rows - 1).bit_length()
                of_size = self._sizes.setdefault(size, Figures())
            of_size.batches += 1
            of_size.rows += rows
            of_size.calls += calls
            of_size.total += calls * now - arrived
            of_size.queue += calls * (begun - read) - arrived
            of_size.input += read
            of_size.infer += infer
            of_size.output += output
            self._last = now

    def refused(self, arrived: float) -> None:
        """Count a call that was refused."""
        now = time.monotonic()
        with self._lock:
            self._failures += 1
            self._failed += now - arrived

    def counted(self) -> Counted:
        """Return the figures of this moment."""
        with self._lock:
            sizes = {size: self._sizes[size] + Figures() for size in sorted(self._sizes)}
            last = self._last and time.time() - (time.monotonic() - self._last)
            return Counted(sizes=sizes, failures=self._failures, failed=self._failed, last=last)
