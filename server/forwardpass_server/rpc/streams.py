"""Streams whose requests are computed side by side, each as if it were a call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, TypeVar

from forwardpass_server.rpc.sending import Counted

Request = TypeVar("Request")
Response = TypeVar("Response")

FIRST_REQUESTS: Final = 2
"""Requests of a stream that are computed at once before it is known how large the responses are."""
WINDOW_BYTES: Final = 16 * 2**20
"""Bytes of responses that a stream computes ahead of the client, if one alone is not larger."""


class _Window:
    """How many requests of a stream may be computed at once: more with each small response, few of large ones."""

    def __init__(self, max_requests: int) -> None:
        self._max = max_requests
        self._limit = min(FIRST_REQUESTS, max_requests)
        self._used = 0
        self._room = asyncio.Event()

    async def enter(self) -> None:
        """Wait for room."""
        while self._used >= self._limit:
            self._room.clear()
            await self._room.wait()
        self._used += 1

    def leave(self, size: int) -> None:
        """Make room: the client has taken a response of a size in bytes."""
        self._used -= 1
        self._limit = max(min(self._limit + 1, self._max, WINDOW_BYTES // max(size, 1)), 1)
        self._room.set()


async def respond_to_each(
    requests: AsyncIterator[Request],
    respond: Callable[[Request, asyncio.Event], Coroutine[Any, Any, Counted[Response]]],
    *,
    max_requests: int,
    in_order: bool,
) -> AsyncIterator[Response]:
    """Yield the response to each request of a stream; if the stream ends early, cancel what is computed.

    Args:
        requests: The requests.
        respond: Makes the response to one, whatever is wrong with it. The event is set once it is its turn to be sent.
        max_requests: Requests that are computed at once; further ones wait in the connection.
        in_order: Whether responses come in the order of their requests, or each as soon as it is ready.
    """
    # Tasks that are done, or in order those that will be, and the turn of each; None behind the last.
    tasks: asyncio.Queue[tuple[asyncio.Task[Counted[Response]], asyncio.Event] | None] = asyncio.Queue()
    window = _Window(max_requests)
    # Those whose responses were not yielded yet.
    begun: set[asyncio.Task[Counted[Response]]] = set()

    async def read() -> None:
        try:
            async for request in requests:
                await window.enter()
                turn = asyncio.Event()
                task = asyncio.create_task(respond(request, turn))
                begun.add(task)
                if in_order:
                    tasks.put_nowait((task, turn))
                else:
                    turn.set()
                    task.add_done_callback(lambda done, turn=turn: tasks.put_nowait((done, turn)))  # type: ignore[misc]
            await asyncio.gather(*begun)
        finally:
            tasks.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (entry := await tasks.get()) is not None:
            task, turn = entry
            turn.set()
            counted = await task
            yield counted.response
            # Room is made only once the client has taken a response: that is the backpressure.
            begun.discard(task)
            counted.forget()
            window.leave(counted.size)
        await reader  # raises what ended the reading early
    finally:
        reader.cancel()
        for task in begun:
            task.add_done_callback(_forget)
            task.cancel()


def _forget(task: "asyncio.Task[Counted[Response]]") -> None:
    """Forget a response that is not going to be sent."""
    if not task.cancelled() and task.exception() is None:
        task.result().forget()
