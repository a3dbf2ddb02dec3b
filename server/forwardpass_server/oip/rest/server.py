"""The HTTP server: uvicorn, in the event loop of the gRPC server."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from ssl import SSLError
from typing import Final

import uvicorn

from forwardpass_server.oip.rest.app import RestApp
from forwardpass_server.oip.rest.http_protocol import HttpProtocol
from forwardpass_server.rpc import ListenError

IDLE_SECONDS: Final = 75
"""Seconds that a connection may be idle, which is longer than load balancers usually keep one."""
UNREAD_SECONDS: Final = 120
"""Seconds after which a connection is closed whose client reads nothing of a response; on Linux only."""


class RestServer:
    """Serves an application on one port, `HOST:PORT`."""

    def __init__(self, app: RestApp, address: str, *, certificate: Path | None, key: Path | None) -> None:
        self._app = app
        self._address = address
        self._tls = {} if certificate is None or key is None else {"ssl_certfile": certificate, "ssl_keyfile": key}

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
            timeout_keep_alive=IDLE_SECONDS,
            **self._tls,  # type: ignore[arg-type] # the two files
        )
        try:
            config.load()
        except (OSError, SSLError) as error:
            raise ListenError(f"cannot listen on {self._address}: the TLS files cannot be used: {error}") from None
        listener = _bind(self._address)
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
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
    """uvicorn's server, without its signal handlers, and with an event that it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
