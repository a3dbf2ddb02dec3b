"""The page's HTTP server."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from forwardpass._transport.endpoint import Endpoint, endpoint
from forwardpass.http_server import HttpServer
from forwardpass.listening import is_loopback
from forwardpass.view.app import ViewApp
from forwardpass.view.browser_rules import HEADERS
from forwardpass.view.limits import ViewLimits
from forwardpass.view.upstream import Upstream

DEFAULT_LIMITS: Final = ViewLimits()


def _nothing() -> None:
    pass


def local_endpoint(address: str, *, timeout: float | None) -> Endpoint:
    """Return the endpoint of a server on this machine, without a token.

    Args:
        address: `unix:PATH`, or `HOST:PORT` on loopback.
        timeout: Seconds after which a call ends, or None.
    """
    return endpoint(address, timeout=timeout, token=None, tls=False, allow_insecure_token=False)


class ViewServer:
    """Serves the page of a server's networks on one port. Made inside the event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        address: str,
        *,
        name: str,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        limits: ViewLimits = DEFAULT_LIMITS,
        start_thread: Callable[[], None] = _nothing,
    ) -> None:
        """Make a server; `start` lets it listen.

        Args:
            endpoint: The server whose networks are shown, and how to connect to it.
            address: Where to listen, `HOST:PORT`.
            name: That server's address as the page says it.
            certificate: The file of the certificate chain, PEM; None without TLS.
            key: The file of its private key, PEM; None without TLS.
            client_ca: The file of the authorities that sign the certificates which browsers need, PEM; None if they
                need none.
            limits: What requests may hold.
            start_thread: Called by each thread that converts messages, when it starts.
        """
        self._upstream = Upstream(endpoint, name=name)
        host = address.rpartition(":")[0].strip("[]")
        self._app = ViewApp(
            self._upstream,
            listen_host=host if is_loopback(address) else None,
            limits=limits,
            start_thread=start_thread,
        )
        self._server = HttpServer(
            self._app, address, certificate=certificate, key=key, client_ca=client_ca, headers=HEADERS
        )

    async def start(self) -> str:
        """Listen; return the URL with the real port.

        Raises:
            ListenError: The address is in use or not of this machine, or the certificate cannot be used.
        """
        return await self._server.start()

    async def stop(self, patience: float) -> None:
        """End the watches, wait for responses that are being sent, and close the connection to the server."""
        self._app.end_watches()
        await self._server.stop(patience)
        await self._upstream.close()
