"""The composition root: the one place where the classes of a server are named and put together."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import grpc
from forwardpass.extras import require
from threadpoolctl import threadpool_limits

from forwardpass_server.engines import UNBOUNDED, Engine, choose, is_open
from forwardpass_server.memory import Arrivals, MemoryWatch, Sockets, limit_arenas
from forwardpass_server.oip import INFERENCE_SERVICE, inference_service
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc import (
    HEALTH_CHECK,
    HEALTH_SCOPES,
    HEALTH_SERVICE,
    NETWORK_SERVICE,
    PREDICTION_SERVICE,
    Around,
    AsyncioTransport,
    Broadcast,
    ErrorMapper,
    Guard,
    Health,
    InFlight,
    Interceptor,
    NativeTransport,
    NetworkService,
    Receiver,
    Server,
    Service,
    UnknownMethods,
    admission,
    authorization,
    deadline,
    declared_scopes,
    errors,
    grpc_server,
    handlers,
    prediction_service,
    reflection_services,
)
from forwardpass_server.serving import BatchingPolicy, Dispatcher, Predictor, Shadows, Workers
from forwardpass_server.settings import BadSettingsError, Settings

if TYPE_CHECKING:
    from forwardpass.http_server import HttpServer
    from forwardpass.view import ViewServer

    from forwardpass_server.metrics import MetricsEndpoint

log = logging.getLogger(__name__)

SERVICES: Final = (NETWORK_SERVICE, PREDICTION_SERVICE, INFERENCE_SERVICE)
"""The services whose methods are declared in our protos."""

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that computes in Python gives way to one that wants to; 0.005 by default, which
is longer than most calls take altogether."""

COLLECT_AFTER: Final = 20_000
"""The surplus of new objects over freed ones at which Python collects young cycles; 700 by default."""

EXTRAS: Final = {"rest_listen": "rest", "metrics_listen": "metrics", "view_listen": "view"}
"""The extra that a setting needs which is set."""


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: The settings.
        ready: Called with each address, its port the real one, when calls are taken: that of gRPC, of HTTP, of the
            metrics and of the page, in this order.

    Raises:
        StoreOpenError: The database cannot be used.
        TokensFileError: The tokens file cannot be used.
        ListenError: The address cannot be listened on.
        BadSettingsError: A TLS file cannot be read, a setting needs an extra that is not installed, or other machines
            could call without a token.
        EngineError: The engine cannot do what another setting needs.
    """
    engine = choose(settings)
    limit_arenas()
    for setting, extra in EXTRAS.items():
        if getattr(settings, setting) is not None:
            require(extra, needed_by=f"setting {setting}")
    _check_exposure(settings)
    sys.setswitchinterval(SWITCH_INTERVAL)
    threadpool_limits(settings.blas_threads, user_api="blas")
    guard = Guard.from_file(settings.tokens_file, declared_scopes(SERVICES) | HEALTH_SCOPES)
    credentials = _credentials(settings)
    store = SqlStore(settings.database, connect_timeout=settings.database_connect_timeout)
    try:
        registry = Registry.open(
            store,
            max_networks=settings.max_networks,
            max_versions=settings.max_versions,
            plan_cache_bytes=settings.plan_cache_bytes,
            preload=settings.preload_references,
            numerics=settings.numerics,
        )
        registry.follow(poll_seconds=settings.database_poll)
        try:
            asyncio.run(_serve(settings, engine, registry, guard, credentials, ready))
        finally:
            registry.close()
    finally:
        store.close()


def _check_exposure(settings: Settings) -> None:
    """Warn of addresses at which everybody may do everything, or refuse them."""
    if settings.tokens_file is not None or not settings.exposed:
        return
    where = " and ".join(f"{address} (setting {name})" for name, address in settings.exposed.items())
    sentence = f"other machines can reach {where}, and calls need no token: everyone who reaches it may do everything"
    if not settings.insecure:
        raise BadSettingsError(f"{sentence}; set tokens_file, listen on 127.0.0.1, or allow it with --insecure")
    log.warning("%s; this is allowed by the setting insecure", sentence)


async def _serve(
    settings: Settings,
    engine: Engine,
    registry: Registry,
    guard: Guard,
    credentials: grpc.ServerCredentials | None,
    ready: Callable[[str], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    policy = BatchingPolicy()
    workers = Workers(policy.workers(os.cpu_count() or 1))
    predictor = Predictor(registry, settings.work_limits, policy)
    dispatcher = Dispatcher(predictor, Shadows(registry, policy), workers, policy)

    error_mapper, in_flight, broadcast = ErrorMapper(), InFlight(settings.max_in_flight), Broadcast()
    unsubscribe = registry.subscribe(lambda change: broadcast.publish(change.name))
    transport = AsyncioTransport(dispatcher, guard, error_mapper, policy)
    health = Health(registry, broadcast, guard, tuple(service.full_name for service in SERVICES))
    arrivals, uploads, sockets, watch = _memory(settings, registry)
    networks = NetworkService(registry, broadcast, settings.spec_limits, uploads)
