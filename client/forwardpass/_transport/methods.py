"""Methods of the services, and which calls may be repeated, as the protos declare it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from forwardpass.method_options import has_no_side_effects, is_idempotent, path_of
from forwardpass.v1 import network_service_pb2, prediction_service_pb2

SERVICES: Final[tuple[ServiceDescriptor, ...]] = (
    network_service_pb2.DESCRIPTOR.services_by_name["NetworkService"],
    prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
)

HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = b"\x08\x01"
"""`HealthCheckResponse` with `status: SERVING`; the request for the whole server is empty. As bytes, since
the client does not depend on grpc_health, and a process cannot load a second copy of its messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeatability:
    """Conditions under which a call of a method may be repeated.

    Attributes:
        codes: The status codes after which a second call does no harm.
        after_reset: Whether a call may be repeated when the connection was lost after the response had begun.
        after_interruption: Whether a call may be repeated that the client cut short for a fork.
    """

    codes: frozenset[grpc.StatusCode] = frozenset()
    after_reset: bool = False
    after_interruption: bool = False


NEVER: Final = Repeatability()

_NO_SIDE_EFFECTS: Final = Repeatability(
    # A gRPC server that stops may end a call as CANCELLED: https://github.com/grpc/grpc/issues/41785
    codes=frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}),
    after_reset=True,
    after_interruption=True,
)
_IDEMPOTENT: Final = Repeatability(codes=frozenset({grpc.StatusCode.UNAVAILABLE}), after_interruption=True)


def repeatability_of(method: MethodDescriptor) -> Repeatability:
    """Return when a call of a method may be repeated, by its `idempotency_level`."""
    if has_no_side_effects(method):
        return _NO_SIDE_EFFECTS
    return _IDEMPOTENT if is_idempotent(method) else NEVER


REPEATABILITY: Final[Mapping[str, Repeatability]] = MappingProxyType(
    {"Check": Repeatability(after_interruption=True)}  # callers want to know the current health
    | {method.name: repeatability_of(method) for service in SERVICES for method in service.methods}
)
"""When a call may be repeated, by the method's name; `Check` is the health check."""


def methods(channel: Any) -> dict[str, Any]:
    """Return a callable for each method, by the method's name; `Check` is the health check."""
    calls = {"Check": channel.unary_unary(HEALTH_CHECK)}
    for service in SERVICES:
        for method in service.methods:
            kind = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}"
            calls[method.name] = getattr(channel, kind)(
                path_of(method),
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
    return calls


def _arity(streaming: bool) -> str:  # noqa: FBT001 - a descriptor's flag
    return "stream" if streaming else "unary"
