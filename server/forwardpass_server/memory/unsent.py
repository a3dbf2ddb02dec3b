"""Responses that were computed and not yet sent: how many bytes they hold, and for how long.

An engine takes a response of any size and keeps it until the client reads it. A client that does not read must not make
the server hold more and more, so each response is counted before it is handed over. gRPC tells when a response of its
own has been sent; of pygrpc-native's, the kernel does: it counts the bytes that the client's system has received.
"""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from forwardpass.errors import OverloadedError

from forwardpass_server.memory.byte_budget import ByteBudget
from forwardpass_server.memory.sockets import Connection, Sockets

log = logging.getLogger(__name__)

COUNTED_BYTES: Final = 64 * 1024
"""Bytes from which a response is counted; the number of calls bounds the others."""
IMPATIENT_SECONDS: Final = 2.0
"""Seconds without progress after which a connection is closed when others have no room."""


@dataclass(slots=True)
class _Progress:
    """What a connection has received of its responses.

    Attributes:
        acked: The bytes that its system has received in all.
        since: When that was last more than before.
        waiting: Responses as bytes and the number of acked bytes at which they have been sent, oldest first.
    """

    acked: int
    since: float
    waiting: deque[tuple[int, int]]


class Unsent:
    """The responses that are not yet sent. May be used in any thread; `update` is called by one."""

    def __init__(self, sockets: Sockets, *, max_bytes: int, seconds: float) -> None:
        """Make it.

        Args:
            sockets: The connections.
            max_bytes: The bytes that unsent responses may hold; those of one connection half of them.
            seconds: Seconds after which a connection is closed that receives nothing of what it is sent.
        """
        self._sockets = sockets
        self._seconds = seconds
        self._budget = ByteBudget(max_bytes)
        self._progress: dict[str, _Progress] = {}
        self._crowded = False
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """The bytes that unsent responses hold."""
        return self._budget.held

    def take(self, peer: str, size: int) -> bool:
        """Count a response that is about to be handed over; return whether there is room for it.

        It is no error that is raised here, since an error keeps the frames it came through, and a response in one.
        """
        if size < COUNTED_BYTES or self._budget.take(peer, size):
            return True
        self._crowded = True
        return False

    def no_room(self) -> OverloadedError:
        """Make the error of a response for which there is no room."""
        return OverloadedError(
            f"responses that were not read yet hold {self._budget.held:,} of {self._budget.max_bytes:,} bytes (a "
            "quarter of the setting `max_memory`; half of them for one connection); read them, or try again later",
            retry_after=1.0,
            quotaLimit=self._budget.max_bytes,
            setting="max_memory",
        )

    def give_back(self, peer: str, size: int) -> None:
        """Forget a response that was sent."""
        if size >= COUNTED_BYTES:
            self._budget.give_back(peer, size)

    def watch(self, peer: str, size: int) -> None:
        """Forget a response when the kernel has sent it; it was handed over just now."""
        if size < COUNTED_BYTES:
            return
        connection = self._sockets.find(peer)
        if connection is None:
            self.give_back(peer, size)
            return
        with self._lock:
            progress = self._progress.setdefault(peer, _Progress(connection.acked, time.monotonic(), deque()))
            ahead = sum(each for each, _ in progress.waiting)
            progress.waiting.append((size, connection.acked + ahead + size))

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
        if not self._progress:
            return
        now, connections = time.monotonic(), self._sockets.connections()
        sent: list[tuple[str, int]] = []
        with self._lock:
            for peer, progress in [*self._progress.items()]:
                connection = connections.get(peer)
                if connection is not None and connection.acked != progress.acked:
                    progress.acked, progress.since = connection.acked, now
                while progress.waiting and (connection is None or progress.waiting[0][1] <= progress.acked):
                    sent.append((peer, progress.waiting.popleft()[0]))
                if not progress.waiting:
                    del self._progress[peer]
                elif connection is not None:
                    self._end_if_stuck(connection, now - progress.since)
            self._crowded = False
        for peer, size in sent:
            self.give_back(peer, size)

    def _end_if_stuck(self, connection: Connection, seconds: float) -> None:
        if seconds > (IMPATIENT_SECONDS if self._crowded else self._seconds):
            message = "closed the connection of %s, which read nothing of its responses for %.0f s"
            log.warning(message, connection.peer, seconds)
            self._sockets.close(connection)
