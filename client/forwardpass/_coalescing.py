"""Which rows of different callers travel together; no I/O, no threads, no event loop.

There is no timer and no setting. While a call of a group is on its way, rows of that group wait; when
it ends, all that wait go in the next one. An idle client sends a lone row at once.

One `Predict` with all rows is what travels: it costs the server one parsing and one matrix, where
`PredictMany` costs one of each row. When the server refuses it for what is in it, the same rows are
asked for once more by `PredictMany`, so that each caller gets the answer or the error of its own row.
"""

from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from forwardpass import _replies
from forwardpass._failures import out_of_time
from forwardpass.errors import DeadlineExceededError, InternalError, InvalidRequestError, QuotaExceededError
from forwardpass.models import Prediction
from forwardpass.rows import Row, inputs_of
from forwardpass.tensors import Packed
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest, PredictRequest, PredictResponse
from forwardpass.v1.tensor_pb2 import Columns, DataType, Rows

MAX_IN_FLIGHT: Final = 1
"""Calls of one group that are on their way at once."""

MAX_ROWS: Final = 1024
"""Rows that travel together."""

MAX_BYTES: Final = 256 * 1024
"""Bytes of rows that travel together; servers compute what is larger apart from the rest."""

OF_THE_ROWS: Final = (InvalidRequestError, QuotaExceededError, InternalError)
"""What a server may raise because of somebody's row, or because there are so many; all else befalls everyone."""

Outcome: TypeAlias = Prediction | BaseException
"""What a caller gets: a value to return or an exception to raise."""


class Group(NamedTuple):
    """What rows that travel together have in common.

    Attributes:
        network: The network's name.
        version: A version's number or an alias; empty means `latest`.
        dtype: The format of the numbers; None for a row by names.
        width: How many numbers a row has; 0 for a row by names.
        top_k: How many of the most probable classes are asked for.
    """

    network: str
    version: str
    dtype: "DataType | None"  # in quotes, since enums of protobuf 4 know no `|`
    width: int
    top_k: int = 0


def group_of(network: str, version: str, row: Row, top_k: int = 0) -> Group | None:
    """Return whom a row may travel with; None when there is not one row but many, or when they are columns."""
    if isinstance(row, Columns):
        return None
    if isinstance(row, Rows):
        return Group(network, version, None, 0, top_k) if len(row.rows) == 1 else None
    if len(row.shape) == 2 and row.shape[0] != 1:
        return None
    return Group(network, version, row.dtype, row.shape[-1], top_k)


@dataclass(slots=True, eq=False)
class Seat:
    """One caller's row on its way.

    Attributes:
        group: Whom it may travel with.
        row: The row as it came: packed, shape `(width,)` or `(1, width)`, or by names.
        outcome: Where the caller waits: a future of asyncio or of `concurrent.futures`.
        seconds: How long the caller waits, or None for ever.
        expires: Until when, by the clock of whoever sends.
        batch: What it travels in, once it does.
    """

    group: Group
    row: Row
    outcome: Any
    seconds: float | None
    expires: float
    batch: "Batch | None" = None

    def request(self) -> PredictRequest:
        """Return what this caller alone would have asked."""
        group = self.group
        return PredictRequest(network=group.network, version=group.version, top_k=group.top_k, **inputs_of(self.row))


