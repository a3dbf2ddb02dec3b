"""Streams whose requests are computed side by side, each as if it were a call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")


async def respond_to_each(
    requests: AsyncIterator[Request],
    respond: Callable[[Request], Coroutine[Any, Any, Response]],
    *,
    max_requests: int,
    in_order: bool,
) -> AsyncIterator[Response]:
    """Yield the response to each request of a stream; if the stream ends early, cancel what is computed.

    Args:
        requests: The requests.
        respond: Makes the response to one, whatever is wrong with it.
        max_requests: Requests that are computed at once; further ones wait in the connection.
        in_order: Whether responses come in the order of their requests, or each as soon as it is ready.
    """
    # Tasks that are done, or in order those that will be; None behind the last.
    tasks: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue()
    room = asyncio.Semaphore(max_requests)
    computing: set[asyncio.Task[Response]] = set()

    async def read() -> None:
        try:
            async for request in requests:
                await room.acquire()
                task = asyncio.create_task(respond(request))
                computing.add(task)
                task.add_done_callback(computing.discard)
                if in_order:
                    tasks.put_nowait(task)
                else:
                    task.add_done_callback(tasks.put_nowait)
            await asyncio.gather(*computing)
        finally:
            tasks.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await tasks.get()) is not None:
            yield await task
            # Room is made only once the client has taken a response: that is the backpressure.
            room.release()
        await reader  # raises what ended the reading early
    finally:
        for unfinished in (reader, *computing):
            unfinished.cancel()
