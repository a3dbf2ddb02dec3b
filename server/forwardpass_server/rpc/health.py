"""`grpc.health.v1.Health`: overall (""), per service, per network, and of the registry's database.

Our own, since the stock servicer lets one client with a closed window block a drain for
ever. A watcher gets the latest state only, has a bounded time to read it, and is
disconnected when the server drains. Protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, cast

from forwardpass.errors import MalformedRequestError, NetworkNotFoundError
from forwardpass.method_options import path_of
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1.health_pb2 import DESCRIPTOR, HealthCheckRequest, HealthCheckResponse

from forwardpass_server.registry import Registry
from forwardpass_server.rpc.auth import OPEN, Guard
from forwardpass_server.rpc.broadcast import Broadcast
from forwardpass_server.rpc.context import Credential, RpcContext

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

SERVICE: Final = cast("ServiceDescriptor", DESCRIPTOR.services_by_name["Health"])
CHECK: Final = f"/{SERVICE.full_name}/Check"
WATCH: Final = f"/{SERVICE.full_name}/Watch"
SCOPES: Final = {path_of(method): OPEN for method in SERVICE.methods}
"""The scope of each method: the protocol's own proto cannot declare it."""
NETWORK_PREFIX: Final = "forwardpass.v1.network/"
DATABASE: Final = "forwardpass.v1.database"
"""SERVING while the registry's database responds. The server predicts without it: this is not its own health."""

_STATES = HealthCheckResponse.ServingStatus
SERVING: Final = _STATES.Value("SERVING")
NOT_SERVING: Final = _STATES.Value("NOT_SERVING")
SERVICE_UNKNOWN: Final = _STATES.Value("SERVICE_UNKNOWN")


class Health:
    """Serving status of the server as a whole, of its services, and of each network by its `latest`.

    It needs no token, but that of a network needs the scope `read` and a token that allows the network, since it tells
    whether there is such a network.
    """

    def __init__(self, registry: Registry, broadcast: Broadcast, guard: Guard, services: tuple[str, ...]) -> None:
        self._registry = registry
        self._broadcast = broadcast
        self._guard = guard
        self._services = ("", *services)
        self.serving = True

    def stop_serving(self) -> None:
        """Report NOT_SERVING from now on, also to watchers."""
        self.serving = False
        self._broadcast.publish("")

    def state(self, service: str) -> int | None:
        """Return a service's state, or None when there is no such service.

        A network serves if its latest version is in service and not known to be damaged; nothing is read to find out.
        """
        if service in self._services:
            return SERVING if self.serving else NOT_SERVING
        if service == DATABASE:
            return SERVING if self._registry.database_reachable else NOT_SERVING
        if not service.startswith(NETWORK_PREFIX):
            return None
        try:
            latest = self._registry.version(service.removeprefix(NETWORK_PREFIX), "")
        except NetworkNotFoundError:
            return None
        ready = latest.in_service and not self._registry.is_damaged(latest)
        return SERVING if self.serving and ready else NOT_SERVING

    def respond(self, request: bytes, credential: Credential) -> bytes:
        """Respond to a serialized HealthCheckRequest of a caller, in any thread.

        Raises:
            MalformedRequestError: It is not a valid message.
            NetworkNotFoundError: There is no such service.
            UnauthenticatedError: It is about a network, and there is no token that is known.
            PermissionDeniedError: It is about a network, and the token lacks the scope `read` or does not allow it.
        """
        try:
            service = HealthCheckRequest.FromString(request).service
        except DecodeError:
            raise MalformedRequestError("the request is not a valid HealthCheckRequest", method=CHECK) from None
        self._check_access(service, CHECK, credential)
        state = self.state(service)
        if state is None:
            raise NetworkNotFoundError(
                f"there is no service {service!r}; networks are called {NETWORK_PREFIX}NAME",
                resourceType="service",
                resourceName=service,
            )
        return HealthCheckResponse(status=state).SerializeToString()

    async def check(self, request: HealthCheckRequest, call: RpcContext) -> HealthCheckResponse:
        """Respond once."""
        return HealthCheckResponse.FromString(self.respond(request.SerializeToString(), call.credential))

    async def watch(self, request: HealthCheckRequest, call: RpcContext) -> AsyncIterator[HealthCheckResponse]:
        """Respond now and at each change; end when the server drains, after NOT_SERVING."""
        self._check_access(request.service, WATCH, call.credential)
        sent, ended = None, False
        # The empty name stands for the server and its database.
        wanted = {"", request.service.removeprefix(NETWORK_PREFIX)}
        with self._broadcast.listen(wanted.__contains__) as listener:
            while True:
                state = self.state(request.service)
                state = SERVICE_UNKNOWN if state is None else state
                if state != sent:
                    yield HealthCheckResponse(status=state)
                    sent = state
                if ended:
                    return
                # The last change may come with the end: a lame duck may have no time, or this task got none.
                ended = await listener.changed() is None

    async def list(self, _: object, __: RpcContext) -> Message:
        """Respond for the server, its services and the database; a network has to be named in a check."""
        # By reflection, since older releases of grpcio-health-checking lack the messages.
        response: Any = GetMessageClass(SERVICE.methods_by_name["List"].output_type)()
        for name in (*self._services, DATABASE):
            response.statuses[name].status = self.state(name)
        return cast("Message", response)

    def _check_access(self, service: str, method: str, credential: Credential) -> None:
        if service.startswith(NETWORK_PREFIX):
            self._guard.check_health(method, service.removeprefix(NETWORK_PREFIX), credential)
