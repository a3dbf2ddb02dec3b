"""A server that is healthy and refuses every call, to see what Envoy makes of it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

HEALTH_CHECK = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A call as it arrived.

    Attributes:
        method: Its path.
        seconds: How long its caller waits.
        metadata: Its headers.
    """

    method: str
    seconds: float
    metadata: dict[str, str]


class Refuser(grpc.GenericRpcHandler):
    """Refuses all but health checks.

    Attributes:
        code: With which status.
        trailers: With which trailing metadata.
        seen: What it refused.
        hold: While it is not set, calls get no response at all.
        port: Where it listens.
    """

    def __init__(self, code: grpc.StatusCode, *trailers: tuple[str, str]) -> None:
        self.code = code
        self.trailers = trailers
        self.seen: list[Seen] = []
        self.hold = threading.Event()
        self.hold.set()
        self._server = grpc.server(ThreadPoolExecutor(16), handlers=[self], options=[("grpc.so_reuseport", 0)])
        self.port = self._server.add_insecure_port("127.0.0.2:0")

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the function that responds to a call."""
        method = str(handler_call_details.method)
        if method == HEALTH_CHECK:
            healthy = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
            return grpc.unary_unary_rpc_method_handler(lambda *_: healthy)

        def refuse(_: Any, context: grpc.ServicerContext) -> Any:
            metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
            self.seen.append(Seen(method=method, seconds=context.time_remaining(), metadata=metadata))
            self.hold.wait(60)
            context.set_trailing_metadata(self.trailers)
            context.abort(self.code, "refused by the test")

        return grpc.stream_stream_rpc_method_handler(refuse)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold.set()
        self._server.stop(None).wait()
