"""Requests that differ only in their numbers are read once.

Most requests of a busy server are the same bytes but for the data of a tensor, which comes last, or before a
few bytes more. What stands around the data, the head, is parsed and checked the first time; after that, a request
with the same head and length is its numbers. So the usual call is read without making a message.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from forwardpass_server.registry import VersionState
    from forwardpass_server.serving.calls import InferenceRequest, OutputOptions

_MAX_HEADS: Final = 4096
_MAX_PLACES: Final = 8
_LARGEST_HEAD: Final = 1024
"""PreparedRequestCache stay in memory, and a caller can make as many as it likes."""
_LARGEST_DATA: Final = 256 * 1024
"""Above this, parsing costs little beside computing."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedRequest:
    """What a request says besides its numbers.

    Attributes:
        version: The version asked for.
        wanted: What is wanted of it.
        dtype: Of the numbers.
        rows: How many rows the request has.
        size: How many bytes the numbers take.
        after: How many bytes follow them.
        work: What the call takes, in floating-point operations.
    """

    version: "VersionState"
    wanted: "OutputOptions"
    dtype: "np.dtype[Any]"
    rows: int
    size: int
    after: int
    work: int

    def numbers_of(self, request: bytes) -> bytes:
        """Return the numbers of a request that has this head."""
        end = len(request) - self.after
        return request[end - self.size : end]


class PreparedRequestCache:
    """The heads of one kind of request that are known. May be used by several threads."""

    def __init__(self) -> None:
        self._heads: dict[bytes, PreparedRequest] = {}
        # Where the numbers may begin and end, by the length of the request.
        self._places: dict[int, tuple[tuple[int, int], ...]] = {}

    def find(self, request: bytes) -> PreparedRequest | None:
        """Return the head of a request, if it is known."""
        for start, end in self._places.get(len(request), ()):
            head = self._heads.get(request[:start] + request[end:])
            if head is not None and head.after == len(request) - end:
                return head
        return None

    def learn(
        self,
        request: bytes,
        question: "InferenceRequest",
        version: "VersionState",
        wanted: "OutputOptions",
        rows: int,
        work: int,
    ) -> None:
        """Remember the head of a plain request that was read and found right, if its numbers stand near its end."""
        numbers = question.numbers()
        if numbers is None:
            return
        data, dtype = numbers
        if not 0 < len(data) <= _LARGEST_DATA:
            return
        start = request.rfind(data)
        end = start + len(data)
        before, after = request[:start], request[end:]
        if start <= 0 or len(before) + len(after) > _LARGEST_HEAD or not _has_numbers(before, data, after, question):
            return
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
            self._places.clear()
        places = self._places.get(len(request), ())
        if (start, end) not in places:
            self._places[len(request)] = ((start, end), *places)[:_MAX_PLACES]
        self._heads[before + after] = PreparedRequest(
            version=version,
            wanted=wanted,
            dtype=dtype,
            rows=rows,
            size=len(data),
            after=len(after),
            work=work,
        )


def _has_numbers(before: bytes, data: bytes, after: bytes, question: "InferenceRequest") -> bool:
    """Try with other numbers whether whatever stands in their place is read as the inputs, and as nothing else."""
    others = (~np.frombuffer(data, dtype=np.uint8)).tobytes()
    try:
        return bool(type(question.message).FromString(before + others + after) == question.with_numbers(others))
    except DecodeError:
        return False
