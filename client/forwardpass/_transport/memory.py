"""Bound on the bytes of large requests in flight, for threads and for asyncio.

The memory of a request in flight is several times its size: packed rows, a message, its bytes, and gRPC's copy. So a
call waits before it packs its rows, not after.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from math import prod
from typing import Any, Final

import numpy as np

LARGE_BYTES: Final = 2**20
"""Smaller requests never wait."""

MAX_BYTES_IN_FLIGHT: Final = 32 * 2**20
"""Bytes of the large requests in flight at once; a still larger request is sent alone."""


def large_bytes(rows: Any) -> int:
    """Estimate the bytes of rows in a request; 0 when they are few."""
    if isinstance(rows, np.ndarray):
        size = int(rows.nbytes)
    elif isinstance(rows, list | tuple):
        size = 8 * len(rows) * _length(rows[0]) if len(rows) > 1_000 else 0
    elif isinstance(rows, Mapping):
        size = 8 * sum(map(_length, rows.values()))
    else:
        shape = getattr(rows, "shape", ())  # of a frame
        size = 8 * prod(shape) if isinstance(shape, tuple) and all(type(length) is int for length in shape) else 0
    return size if size >= LARGE_BYTES else 0


def _length(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else 1


class NoRoomError(Exception):
    """There was no room for a large request within its timeout."""


class ByteLimit:
    """Bound on the bytes in flight of concurrent threads: first come, first served."""

    def __init__(self, capacity: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._capacity = capacity
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int, seconds: float | None) -> Iterator[None]:
        """Wait until there is room for a request, and hold its bytes meanwhile.

        Raises:
            NoRoomError: There was no room within the seconds.
        """
        end = None if seconds is None else time.monotonic() + seconds
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                while not (self._waiting[0] is turn and self._has_room(size)):
                    if not self._changed.wait(None if end is None else max(end - time.monotonic(), 0)) and end:
                        raise NoRoomError
                self._used += size
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        return self._used == 0 or self._used + size <= self._capacity


class AsyncByteLimit:
    """Bound on the bytes in flight of concurrent tasks: first come, first served."""

    def __init__(self, capacity: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._capacity = capacity
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size: int, seconds: float | None) -> AsyncIterator[None]:
        """Wait until there is room for a request, and hold its bytes meanwhile.

        Raises:
            NoRoomError: There was no room within the seconds.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._admit()
        try:
            try:
                await asyncio.wait_for(turn, seconds)
            except TimeoutError:
                raise NoRoomError from None
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._used -= size
            elif (size, turn) in self._waiting:
                self._waiting.remove((size, turn))
            self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._used == 0 or self._used + self._waiting[0][0] <= self._capacity):
            size, turn = self._waiting.popleft()
            if turn.cancelled():
                continue
            self._used += size
            turn.set_result(None)
