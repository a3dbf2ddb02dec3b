"""Accept connections with bounds, in an event loop.

asyncio's own server has none. When the process has no descriptor left, it tries as often as its backlog is long, logs
each failure with a traceback, and does so again each second. This one accepts one connection after the other, closes
those beyond its bounds, and waits when there is no descriptor.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 1_000
"""Connections of one listener, where nothing else is said."""
BACKLOG: Final = 1_024
"""Connections that wait to be accepted."""
HANDSHAKE_SECONDS: Final = 5.0
"""Seconds in which a TLS handshake must end."""
MIN_PAUSE_SECONDS: Final = 0.05
MAX_PAUSE_SECONDS: Final = 1.0
"""The pauses while there is no descriptor; each is twice as long as the one before."""
EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors that say that the process or the system has no room for one more connection."""


class Acceptor:
    """Accepts the connections of a listening socket; made and used inside an event loop."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Make an acceptor; `start` lets it accept.

        Args:
            listener: Bound.
            make_protocol: Makes the protocol of a connection.
            tls: Makes TLS connections.
            max_connections: Connections at once. One address may have half of them.
        """
        self._listener = listener
        self._make_protocol = make_protocol
        self._tls = tls
        self._max_connections = max_connections
        self._max_of_address = max(1, max_connections // 2)
        self._open: Counter[str] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._open.total()

    def start(self) -> None:
        """Listen, and accept connections from now on."""
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Accept no more connections; those that are open stay."""
        self._accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._accepting
        self._listener.close()

    async def _accept(self) -> None:
        loop, pause = asyncio.get_running_loop(), MIN_PAUSE_SECONDS
        while True:
            try:
                connection, place = await loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    log.warning("no connection can be accepted: %s", error.strerror)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, MAX_PAUSE_SECONDS)
                continue
            pause = MIN_PAUSE_SECONDS
            address = str(place[0]) if isinstance(place, tuple) else ""
            if self.connections >= self._max_connections or self._open[address] >= self._max_of_address:
                connection.close()
                continue
            self._open[address] += 1
            handshake = asyncio.create_task(self._connect(connection, address))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)

    async def _connect(self, connection: socket.socket, address: str) -> None:
        protocol = self._make_protocol()
        counted = _Counted(protocol, lambda: self._leave(address))
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_SECONDS,
            )
        except OSError:  # the handshake failed; with TLS no connection was made
            counted.leave()

    def _leave(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]


class _Counted:
    """Counts a connection out when its protocol loses it, once."""

    def __init__(self, protocol: asyncio.Protocol, on_lost: Callable[[], None]) -> None:
        self._on_lost: Callable[[], None] | None = on_lost
        lost: Callable[[Exception | None], Any] = protocol.connection_lost

        def connection_lost(error: Exception | None) -> None:
            self.leave()
            lost(error)

        protocol.connection_lost = connection_lost  # type: ignore[method-assign,assignment] # of this one alone

    def leave(self) -> None:
        """Count the connection out."""
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()
