"""Cache of prepared requests: a request that differs from an earlier one only in its numbers is not parsed again.

As with a prepared statement of a database, everything but the values is parsed and checked once. Most requests of a
busy server are the same bytes but for the data of a tensor, which comes last, or before a few bytes more:

    request    0a 03 "net" 1a 7c 08 02 12 02 01 1e 1a 78 | 3f 80 00 00 bf 12 ... 41 20 | 50 07
               network, version, dtype, shape ...        | data of the tensor          | min_revision ...
               0                                    start                          end           length

    the head   |- before ------------------------------->                               |- after ->
    = the key  0a 03 "net" 1a 7c 08 02 12 02 01 1e 1a 78 + 50 07  ->  PreparedRequest(version, options, dtype, rows ...)

`find` looks up the places (start, end) at which requests of this length had their data, cuts the head out and looks it
up: two dictionary lookups. The numbers are then the bytes between start and end, and no message is made.

`add` must not believe that bytes which look like the data are the data: they could be a name, or stand twice. So it
proves it by trial. It flips every bit of the bytes in that place, parses the request anew, and compares it with the
message whose tensor data was flipped. Only if the two are equal is the place the tensor's data and nothing else,
and every request with this head and length is read right.

A cache belongs to one snapshot of the registry: after a change, the same head may name another version.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from forwardpass_server.registry import VersionState
    from forwardpass_server.serving.batching_policy import BatchingPolicy
    from forwardpass_server.serving.requests import InferenceRequest, OutputOptions


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedRequest:
    """All that requests with the same head have in common: everything but their numbers.

    Attributes:
        version: The version that they name.
        options: What the responses show.
        dtype: The dtype of the numbers.
        rows: How many rows each request has.
        size: The bytes of the numbers.
        after: The bytes after the numbers.
        flops: What each request takes to compute and to encode, in floating-point operations.
    """

    version: "VersionState"
    options: "OutputOptions"
    dtype: "np.dtype[Any]"
    rows: int
    size: int
    after: int
    flops: int

    def tensor_data_of(self, request: bytes) -> bytes:
        """Return the numbers of a request with this head."""
        end = len(request) - self.after
        return request[end - self.size : end]


class PreparedRequestCache:
    """The prepared requests of one method, in one snapshot. May be used by several threads."""

    def __init__(self, policy: "BatchingPolicy") -> None:
        self._policy = policy
        self._by_head: dict[bytes, PreparedRequest] = {}
        # Where the numbers may begin and end, by the length of the request.
        self._places: dict[int, tuple[tuple[int, int], ...]] = {}

    def find(self, request: bytes) -> PreparedRequest | None:
        """Return what is prepared for a request, if anything is."""
        for start, end in self._places.get(len(request), ()):
            prepared = self._by_head.get(request[:start] + request[end:])
            if prepared is not None and prepared.after == len(request) - end:
                return prepared
        return None

    def add(
        self,
        request: bytes,
        inference: "InferenceRequest",
        version: "VersionState",
        options: "OutputOptions",
        rows: int,
        flops: int,
    ) -> None:
        """Prepare for requests like one that was decoded and accepted, if its numbers stand near its end."""
        policy = self._policy
        if len(request) > policy.prepared_data_bytes + policy.prepared_head_bytes:
            return  # without a copy of the data, which the message would make
        tensor_data = inference.tensor_data()
        if tensor_data is None:
            return
        data, dtype = tensor_data
        if not 0 < len(data) <= policy.prepared_data_bytes:
            return
        start = request.rfind(data)
        end = start + len(data)
        before, after = request[:start], request[end:]
        if start <= 0 or len(before) + len(after) > policy.prepared_head_bytes:
            return
        if not _is_tensor_data(before, data, after, inference):
            return
        if len(self._by_head) >= policy.prepared_requests:
            self._by_head.clear()
            self._places.clear()
        places = self._places.get(len(request), ())
        if (start, end) not in places:
            self._places[len(request)] = ((start, end), *places)[: policy.prepared_places]
        self._by_head[before + after] = PreparedRequest(
            version=version,
            options=options,
            dtype=dtype,
            rows=rows,
            size=len(data),
            after=len(after),
            flops=flops,
        )


def _is_tensor_data(before: bytes, data: bytes, after: bytes, inference: "InferenceRequest") -> bool:
    """Try whether other bytes in the place of the data are read as the tensor's data, and as nothing else."""
    flipped = (~np.frombuffer(data, dtype=np.uint8)).tobytes()
    try:
        return bool(type(inference.message).FromString(before + flipped + after) == inference.with_tensor_data(flipped))
    except DecodeError:
        return False