@dataclass(slots=True, eq=False)
class Batch:
    """Rows that travel together.

    Attributes:
        seats: Whose they are, in the order of the rows.
        call: What the sender can cancel, once it was sent.
        left: How many of the callers wait no longer.
    """

    seats: Sequence[Seat]
    call: Any = None
    left: int = 0

    def limit(self, now: float) -> float | None:
        """Return the seconds that the most patient caller still waits, or None."""
        expires = max(seat.expires for seat in self.seats)
        return None if expires == inf else max(expires - now, 0.001)

    def request(self) -> PredictRequest:
        """Return the question with all rows."""
        if len(self.seats) == 1:
            return self.seats[0].request()
        group, rows = self.seats[0].group, [seat.row for seat in self.seats]
        together: Row
        if group.dtype is None:
            together = Rows(rows=[row for one in rows if isinstance(one, Rows) for row in one.rows])
        else:
            data = b"".join([row.data for row in rows if isinstance(row, Packed)])
            together = Packed(group.dtype, (len(rows), group.width), data)
        return PredictRequest(network=group.network, version=group.version, top_k=group.top_k, **inputs_of(together))

    def answers(self, reply: PredictResponse) -> list[Prediction]:
        """Return the answer of each row."""
        whole = _replies.prediction(reply)
        if len(self.seats) == 1:
            return [whole]
        if len(whole.outputs) != len(self.seats):
            raise InternalError(f"the server answered {len(self.seats)} rows with {len(whole.outputs)}")
        return _replies.each_row(whole)

    def is_worth_asking_again(self, error: BaseException) -> bool:
        """Return whether an error of all may be that of one, or of their number."""
        return len(self.seats) > 1 and isinstance(error, OF_THE_ROWS)

    def again(self) -> PredictManyRequest:
        """Return the question for each row by itself."""
        return PredictManyRequest(requests=[seat.request() for seat in self.seats])

    def is_left(self) -> bool:
        """Return whether nobody waits any longer."""
        return self.left == len(self.seats)

    def leave(self) -> bool:
        """Note that one more caller waits no longer; return whether nobody does."""
        self.left += 1
        return self.is_left()


@dataclass(slots=True, eq=False)
class _Queue:
    waiting: deque[Seat] = field(default_factory=deque)
    in_flight: int = 0


class Coalescer:
    """The rows that wait, by group."""

    def __init__(self) -> None:
        self._queues: dict[Group, _Queue] = {}

    def join(self, seat: Seat) -> bool:
        """Let a row wait; return whether it is the first that waits and may go."""
        queue = self._queues.get(seat.group)
        if queue is None:
            queue = self._queues[seat.group] = _Queue()
        queue.waiting.append(seat)
        return len(queue.waiting) == 1 and queue.in_flight < MAX_IN_FLIGHT

    def take(self, group: Group) -> Batch | None:
        """Return the rows to send now, without those whose callers have gone; or None."""
        queue = self._queues.get(group)
        if queue is None or queue.in_flight >= MAX_IN_FLIGHT:
            return None
        most = max(1, min(MAX_ROWS, MAX_BYTES // (8 * group.width or 256)))
        seats: list[Seat] = []
        while queue.waiting and len(seats) < most:
            seat = queue.waiting.popleft()
            if not seat.outcome.done():
                seats.append(seat)
        if not seats:
            if not queue.in_flight:
                del self._queues[group]
            return None
        queue.in_flight += 1
        batch = Batch(seats)
        for seat in seats:
            seat.batch = batch
        return batch

    def end(self, batch: Batch) -> Group:
        """Note that a batch is no longer on its way; return the group that may send again."""
        group = batch.seats[0].group
        self._queues[group].in_flight -= 1
        return group

    def drain(self) -> list[Seat]:
        """Take out everyone who waits."""
        waiting = [seat for queue in self._queues.values() for seat in queue.waiting]
        for queue in self._queues.values():
            queue.waiting.clear()
        return waiting


def for_everyone(error: Exception, seats: Sequence[Seat], target: str) -> list[Outcome]:
    """Return the error of a batch as one for each caller, as if each had called alone."""
    return [_copied(error, seat, target) for seat in seats]


def _copied(error: Exception, seat: Seat, target: str) -> Exception:
    if isinstance(error, DeadlineExceededError) and "code" in error.facts:  # told by grpc, with the batch's seconds
        return out_of_time(target, seat.seconds)
    # One exception raised by many would gather the tracebacks of all.
    copied = copy(error)
    copied.__cause__ = error.__cause__
    return copied
