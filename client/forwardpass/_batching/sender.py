"""Sends the batches of concurrent threads."""

# ruff: noqa: BLE001 - every exception belongs to callers who wait

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from math import inf
from typing import Any, Final

import grpc

from forwardpass._batching.coalescing import Batch, BatchKey, Coalescer, Outcome, PendingRequest, error_for_each
from forwardpass._batching.requests import predict_batch, predict_each
from forwardpass._errors import deadline_exceeded
from forwardpass._requests.call import Call
from forwardpass._transport.forks import FORKS
from forwardpass._transport.retries import Retries
from forwardpass.models import Prediction
from forwardpass.rows import Row

_FORK_SECONDS: Final = 0.005
"""Pause before another look at whether a fork is over."""


class Sender:
    """Sends the rows of concurrent threads in batches.

    Args:
        start: Starts an attempt of a call within some seconds, and returns gRPC's future.
        retries: Returns the attempts of a call.
        pause: Returns the seconds to wait before the next attempt, or raises what the error means.
        target: The server's address, for error messages.
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

    def predict(self, key: BatchKey, row: Row, seconds: float | None) -> Prediction:
        """Send a row with all that wait, or let it wait; return its prediction."""
        expires = inf if seconds is None else time.monotonic() + seconds
        outcome: Future[Outcome] = Future()
        request = PendingRequest(key, row, outcome, seconds, expires)
        with self._lock:
            batch = self._coalescer.take(key) if self._coalescer.add(request) else None
        if batch is not None:
            self._send(batch)
        try:
            result = outcome.result(seconds)
        except BaseException as error:
            if not outcome.cancel():  # the outcome came at the last moment
                result = outcome.result()
            else:
                self._abandon(request)
                if isinstance(error, TimeoutError):
                    raise deadline_exceeded(self._target, seconds) from None
                raise
        if isinstance(result, Prediction):
            return result
        raise result

    def close(self, error: Exception) -> None:
        """Raise an error for all callers whose rows wait to be sent."""
        with self._lock:
            requests = self._coalescer.drain()
        _deliver(requests, error_for_each(error, requests, self._target))

    def _send(self, batch: Batch) -> None:
        self._call(batch, predict_batch(batch))

    def _call(self, batch: Batch, call: Call[Sequence[Outcome]]) -> None:
        now = time.monotonic()
        self._attempt(batch, call, self._retries(call, batch.timeout(now), now))

    def _attempt(self, batch: Batch, call: Call[Sequence[Outcome]], retries: Retries) -> None:
        if FORKS.is_under_way:  # the fork waits for the thread of gRPC that may be running this
            self._attempt_after(_FORK_SECONDS, batch, call, retries)
            return
        try:
            batch.call = self._start(call, retries.left())
        except Exception as error:
            self._finish(batch, error_for_each(error, batch.requests, self._target))
        else:
            batch.call.add_done_callback(partial(self._on_response, batch, call, retries))

    def _attempt_after(self, pause: float, *arguments: Any) -> None:
        timer = threading.Timer(pause, self._attempt, arguments)
        timer.daemon = True
        timer.start()

    def _on_response(self, batch: Batch, call: Call[Sequence[Outcome]], retries: Retries, rpc: Any) -> None:
        """Read the response of an attempt; runs in a thread of gRPC."""
        try:
            outcomes = call.parse(rpc.result())
        except Exception as raised:
            error = raised
            if rpc.code() is not grpc.StatusCode.OK:
                try:
                    # gRPC's future is its own exception, but raises another one when it was cancelled.
                    pause = self._pause(call, rpc, retries)
                except Exception as meant:
                    error = meant
                else:
                    if not batch.is_abandoned():
                        self._attempt_after(pause, batch, call, retries)
                        return
            if call.method == "Predict" and batch.may_concern_one_row(error):
                self._call(batch, predict_each(batch))
                return
            outcomes = error_for_each(error, batch.requests, self._target)
        self._finish(batch, outcomes)

    def _finish(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        _deliver(batch.requests, outcomes)
        with self._lock:
            following = self._coalescer.take(self._coalescer.finish(batch))
        if following is not None:
            self._send(following)

    def _abandon(self, request: PendingRequest) -> None:
        with self._lock:
            abandoned = request.batch if request.batch is not None and request.batch.abandon() else None
        if abandoned is not None and abandoned.call is not None:
            abandoned.call.cancel()


def _deliver(requests: Sequence[PendingRequest], outcomes: Sequence[Outcome]) -> None:
    for request, outcome in zip(requests, outcomes, strict=True):
        if request.outcome.set_running_or_notify_cancel():
            request.outcome.set_result(outcome)
