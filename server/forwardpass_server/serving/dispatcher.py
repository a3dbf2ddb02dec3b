"""The road of requests from the transports to the predictor and back: each gets exactly one response, its own.

    transport -> decode -> resolve -> batch -> execute -> encode -> transport

A transport hands over the requests that wait, without a timer or a setting: an idle server responds to a lone
request at once, and a busy one batches by itself. What is short is done before `take` returns; what is long, or has to
wait, is a task for the workers.
"""

import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from forwardpass_server.serving.batch import assemble_batches
from forwardpass_server.serving.batching_policy import BatchingPolicy
from forwardpass_server.serving.decode import PREDICT_MANY
from forwardpass_server.serving.predictor import Inferred, Predictor, deadline_passed
from forwardpass_server.serving.requests import RawRequest, RawResponse
from forwardpass_server.serving.shadows import Shadows
from forwardpass_server.serving.tasks import Suspension, Task, Workers


class Transport(Protocol):
    """A source of requests that sends the responses. Its functions are called in any thread and must not raise."""

    def send(self, requests: Sequence[RawRequest], responses: Sequence[RawResponse]) -> None:
        """Send the responses to requests of this transport."""

    def encode_status(self, request: RawRequest, error: Exception) -> bytes:
        """Serialize the `google.rpc.Status` for an error of one of the requests in a request."""


class Dispatcher:
    """Responds to the requests of one or more transports. All methods may be called in any thread."""

    def __init__(self, predictor: Predictor, shadows: Shadows, workers: Workers, policy: BatchingPolicy) -> None:
        self._predictor = predictor
        self._shadows = shadows
        self._workers = workers
        self._policy = policy
        self._lock = threading.Lock()
        # The keys of requests that tasks compute.
        self._waiting: set[Any] = set()

    def take(self, requests: Sequence[RawRequest], transport: Transport) -> None:
        """Respond to requests: now if that is short, else by tasks."""
        predictor, policy = self._predictor, self._policy
        short = []
        for request in requests:
            if request.method is PREDICT_MANY or len(request.data) > policy.inline_request_bytes:
                self._start_alone(request, transport)
            else:
                short.append(request)
        read = predictor.read(short)
        if read.rejected:
            transport.send([request for request, _ in read.rejected], [error for _, error in read.rejected])
        for unresolved in read.unresolved:
            self._start([unresolved.request], predictor.infer_unresolved(unresolved), transport)
        for batch in assemble_batches(read.rows, policy):
            if batch.flops > policy.step_flops:
                self._start(batch.requests, predictor.infer_in_steps(batch, read.seconds), transport)
                continue
            try:
                responses, live = predictor.infer(batch, read.seconds)
            except Exception as error:  # noqa: BLE001 - every caller must hear of it
                transport.send(batch.requests, [error] * len(batch.requests))
            else:
                transport.send(batch.requests, responses)
                if live:
                    self._shadows.offer(live)

    def cancel(self, key: object) -> bool:
        """Forget a request whose caller no longer waits; return False if the response was sent already."""
        with self._lock:
            if key not in self._waiting:
                return False
            self._waiting.discard(key)
            return True

    def abandon(self) -> None:
        """Forget every request, since no caller waits any more; tasks end at their next step."""
        with self._lock:
            self._waiting.clear()

    def close(self) -> None:
        """Finish the tasks whose callers still wait, and end the threads."""
        self._workers.close()
        self._shadows.close()

    def _start_alone(self, request: RawRequest, transport: Transport) -> None:
        def encode_status(error: Exception) -> bytes:
            return transport.encode_status(request, error)

        self._start([request], self._predictor.infer_alone(request, encode_status), transport)

    def _start(
        self,
        requests: Sequence[RawRequest],
        coroutine: Coroutine[Suspension | None, None, Inferred],
        transport: Transport,
    ) -> None:
        """Do the first step of a task, and leave the rest to the workers."""

        def on_done(inferred: Inferred) -> None:
            self._respond(requests, inferred.responses, transport)
            self._shadows.offer(inferred.live)

        def on_error(error: Exception) -> None:
            self._respond(requests, [error] * len(requests), transport)

        task = Task(
            coroutine, on_done=on_done, on_error=on_error, is_wanted=lambda: self._is_wanted(requests, transport)
        )
        with self._lock:
            self._waiting.update([request.key for request in requests])
        suspension = task.run()
        if not task.is_done:
            self._workers.add(task, suspension)

    def _is_wanted(self, requests: Sequence[RawRequest], transport: Transport) -> bool:
        """Return whether a caller still waits; tell those whose deadline has passed."""
        now = time.monotonic()
        late = [request for request in requests if request.expires <= now]
        if late:
            self._respond(late, [deadline_passed()] * len(late), transport)
        with self._lock:
            return any(request.key in self._waiting for request in requests)

    def _respond(self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], transport: Transport) -> None:
        """Send the responses to those of the requests that were neither responded to nor cancelled meanwhile."""
        with self._lock:
            pairs = [pair for pair in zip(requests, responses, strict=True) if pair[0].key in self._waiting]
            self._waiting.difference_update([request.key for request, _ in pairs])
        if pairs:
            transport.send([request for request, _ in pairs], [response for _, response in pairs])
