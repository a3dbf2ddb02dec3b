"""The HTTP server: uvicorn, in an event loop that runs."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import uvicorn

from forwardpass.accepting import MAX_CONNECTIONS, Acceptor
from forwardpass.http_server.protocol import HttpProtocol
from forwardpass.listening import ListenError

IDLE_SECONDS: Final = 75
"""Seconds that a connection may be idle, which is longer than load balancers usually keep one."""
UNREAD_SECONDS: Final = 120
"""Seconds after which a connection is closed whose client reads nothing of a response; on Linux only."""


class HttpApp(Protocol):
    """An ASGI application that can be closed."""

    @property
    def asgi(self) -> Any:
        """The application."""

    def close(self) -> None:
        """Free what it holds, after the last response."""


class HttpServer:
    """Serves an application on one port, `HOST:PORT`."""

    def __init__(
        self,
        app: HttpApp,
        address: str,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Make a server; `start` lets it listen.

        Args:
            app: The application.
            address: Where to listen, `HOST:PORT`.
            certificate: The file of the certificate chain, PEM; None without TLS.
            key: The file of its private key, PEM; None without TLS.
            client_ca: The file of the authorities that sign the certificates which clients need, PEM; None if they
                need none.
            headers: Headers of every response, also of those to requests that are not HTTP.
            max_connections: Connections at once; one address may have half of them.
        """
        self._app = app
        self._address = address
        self._tls: dict[str, Any] = {}
        if certificate is not None and key is not None:
            self._tls = {"ssl_certfile": certificate, "ssl_keyfile": key}
            if client_ca is not None:
                self._tls |= {"ssl_ca_certs": str(client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        self._headers = headers
        self._max_connections = max_connections

    async def start(self) -> str:
        """Listen; return the URL with the real port.

        Raises:
            ListenError: The address is in use or not of this machine, or the certificate cannot be used.
        """
        config = uvicorn.Config(
            self._app.asgi,
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=[*self._headers.items()],
            timeout_keep_alive=IDLE_SECONDS,
            **self._tls,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise ListenError(f"cannot listen on {self._address}: the TLS files cannot be used: {error}") from None
        listener = _bind(self._address)
        self._server = _Server(config, listener, self._max_connections)
        self._serving = asyncio.create_task(self._server.serve(sockets=[]))
        await self._server.listening.wait()
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self._address.rpartition(':')[0]}:{listener.getsockname()[1]}"

    async def stop(self, patience: float) -> None:
        """Stop listening, close idle connections, and wait for responses that are being sent."""
        self._server.config.timeout_graceful_shutdown = max(1, round(patience))
        self._server.should_exit = True
        await self._serving
        self._app.close()


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    # asyncio turns Nagle's algorithm off only if the protocol is named; with it responses wait for 40 ms.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None
    return listener


class _Server(uvicorn.Server):
    """uvicorn's server, without its signal handlers, with bounds of connections, and with an event that it listens."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, max_connections: int) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._acceptor = Acceptor(listener, self._protocol, tls=config.ssl, max_connections=max_connections)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._acceptor.start()
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._acceptor.stop()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        return HttpProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
