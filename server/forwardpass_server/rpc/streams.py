"""Streams of requests that are answered side by side, each as if it were a call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, TypeVar

MAX_UNANSWERED: Final = 64
"""How many requests of one stream are computed at once; further ones wait in the connection."""

Request = TypeVar("Request")
Response = TypeVar("Response")


async def answered(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Coroutine[Any, Any, Response]],
    *,
    in_order: bool,
) -> AsyncIterator[Response]:
    """RawResponse each request of a stream; what is computed when the stream ends early is cancelled.

    Args:
        requests: The requests.
        answer: Answers one, whatever is wrong with it.
        in_order: Whether answers come in the order of their requests, or each as soon as it is ready.
    """
    # Tasks that are done, or in order those that will be; None behind the last.
    answers: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue()
    room = asyncio.Semaphore(MAX_UNANSWERED)
    computing: set[asyncio.Task[Response]] = set()

    async def read() -> None:
        try:
            async for request in requests:
                await room.acquire()
                task = asyncio.create_task(answer(request))
                computing.add(task)
                task.add_done_callback(computing.discard)
                if in_order:
                    answers.put_nowait(task)
                else:
                    task.add_done_callback(answers.put_nowait)
            await asyncio.gather(*computing)
        finally:
            answers.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await answers.get()) is not None:
            yield await task
            # Room is made only once the client has taken an answer: that is the backpressure.
            room.release()
        await reader  # raises what ended the reading early
    finally:
        for unfinished in (reader, *computing):
            unfinished.cancel()
