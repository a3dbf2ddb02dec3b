"""Load shedding: calls of a caller whose calls are being rejected as too much are rejected before they are read.

Receiving a request, decoding it and finding its version cost more than saying no. While the long calls of a caller are
rejected, the next one of the same method is judged as if it were as much work as the least of them, and as if those
that are being read were taken on already. Some are read all the same, so that what the caller sends now is known.
"""

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from typing import Final

from cachetools import LRUCache

from forwardpass_server.serving.admission import Admission

FLOOD_SECONDS: Final = 0.1
"""How long after a rejection a caller's calls are judged unread."""
READ_SECONDS: Final = 0.02
"""How often one of them is read all the same."""
SHORT_SECONDS: Final = 1.0
"""How long a caller's calls are read after a short one, which is computed however busy the workers are."""
READING_SECONDS: Final = 0.05
"""How long a call counts as being read, if nothing is heard of it."""
MAX_FLOODS: Final = 1024


@dataclass(kw_only=True, slots=True)
class _Flood:
    """What is known of a caller's calls of a method, since the first was rejected.

    Attributes:
        flops: The least operations of a long call.
        version: What computes it.
        until: When calls are read again, by the clock.
        read_until: Until when they are read, since some of them are short.
        read: When one was read last.
        reading: For each call that is being read, when it no longer counts, in ascending order. Calls that arrive
            together must not all be read because there is room for one.
    """

    flops: int
    version: Hashable
    until: float
    read_until: float = -inf
    read: float = -inf
    reading: deque[float] = field(default_factory=deque)


class Shedding:
    """What is being rejected, by caller and method. May be used by several threads."""

    def __init__(self, admission: Admission, clock: Callable[[], float] = time.monotonic) -> None:
        """Shed nothing yet.

        Args:
            admission: Judges the calls.
            clock: Returns the time in seconds.
        """
        self._admission = admission
        self._clock = clock
        self._lock = Lock()
        self._until = -inf
        self._floods: LRUCache[tuple[str, str], _Flood] = LRUCache(MAX_FLOODS)

    @property
    def active(self) -> bool:
        """Whether calls of any caller are being rejected."""
        return self._clock() < self._until

    def note_long(self, caller: str, method: str, flops: int, version: Hashable, *, rejected: bool) -> None:
        """Note a call that was read, is too long to be computed at once, and was rejected or not."""
        now = self._clock()
        with self._lock:
            flood = self._floods.get((caller, method))
            if flood is None or now >= flood.until:
                if not rejected:
                    return
                self._floods[caller, method] = flood = _Flood(flops=flops, version=version, until=now)
            if flood.reading:
                flood.reading.popleft()
            if flops < flood.flops:
                flood.flops, flood.version = flops, version
            if rejected:
                self._until = flood.until = now + FLOOD_SECONDS

    def note_short(self, caller: str, method: str) -> None:
        """Note a call that was computed at once."""
        with self._lock:
            flood = self._floods.get((caller, method))
            if flood is not None:
                if flood.reading:
                    flood.reading.popleft()
                flood.read_until = self._clock() + SHORT_SECONDS
                # It is kept until then, even if nothing is rejected meanwhile.
                flood.until = max(flood.until, flood.read_until)

    def judge(self, caller: str, method: str, expires: float) -> float | None:
        """Return when a call that was not read may come again, in seconds; None if it is to be read.

        Args:
            caller: Whose it is.
            method: The method's name.
            expires: When the caller stops waiting, in seconds of the clock.
        """
        now = self._clock()
        with self._lock:
            flood = self._floods.get((caller, method))
            if flood is None or now >= flood.until or now < flood.read_until:
                return None
            reading = flood.reading
            while reading and reading[0] <= now:
                reading.popleft()
            retry_after = None
            if now - flood.read >= READ_SECONDS:
                flood.read = now
            else:
                retry_after = self._admission.retry_after(
                    caller, flood.flops, flood.version, expires, ahead=len(reading)
                )
            if retry_after is None:
                reading.append(now + READING_SECONDS)
            return retry_after
