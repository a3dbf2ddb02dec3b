"""Responses of the API, whose bytes are counted until their clients have received them."""

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from forwardpass.view.capacity import Share

PIECE_BYTES: Final = 64 * 1024
"""Bytes that are sent at once: the server waits between pieces while the client does not read."""

NO_STORE: Final = {"cache-control": "no-store"}


class JsonResponse(Response):
    """JSON that is sent in pieces; it holds its share until the last one."""

    media_type = "application/json"

    def __init__(self, content: bytes, share: Share) -> None:
        super().__init__(content, headers=NO_STORE)
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._share:
            if len(self.body) <= PIECE_BYTES:
                await super().__call__(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(self.body), PIECE_BYTES):
                end = start + PIECE_BYTES
                more = end < len(self.body)
                await send({"type": "http.response.body", "body": self.body[start:end], "more_body": more})


class LinesResponse(StreamingResponse):
    """Lines of JSON; the response holds its share until their end."""

    media_type = "application/jsonl"

    def __init__(self, lines: AsyncIterator[bytes], share: Share) -> None:
        super().__init__(lines, headers=NO_STORE)
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        with self._share:
            await super().__call__(scope, receive, send)
