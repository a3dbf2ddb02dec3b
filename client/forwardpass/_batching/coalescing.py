"""Coalescing: the rows of concurrent callers share a request. No I/O, no threads, no event loop.

There is no timer and no setting. While a request of a key is in flight, rows of that key wait; when it ends, all that
wait share the next one. An idle client sends a lone row at once.

A batch is sent as one `Predict`, which costs the server one parse and one matrix, where `PredictMany` costs one of each
row. When the server rejects a batch for its content, the same rows are sent once more as a `PredictMany`, so that each
caller gets the prediction or the error of its own row.
"""

from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from forwardpass import _responses
from forwardpass._errors import deadline_exceeded
from forwardpass.errors import DeadlineExceededError, InternalError, InvalidRequestError, QuotaExceededError
from forwardpass.models import Prediction
from forwardpass.rows import Row, inputs_of
from forwardpass.tensors import Packed
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest, PredictRequest, PredictResponse
from forwardpass.v1.tensor_pb2 import DataType, Rows

MAX_IN_FLIGHT: Final = 1
"""Requests of one key in flight at once."""

MAX_ROWS: Final = 1024
"""Rows of a batch."""

MAX_BYTES: Final = 256 * 1024
"""Bytes of the rows of a batch; servers compute larger requests apart from others."""

MAX_RESPONSE_BYTES: Final = 2 * 2**20
"""Bytes of the outputs of a batch, once those of a row are known."""

CONTENT_ERRORS: Final = (InvalidRequestError, QuotaExceededError, InternalError)
"""Errors that the row of one caller or the number of rows can cause; all others concern every caller."""

Outcome: TypeAlias = Prediction | BaseException
"""What a caller gets: a value to return or an exception to raise."""


class BatchKey(NamedTuple):
    """Properties that all rows of a batch share.

    Attributes:
        network: The network's name.
        version: A version's number or an alias; empty means `latest`.
        dtype: The dtype of the numbers; None for a row by names.
        width: The number of values of a row; 0 for a row by names.
        exact_integers: Whether the network must hold the integers of the rows exactly.
        top_k: The number of most probable classes to return.
    """

    network: str
    version: str
    dtype: "DataType | None"  # in quotes, since enums of protobuf 4 know no `|`
    width: int
    exact_integers: bool = False
    top_k: int = 0


def batch_key(network: str, version: str, row: Row, top_k: int = 0) -> BatchKey | None:
    """Return the key of the batches that a row may join; None for several rows, and for columns."""
    if isinstance(row, Packed):
        shape = row.shape
        is_one = len(shape) == 1 or shape[0] == 1
        return BatchKey(network, version, row.dtype, shape[-1], row.exact_integers, top_k) if is_one else None
    if isinstance(row, Rows):
        return BatchKey(network, version, None, 0, row.exact_integers, top_k) if len(row.rows) == 1 else None
    return None


@dataclass(slots=True, eq=False)
class PendingRequest:
    """One row of one caller who waits for the outputs.

    Attributes:
        key: Which batches the row may join.
        row: The row as it was read: packed, shape `(width,)` or `(1, width)`, or by names.
        outcome: The future on which the caller waits, of asyncio or of `concurrent.futures`.
        seconds: The caller's timeout, or None.
        expires: When the timeout is over, by the clock of the sender; infinity without one.
        batch: The batch of the row, once it has one.
    """

    key: BatchKey
    row: Row
    outcome: Any
    seconds: float | None
    expires: float
    batch: "Batch | None" = None

    def message(self) -> PredictRequest:
        """Build the request with this row alone."""
        return _message(self.key, self.row)


