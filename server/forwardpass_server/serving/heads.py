"""Requests that differ only in their numbers are read once.

Most requests of a busy server are the same bytes but for the data of a tensor, which comes last.
What stands before the data, the head, is parsed and checked the first time; after that, a request
with the same head and length is its numbers. So the usual call is read without making a message.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from forwardpass.tensors import DTYPES
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from forwardpass.v1.prediction_service_pb2 import PredictRequest, TraceRequest

    from forwardpass_server.registry import VersionState
    from forwardpass_server.serving.batches import TraceChoice

_MOST_HEADS: Final = 4096
_MOST_PLACES: Final = 8
_LARGEST_HEAD: Final = 1024
"""Heads stay in memory, and a caller can make as many as it likes."""
_LARGEST_DATA: Final = 256 * 1024
"""Above this, parsing costs little beside computing."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Head:
    """What a request says besides its numbers.

    Attributes:
        version: The version asked for.
        choice: What a trace shows, or None for a prediction.
        dtype: Of the numbers.
        rows: How many rows the request has.
        start: Where the numbers begin.
        work: What the call takes, in floating-point operations.
    """

    version: "VersionState"
    choice: "TraceChoice | None"
    dtype: "np.dtype[Any]"
    rows: int
    start: int
    work: int


class Heads:
    """The heads of one kind of request that are known. May be used by several threads."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        # Where the numbers may begin, by the length of the request.
        self._places: dict[int, tuple[int, ...]] = {}

    def find(self, request: bytes) -> Head | None:
        """Return the head of a request, if it is known."""
        for place in self._places.get(len(request), ()):
            head = self._heads.get(request[:place])
            if head is not None:
                return head
        return None

    def learn(
        self,
        request: bytes,
        message: "PredictRequest | TraceRequest",
        version: "VersionState",
        choice: "TraceChoice | None",
        rows: int,
        work: int,
    ) -> None:
        """Remember the head of a request that was read and found right, where its numbers are a tensor's data."""
        data = message.tensor.data
        start = len(request) - len(data)
        if not (0 < len(data) <= _LARGEST_DATA and start <= _LARGEST_HEAD) or not _ends_with_data(
            request[:start], message
        ):
            return
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
            self._places.clear()
        places = self._places.get(len(request), ())
        if start not in places:
            self._places[len(request)] = (start, *places)[:_MOST_PLACES]
        dtype = DTYPES[message.tensor.dtype]
        self._heads[request[:start]] = Head(
            version=version, choice=choice, dtype=dtype, rows=rows, start=start, work=work
        )


def _ends_with_data(head: bytes, message: "PredictRequest | TraceRequest") -> bool:
    """Try with other numbers whether whatever follows a head is read as the data of the tensor, and as nothing else."""
    other = type(message).FromString(message.SerializeToString())
    other.tensor.data = (~np.frombuffer(message.tensor.data, dtype=np.uint8)).tobytes()
    try:
        return bool(type(message).FromString(head + other.tensor.data) == other)
    except DecodeError:
        return False
