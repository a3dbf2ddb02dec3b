"""The gRPC server: its options, its handlers, its doors, and how it ends without losing a call."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import grpc
from forwardpass.spec import Limits

from forwardpass_server.engines import Engine
from forwardpass_server.registry import NetworkChange, Registry
from forwardpass_server.rpc import health as health_rpc
from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.broadcast import Broadcast
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.rpc.interceptors import InFlight, admission, authorization, deadline, errors
from forwardpass_server.rpc.listening import UNIX, ListenError, check_address
from forwardpass_server.rpc.methods import Service, UnknownMethods, handlers
from forwardpass_server.rpc.native_transport import NativeTransport, open_front
from forwardpass_server.rpc.network_service import SERVICE as NETWORK_SERVICE
from forwardpass_server.rpc.network_service import NetworkService
from forwardpass_server.rpc.prediction_service import prediction_service
from forwardpass_server.rpc.reflection import reflection_services
from forwardpass_server.serving import Dispatcher

log = logging.getLogger(__name__)

MAX_STREAMS: Final = 1_000
"""Calls of one connection at once. A client at this limit is refused now and then, since it counts a call as ended
before the server does; with gRPC's usual 100, one that makes 200 calls at once met that each time."""

# Why each: design notes in docs/explanation/architecture.md, "Transport".
OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", -1),  # answers are bounded by their own setting, with a typed error
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

Protocol: TypeAlias = Callable[[AsyncioTransport, Callable[[], bool]], Service]
"""Makes a service of another protocol, of a door and of what says whether the server takes calls."""

Stop: TypeAlias = Callable[[float], Awaitable[None]]
"""Ends something that still sends answers, within so many seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What the transport accepts.

    Attributes:
        max_in_flight: Calls answered at the same time.
        max_request_bytes: Bytes of one request.
        call_timeout: Seconds that a call may take at most.
        max_connection_age: Seconds after which grpc.aio closes a connection, gently.
    """

    max_in_flight: int
    max_request_bytes: int
    call_timeout: float
    max_connection_age: float


class Server:
    """Serves a registry and a predictor on one port. Made inside the event loop.

    Attributes:
        in_flight: Counts calls.
        error_mapper: Makes errors into answers, and counts them.
        door: Where hot calls go in that come through the event loop.
        outside: What goes around every call, the first one outermost.
        inside: What goes around a call within that, unless it is about health.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        dispatcher: Dispatcher,
        guard: Guard,
        limits: Limits,
        bounds: Bounds,
        engine: Engine,
        protocols: Sequence[Protocol] = (),
    ) -> None:
        self.in_flight = InFlight(bounds.max_in_flight)
        self.error_mapper = ErrorMapper()
        self._engine = engine
        self._guard = guard
        self._bounds = bounds
        self._broadcast = Broadcast()
        self._unsubscribe = registry.subscribe(self._changed)
        self._dispatcher = dispatcher
        self._networks = NetworkService(registry, self._broadcast, limits)
        self._front: NativeTransport | None = None

        self.transport = AsyncioTransport(self._dispatcher, guard, self.error_mapper)
        self._services = [Service(NETWORK_SERVICE, self._networks), prediction_service(self.transport)]
        self._services += [protocol(self.transport, lambda: self.serving) for protocol in protocols]
        names = tuple(service.descriptor.full_name for service in self._services)
        self._health = health_rpc.Health(registry, self._broadcast, names)

        self.outside = [errors(self.error_mapper), authorization(guard)]
        self.inside = [admission(self.in_flight), deadline(bounds.call_timeout)]
        self._server = grpc.aio.server(
            options=[
                *OPTIONS,
                ("grpc.max_receive_message_length", bounds.max_request_bytes),
                ("grpc.max_connection_age_ms", int(bounds.max_connection_age * 1000)),
            ]
        )
        # Health answers however busy the server is.
        health = handlers(Service(health_rpc.SERVICE, self._health), self.transport, self.outside)
        every = [*self.outside, *self.inside]
        self._server.add_generic_rpc_handlers(
            (*(handlers(service, self.transport, every) for service in self._services), health)
        )
        # Reflection needs no token, as health does.
        reflection = reflection_services((*names, health_rpc.SERVICE.full_name))
        self._server.add_generic_rpc_handlers(
            (
                *(handlers(service, self.transport, self.outside[:1]) for service in reflection),
                UnknownMethods(self.error_mapper),
            )
        )

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> str:
        """Listen on `HOST:PORT` or `unix:PATH`; return the address with the real port.

        Raises:
            ListenError: The address is in use or not of this machine.
        """
        check_address(address)
        if self._engine is Engine.NATIVE:
            port = await self._start_front(address)
        else:
            port = await self._start_grpcio(address, credentials)
        self._address = address if address.startswith(UNIX) else f"{address.rpartition(':')[0]}:{port}"
        return self._address

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

    async def _start_front(self, address: str) -> int:
        try:
            front = open_front(address)
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None
        self._front = NativeTransport(
            front,
            self._dispatcher,
            hot={path: method for service in self._services for path, method in service.hot_paths.items()},
            direct={health_rpc.CHECK: self._health.answer},
            guard=self._guard,
            error_mapper=self.error_mapper,
            in_flight=self.in_flight,
            max_request_bytes=self._bounds.max_request_bytes,
            call_timeout=self._bounds.call_timeout,
        )
        # Only this user may enter the folder, so nobody else can call behind the front.
        self._folder = tempfile.TemporaryDirectory(prefix="forwardpass-")
        path = f"{self._folder.name}/grpc"
        await self._start_grpcio(f"unix:{path}", None)
        front.set_fallback(path)
        self._front.start()
        return front.bound_port

    @property
    def serving(self) -> bool:
        """Whether calls are wanted: until the drain begins."""
        return self._health.serving

    def service(self, name: str) -> Service:
        """Return a service by its full name."""
        return next(service for service in self._services if service.descriptor.full_name == name)

    async def drain(self, *, lame_duck: float, patience: float, beside: Stop | None = None) -> None:
        """End in the order in which no call is lost.

        gRPC's own graceful stop cancels a call now and then under load (grpc/grpc#41785), so
        it comes last, when nothing is in flight.

        Args:
            lame_duck: Seconds to go on serving while balancers read NOT_SERVING.
            patience: Seconds to wait for calls in flight.
            beside: Ends a server beside this one when no call is in flight.
        """
        self._health.stop_serving()
        await asyncio.sleep(lame_duck)
        self.in_flight.draining = True
        end = time.monotonic() + patience
        try:
            await asyncio.wait_for(self.in_flight.idle(), patience)
        except TimeoutError:
            log.warning("stopping with %d calls in flight", self.in_flight.count)
        if beside is not None:
            await beside(max(0.5, end - time.monotonic()))
        self._unsubscribe()
        self._broadcast.close()
        if self._front is not None:
            await self._front.relay_all(self._address)
        await self._server.stop(0.5)
        if self._front is not None:
            self._front.close()
            self._folder.cleanup()
        self._dispatcher.abandon()
        self._dispatcher.close()
        self._networks.close()

    def _changed(self, change: NetworkChange) -> None:
        self._broadcast.publish(change.name)
