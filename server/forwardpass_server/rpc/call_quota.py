"""Quota of calls: a token bucket that holds the calls of one second."""

import threading
import time
from collections.abc import Callable


class CallQuota:
    """Counts the calls of one caller. May be used by several threads.

    After a pause a caller may make the calls of one second at once (at least one), and then as many as the rate says.

    Attributes:
        calls_per_second: The rate.
    """

    def __init__(self, calls_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a quota.

        Args:
            calls_per_second: The rate, above 0.
            clock: Returns the time in seconds.
        """
        self.calls_per_second = calls_per_second
        self._max_left = max(1.0, calls_per_second)
        self._left = self._max_left
        self._clock = clock
        self._filled = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Count a call if there is room for it.

        Returns:
            0 if it is counted, else the seconds until there is room.
        """
        with self._lock:
            return self._take()

    def _take(self) -> float:
        now = self._clock()
        self._left = min(self._max_left, self._left + (now - self._filled) * self.calls_per_second)
        self._filled = now
        if self._left < 1.0:
            return (1.0 - self._left) / self.calls_per_second
        self._left -= 1.0
        return 0.0
