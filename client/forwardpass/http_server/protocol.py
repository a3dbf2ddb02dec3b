"""The HTTP/1.1 protocol of a connection: uvicorn's, with bounds on heads, which declines every other protocol."""

import asyncio
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
"""Bytes of a request's line and headers, not counting those that arrive with the first of them."""
HEAD_SECONDS: Final = 60.0
"""Seconds in which a request's line and headers must arrive."""
CLIENT_CERTIFICATE: Final = "forwardpass.client_certificate"
"""The key in an ASGI scope of the verified certificate of the client, as `ssl.SSLSocket.getpeercert` returns it."""


class HttpProtocol(HttpToolsProtocol):
    """One connection of an HTTP client."""

    _in_head = False
    _offers_upgrade = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        certificate = self.transport.get_extra_info("peercert")
        if certificate:
            self.scope[CLIENT_CERTIFICATE] = certificate  # type: ignore[typeddict-unknown-key] # a key of our own
        self._await_head()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Start the response, unless the head has to be parsed again without its offer."""
        self._end_head()
        self._offers_upgrade = self.parser.should_upgrade()
        if self._offers_upgrade:
            self.scope["method"] = self.parser.get_method().decode("ascii")
            self.scope["http_version"] = self.parser.get_http_version()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the request, unless its body is still to be parsed."""
        if not self._offers_upgrade:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse bytes; close the connection if a head is too large."""
        begun = self._in_head
        self._parse(data)
        # The bytes that arrived with the head's first byte may belong to the request before.
        if begun and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.close()

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    data = b""
                except httptools.HttpParserUpgrade as offer:
                    data = self._head_without_upgrade() + data[offer.args[0] :]
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _head_without_upgrade(self) -> bytes:
        """Return the head of a request without its offer of another protocol, and start a new parser for it.

        The parser ends such a request with its head, since the body might be of the other protocol. A server may
        ignore the offer: https://www.rfc-editor.org/rfc/rfc9110#section-7.8

        Raises:
            HttpParserError: The request is a CONNECT, which is for proxies.
        """
        if self.scope["method"] == "CONNECT":
            raise httptools.HttpParserError
        self._offers_upgrade = False
        self.parser = httptools.HttpRequestParser(self)
        lines = [f"{self.scope['method']} ".encode() + self.url + f" HTTP/{self.scope['http_version']}".encode()]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._head_timer = None
        before = self.cycle  # None before the first request
        if before is not None and not before.response_complete:  # type: ignore[redundant-expr] # see above
            self._await_head()
        else:
            self.transport.close()

    def _end_head(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
