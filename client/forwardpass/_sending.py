"""Sending what `_coalescing` decides: once for threads, once for an event loop."""

# ruff: noqa: BLE001 - whatever goes wrong, the callers who wait must hear of it

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from functools import partial
from math import inf
from typing import Any, Final

import grpc

from forwardpass import _calls
from forwardpass._calls import Call
from forwardpass._coalescing import Batch, Coalescer, Group, Outcome, Seat, for_everyone
from forwardpass._failures import out_of_time
from forwardpass._transport.forks import FORKS
from forwardpass._transport.retries import Retries
from forwardpass.models import Prediction
from forwardpass.rows import Row

_FORK_SECONDS: Final = 0.005
"""How long to wait before looking again whether a fork is over."""


class Sender:
    """Sends the rows of concurrent threads together.

    Args:
        start: Starts an attempt of a call within some seconds, and returns grpc's future.
        retries: Makes the attempts of a call.
        pause: Returns the seconds to wait after an attempt failed, or raises what the error means.
        target: What is called, for messages.
    """

    def __init__(
        self,
        start: Callable[[Call[Any], float | None], Any],
        retries: Callable[[Call[Any], float | None, float], Retries],
        pause: Callable[[Call[Any], Any, Retries], float],
        target: str,
    ) -> None:
        self._start = start
        self._retries = retries
        self._pause = pause
        self._target = target
        self._coalescer = Coalescer()
        self._lock = threading.Lock()

    def predict(self, group: Group, row: Row, seconds: float | None) -> Prediction:
        """Send a row with all that wait, or let it wait; return its answer."""
        expires = inf if seconds is None else time.monotonic() + seconds
        outcome: Future[Outcome] = Future()
        seat = Seat(group, row, outcome, seconds, expires)
        with self._lock:
            batch = self._coalescer.take(group) if self._coalescer.join(seat) else None
        if batch is not None:
            self._send(batch)
        try:
            result = outcome.result(seconds)
        except BaseException as error:
            if not outcome.cancel():  # answered at the last moment
                result = outcome.result()
            else:
                self._leave(seat)
                if isinstance(error, TimeoutError):
                    raise out_of_time(self._target, seconds) from None
                raise
        if isinstance(result, Prediction):
            return result
        raise result

    def close(self, error: Exception) -> None:
        """Fail everyone who waits to be sent."""
        with self._lock:
            seats = self._coalescer.drain()
        _deliver(seats, for_everyone(error, seats, self._target))

    def _send(self, batch: Batch) -> None:
        self._call(batch, _calls.predict_together(batch))

    def _call(self, batch: Batch, call: Call[Sequence[Outcome]]) -> None:
        now = time.monotonic()
        self._attempt(batch, call, self._retries(call, batch.limit(now), now))

    def _attempt(self, batch: Batch, call: Call[Sequence[Outcome]], retries: Retries) -> None:
        if FORKS.is_under_way:  # which waits for the thread of grpc that may be running this
            self._attempt_after(_FORK_SECONDS, batch, call, retries)
            return
        try:
            batch.call = self._start(call, retries.left())
        except Exception as error:
            self._end(batch, for_everyone(error, batch.seats, self._target))
        else:
            batch.call.add_done_callback(partial(self._arrived, batch, call, retries))

    def _attempt_after(self, pause: float, *arguments: Any) -> None:
        timer = threading.Timer(pause, self._attempt, arguments)
        timer.daemon = True
        timer.start()

    def _arrived(self, batch: Batch, call: Call[Sequence[Outcome]], retries: Retries, rpc: Any) -> None:
        """Take the response of a call; runs in a thread of grpc."""
        try:
            outcomes = call.parse(rpc.result())
        except Exception as failure:
            error = failure
            if rpc.code() is not grpc.StatusCode.OK:
                try:
                    # grpc's future is its own exception, but raises another one when it was cancelled.
                    pause = self._pause(call, rpc, retries)
                    if not batch.is_left():
                        self._attempt_after(pause, batch, call, retries)
                        return
                except Exception as meant:
                    error = meant
            if call.method == "Predict" and batch.is_worth_asking_again(error):
                self._call(batch, _calls.predict_again(batch))
                return
            outcomes = for_everyone(error, batch.seats, self._target)
        self._end(batch, outcomes)

    def _end(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        _deliver(batch.seats, outcomes)
        with self._lock:
            following = self._coalescer.take(self._coalescer.end(batch))
        if following is not None:
            self._send(following)

    def _leave(self, seat: Seat) -> None:
        with self._lock:
            left = seat.batch if seat.batch is not None and seat.batch.leave() else None
        if left is not None and left.call is not None:
            left.call.cancel()


def _deliver(seats: Sequence[Seat], outcomes: Sequence[Outcome]) -> None:
    for seat, outcome in zip(seats, outcomes, strict=True):
        if seat.outcome.set_running_or_notify_cancel():
            seat.outcome.set_result(outcome)


class AsyncSender:
    """Sends the rows of concurrent tasks together: those of one turn of the event loop, and all that waited.

    Args:
        ask: Makes a call and returns its answer.
        target: What is called, for messages.
    """

    def __init__(self, ask: Callable[[Call[Any], float | None], Awaitable[Sequence[Outcome]]], target: str) -> None:
        self._ask = ask
        self._target = target
        self._coalescer = Coalescer()
        self._patience = _Patience(self._expire)
        self._on_their_way: set[asyncio.Task[None]] = set()

    async def predict(self, group: Group, row: Row, seconds: float | None) -> Prediction:
        """Let a row wait until this turn of the event loop ends or a call comes back; return its answer."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        expires = inf if seconds is None else loop.time() + seconds
        seat = Seat(group, row, outcome, seconds, expires)
        self._patience.add(seat)
        if self._coalescer.join(seat):
            loop.call_soon(self._send, group)
        try:
            result = await outcome
        except asyncio.CancelledError:
            self._leave(seat)
            raise
        finally:
            self._patience.discard(seat)
        if isinstance(result, Prediction):
            return result
        raise result

    def close(self, error: Exception) -> None:
        """Fail everyone who waits to be sent."""
        seats = self._coalescer.drain()
        self._deliver(seats, for_everyone(error, seats, self._target))

    def _send(self, group: Group) -> None:
        while (batch := self._coalescer.take(group)) is not None:
            task = asyncio.get_running_loop().create_task(self._carry(batch))
            batch.call = task
            self._on_their_way.add(task)
            task.add_done_callback(self._on_their_way.discard)

    async def _carry(self, batch: Batch) -> None:
        try:
            self._deliver(batch.seats, await self._outcomes(batch))
        finally:
            for seat in batch.seats:
                seat.outcome.cancel()  # only where the event loop ends before the answer came
            # In a later turn, when those who were just answered may have asked again.
            asyncio.get_running_loop().call_soon(self._send, self._coalescer.end(batch))

    async def _outcomes(self, batch: Batch) -> Sequence[Outcome]:
        now = asyncio.get_running_loop().time
        try:
            return await self._ask(_calls.predict_together(batch), batch.limit(now()))
        except Exception as error:
            if not batch.is_worth_asking_again(error):
                return for_everyone(error, batch.seats, self._target)
        try:
            return await self._ask(_calls.predict_again(batch), batch.limit(now()))
        except Exception as error:
            return for_everyone(error, batch.seats, self._target)

    def _expire(self, seat: Seat) -> None:
        if not seat.outcome.done():
            seat.outcome.set_result(out_of_time(self._target, seat.seconds))
            self._leave(seat)

    def _leave(self, seat: Seat) -> None:
        batch = seat.batch
        if batch is not None and batch.leave():
            batch.call.cancel()

    def _deliver(self, seats: Sequence[Seat], outcomes: Sequence[Outcome]) -> None:
        for seat, outcome in zip(seats, outcomes, strict=True):
            if not seat.outcome.done():
                seat.outcome.set_result(outcome)


class _Patience:
    """Ends the wait of each whose time is up: one timer for all who wait equally long, since they expire in turn.

    Args:
        expire: Called with each of them.
    """

    def __init__(self, expire: Callable[[Seat], None]) -> None:
        self._expire = expire
        self._waiting: dict[float | None, dict[Seat, None]] = {}

    def add(self, seat: Seat) -> None:
        """Let somebody wait."""
        if seat.seconds is None:
            return
        alike = self._waiting.get(seat.seconds)
        if alike is None:
            alike = self._waiting[seat.seconds] = {}
            asyncio.get_running_loop().call_at(seat.expires, self._look, seat.seconds)
        alike[seat] = None

    def discard(self, seat: Seat) -> None:
        """Forget somebody who waits no longer."""
        alike = self._waiting.get(seat.seconds)
        if alike is not None:
            alike.pop(seat, None)

    def _look(self, seconds: float) -> None:
        loop, alike = asyncio.get_running_loop(), self._waiting[seconds]
        while alike:
            first = next(iter(alike))
            if first.expires > loop.time():
                loop.call_at(first.expires, self._look, seconds)
                return
            del alike[first]
            self._expire(first)
        del self._waiting[seconds]
