"""The stage `batch`: the rows of resolved requests as matrices, requests of one version in one.

There is no timer and no setting: the requests that wait at the same moment are batched. The core's exact products
make sure that the bits of a response do not tell which other requests were in its batch.
"""

from collections.abc import Hashable, Sequence
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from forwardpass.errors import ForwardpassError

from forwardpass_server.core import validate_and_fill
from forwardpass_server.serving.explanations import ExplainOptions
from forwardpass_server.serving.inputs import overflows
from forwardpass_server.serving.work_limits import WorkLimits, request_flops, response_bytes_per_row

if TYPE_CHECKING:
    from forwardpass.tensors import Array

    from forwardpass_server.registry import LoadedVersion, Snapshot, VersionState
    from forwardpass_server.serving.batching_policy import BatchingPolicy
    from forwardpass_server.serving.decode import PreparedRequest
    from forwardpass_server.serving.requests import Computation, OutputOptions, RawRequest
    from forwardpass_server.serving.resolve import ResolvedRequest


class RequestRows(NamedTuple):
    """The rows of requests that differ only in their numbers; of one request, where it came alone.

    Attributes:
        requests: The requests, in the order of their rows.
        version: The version that computes them.
        loaded: The same version with its plan.
        snapshot: The registry's snapshot in which the version was found.
        options: What the responses show.
        warnings: The encoded warnings that are appended to each response.
        rows: How many rows each request has.
        flops: What each request takes to compute and to encode, in floating-point operations.
        matrix: The rows of all requests, shape `(len(requests) * rows, inputs)`, in the dtype of the network.
    """

    requests: "Sequence[RawRequest]"
    version: "VersionState"
    loaded: "LoadedVersion"
    snapshot: "Snapshot"
    options: "OutputOptions"
    warnings: bytes
    rows: int
    flops: int
    matrix: "Array"

    def at(self, places: Sequence[int]) -> "RequestRows":
        """Return the rows of the requests at some places."""
        by_request = self.matrix.reshape(len(self.requests), self.rows, -1)
        matrix = by_request[[*places]].reshape(len(places) * self.rows, -1)
        return self._replace(requests=[self.requests[place] for place in places], matrix=matrix)

    @property
    def response_bytes(self) -> int:
        """The bytes of all responses, at most."""
        of_row = response_bytes_per_row(self.loaded, self.options.computation) + self.options.row_bytes
        return len(self.matrix) * of_row


class Batch(NamedTuple):
    """Requests whose rows are computed as one matrix.

    Attributes:
        members: The rows; all of one version, found in one snapshot, with the same computation.
        requests: The requests, in the order of their rows.
        version: The version that computes them.
        loaded: The same version with its plan.
        snapshot: The registry's snapshot in which the version was found.
        computation: What is computed besides the outputs, or None.
        flops: What the batch takes to compute and to encode, in floating-point operations.
    """

    members: Sequence[RequestRows]
    requests: "Sequence[RawRequest]"
    version: "VersionState"
    loaded: "LoadedVersion"
    snapshot: "Snapshot"
    computation: "Computation"
    flops: int

    @classmethod
    def of(cls, members: Sequence[RequestRows]) -> "Batch":
        """Make a batch of rows that may share one."""
        first = members[0]
        requests, flops = first.requests, first.flops * len(first.requests)
        if len(members) > 1:
            requests = [*chain.from_iterable([member.requests for member in members])]
            flops = sum([member.flops * len(member.requests) for member in members])
        flops += first.loaded.plan.flops_per_call
        return cls(members, requests, first.version, first.loaded, first.snapshot, first.options.computation, flops)

    @property
    def speed_key(self) -> Hashable:
        """What computes it, as far as that decides how long a floating-point operation takes."""
        if isinstance(self.computation, ExplainOptions):  # whose operations are those of the worst case
            return self.loaded, self.computation.method
        return self.loaded

    def matrix(self) -> "Array":
        """Return the rows of all requests, shape `(rows, inputs)`."""
        if len(self.members) == 1:
            return self.members[0].matrix
        return np.concatenate([member.matrix for member in self.members])


