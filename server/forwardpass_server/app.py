"""The composition root: the one place where the classes of a server are named and put together."""

import asyncio
import logging
import os
import signal
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import grpc
from forwardpass.extras import require

from forwardpass_server.engines import UNBOUNDED, Engine, choose
from forwardpass_server.memory import Arrivals, limit_arenas
from forwardpass_server.oip import inference_service
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc import (
    HEALTH_CHECK,
    NETWORK_SERVICE,
    Administration,
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
    admission,
    authorization,
    deadline,
    errors,
    grpc_server,
    prediction_service,
    read_tokens_file,
    server_handlers,
    usable_connections,
)
from forwardpass_server.serving import (
    Admission,
    BatchingPolicy,
    Workers,
    lower_priority,
)
from forwardpass_server.settings import BadSettingsError, Settings
from forwardpass_server.startup import (
    SERVICES,
    freeze_garbage,
    make_dispatcher,
    make_guard,
    memory_bounds,
    open_registry,
    prepare,
)

if TYPE_CHECKING:
    from forwardpass.http_server import HttpServer
    from forwardpass.view import ViewServer

    from forwardpass_server.metrics import MetricsEndpoint
    from forwardpass_server.processes import ProcessPool

log = logging.getLogger(__name__)

EXTRAS: Final = {"rest_listen": "rest", "metrics_listen": "metrics", "view_listen": "view"}
"""The extra that a setting needs which is set."""


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; SIGHUP restarts worker processes one after another.

    Args:
        settings: The settings.
        ready: Called with each address, its port the real one, when calls are taken: that of gRPC, of HTTP, of the
            metrics, of the page and of administration, in this order.

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
    prepare(settings)
    tokens = None if settings.tokens_file is None else read_tokens_file(settings.tokens_file)
    guard = make_guard(settings, tokens)
    if guard.knows_certificates and settings.tls_client_ca is None:
        raise BadSettingsError(
            f"the tokens file {settings.tokens_file} names certificates of clients; set tls_client_ca to the "
            "authorities that sign them, or remove those lines"
        )
    credentials = _credentials(settings)
    store = SqlStore(settings.database, connect_timeout=settings.database_connect_timeout)
    try:
        registry = open_registry(settings, store)
        try:
            asyncio.run(_serve(settings, engine, registry, guard, tokens, credentials, ready))
        finally:
            registry.close()
    finally:
        store.close()


def _check_exposure(settings: Settings) -> None:
    """Warn of addresses at which everybody may do everything, or refuse them."""
    if settings.tokens_file is not None or settings.tls_client_ca is not None or not settings.exposed:
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
    tokens: str | None,
    credentials: grpc.ServerCredentials | None,
    ready: Callable[[str], None],
) -> None:
    stop = _stop_signal()
    policy = BatchingPolicy()
    workers = Workers(policy.workers(os.cpu_count() or 1), guard.weights)
    arrivals, uploads, unsent, watch = memory_bounds(settings, registry)
    dispatcher = make_dispatcher(settings, registry, unsent, workers, policy)

    error_mapper, broadcast = ErrorMapper(guard), Broadcast()
    in_flight, processes = _processes(settings, registry, guard, tokens, error_mapper)
    collect_counts = processes.collect if processes else _nothing
    unsubscribe = registry.subscribe(lambda change: broadcast.publish(change.name))
    transport = AsyncioTransport(dispatcher, guard, error_mapper, policy, unsent)
    health = Health(registry, broadcast, guard, tuple(service.full_name for service in SERVICES))
    make_networks = partial(NetworkService, registry, broadcast, settings.spec_limits, uploads, guard, collect_counts)
    networks = make_networks()
    inference = inference_service(
        registry,
        transport,
        lambda: health.serving,
        guard,
        max_rows=settings.work_limits.max_rows,
        limits=settings.spec_limits,
        extensions=["binary_tensor_data"] if settings.rest_listen else [],
        collect_counts=collect_counts,
    )
    services = (Service(NETWORK_SERVICE, networks, guard=guard), prediction_service(transport), inference)

    # The first interceptor is the outermost. Health responds however busy the server is, and reflection needs no token.
    outside = (errors(error_mapper), authorization(guard))
    inside = (admission(in_flight), deadline(settings.call_timeout))
    receiver = Receiver(arrivals, watch, max_request_bytes=settings.max_request_bytes)
    around = Around(receiver=receiver, outside=outside, inside=inside)
    server = Server(
        grpc_server(
            server_handlers(services, health, transport, around),
            max_request_bytes=settings.max_request_bytes,
            max_connection_age=settings.max_connection_age or 600.0,
            max_connections=usable_connections(settings.max_connections),
        ),
        health=health,
        in_flight=in_flight,
        broadcast=broadcast,
        make_native_transport=partial(
            NativeTransport,
            dispatcher=dispatcher,
            hot={path: method for service in services for path, method in service.hot_paths.items()},
            direct={HEALTH_CHECK: health.respond},
            guard=guard,
            error_mapper=error_mapper,
            in_flight=in_flight,
            policy=policy,
            watch=watch,
            unsent=unsent,
            max_request_bytes=settings.max_request_bytes,
            call_timeout=settings.call_timeout,
        )
        if engine is Engine.NATIVE and processes is None
        else None,
        processes=processes,
    )
    admin = _administration(settings, credentials, make_networks, guard, health, broadcast, transport, around)
    rest = _rest(settings, inference, transport, outside, inside, health, policy, arrivals)
    metrics = _metrics(
        settings, registry, health, in_flight, dispatcher.admission, error_mapper, guard, engine, processes
    )

    view = _view(settings, server)
    others = [await other.start() for other in (rest, metrics, view, admin) if other]
    address = await server.start(settings.listen, credentials)
    if processes:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, processes.restart)
    freeze_garbage()
    watch.start(address)
    log.info("serving %d networks on %s with engine %s", len(registry.networks()), address, engine.value)
    if engine is Engine.NATIVE and "listen" in settings.exposed:
        log.warning(UNBOUNDED, address)
    ready(address)
    for other_address in others:
        log.info("serving on %s too", other_address)
        ready(other_address)
    await stop.wait()
    log.info("draining")
    await server.drain(
        lame_duck=settings.lame_duck,
        patience=settings.drain_timeout,
        beside=[beside.stop for beside in (rest, view) if beside],
    )
    if admin:
        await admin.stop(settings.drain_timeout)
    unsubscribe()
    dispatcher.abandon()
    dispatcher.close()
    networks.close()
    watch.stop()
    if metrics:
        await metrics.stop()
    log.info("stopped")


