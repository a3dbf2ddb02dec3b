"""The composition root: the only file that names every concrete class, and it runs once."""

import asyncio
import logging
import signal
from collections.abc import Callable

import grpc
from threadpoolctl import threadpool_limits

from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc import Guard, Server
from forwardpass_server.serving import Predictor
from forwardpass_server.settings import BadSettingsError, Settings

log = logging.getLogger(__name__)


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: The settings.
        ready: Called with the address, its port the real one, when calls are answered.

    Raises:
        StoreOpenError: The database cannot be used.
        TokensFileError: The tokens file cannot be used.
        ListenError: The address cannot be listened on.
        BadSettingsError: A TLS file cannot be read.
    """
    threadpool_limits(settings.blas_threads, user_api="blas")
    guard = Guard.from_file(settings.tokens_file)
    credentials = _credentials(settings)
    store = SqlStore(settings.database)
    try:
        registry = Registry.open(
            store,
            limits=settings.spec_limits,
            max_networks=settings.max_networks,
            max_versions=settings.max_versions,
            numerics=settings.numerics,
        )
        asyncio.run(_serve(settings, registry, guard, credentials, ready))
    finally:
        store.close()


async def _serve(
    settings: Settings,
    registry: Registry,
    guard: Guard,
    credentials: grpc.ServerCredentials | None,
    ready: Callable[[str], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(
        registry=registry,
        predictor=Predictor(registry, settings.work_limits),
        guard=guard,
        limits=settings.spec_limits,
        max_in_flight=settings.max_in_flight,
        max_request_bytes=settings.max_request_bytes,
        call_timeout=settings.call_timeout,
    )
    address = await server.start(settings.listen, credentials)
    log.info("serving %d networks on %s", len(registry.networks()), address)
    ready(address)
    await stop.wait()
    log.info("draining")
    await server.drain(lame_duck=settings.lame_duck, patience=settings.drain_timeout)
    log.info("stopped")


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    try:
        pair = settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes()
    except OSError as error:
        raise BadSettingsError(f"a TLS file cannot be read: {error}") from None
    return grpc.ssl_server_credentials([pair])
