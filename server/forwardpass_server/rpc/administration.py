"""The listener for administration: health, NetworkService and reflection, on an address of its own.

It shares nothing with the other listeners that their callers can use up: it has connections, calls in flight and
threads of its own. The event loop is theirs, and so are the limits of a token.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import grpc

from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.broadcast import Broadcast
from forwardpass_server.rpc.health import Health
from forwardpass_server.rpc.interceptors import InFlight, admission, deadline
from forwardpass_server.rpc.listening import ADMIN_CONNECTIONS
from forwardpass_server.rpc.methods import Around, Service
from forwardpass_server.rpc.network_service import SERVICE, NetworkService
from forwardpass_server.rpc.server import Server, grpc_server
from forwardpass_server.rpc.server_handlers import server_handlers

MAX_CALLS: Final = 100
"""Calls in flight."""
MAX_CONNECTION_AGE_SECONDS: Final = 600.0


class Administration:
    """Serves administration on one address."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ServerCredentials | None,
        *,
        make_networks: Callable[[], NetworkService],
        guard: Guard,
        health: Health,
        broadcast: Broadcast,
        transport: AsyncioTransport,
        around: Around,
        max_request_bytes: int,
        call_timeout: float,
    ) -> None:
        """Make a server; `start` lets it listen.

        Args:
            address: Where to listen, `HOST:PORT` or `unix:PATH`.
            credentials: Those of the main listener, None without TLS.
            make_networks: Makes a servicer with threads of its own.
            guard: Who may call which networks.
            health: That of the whole server.
            broadcast: Ends the watches at a drain.
            transport: Maps errors, and counts responses until they are sent.
            around: What calls of the main listener go through.
            max_request_bytes: The largest request.
            call_timeout: Seconds that a call may take at most.
        """
        self._address = address
        self._credentials = credentials
        self._networks = make_networks()
        in_flight = InFlight(MAX_CALLS)
        inside = (admission(in_flight), deadline(call_timeout))
        services = [Service(SERVICE, self._networks, guard=guard)]
        self._server = Server(
            grpc_server(
                server_handlers(services, health, transport, replace(around, inside=inside)),
                max_request_bytes=max_request_bytes,
                max_connection_age=MAX_CONNECTION_AGE_SECONDS,
                max_connections=ADMIN_CONNECTIONS,
            ),
            health=health,
            in_flight=in_flight,
            broadcast=broadcast,
            make_native_transport=None,
        )

    async def start(self) -> str:
        """Listen; return the address with the real port.

        Raises:
            ListenError: The address is in use or not of this machine.
        """
        return await self._server.start(self._address, self._credentials)

    async def stop(self, patience: float) -> None:
        """Wait for calls in flight, and stop listening."""
        await self._server.drain(lame_duck=0.0, patience=patience)
        self._networks.close()
