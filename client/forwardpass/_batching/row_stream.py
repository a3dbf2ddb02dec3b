"""Rows of a long iterator: chunks of a bounded size over one stream, with the predictions in the rows' order.

The number of chunks in flight is bounded, and the iterator is read no further ahead than that. So an endless iterator
needs a bounded amount of memory.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Final

from forwardpass._requests.fields import invalid
from forwardpass.chunks import Chunk, Chunks, items_of
from forwardpass.errors import ForwardpassError
from forwardpass.models import Prediction
from forwardpass.rows import StreamRequest

MAX_CHUNKS_IN_FLIGHT: Final = 8
"""Chunks whose predictions were not yet returned: enough to keep a server and its connection busy."""


def chunk_rows(rows: object) -> int:
    """Return the number of rows of a chunk.

    Raises:
        InvalidFieldError: The value is no positive number.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise invalid("batch_rows", f"is {rows!r}; must be a number of rows above 0")
    return rows


class RowStream:
    """Chunks of one stream: their requests, and their predictions in order.

    Args:
        network: The network's name.
        version: A version's number or an alias.
        size: The number of rows of a chunk.
        top_k: The number of most probable classes to return for each row.
    """

    def __init__(self, network: str, version: str | int, size: int, top_k: int = 0) -> None:
        self._network = network
        self._version = version
        self._top_k = top_k
        self._chunks = Chunks(size)
        self._order: deque[str] = deque()
        self._ready: dict[str, Prediction | ForwardpassError] = {}
        self._is_stopped = False

    def requests(self, rows: Iterable[Any], room: threading.Semaphore) -> Iterator[StreamRequest]:
        """Yield a request for each chunk when there is room for it; runs in a thread of gRPC."""
        for first, chunk in self._all(rows):
            room.acquire()
            if self._is_stopped:
                return
            yield self._request(first, chunk)

    async def requests_async(
        self, rows: Iterable[Any] | AsyncIterable[Any], room: asyncio.Semaphore
    ) -> AsyncIterator[StreamRequest]:
        """Yield a request for each chunk when there is room for it."""
        async for first, chunk in self._all_async(rows):
            await room.acquire()
            if self._is_stopped:
                return
            yield self._request(first, chunk)

    def stop(self) -> None:
        """Read no more rows, once there is room."""
        self._is_stopped = True

    def in_order(self, identity: str, result: Prediction | ForwardpassError) -> Iterator[Prediction]:
        """Add the result of a chunk; yield the predictions that are next in the rows' order.

        Raises:
            ForwardpassError: The next result is an error; its fact `firstRow` is the index of the chunk's first row.
        """
        self._ready[identity] = result
        while self._order and self._order[0] in self._ready:
            first = self._order.popleft()
            ready = self._ready.pop(first)
            if isinstance(ready, ForwardpassError):
                ready.facts["firstRow"] = first
                ready.add_note(f"in the rows from {first} on, counted from 0")
                raise ready
            yield ready

    def _all(self, rows: Iterable[Any]) -> Iterator[tuple[int, Chunk]]:
        for item in items_of(rows):
            yield from self._chunks.add(item)
        yield from self._chunks.rest()

    async def _all_async(self, rows: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[tuple[int, Chunk]]:
        if isinstance(rows, AsyncIterable):
            async for item in rows:
                for chunk in self._chunks.add(item):
                    yield chunk
            rows = ()
        for chunk in self._all(rows):
            yield chunk

    def _request(self, first: int, chunk: Chunk) -> StreamRequest:
        identity = str(first)
        self._order.append(identity)
        return StreamRequest(network=self._network, rows=chunk, version=self._version, id=identity, top_k=self._top_k)