def read_rows(resolved: "ResolvedRequest", limits: WorkLimits, policy: "BatchingPolicy") -> RequestRows:
    """Read and check the inputs of a request.

    Raises:
        InvalidRequestError: The inputs are not what the network reads.
        QuotaExceededError: The request is too much work.
    """
    request, inference, version, loaded, snapshot = resolved
    try:
        read, options = inference.inputs(loaded), inference.output_options(loaded)
        rows = len(read.matrix)
        limits.check(loaded, options, rows)
    except ForwardpassError:
        version.runtime.statistics.count_error(request.arrived)
        raise
    warnings = b"" if read.warnings is None else inference.encode_warnings(read.warnings)
    of_row = response_bytes_per_row(loaded, options.computation) + options.row_bytes
    flops = request_flops(loaded, options.computation, rows) + rows * policy.flops_per_response_byte * of_row
    return RequestRows([request], version, loaded, snapshot, options, warnings, rows, flops, read.matrix)


def read_prepared_rows(
    prepared: "PreparedRequest", requests: "Sequence[RawRequest]", loaded: "LoadedVersion", snapshot: "Snapshot"
) -> RequestRows | None:
    """Read the inputs of requests that differ only in their numbers.

    Returns:
        The rows; None if one of the numbers is rejected, filled or warned of, so that each request has to be
        decoded and read by itself.
    """
    if len(requests) == 1:
        data, count = requests[0].data, prepared.size // prepared.dtype.itemsize
        numbers = np.frombuffer(data, prepared.dtype, count, len(data) - prepared.after - prepared.size)
    else:
        data = b"".join([prepared.tensor_data_of(request.data) for request in requests])
        numbers = np.frombuffer(data, prepared.dtype)
    given, dtype = numbers, loaded.plan.dtype
    if prepared.dtype != dtype:
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = numbers.astype(dtype)
    matrix: Array = numbers.reshape(len(requests) * prepared.rows, -1)
    if loaded.typed is not None:
        matrix, violations = validate_and_fill(loaded.typed.rules, matrix)
        if violations is not None:
            return None
    if loaded.allow_non_finite:
        if numbers is not given and overflows(given, numbers):
            return None
    elif loaded.typed is None and not _all_finite(numbers):
        return None
    return RequestRows(
        requests, prepared.version, loaded, snapshot, prepared.options, b"", prepared.rows, prepared.flops, matrix
    )


def assemble_batches(members: Sequence[RequestRows], policy: "BatchingPolicy") -> list[Batch]:
    """Put rows of one version and computation into one batch; rows of requests that are long into their own."""
    batches: list[list[RequestRows]] = []
    shared: dict[tuple[LoadedVersion, Computation, int], list[RequestRows]] = {}
    for member in members:
        if member.rows >= policy.own_batch_rows or member.flops > policy.step_flops:
            batches += [[each] for each in _separated(member)]
        elif len(members) == 1:
            batches.append([member])
        else:
            key = (member.loaded, member.options.computation, member.snapshot.revision)
            if key in shared:
                shared[key].append(member)
            else:
                shared[key] = [member]
                batches.append(shared[key])
    return [*map(Batch.of, batches)]


def _separated(member: RequestRows) -> list[RequestRows]:
    """Return the rows of each request by themselves."""
    if len(member.requests) == 1:
        return [member]
    rows, matrix = member.rows, member.matrix
    return [
        member._replace(requests=[request], matrix=matrix[place * rows : (place + 1) * rows])
        for place, request in enumerate(member.requests)
    ]


def _all_finite(numbers: "Array") -> bool:
    """Return whether there is neither NaN nor infinity among numbers, shape `(count,)`."""
    # A sum of squares has them if there are any; where it has overflowed, each number is looked at.
    return isfinite(np.vdot(numbers, numbers)) or bool(np.isfinite(numbers).all())
