"""The door for hot calls on grpc.aio: what arrives in one turn of the event loop is one batch.

There is no timer and no setting: an idle server answers a lone call at once, a busy one finds
several calls waiting and computes them together. Work above a threshold is computed in a
thread, so that it does not keep the event loop from everyone else.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeAlias

from forwardpass_server.serving import Answer, Batch, Call, Predictor

HEAVY_FLOPS: Final = 20_000_000
"""About 2 ms on one core of 2020: below, handing over to a thread costs more than it saves."""

HEAVY_BYTES: Final = 256 * 1024
"""A request whose parsing is worth a thread."""

_Waiting: TypeAlias = tuple[Call, asyncio.Future[Answer]]


class Door:
    """Gathers calls and hands them to the predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._waiting: list[_Waiting] = []
        self._threads: Executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heavy")

    async def answer(self, call: Call) -> Answer:
        """Wait for the answer to one call."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        if len(call.request) > HEAVY_BYTES:
            self._in_thread(lambda: self._predictor.answer([call]), [answer])
        else:
            if not self._waiting:
                loop.call_soon(self._flush)
            self._waiting.append((call, answer))
        return await answer

    def close(self) -> None:
        """Let the thread end when its work is done."""
        self._threads.shutdown(wait=True)

    def _flush(self) -> None:
        # A caller who has gone has cancelled the future; its rows are not computed.
        waiting = [(call, future) for call, future in self._waiting if not future.done()]
        self._waiting.clear()
        futures = [future for _, future in waiting]
        try:
            batches, refused = self._predictor.sort([call for call, _ in waiting])
        except Exception as error:  # noqa: BLE001 - every caller must hear of it
            _fail(futures, error)
            return
        for future, answer in zip(futures, refused, strict=True):
            if answer is not None:
                future.set_result(answer)
        for batch in batches:
            self._run(batch, [futures[position] for position in batch.positions])

    def _run(self, batch: Batch, futures: Sequence[asyncio.Future[Answer]]) -> None:
        if batch.flops > HEAVY_FLOPS:
            self._in_thread(batch.run, futures)
            return
        try:
            answers = batch.run()
        except Exception as error:  # noqa: BLE001 - every caller must hear of it
            _fail(futures, error)
        else:
            _settle(futures, answers)

    def _in_thread(self, work: Callable[[], Sequence[Answer]], futures: Sequence[asyncio.Future[Answer]]) -> None:
        def done(result: asyncio.Future[Sequence[Answer]]) -> None:
            error = result.exception()
            if isinstance(error, Exception):
                _fail(futures, error)
            else:
                _settle(futures, result.result())

        asyncio.get_running_loop().run_in_executor(self._threads, work).add_done_callback(done)


def _settle(futures: Sequence[asyncio.Future[Answer]], answers: Sequence[Answer]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)


def _fail(futures: Sequence[asyncio.Future[Answer]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
