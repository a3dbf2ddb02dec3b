"""Requests of a stream, for several attempts: what an earlier attempt took is taken again by the next.

Kept until the response begins, after which there is no further attempt.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

_END: Final = object()


class Replay:
    """Messages of an iterator, for attempts in threads of gRPC.

    The thread of an attempt that failed may still wait for the next message, so one lock is around the iterator, and
    what that thread takes is kept for the next attempt.
    """

    def __init__(self, messages: Iterator[Any]) -> None:
        self._messages = messages
        self._taken: list[Any] = []
        self._dropped = 0
        self._attempt = 0
        self._has_begun = False
        self._lock = threading.Lock()

    def attempt(self) -> Iterator[Any]:
        """Yield all messages from the first on."""
        self._attempt += 1
        number, position = self._attempt, 0
        while number == self._attempt:
            with self._lock:
                if position - self._dropped < len(self._taken):
                    message = self._taken[position - self._dropped]
                else:
                    message = next(self._messages, _END)
                    self._taken.append(message)
                if self._has_begun:
                    del self._taken[: position - self._dropped + 1]
                    self._dropped = position + 1
            position += 1
            if message is _END or number != self._attempt:
                return
            yield message

    def end(self) -> None:
        """Keep no more messages: the response has begun."""
        self._has_begun = True


class AsyncReplay:
    """Messages of an asynchronous iterator, for attempts in tasks of gRPC.

    gRPC cancels the task of an attempt that failed. That must not end the caller's iterator, so a task of our own
    asks it for the next message.
    """

    def __init__(self, messages: AsyncIterator[Any]) -> None:
        self._messages = messages
        self._taken: list[Any] = []
        self._dropped = 0
        self._has_begun = False
        self._next: asyncio.Future[Any] | None = None

    async def attempt(self) -> AsyncIterator[Any]:
        """Yield all messages from the first on."""
        position = 0
        while True:
            if position - self._dropped == len(self._taken):
                await self._take()
            message = self._taken[position - self._dropped]
            if self._has_begun:
                del self._taken[: position - self._dropped + 1]
                self._dropped = position + 1
            position += 1
            if message is _END:
                return
            yield message

    def end(self) -> None:
        """Keep no more messages: the response has begun."""
        self._has_begun = True

    def close(self) -> None:
        """Ask for no more messages."""
        if self._next is not None:
            self._next.cancel()

    async def _take(self) -> None:
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._messages, _END))
        message = await asyncio.shield(self._next)
        self._next = None
        self._taken.append(message)
