"""Rows of any number as chunks of a bounded size, computed over one stream and given back in order.

A bounded number of chunks is on its way at once, so an endless iterator of rows needs no memory: it is
read no further ahead than that.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Final

from forwardpass.chunks import Chunk, Chunks, items_of
from forwardpass.errors import Fault, ForwardpassError, InvalidFieldError
from forwardpass.models import Prediction
from forwardpass.rows import StreamRequest

MAX_AWAY: Final = 8
"""Chunks that were read and not yet given back: enough to keep a server and its line busy."""


def batch_size(rows: object) -> int:
    """Return how many rows a chunk has.

    Raises:
        InvalidFieldError: It is no positive number.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        message = f"is {rows!r}; must be a number of rows above 0"
        raise InvalidFieldError(
            f"batch_rows {message}", faults=[Fault(path="batch_rows", message=message)], field="batch_rows"
        )
    return rows


class Batches:
    """The chunks of one stream: the requests for them, and their answers in order.

    Args:
        network: The network's name.
        version: A version's number or an alias.
        size: The rows of a chunk.
        top_k: How many of the most probable classes are asked for.
    """

    def __init__(self, network: str, version: str | int, size: int, top_k: int = 0) -> None:
        self._network = network
        self._version = version
        self._top_k = top_k
        self._chunks = Chunks(size)
        self._order: deque[str] = deque()
        self._ready: dict[str, Prediction | ForwardpassError] = {}
        self._left = False

    def requests(self, rows: Iterable[Any], room: threading.Semaphore) -> Iterator[StreamRequest]:
        """Yield a request for each chunk, as soon as there is room; runs in a thread of grpc."""
        for first, chunk in self._all(rows):
            room.acquire()
            if self._left:
                return
            yield self._request(first, chunk)

    async def requests_async(
        self, rows: Iterable[Any] | AsyncIterable[Any], room: asyncio.Semaphore
    ) -> AsyncIterator[StreamRequest]:
        """Yield a request for each chunk, as soon as there is room."""
        async for first, chunk in self._all_async(rows):
            await room.acquire()
            if self._left:
                return
            yield self._request(first, chunk)

    def leave(self) -> None:
        """Let the reading of rows end, once there is room."""
        self._left = True

    def answers(self, identity: str, answer: Prediction | ForwardpassError) -> Iterator[Prediction]:
        """Take an answer; yield those whose turn it is.

        Raises:
            ForwardpassError: The answer whose turn it is is an error; its fact `firstRow` says which rows'.
        """
        self._ready[identity] = answer
        while self._order and self._order[0] in self._ready:
            first = self._order.popleft()
            result = self._ready.pop(first)
            if isinstance(result, ForwardpassError):
                result.facts["firstRow"] = first
                result.add_note(f"in the rows from {first} on, counted from 0")
                raise result
            yield result

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
