"""Polling for the next call while callers wait for one response at a time.

To wake a thread that waits takes longer than to compute a small network. So while calls come one at a time, and soon
after one another, the thread that takes them looks for the next one again and again before it waits. It only does so on
a core that nothing else needs: the process has more than one, and no other thread had this one for long meanwhile.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

_MAX_SECONDS: Final = 100e-6
"""How long a call is polled for at most."""

_MIN_SECONDS: Final = 10e-6
"""How long it is polled for at least; each time in vain is half as long as the one before."""

_MIN_CALLS: Final = 16
_MAX_CALLS: Final = 1024
"""After how many calls that came alone polling begins; twice as many after each time that it ended in vain."""

_INTERRUPTION_SECONDS: Final = 300e-6
"""How long another thread has the core if it has more to do than to receive or to send a call."""

_PAUSE_SECONDS: Final = 0.1
"""How long there is no polling after that: longer than it takes to be found out again on a busy machine."""

_BELIEF_SECONDS: Final = 1.0
"""How long it is believed how many cores there are."""

_give_way: Final[Callable[[], None]] = getattr(os, "sched_yield", lambda: time.sleep(0))
"""Lets another thread that waits for this core have it."""

Receive = Callable[[int, int | None], Sequence[Any] | None]
"""Takes a maximum of events and of milliseconds to wait for the first, and returns the events; None at the end."""


class Poller:
    """Takes events, and polls for them while that is quicker. Used by one thread."""

    def __init__(
        self,
        receive: Receive,
        max_events: int,
        has_spare_core: Callable[[], bool],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Make a poller that does not poll yet.

        Args:
            receive: Returns events; releases the interpreter's lock while it waits.
            max_events: The most events that are taken at once.
            has_spare_core: Returns whether the process has a core for polling; called once a second at most.
            clock: Returns the time in seconds.
        """
        self._clock = clock
        self._receive = receive
        self._max_events = max_events
        self._has_spare_core = has_spare_core
        self._seconds = 0.0
        self._alone = 0
        self._needed = _MIN_CALLS
        self._paused_until = 0.0
        self._believed_until = 0.0
        self._is_spare = False

    def take(self) -> Sequence[Any] | None:
        """Wait for events, and return them; return None at the end."""
        if self._seconds:
            events = self._poll()
            if events is None or events:
                return events
        events = self._receive(self._max_events, None)
        if self._seconds or events is None:
            return events
        self._alone = self._alone + 1 if len(events) == 1 else 0
        if self._alone >= self._needed:
            self._begin()
        return events

    def _begin(self) -> None:
        """Poll from now on, if there is a core for it."""
        self._alone = 0
        now = self._clock()
        if now >= self._paused_until and self._is_core_spare(now):
            self._seconds = _MAX_SECONDS

    def _is_core_spare(self, now: float) -> bool:
        if now >= self._believed_until:
            self._is_spare, self._believed_until = self._has_spare_core(), now + _BELIEF_SECONDS
        return self._is_spare

    def _poll(self) -> Sequence[Any] | None:
        """Poll once; return no events if none came in time."""
        clock = self._clock
        if not self._is_core_spare(clock()):
            self._seconds = 0.0
            return ()
        begun = last = clock()  # after the look for a core, which takes longer than a call
        while True:
            events = self._receive(self._max_events, 0)
            now = clock()
            if now - last > _INTERRUPTION_SECONDS:
                self._end_in_vain()
                self._paused_until = now + _PAUSE_SECONDS
                return events
            if events is None:
                return None
            if events:
                self._found(len(events))
                return events
            if now - begun > self._seconds:
                self._missed()
                return events
            last = now
            _give_way()

    def _found(self, count: int) -> None:
        if count > 1:
            self._seconds = 0.0
        else:
            self._seconds = min(2 * self._seconds, _MAX_SECONDS)
            self._needed = max(self._needed - 1, _MIN_CALLS)

    def _missed(self) -> None:
        self._seconds /= 2
        if self._seconds < _MIN_SECONDS:
            self._end_in_vain()

    def _end_in_vain(self) -> None:
        self._seconds = 0.0
        self._needed = min(2 * self._needed, _MAX_CALLS)
