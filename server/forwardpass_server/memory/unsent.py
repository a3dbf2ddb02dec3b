"""Responses that were computed and not yet sent: how many bytes they hold, and for how long.

An engine takes a response of any size and keeps it until the client reads it. A client that does not read must not make
the server hold more and more, so a response is counted before it is computed, by the estimate of its request, and waits
until there is room to send it. gRPC tells when a response of its own has been sent; of pygrpc-native's, the kernel
does: it counts the bytes that the client's system has received.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from forwardpass.errors import OverloadedError

from forwardpass_server.memory.byte_budget import ByteBudget, Claim
from forwardpass_server.memory.sockets import Connection, Sockets

log = logging.getLogger(__name__)

COUNTED_BYTES: Final = 64 * 1024
"""Bytes from which a response is counted; the number of calls bounds the others."""
WAITING_SECONDS: Final = 5.0
"""Seconds for which a request waits for room to send its response."""
IMPATIENT_SECONDS: Final = 2.0
"""Seconds without progress after which a connection is closed when other callers have no room."""


@dataclass(slots=True)
class _Progress:
    """What a connection has received of its responses.

    Attributes:
        acked: The bytes that its system has received in all.
        since: When that was last more than before.
        waiting: Responses and the number of acked bytes at which they have been sent, oldest first.
        sending: The callers of responses whose engine says when they have been sent, and how many they are.
    """

    acked: int
    since: float
    waiting: deque[tuple[Claim, int]] = field(default_factory=deque)
    sending: Counter[str] = field(default_factory=Counter)

    @property
    def callers(self) -> set[str]:
        """The callers whose responses are not yet sent."""
        return {*self.sending, *(claim.caller for claim, _ in islice(self.waiting, 1))}


class Unsent:
    """The responses that are not yet sent. May be used in any thread; `update` is called by one."""

    def __init__(self, sockets: Sockets, *, max_bytes: int, seconds: float) -> None:
        """Make it.

        Args:
            sockets: The connections.
            max_bytes: The bytes that unsent responses may hold; those of one caller half of them.
            seconds: Seconds after which a connection is closed that receives nothing of what it is sent.
        """
        self._sockets = sockets
        self._seconds = seconds
        self._budget = ByteBudget(max_bytes)
        self._progress: dict[str, _Progress] = {}
        # The callers for whose responses there was no room since the last update.
        self._without_room: set[str] = set()
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """The bytes that unsent responses hold."""
        return self._budget.held

    def take(self, caller: str, size: int) -> Claim | None:
        """Count a response that is about to be handed over, if there is room for it.

        It is no error that is raised here, since an error keeps the frames it came through, and a response in one.
        """
        claim = Claim(caller=caller, size=size)
        if self._budget.take(claim):
            return claim
        self._without_room.add(caller)
        return None

    def reserve(self, claim: Claim) -> bool:
        """Count a response before it is computed; return whether there is room, or else resume the claim later.

        It is resumed without its bytes when it is released, when it expires, or after `WAITING_SECONDS`.
        """
        claim.expires = min(claim.expires, time.monotonic() + WAITING_SECONDS)
        return self._budget.take_or_wait(claim)

    def waits(self, caller: str) -> bool:
        """Return whether a caller waits for room."""
        return self._budget.waits(caller)

    def no_room(self) -> OverloadedError:
        """Make the error of a response for which there is no room."""
        return OverloadedError(
            f"responses that were not read yet hold {self._budget.held:,} of {self._budget.max_bytes:,} bytes (a "
            "part of the setting `max_memory`; half of them for one caller); read them, or try again later",
            retry_after=1.0,
            quotaLimit=self._budget.max_bytes,
            setting="max_memory",
        )

    def release(self, claim: Claim) -> None:
        """Forget a response that was sent, or is not going to be."""
        self._budget.release(claim)

    def resize(self, claim: Claim, size: int) -> None:
        """Note the true size of a response for which room was reserved."""
        self._budget.resize(claim, size)

    def received(self, peer: str) -> int | None:
        """Return the bytes that a connection's client has received in all; None where the kernel does not tell."""
        connection = self._sockets.find(peer)
        return None if connection is None else connection.acked

    def watch(self, claim: Claim, peer: str, received: int | None) -> None:
        """Forget a response that was handed over, once the kernel has sent it to a connection.

        Args:
            claim: What the response is counted as.
            peer: The client's address.
            received: What the method of this name returned just before the response was handed over.
        """
        if received is None:
            self.release(claim)
            return
        with self._lock:
            progress = self._progress_of(peer, received)
            # Not the sum of those before it: a part of them may have been received already.
            ahead = progress.waiting[-1][1] if progress.waiting else 0
            progress.waiting.append((claim, max(ahead, received) + claim.size))

    @contextmanager
    def sending(self, caller: str, peer: str) -> Iterator[None]:
        """Close the connection of a caller that receives nothing of a response meanwhile, as `watch` does."""
        received = self.received(peer)
        if received is None:
            yield
            return
        with self._lock:
            progress = self._progress_of(peer, received)
            progress.sending[caller] += 1
        try:
            yield
        finally:
            with self._lock:
                progress.sending[caller] -= 1
                progress.sending += Counter()  # without those of whom there are none

    def _progress_of(self, peer: str, received: int) -> _Progress:
        """Return the progress of a connection, which begins now if nothing is unsent there."""
        progress = self._progress.get(peer)
        if progress is None or not (progress.waiting or progress.sending):
            self._progress[peer] = progress = _Progress(received, time.monotonic())
        return progress

    def seconds_for(self, size: int) -> float:
        """Return the seconds in which a response must be sent: those without progress, and one for each MiB."""
        return self._seconds + size / 2**20

    def end_slow(self, peer: str) -> None:
        """Close the connection of a client that took too long to read a response."""
        connection = self._sockets.find(peer)
        if connection is not None:
            log.warning("closed the connection of %s, which took too long to read a response", peer)
            self._sockets.close(connection)

    def update(self) -> None:
        """Forget what was sent, and close connections that receive nothing; to be called again and again."""
        now = time.monotonic()
        self._budget.end_late(now)
        if not self._progress:
            return
        connections = self._sockets.connections()
        sent: list[Claim] = []
        without_room, self._without_room = self._without_room | self._budget.waiting, set()
        with self._lock:
            for peer, progress in [*self._progress.items()]:
                connection = connections.get(peer)
                if connection is not None and connection.acked != progress.acked:
                    progress.acked, progress.since = connection.acked, now
                while progress.waiting and (connection is None or progress.waiting[0][1] <= progress.acked):
                    sent.append(progress.waiting.popleft()[0])
                if connection is None or not (progress.waiting or progress.sending):
                    del self._progress[peer]
                else:
                    others_wait = bool(without_room - progress.callers)
                    self._end_if_stuck(connection, now - progress.since, others_wait=others_wait)
        for claim in sent:
            self.release(claim)

    def _end_if_stuck(self, connection: Connection, seconds: float, *, others_wait: bool) -> None:
        if seconds > (IMPATIENT_SECONDS if others_wait else self._seconds):
            message = "closed the connection of %s, which read nothing of its responses for %.0f s"
            log.warning(message, connection.peer, seconds)
            self._sockets.close(connection)
