"""Bound on the bytes of large requests that a client has in flight, for threads and for asyncio.

A large request exists several times while it is in flight: as packed rows, as a message, as its bytes, and inside gRPC.
So a call waits before its rows are packed, not after.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import numpy as np

LARGE_BYTES: Final = 2**20
"""Requests of fewer bytes never wait."""

MAX_BYTES_IN_FLIGHT: Final = 32 * 2**20
"""Bytes of large requests in flight at once; a request that is larger goes alone."""


def large_bytes(rows: Any) -> int:
    """Return the bytes that rows have in a request, roughly, or 0 when they are few."""
    if isinstance(rows, np.ndarray):
        size = int(rows.nbytes)
    elif isinstance(rows, list | tuple) and len(rows) > 1_000:
        first = rows[0]
        size = 8 * len(rows) * (len(first) if hasattr(first, "__len__") else 1)
    else:
        memory = getattr(rows, "nbytes", 0)
        size = memory if isinstance(memory, int) else 0
    return size if size >= LARGE_BYTES else 0


class ByteLimit:
    """Bytes of large requests in flight, for threads: first come, first served."""

    def __init__(self, capacity: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._capacity = capacity
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int, seconds: float | None) -> Iterator[None]:
        """Wait until a request has room, and hold its bytes.

        Raises:
            TimeoutError: It had none within the seconds.
        """
        end = None if seconds is None else time.monotonic() + seconds
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                while not (self._waiting[0] is turn and self._has_room(size)):
                    if not self._changed.wait(None if end is None else max(end - time.monotonic(), 0)) and end:
                        raise TimeoutError
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
    """Bytes of large requests in flight, for tasks: first come, first served."""

    def __init__(self, capacity: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._capacity = capacity
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size: int, seconds: float | None) -> AsyncIterator[None]:
        """Wait until a request has room, and hold its bytes.

        Raises:
            TimeoutError: It had none within the seconds.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._admit()
        try:
            await asyncio.wait_for(turn, seconds)
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
