"""The HTTP endpoint that Prometheus scrapes, in the event loop: one response for each connection."""

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from wsgiref.util import setup_testing_defaults

from forwardpass.accepting import Acceptor
from forwardpass.listening import ListenError
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.registry import Collector, CollectorRegistry

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 32
"""Connections at once; more scrapers than anyone has."""
MAX_HEAD_BYTES: Final = 16 * 1024
"""Bytes of a request, which has a head only."""
CONNECTION_SECONDS: Final = 15.0
"""Seconds that a connection may last, from its first byte to its last."""


class MetricsEndpoint:
    """Serves a collector's metrics, and those of the process, on `HOST:PORT`."""

    def __init__(self, collector: Collector, address: str) -> None:
        self._address = address
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        for of_process in (ProcessCollector, PlatformCollector, GCCollector):
            of_process(registry=self._registry)
        # One, since each scrape has the same to read.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="metrics")

    async def start(self) -> str:
        """Listen; return the URL with the real port.

        Raises:
            ListenError: The address is in use, or is not of this machine.
        """
        host, _, port = self._address.rpartition(":")
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
        except OSError as error:
            raise ListenError(f"cannot listen on {self._address}: {error.strerror or error}") from None
        respond = _responder(self._registry)
        self._acceptor = Acceptor(listener, lambda: _Scrape(respond, self._threads), max_connections=MAX_CONNECTIONS)
        self._acceptor.start()
        return f"http://{host}:{listener.getsockname()[1]}/metrics"

    async def stop(self) -> None:
        """Stop listening, without waiting for responses that are being sent."""
        await self._acceptor.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Scrape(asyncio.Protocol):
    """One connection: a request, its response, and the end."""

    def __init__(self, respond: Callable[[bytes], bytes], threads: ThreadPoolExecutor) -> None:
        self._respond = respond
        self._threads = threads
        self._head = b""
        self._responding = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # a stream's
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(CONNECTION_SECONDS, transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._responding:
            return
        self._head += data
        if b"\r\n\r\n" in self._head:
            self._responding = True
            responding = asyncio.get_running_loop().run_in_executor(self._threads, self._respond, self._head)
            responding.add_done_callback(self._send)
        elif len(self._head) > MAX_HEAD_BYTES:
            self._transport.abort()

    def _send(self, responding: "asyncio.Future[bytes]") -> None:
        if not responding.cancelled():
            self._transport.write(responding.result())
        self._transport.close()


def _responder(registry: CollectorRegistry) -> Callable[[bytes], bytes]:
    """Return the function from a request's head to its whole response, by prometheus_client's WSGI application."""
    app: Any = make_wsgi_app(registry)

    def respond(head: bytes) -> bytes:
        first, *fields = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
        for field in fields:
            name, _, value = field.partition(":")
            environ[f"HTTP_{name.strip().upper().replace('-', '_')}"] = value.strip()
        setup_testing_defaults(environ)
        begun: list[Any] = []
        try:
            body = b"".join(app(environ, lambda *response: begun.extend(response)))
            status, headers = begun
        except Exception:
            log.exception("the metrics could not be read")
            status, headers, body = "500 Internal Server Error", [], b""
        headers = [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1") + (b"" if method == "HEAD" else body)

    return respond
