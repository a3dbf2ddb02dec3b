"""Requests of a stream for several attempts: an attempt sends again what earlier attempts took from the caller.

Messages are kept until the response begins, after which no attempt follows.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

_END: Final = object()


class _Taken:
    """Messages taken from the caller's iterator, by their position in the stream."""

    def __init__(self) -> None:
        self.is_kept = True
        self._messages: list[Any] = []
        self._dropped = 0

    def __len__(self) -> int:
        return self._dropped + len(self._messages)

    def append(self, message: Any) -> None:
        """Add the next message."""
        self._messages.append(message)

    def read(self, position: int) -> Any:
        """Return a message; drop it and those before it if no attempt can follow."""
        index = position - self._dropped
        message = self._messages[index]
        if not self.is_kept:
            del self._messages[: index + 1]
            self._dropped = position + 1
        return message


class Replay:
    """Messages of an iterator, for attempts that run in threads of gRPC.

    The thread of a failed attempt may still wait for the caller's next message. So a lock guards the iterator, and the
    message that this thread takes is kept for the next attempt.
    """

    def __init__(self, messages: Iterator[Any]) -> None:
        self._messages = messages
        self._taken = _Taken()
        self._attempt = 0
        self._lock = threading.Lock()

    def attempt(self) -> Iterator[Any]:
        """Yield all messages from the first on; an earlier attempt yields no more."""
        self._attempt += 1
        attempt, position = self._attempt, 0
        while attempt == self._attempt:
            with self._lock:
                if position == len(self._taken):
                    self._taken.append(next(self._messages, _END))
                if attempt != self._attempt:
                    return
                message = self._taken.read(position)
            if message is _END:
                return
            position += 1
            yield message

    def forget(self) -> None:
        """Keep no messages from now on: the response has begun."""
        self._taken.is_kept = False

    def close(self) -> None:
        """Do nothing: gRPC's thread ends with the call."""


class AsyncReplay:
    """Messages of an asynchronous iterator, for attempts that run in tasks of gRPC.

    gRPC cancels the task of a failed attempt. A cancellation would end the caller's iterator, so a separate task takes
    each message from it.
    """

    def __init__(self, messages: AsyncIterator[Any]) -> None:
        self._messages = messages
        self._taken = _Taken()
        self._next: asyncio.Future[Any] | None = None

    async def attempt(self) -> AsyncIterator[Any]:
        """Yield all messages from the first on."""
        position = 0
        while True:
            if position == len(self._taken):
                await self._take()
            message = self._taken.read(position)
            if message is _END:
                return
            position += 1
            yield message

    def forget(self) -> None:
        """Keep no messages from now on: the response has begun."""
        self._taken.is_kept = False

    def close(self) -> None:
        """Take no more messages."""
        if self._next is not None:
            self._next.cancel()

    async def _take(self) -> None:
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._messages, _END))
        message = await asyncio.shield(self._next)
        self._next = None
        self._taken.append(message)
