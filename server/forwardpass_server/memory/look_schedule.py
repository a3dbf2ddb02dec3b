"""When a thread looks at all connections again: rarely where that takes long, and at once when memory has grown."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Final

MAX_LOOKING: Final = 20
"""How many times as long as it has looked at all connections a thread waits before it looks again."""


class LookSchedule:
    """The time of the next look. Not for several threads.

    The pause follows from the processor time of the last look, not from how long it took: on a busy machine a look of
    a millisecond may take fifty, and the machine must not make the next one late.
    """

    def __init__(self, *, max_growth: float = inf) -> None:
        """Make a schedule whose first look is due.

        Args:
            max_growth: Bytes by which memory may grow without a look, whatever a look takes.
        """
        self._max_growth = max_growth
        self._at = -inf
        self._held = 0

    def is_due(self, now: float, held: int = 0) -> bool:
        """Return whether it is time to look, or memory has grown by too much since the last look or since its least."""
        self._held = min(self._held, held)
        return now >= self._at or held - self._held > self._max_growth

    def make_due(self) -> None:
        """Let the next look be due."""
        self._at = -inf

    @contextmanager
    def looking(self, held: int = 0) -> Iterator[None]:
        """Measure a look, and set the time of the next one."""
        began = time.thread_time()
        self._held = held
        try:
            yield
        finally:
            self._at = time.monotonic() + MAX_LOOKING * (time.thread_time() - began)
