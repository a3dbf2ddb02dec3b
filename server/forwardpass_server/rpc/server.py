"""The gRPC server: its options, how it listens on each engine, and how it ends without losing a call."""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import grpc
from forwardpass.listening import ListenError

from forwardpass_server.rpc.broadcast import Broadcast
from forwardpass_server.rpc.health import Health
from forwardpass_server.rpc.interceptors import InFlight
from forwardpass_server.rpc.listening import UNIX, check_address
from forwardpass_server.rpc.native_transport import NativeTransport, open_front

if TYPE_CHECKING:
    from pygrpc_native import NativeGrpcFront

log = logging.getLogger(__name__)

MAX_STREAMS: Final = 1_000
"""Calls of one connection at once. At this limit some of a client's calls are rejected, since the client counts a
call as ended before the server does; with gRPC's usual 100, each client that makes 200 calls at once met that."""

# Why each: design notes in docs/explanation/architecture.md, "Transport".
OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", -1),  # responses are bounded by their own setting, with a typed error
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.enable_channelz", 0),
)

MAX_PATH_BYTES: Final = 103
"""Bytes of the path of a Unix socket; Linux has room for four more than macOS, whose limit this is."""

Stop: TypeAlias = Callable[[float], Awaitable[None]]
"""Stops a server that still sends responses, within a number of seconds."""

MakeNativeTransport: TypeAlias = "Callable[[NativeGrpcFront], NativeTransport]"
"""Makes the transport of hot calls on engine native, given the front that listens."""


class HotProcesses(Protocol):
    """Processes that share a port, respond to the hot calls and pass all others on."""

    def start(self, address: str, fallback: str) -> int:
        """Start them; return when all of them take calls.

        Args:
            address: Where they listen, `HOST:PORT`.
            fallback: The path of the Unix socket to which they pass on all other calls.

        Returns:
            The real port.

        Raises:
            ListenError: The address is in use or not of this machine.
        """

    def relay_all(self) -> None:
        """Wait until they have passed on all that was sent through the Unix socket; see `NativeTransport.relay_all`."""

    def stop(self) -> None:
        """End them, once no call is in flight."""


def grpc_server(
    handlers: Sequence[grpc.GenericRpcHandler],
    *,
    max_request_bytes: int,
    max_connection_age: float,
    max_connections: int,
) -> grpc.aio.Server:
    """Make a grpc.aio server; to be called inside the event loop.

    Args:
        handlers: The handlers of its services; the first one that has a method wins.
        max_request_bytes: The largest request.
        max_connection_age: Seconds after which a connection is closed, gently.
        max_connections: Connections at once.
    """
    server = grpc.aio.server(
        options=[
            *OPTIONS,
            ("grpc.max_receive_message_length", max_request_bytes),
            ("grpc.max_connection_age_ms", int(max_connection_age * 1000)),
            ("grpc.max_allowed_incoming_connections", max_connections),
        ]
    )
    server.add_generic_rpc_handlers(tuple(handlers))
    return server


class Server:
    """Listens on one address, on one of the engines, and drains."""

    def __init__(
        self,
        server: grpc.aio.Server,
        *,
        health: Health,
        in_flight: InFlight,
        broadcast: Broadcast,
        make_native_transport: "MakeNativeTransport | None",
        processes: HotProcesses | None = None,
    ) -> None:
        """Make a server; `start` lets it listen.

        Args:
            server: Has the handlers of all methods.
            health: Says NOT_SERVING while the server drains.
            in_flight: Counts calls.
            broadcast: Ends the watches when the server drains.
            make_native_transport: On engine native, makes what takes the hot calls; `server` then takes all others,
                behind a private Unix socket. None on engine grpcio.
            processes: Take the hot calls instead; `server` then takes all others, behind the same socket.
        """
        self._server = server
        self._health = health
        self._in_flight = in_flight
        self._broadcast = broadcast
        self._make_native_transport = make_native_transport
        self._processes = processes
        self._native: NativeTransport | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def private_address(self) -> str:
        """Return the address of a Unix socket on which `start` listens too, without TLS; only this user may connect.

        Raises:
            ListenError: The folder of temporary files has too long a path.
        """
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="forwardpass-")
        path = f"{self._folder.name}/grpc"
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise ListenError(
                f"cannot listen on {UNIX}{path}: the path has more than {MAX_PATH_BYTES} bytes; set the variable "
                "TMPDIR to a folder with a shorter one"
            )
        return f"{UNIX}{path}"

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> str:
        """Listen on `HOST:PORT` or `unix:PATH`; return the address with the real port.

        Raises:
            ListenError: The address is in use or not of this machine.
        """
        check_address(address)
        if self._processes is not None:
            behind = self.private_address()
            await self._start_grpcio(behind, None)
            port = await asyncio.to_thread(self._processes.start, address, behind.removeprefix(UNIX))
        elif self._make_native_transport is None:
            if self._folder is not None:
                self._server.add_insecure_port(self.private_address())
            port = await self._start_grpcio(address, credentials)
        else:
            port = await self._start_native(address, self._make_native_transport)
        self._address = address if address.startswith(UNIX) else f"{address.rpartition(':')[0]}:{port}"
        return self._address

    async def drain(self, *, lame_duck: float, patience: float, beside: Sequence[Stop] = ()) -> None:
        """Stop without losing a call.

        gRPC's own graceful stop cancels some calls under load (grpc/grpc#41785), so it comes last, when
        nothing is in flight.

        Args:
            lame_duck: Seconds to go on serving while balancers read NOT_SERVING.
            patience: Seconds to wait for calls in flight.
            beside: Each ends a server beside this one when no call is in flight.
        """
        self._health.stop_serving()
        await asyncio.sleep(lame_duck)
        self._in_flight.draining = True
        end = time.monotonic() + patience
        try:
            await asyncio.wait_for(self._in_flight.idle(), patience)
        except TimeoutError:
            log.warning("stopping with %d calls in flight", self._in_flight.total)
        await asyncio.gather(*(stop(max(0.5, end - time.monotonic())) for stop in beside))
        self._broadcast.close()
        if self._native is not None:
            await self._native.relay_all(self._address)
        if self._processes is not None:
            await asyncio.to_thread(self._processes.relay_all)
        await self._server.stop(0.5)
        if self._native is not None:
            self._native.close()
        if self._processes is not None:
            await asyncio.to_thread(self._processes.stop)
        if self._folder is not None:
            self._folder.cleanup()

    async def _start_grpcio(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError:  # another process was faster than we after `check_address`
            port = 0
        if not port:
            raise ListenError(f"cannot listen on {address}: it is in use")
        await self._server.start()
        return port

    async def _start_native(self, address: str, make_native_transport: "MakeNativeTransport") -> int:
        try:
            front = open_front(address)
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None
        self._native = make_native_transport(front)
        # Only this user may enter its folder, so no other user can call behind the front.
        behind = self.private_address()
        await self._start_grpcio(behind, None)
        front.set_fallback(behind.removeprefix(UNIX))
        self._native.start()
        return front.bound_port
