"""Rows of any number as chunks of a bounded size, computed over one stream and given back in order.

A bounded number of chunks is on its way at once, so an endless iterator of rows needs no memory: it is
read no further ahead than that.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from sys import modules
from typing import Any, Final

import numpy as np

from forwardpass.columns import are_columns, parts_of_columns
from forwardpass.errors import Fault, ForwardpassError, InvalidFieldError
from forwardpass.models import Prediction
from forwardpass.rows import RowsLike, StreamRequest, without_pandas

MAX_AWAY: Final = 8
"""Chunks that were read and not yet given back: enough to keep a server and its line busy."""


def batch_size(rows: object) -> int:
    """Return how many rows a chunk has.

    Raises:
        InvalidFieldError: It is no positive number.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        message = f"is {rows!r}; needed is a number of rows above 0"
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

    def _all(self, rows: Iterable[Any]) -> Iterator[tuple[int, RowsLike]]:
        for item in _items(rows):
            yield from self._chunks.add(item)
        yield from self._chunks.rest()

    async def _all_async(self, rows: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[tuple[int, RowsLike]]:
        if isinstance(rows, AsyncIterable):
            async for item in rows:
                for chunk in self._chunks.add(item):
                    yield chunk
            rows = ()
        for chunk in self._all(rows):
            yield chunk

    def _request(self, first: int, chunk: RowsLike) -> StreamRequest:
        identity = str(first)
        self._order.append(identity)
        return StreamRequest(network=self._network, rows=chunk, version=self._version, id=identity, top_k=self._top_k)


def chunked(rows: Iterable[Any], size: int) -> Iterator[tuple[int, RowsLike]]:
    """Gather rows into chunks as `Chunks` does, each with the index of its first row."""
    chunks = Chunks(size)
    for item in _items(rows):
        yield from chunks.add(item)
    yield from chunks.rest()


def _items(rows: Iterable[Any]) -> Iterable[Any]:
    """Return what to go through: one array, frame or named row is rows, too, and not what Python's loop makes of it."""
    whole = isinstance(rows, np.ndarray | Mapping) or hasattr(rows, "__dataframe__")
    return [rows] if whole else rows


class Chunks:
    """Gathers rows into chunks of at most `size` rows that can travel as one array, or as one list by names.

    What cannot be read as rows is a chunk by itself, and is refused where it is made a request.

    Args:
        size: The rows of a chunk; fewer where the kind of the rows changes, and at the end.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kind: object = None
        self._pieces: list[Any] = []
        self._held = 0
        self._first = 0

    def add(self, item: Any) -> Iterator[tuple[int, RowsLike]]:
        """Take rows; yield the chunks that are complete, each with the index of its first row."""
        for piece, kind, count in _pieces(item, self._size):
            if kind != self._kind or kind is None:
                yield from self.rest()
            self._kind = kind
            start = 0
            while start < count:
                end = min(count, start + self._size - self._held)
                self._pieces.append(piece if end - start == count else piece[start:end])
                self._held += end - start
                start = end
                if self._held == self._size:
                    yield from self.rest()

    def rest(self) -> Iterator[tuple[int, RowsLike]]:
        """Yield what is held as a last chunk, if anything is."""
        if not self._held:
            return
        pieces, first = self._pieces, self._first
        self._pieces, self._first, self._held = [], first + self._held, 0
        yield first, _joined(pieces)


def _pieces(item: Any, size: int) -> Iterator[tuple[Any, object, int]]:
    """Yield rows as arrays `(rows, inputs)` or lists of dicts, with what they can be joined to, and how many.

    What is none of these is one piece, and joined to nothing; most such have one row.
    """
    frame_type = getattr(modules.get("pandas"), "DataFrame", None)
    if frame_type is not None and isinstance(item, frame_type):
        for start in range(0, len(item), size):
            part = item.iloc[start : start + size]
            yield part, (frame_type, tuple(item.columns), tuple(item.dtypes)), len(part)
        return
    try:
        item = without_pandas(item)
    except ForwardpassError:
        yield item, None, 1
        return
    if are_columns(item):
        for part, rows in parts_of_columns(item, size):
            yield part, None, rows
    elif isinstance(item, Mapping):
        yield [item], Mapping, 1
    elif isinstance(item, list | tuple) and item and all(isinstance(row, Mapping) for row in item):
        yield item, Mapping, len(item)
    else:
        yield _array(item)


def _array(item: Any) -> tuple[Any, object, int]:
    try:
        array = np.asarray(item)
    except ValueError:
        return item, None, 1
    if array.dtype.kind not in "biuf" or array.ndim not in {1, 2} or not array.shape[-1] or np.ma.is_masked(item):
        return item, None, 1
    matrix = array.reshape(1, -1) if array.ndim == 1 else array
    return matrix, (matrix.dtype == np.float32, matrix.shape[1]), len(matrix)


def _joined(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], np.ndarray):
        return np.concatenate(pieces)
    if isinstance(pieces[0], list | tuple):
        return [row for piece in pieces for row in piece]
    return modules["pandas"].concat(pieces)