def _stop_signal() -> asyncio.Event:
    """Return the event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _processes(
    settings: Settings, registry: Registry, guard: Guard, tokens: str | None, error_mapper: ErrorMapper
) -> "tuple[InFlight, ProcessPool | None]":
    """Make what counts the calls in flight, and the worker processes if there are several."""
    count = settings.process_count
    if count == 1:
        return InFlight(settings.max_in_flight), None
    from forwardpass_server.processes import (  # noqa: PLC0415 - seldom used
        ProcessPool,
        SharedCounts,
        SharedInFlight,
        SharedQuotas,
    )

    quotas = SharedQuotas.create(guard.token_count)
    guard.share_quotas(quotas.quota)
    counts = SharedCounts.create(count)
    pool = ProcessPool(
        count,
        settings.model_dump_json(),
        tokens,
        registry,
        error_mapper,
        guard.counts,
        counts=counts,
        quotas=quotas,
        patience=settings.drain_timeout,
    )
    return SharedInFlight(settings.max_in_flight, counts), pool


def _nothing() -> None:
    """Collect no counts: there is no other process."""


def _administration(
    settings: Settings,
    credentials: grpc.ServerCredentials | None,
    make_networks: Callable[[], NetworkService],
    guard: Guard,
    health: Health,
    broadcast: Broadcast,
    transport: AsyncioTransport,
    around: Around,
) -> Administration | None:
    if settings.admin_listen is None:
        return None
    return Administration(
        settings.admin_listen,
        credentials,
        make_networks=make_networks,
        guard=guard,
        health=health,
        broadcast=broadcast,
        transport=transport,
        around=around,
        max_request_bytes=settings.max_request_bytes,
        call_timeout=settings.call_timeout,
    )


def _rest(
    settings: Settings,
    inference: Service,
    transport: AsyncioTransport,
    outside: Sequence[Interceptor],
    inside: Sequence[Interceptor],
    health: Health,
    policy: BatchingPolicy,
    arrivals: Arrivals,
) -> "HttpServer | None":
    if settings.rest_listen is None:
        return None
    from forwardpass.http_server import HttpServer  # noqa: PLC0415 - an optional dependency

    from forwardpass_server.oip.rest import RestApp  # noqa: PLC0415 - an optional dependency

    app = RestApp(
        inference,
        transport,
        outside=outside,
        inside=inside,
        max_request_bytes=settings.max_request_bytes,
        inline_body_bytes=policy.inline_body_bytes,
        arrivals=arrivals,
        serving=lambda: health.serving,
    )
    return HttpServer(
        app,
        settings.rest_listen,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        client_ca=settings.tls_client_ca,
        max_connections=usable_connections(settings.max_connections),
    )


def _view(settings: Settings, server: Server) -> "ViewServer | None":
    if settings.view_listen is None:
        return None
    from forwardpass.view import ViewLimits, ViewServer, local_endpoint  # noqa: PLC0415 - an optional dependency

    return ViewServer(
        local_endpoint(server.private_address(), timeout=settings.call_timeout),
        settings.view_listen,
        name="",
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        client_ca=settings.tls_client_ca,
        limits=ViewLimits(max_request_bytes=settings.max_request_bytes, max_bytes=settings.memory.page),
        start_thread=lower_priority,
    )


def _metrics(
    settings: Settings,
    registry: Registry,
    health: Health,
    in_flight: InFlight,
    waiting: Admission,
    error_mapper: ErrorMapper,
    guard: Guard,
    engine: Engine,
    processes: "ProcessPool | None",
) -> "MetricsEndpoint | None":
    if settings.metrics_listen is None:
        return None
    from forwardpass_server.metrics import MetricsEndpoint, ServerCollector  # noqa: PLC0415 - an optional dependency

    collector = ServerCollector(
        registry,
        health=health,
        in_flight=in_flight,
        admission=waiting,
        error_mapper=error_mapper,
        caller_counts=guard.counts,
        engine=engine.value,
        version=version("forwardpass"),
        processes=processes,
    )
    return MetricsEndpoint(collector, settings.metrics_listen)


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    authorities = None
    try:
        pair = settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes()
        if settings.tls_client_ca is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(settings.tls_client_ca)
            authorities = settings.tls_client_ca.read_bytes()
    except ssl.SSLError:
        raise BadSettingsError(
            f"setting tls_client_ca is {settings.tls_client_ca}: the file has no certificates in PEM"
        ) from None
    except OSError as error:
        raise BadSettingsError(f"a TLS file cannot be read: {error}") from None
    return grpc.ssl_server_credentials([pair], authorities, require_client_auth=authorities is not None)
