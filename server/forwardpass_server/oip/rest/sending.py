"""HTTP responses that are sent as their client reads them, within a time."""

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from forwardpass_server.memory import Unsent

PIECE_BYTES: Final = 64 * 1024
"""Bytes that are handed to the connection at once; it takes the next when the client has read most of them."""


class PacedResponse(Response):
    """A response whose body is sent in pieces; the connection is closed if its client reads them too slowly."""

    def count(self, unsent: Unsent, client: str) -> "PacedResponse":
        """Count the body until it is sent; return this response.

        Raises:
            OverloadedError: There is no room for it; the body is deleted.
        """
        self._unsent, self._client, self._size = unsent, client, len(self.body)
        if not unsent.take(client, self._size):
            self.body = b""
            raise unsent.no_room()
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; without its last piece, the server closes the connection."""
        del scope, receive
        try:
            async with asyncio.timeout(self._unsent.seconds_for(self._size)):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                rest = memoryview(self.body)
                while len(rest) > PIECE_BYTES:
                    await send({"type": "http.response.body", "body": bytes(rest[:PIECE_BYTES]), "more_body": True})
                    rest = rest[PIECE_BYTES:]
                await send({"type": "http.response.body", "body": bytes(rest)})
        except TimeoutError:
            pass
        finally:
            self._unsent.give_back(self._client, self._size)