@dataclass(slots=True, eq=False)
class Batch:
    """Rows that share a request.

    Attributes:
        requests: The requests of the callers, in the order of the rows.
        call: The call in flight, which can be cancelled; None before it starts.
        abandoned: The number of callers who no longer wait.
        row_bytes: The bytes of the outputs of a row; 0 before the response.
    """

    requests: Sequence[PendingRequest]
    call: Any = None
    abandoned: int = 0
    row_bytes: int = 0

    def timeout(self, now: float) -> float | None:
        """Return the longest time that a caller still waits, in seconds, or None."""
        expires = max(request.expires for request in self.requests)
        return None if expires == inf else max(expires - now, 0.001)

    def request(self) -> PredictRequest:
        """Build the request with all rows."""
        if len(self.requests) == 1:
            return self.requests[0].message()
        key, rows = self.requests[0].key, [request.row for request in self.requests]
        joined: Row
        if key.dtype is None:
            each = [row for one in rows if isinstance(one, Rows) for row in one.rows]
            joined = Rows(rows=each, exact_integers=key.exact_integers)
        else:
            data = b"".join([row.data for row in rows if isinstance(row, Packed)])
            joined = Packed(key.dtype, (len(rows), key.width), data, key.exact_integers)
        return _message(key, joined)

    def request_for_each(self) -> PredictManyRequest:
        """Build the request with each row by itself."""
        return PredictManyRequest(requests=[request.message() for request in self.requests])

    def split_response(self, response: PredictResponse) -> list[Prediction]:
        """Return the prediction of each row.

        Raises:
            InternalError: The response has not one row of outputs for each row.
        """
        whole = _responses.prediction(response)
        self.row_bytes = whole.outputs[:1].nbytes
        if len(self.requests) == 1:
            return [whole]
        if len(whole.outputs) != len(self.requests):
            raise InternalError(
                f"the server returned {len(whole.outputs)} rows of outputs for {len(self.requests)} rows"
            )
        return _responses.split_rows(whole)

    def may_concern_one_row(self, error: BaseException) -> bool:
        """Return whether the row of one caller, or the number of rows, can have caused an error."""
        return len(self.requests) > 1 and isinstance(error, CONTENT_ERRORS)

    def abandon(self) -> bool:
        """Count a caller who no longer waits; return whether none waits."""
        self.abandoned += 1
        return self.is_abandoned()

    def is_abandoned(self) -> bool:
        """Return whether no caller waits any longer."""
        return self.abandoned == len(self.requests)


@dataclass(slots=True, eq=False)
class _Queue:
    waiting: deque[PendingRequest] = field(default_factory=deque)
    in_flight: int = 0
    row_bytes: int = 0


class Coalescer:
    """Waiting requests by their key."""

    def __init__(self) -> None:
        self._queues: dict[BatchKey, _Queue] = {}

    def add(self, request: PendingRequest) -> bool:
        """Add a request; return whether it is the first that waits and can be sent."""
        queue = self._queues.get(request.key)
        if queue is None:
            queue = self._queues[request.key] = _Queue()
        queue.waiting.append(request)
        return len(queue.waiting) == 1 and queue.in_flight < MAX_IN_FLIGHT

    def take(self, key: BatchKey) -> Batch | None:
        """Return the next batch of a key, only requests whose callers still wait; None if nothing can be sent."""
        queue = self._queues.get(key)
        if queue is None or queue.in_flight >= MAX_IN_FLIGHT:
            return None
        most = max(1, min(MAX_ROWS, MAX_BYTES // (8 * key.width or 256), MAX_RESPONSE_BYTES // (queue.row_bytes or 1)))
        requests: list[PendingRequest] = []
        while queue.waiting and len(requests) < most:
            request = queue.waiting.popleft()
            if not request.outcome.done():
                requests.append(request)
        if not requests:
            if not queue.in_flight:
                del self._queues[key]
            return None
        queue.in_flight += 1
        batch = Batch(requests)
        for request in requests:
            request.batch = batch
        return batch

    def finish(self, batch: Batch) -> BatchKey:
        """Count a batch as no longer in flight; return its key, of which the next batch can be sent."""
        key = batch.requests[0].key
        queue = self._queues[key]
        queue.in_flight -= 1
        queue.row_bytes = batch.row_bytes or queue.row_bytes
        return key

    def drain(self) -> list[PendingRequest]:
        """Remove and return all waiting requests."""
        waiting = [request for queue in self._queues.values() for request in queue.waiting]
        for queue in self._queues.values():
            queue.waiting.clear()
        return waiting


def error_for_each(error: Exception, requests: Sequence[PendingRequest], target: str) -> list[Outcome]:
    """Return the error of a batch as one error for each caller, as if each had called alone."""
    return [_error_for(error, request, target) for request in requests]


def _error_for(error: Exception, request: PendingRequest, target: str) -> Exception:
    if isinstance(error, DeadlineExceededError) and "code" in error.facts:  # from gRPC, with the timeout of the batch
        return deadline_exceeded(target, request.seconds)
    # One exception raised by many callers would gather the tracebacks of all.
    copied = copy(error)
    copied.__cause__ = error.__cause__
    return copied


def _message(key: BatchKey, row: Row) -> PredictRequest:
    return PredictRequest(network=key.network, version=key.version, top_k=key.top_k, **inputs_of(row))
