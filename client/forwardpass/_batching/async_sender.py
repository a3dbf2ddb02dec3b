"""Sends the batches of concurrent tasks."""

# ruff: noqa: BLE001 - every exception belongs to callers who wait

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any

from forwardpass._batching.coalescing import Batch, BatchKey, Coalescer, Outcome, PendingRequest, error_for_each
from forwardpass._batching.requests import predict_batch, predict_each
from forwardpass._errors import deadline_exceeded
from forwardpass._requests.call import Call
from forwardpass.models import Prediction
from forwardpass.rows import Row


class AsyncSender:
    """Sends the rows of concurrent tasks in batches: the rows of one turn of the event loop, and all that wait.

    Args:
        make_call: Makes a call within some seconds, and returns its result.
        target: The server's address, for error messages.
    """

    def __init__(
        self, make_call: Callable[[Call[Any], float | None], Awaitable[Sequence[Outcome]]], target: str
    ) -> None:
        self._make_call = make_call
        self._target = target
        self._coalescer = Coalescer()
        self._timeouts = Timeouts(self._expire)
        self._tasks: set[asyncio.Task[None]] = set()

    async def predict(self, key: BatchKey, row: Row, seconds: float | None) -> Prediction:
        """Queue a row until this turn of the event loop or a call in flight ends; return its prediction."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        expires = inf if seconds is None else loop.time() + seconds
        request = PendingRequest(key, row, outcome, seconds, expires)
        self._timeouts.add(request)
        if self._coalescer.add(request):
            loop.call_soon(self._send, key)
        try:
            result = await outcome
        except asyncio.CancelledError:
            self._abandon(request)
            raise
        finally:
            self._timeouts.discard(request)
        if isinstance(result, Prediction):
            return result
        raise result

    def close(self, error: Exception) -> None:
        """Raise an error for all callers whose rows wait to be sent."""
        requests = self._coalescer.drain()
        _deliver(requests, error_for_each(error, requests, self._target))

    def _send(self, key: BatchKey) -> None:
        while (batch := self._coalescer.take(key)) is not None:
            task = asyncio.get_running_loop().create_task(self._run(batch))
            batch.call = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: Batch) -> None:
        try:
            _deliver(batch.requests, await self._outcomes(batch))
        finally:
            for request in batch.requests:
                request.outcome.cancel()  # has an effect only when the event loop ends before the response
            # In a later turn, when the callers of this batch may have made their next requests.
            asyncio.get_running_loop().call_soon(self._send, self._coalescer.finish(batch))

    async def _outcomes(self, batch: Batch) -> Sequence[Outcome]:
        now = asyncio.get_running_loop().time
        try:
            return await self._make_call(predict_batch(batch), batch.timeout(now()))
        except Exception as error:
            if not batch.may_concern_one_row(error):
                return error_for_each(error, batch.requests, self._target)
        try:
            return await self._make_call(predict_each(batch), batch.timeout(now()))
        except Exception as error:
            return error_for_each(error, batch.requests, self._target)

    def _expire(self, request: PendingRequest) -> None:
        if not request.outcome.done():
            request.outcome.set_result(deadline_exceeded(self._target, request.seconds))
            self._abandon(request)

    def _abandon(self, request: PendingRequest) -> None:
        batch = request.batch
        if batch is not None and batch.abandon():
            batch.call.cancel()


def _deliver(requests: Sequence[PendingRequest], outcomes: Sequence[Outcome]) -> None:
    for request, outcome in zip(requests, outcomes, strict=True):
        if not request.outcome.done():
            request.outcome.set_result(outcome)


class Timeouts:
    """Timeouts of waiting requests: one timer for all of the same length, since these expire in order.

    Args:
        expire: Called with each request whose timeout is over.
    """

    def __init__(self, expire: Callable[[PendingRequest], None]) -> None:
        self._expire = expire
        self._waiting: dict[float | None, dict[PendingRequest, None]] = {}

    def add(self, request: PendingRequest) -> None:
        """Watch the timeout of a request."""
        if request.seconds is None:
            return
        alike = self._waiting.get(request.seconds)
        if alike is None:
            alike = self._waiting[request.seconds] = {}
            asyncio.get_running_loop().call_at(request.expires, self._check, request.seconds)
        alike[request] = None

    def discard(self, request: PendingRequest) -> None:
        """Forget a request that no longer waits."""
        alike = self._waiting.get(request.seconds)
        if alike is not None:
            alike.pop(request, None)

    def _check(self, seconds: float) -> None:
        loop, alike = asyncio.get_running_loop(), self._waiting[seconds]
        while alike:
            first = next(iter(alike))
            if first.expires > loop.time():
                loop.call_at(first.expires, self._check, seconds)
                return
            del alike[first]
            self._expire(first)
        del self._waiting[seconds]
