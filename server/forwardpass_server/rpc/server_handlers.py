"""The handlers of a gRPC server: its services, health, reflection, and one that rejects every other call."""

from collections.abc import Sequence
from dataclasses import replace

import grpc

from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.health import SERVICE as HEALTH_SERVICE
from forwardpass_server.rpc.health import Health
from forwardpass_server.rpc.methods import Around, Service, UnknownMethods, handlers
from forwardpass_server.rpc.reflection import reflection_services


def server_handlers(
    services: Sequence[Service], health: Health, transport: AsyncioTransport, around: Around
) -> tuple[grpc.GenericRpcHandler, ...]:
    """Make the handlers of a server.

    Args:
        services: Its services beside health and reflection.
        health: Responds to health checks, however many calls are in flight.
        transport: Takes the calls of hot methods.
        around: What calls go through; the first interceptor outside maps errors, and is all that reflection has.
    """
    names = [*(service.descriptor.full_name for service in services), HEALTH_SERVICE.full_name]
    return (
        *(handlers(service, transport, around) for service in services),
        handlers(Service(HEALTH_SERVICE, health), transport, replace(around, inside=())),
        *(
            handlers(service, transport, replace(around, outside=around.outside[:1], inside=()))
            for service in reflection_services(names)
        ),
        UnknownMethods(transport.error_mapper),
    )
