"""Requests of which a part has not arrived yet: how many bytes they may hold, and how long they may take."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Final

from forwardpass.errors import DeadlineExceededError, OverloadedError

SOON: Final = 0.05
"""Seconds in which nearly every request arrives; only a slower one is counted and timed."""


class Arrival:
    """A request that is arriving.

    Attributes:
        caller: Who sends it; arrivals of one caller share what they may hold.
        bytes: The bytes that it holds, or may hold.
        give_up: Called with an error when it has to go; it must end the request and free its bytes.
        number: Its place in the order in which arrivals began.
        timer: What ends it when its time is over.
    """

    __slots__ = ("bytes", "caller", "give_up", "number", "timer")

    def __init__(self, caller: str, number: int, give_up: Callable[[Exception], None]) -> None:
        self.caller = caller
        self.number = number
        self.give_up = give_up
        self.bytes = 0
        self.timer: asyncio.TimerHandle | None = None


class Arrivals:
    """The requests that are arriving, of one event loop; they hold a bounded number of bytes together.

    Where they would hold more, the oldest of the caller that holds most has to go: a caller that sends slowly, or
    never ends what it sends, cannot keep the others from sending.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        """Make it.

        Args:
            max_bytes: The bytes that all arrivals may hold.
            seconds: Seconds in which a request has to arrive.
        """
        self.max_bytes = max_bytes
        self.seconds = seconds
        self.bytes = 0
        self._numbers = count()
        self._arrivals: dict[str, dict[int, Arrival]] = {}
        self._bytes_of: Counter[str] = Counter()

    def begin(self, caller: str, give_up: Callable[[Exception], None], size: int = 0) -> Arrival:
        """Count a request that is arriving.

        Args:
            caller: Who sends it.
            give_up: Called with an error when it has to go.
            size: The bytes that it may hold, if that is known.
        """
        arrival = Arrival(caller, next(self._numbers), give_up)
        self._arrivals.setdefault(caller, {})[arrival.number] = arrival
        self.restart(arrival)
        self.grow(arrival, size)
        return arrival

    def restart(self, arrival: Arrival) -> None:
        """Let the time of an arrival begin anew, for a request that arrives in parts."""
        if arrival.timer is not None:
            arrival.timer.cancel()
        if arrival.number not in self._arrivals.get(arrival.caller, {}):
            return  # it had to go before
        arrival.timer = asyncio.get_running_loop().call_later(self.seconds, self._end_late, arrival)

    def grow(self, arrival: Arrival, size: int) -> None:
        """Count more bytes of an arrival; where that is too many, some have to go, perhaps this one."""
        if arrival.number not in self._arrivals.get(arrival.caller, {}):
            return  # it had to go before
        arrival.bytes += size
        self.bytes += size
        self._bytes_of[arrival.caller] += size
        while self.bytes > self.max_bytes:
            ((caller, _),) = self._bytes_of.most_common(1)
            self._drop(next(iter(self._arrivals[caller].values())), self._no_room())

    def end(self, arrival: Arrival) -> None:
        """Forget a request that has arrived, or has gone."""
        own = self._arrivals.get(arrival.caller, {})
        if own.pop(arrival.number, None) is None:
            return
        self.bytes -= arrival.bytes
        self._bytes_of[arrival.caller] -= arrival.bytes
        if not own:
            del self._arrivals[arrival.caller], self._bytes_of[arrival.caller]
        if arrival.timer is not None:
            arrival.timer.cancel()

    def _end_late(self, arrival: Arrival) -> None:
        error = DeadlineExceededError(
            f"the request did not arrive within {self.seconds:g} s (setting `receive_timeout`); "
            "send it faster, or in smaller calls",
            seconds=self.seconds,
        )
        self._drop(arrival, error)

    def _drop(self, arrival: Arrival, error: Exception) -> None:
        self.end(arrival)
        arrival.give_up(error)

    def _no_room(self) -> OverloadedError:
        return OverloadedError(
            f"the requests that are arriving hold {self.max_bytes:,} bytes, as many as the server accepts "
            "(setting `max_memory`); try again later, or send smaller calls",
            retry_after=1.0,
            quotaLimit=self.max_bytes,
            setting="max_memory",
        )
