"""The last line of defence: a thread that watches resident memory and closes the connections that hold most of it.

It sees bytes that no other bound counts: those that an engine holds of requests which have not arrived as a whole.
pygrpc-native has no bound for them. The kernel says how many bytes a connection has received, and the transports say
how many of them they were given; the rest is what the engine holds. When a flood is over, the thread gives the
freed memory back to the system.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from forwardpass_server.memory.allocator import give_back, reuse_blocks
from forwardpass_server.memory.connection_limit import ConnectionLimit
from forwardpass_server.memory.look_schedule import LookSchedule
from forwardpass_server.memory.sockets import Connection, Sockets
from forwardpass_server.memory.unsent import Unsent

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.05
ARMED_TICK_SECONDS: Final = 0.01
"""The same while bytes are counted by connection: a flood on loopback is a gigabyte a second."""
GROWTH_BYTES: Final = 16 * 2**20
"""Bytes by which memory may grow until the connections are looked at again, however long that takes."""
ARMED_BYTES: Final = 64 * 2**20
"""Bytes above an idle server from which bytes are counted by connection."""
SURPLUS_BYTES: Final = 32 * 2**20
"""Bytes above an idle server from which freed memory is looked for, to give it back."""
MAX_PAUSE_SECONDS: Final = 8.0
"""Seconds after which it is looked for again, where none was found."""
CALM_SECONDS: Final = 0.5
"""Seconds without growth after which freed memory is given back."""
MIN_CLOSED_BYTES: Final = 2**20
"""Bytes up to which a connection is left alone: closing it would free nothing."""
CALL_BYTES: Final = 512
"""Bytes that a call takes on the wire beside its message, at most."""
_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE
    except OSError:
        return 0


class MemoryWatch:
    """Watches the resident memory of this process.

    Attributes:
        armed: Whether transports have to tell which bytes they were given.
    """

    def __init__(
        self,
        sockets: Sockets,
        unsent: Unsent,
        *,
        max_memory: int,
        max_arrivals: int,
        receive_timeout: float,
        plan_bytes: Callable[[], int],
        max_connections: int,
    ) -> None:
        """Make a watch; `start` starts its thread.

        Args:
            sockets: The connections that may be closed.
            unsent: The responses that are not yet sent; the thread looks what was sent.
            max_memory: The bytes that callers may make the server hold.
            max_arrivals: The bytes of requests that are arriving.
            receive_timeout: Seconds after which a connection is closed that holds bytes and sends nothing.
            plan_bytes: Returns the bytes of the plans in memory.
            max_connections: Connections at once; one address may have half of them.
        """
        self.armed = False
        self._sockets = sockets
        self._unsent = unsent
        self._max_memory = max_memory
        self._max_arrivals = max_arrivals
        self._receive_timeout = receive_timeout
        self._plan_bytes = plan_bytes
        self._looks = LookSchedule(max_growth=GROWTH_BYTES)
        self._limit = ConnectionLimit(sockets, max_connections=max_connections)
        self._given: Counter[str] = Counter()
        self._baseline: dict[str, int] = {}
        self._progress: dict[str, tuple[int, float]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self, address: str) -> None:
        """Watch from now on; what the process holds now is that of an idle server.

        Args:
            address: Where the engine listens, `HOST:PORT` or `unix:PATH`.
        """
        self._sockets.add_port_of(address)
        reuse_blocks()
        self._floor = resident_bytes() - self._plan_bytes()
        if self._floor > 0:
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def note_given(self, peer: str, size: int) -> None:
        """Count the message of a call, which an engine has given to its transport; only while `armed`."""
        self._given[peer] += size + CALL_BYTES

    def _run(self) -> None:
        last, since = 0, time.monotonic()
        pause, trim_at = CALM_SECONDS, 0.0
        while not self._stopped.wait(ARMED_TICK_SECONDS if self.armed else TICK_SECONDS):
            self._limit.enforce()
            now, resident = time.monotonic(), resident_bytes()
            above = resident - self._floor - self._plan_bytes()
            if self._looks.is_due(now, above):
                with self._looks.looking(above):
                    self._unsent.update()
                    if above > ARMED_BYTES:
                        self._guard(above, now)
                    elif self.armed:
                        self._disarm()
            if resident > last + 2**20:
                last, since, pause = resident, now, CALM_SECONDS
            elif above > SURPLUS_BYTES and now > max(trim_at, since + CALM_SECONDS):
                give_back()
                last = resident_bytes()
                # What is still in use is not looked for again and again.
                pause = CALM_SECONDS if last < resident - 2**20 else min(2 * pause, MAX_PAUSE_SECONDS)
                trim_at = now + pause
            last = min(last, resident)

    def _guard(self, above: int, now: float) -> None:
        """Close the connections that hold too much, or that hold bytes and send nothing more."""
        connections = self._sockets.connections()
        if not self.armed:
            self.armed = True
            self._baseline = {peer: connection.received for peer, connection in connections.items()}
        held = {peer: self._held(connection) for peer, connection in connections.items()}
        total = sum(held.values()) - sum(size for peer, size in self._given.items() if peer not in connections)
        for peer in sorted(held, key=held.__getitem__, reverse=True):
            received, since = self._progress.get(peer, (-1, now))
            if received != connections[peer].received:
                self._progress[peer] = (connections[peer].received, now)
                since = now
            is_stalled = now - since > self._receive_timeout
            is_too_much = min(total, above) > self._max_arrivals or above > self._max_memory
            if held[peer] > MIN_CLOSED_BYTES and (is_stalled or is_too_much):
                self._close(connections[peer], held[peer])
                total -= held[peer]
                above -= held[peer]
        for peer in self._progress.keys() - connections.keys():
            del self._progress[peer]

    def _held(self, connection: Connection) -> int:
        """Return the bytes that a connection has received and its transport was not given, since this is counted."""
        peer = connection.peer
        since = self._baseline.get(peer, 0)
        held = connection.received - since - self._given[peer]
        if held < 0:
            self._baseline[peer] = since + held
        return max(held, 0)

    def _disarm(self) -> None:
        self.armed = False
        self._given.clear()
        self._baseline.clear()
        self._progress.clear()

    def _close(self, connection: Connection, held: int) -> None:
        self._sockets.close(connection)
        log.warning("closed the connection of %s, which held %d bytes of requests", connection.peer, held)
