"""HTTP responses that are sent as their client reads them, within a time."""

import asyncio
from contextlib import nullcontext
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from forwardpass_server.memory import COUNTED_BYTES, Claim, Unsent, peer_of
from forwardpass_server.rpc.sending import Counted

PIECE_BYTES: Final = 64 * 1024
"""Bytes that are handed to the connection at once; it takes the next when the client has read most of them."""


class PacedResponse(Response):
    """A response whose body is sent in pieces; the connection is closed if its client reads them too slowly."""

    _claim: Claim | None

    def count(self, counted: Counted[bytes], unsent: Unsent, caller: str) -> "PacedResponse":
        """Count the body until it is sent; return this response.

        Args:
            counted: The response from which the body was made.
            unsent: The responses that are not yet sent.
            caller: Whose it is.

        Raises:
            OverloadedError: There is no room for it; the body is deleted.
        """
        self._unsent, self._size, self._claim = unsent, len(self.body), counted.claim
        if counted.claim is not None:
            unsent.resize(counted.claim, self._size)
        elif self._size >= COUNTED_BYTES:
            self._claim = unsent.take(caller, self._size)
            if self._claim is None:
                self.body = b""
                raise unsent.no_room()
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; without its last piece, the server closes the connection."""
        del receive
        peer = peer_of(scope.get("client") or ("", 0))
        claim = self._claim
        watched = nullcontext() if claim is None else self._unsent.sending(claim.caller, peer)
        try:
            with watched:
                async with asyncio.timeout(self._unsent.seconds_for(self._size)):
                    await self._send(send)
        except TimeoutError:
            pass
        finally:
            if claim is not None:
                self._unsent.release(claim)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        rest = memoryview(self.body)
        while len(rest) > PIECE_BYTES:
            await send({"type": "http.response.body", "body": bytes(rest[:PIECE_BYTES]), "more_body": True})
            rest = rest[PIECE_BYTES:]
        await send({"type": "http.response.body", "body": bytes(rest)})
