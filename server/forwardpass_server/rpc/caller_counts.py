"""Counts of calls and of rejections by the caller's name, for the metrics and the log."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

log = logging.getLogger(__name__)

ANONYMOUS: Final = "_anonymous"
"""The name of all callers whose token or certificate is not known, or who have none; no token can have it."""
OTHER: Final = "_other"
"""The name under which further callers are counted; no token can have it."""
MAX_CALLERS: Final = 100
"""Callers with counts of their own, those who call first."""
REJECTIONS: Final = ("OVERLOADED", "QUOTA_EXCEEDED", "UNAUTHENTICATED", "PERMISSION_DENIED")
"""The reasons for which a call is rejected because of who makes it, or how much."""
LOG_SECONDS: Final = 60.0
"""The least seconds between two messages in the log about the same caller and reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CountsByCaller:
    """How many calls there were.

    Attributes:
        calls: The calls, by the caller's name.
        rejections: The rejected ones, by the caller's name and the reason.
    """

    calls: Mapping[str, int] = field(default_factory=dict)
    rejections: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def since(self, before: "CountsByCaller") -> "CountsByCaller":
        """Return what was counted after the counts of an earlier time."""
        return CountsByCaller(
            calls=Counter(self.calls) - Counter(before.calls),
            rejections=Counter(self.rejections) - Counter(before.rejections),
        )


class CallerCounts:
    """Counts calls and rejections by the caller's name. May be used in any thread."""

    def __init__(self, max_callers: int = MAX_CALLERS, clock: Callable[[], float] = time.monotonic) -> None:
        """Count nothing yet.

        Args:
            max_callers: Callers with counts of their own, besides the anonymous one.
            clock: Returns the time in seconds.
        """
        self._max_callers = max_callers
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: dict[str, int] = {}
        self._rejections: dict[tuple[str, str], int] = {}
        # By caller and reason: when the next message may be written, and the rejections that the last one had.
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}
        self._begin(ANONYMOUS)

    def count_calls(self, name: str, number: int = 1) -> None:
        """Count calls of a caller."""
        with self._lock:
            # Every call comes this way.
            if name in self._calls:
                self._calls[name] += number
            else:
                self._calls[self._label(name)] += number

    def count_rejection(self, name: str, reason: str, number: int = 1) -> None:
        """Count calls that are rejected; log who is rejected, once in a while."""
        now = self._clock()
        with self._lock:
            label = self._label(name)
            key = label, reason
            self._rejections[key] += number
            next_message, before = self._logged.get(key, (now, 0))
            if now < next_message:
                return
            count = self._rejections[key]
            self._logged[key] = now + LOG_SECONDS, count
        log.warning("rejected %d calls as %s", count - before, reason, extra={"caller": label})

    def add(self, counts: CountsByCaller) -> None:
        """Add what another process has counted."""
        with self._lock:
            for name, number in counts.calls.items():
                self._calls[self._label(name)] += number
            for (name, reason), number in counts.rejections.items():
                self._rejections[self._label(name), reason] += number

    def counted(self) -> CountsByCaller:
        """Return the counts until now."""
        with self._lock:
            return CountsByCaller(calls=dict(self._calls), rejections=dict(self._rejections))

    def _label(self, name: str) -> str:
        if name in self._calls:
            return name
        # `ANONYMOUS` and `OTHER` do not count.
        if len(self._calls) - (OTHER in self._calls) > self._max_callers:
            name = OTHER
        if name not in self._calls:
            self._begin(name)
        return name

    def _begin(self, name: str) -> None:
        self._calls[name] = 0
        self._rejections |= {(name, reason): 0 for reason in REJECTIONS}
