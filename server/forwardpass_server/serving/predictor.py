"""The stages of a request between the transports: decode -> resolve -> batch -> execute -> encode.

`read` does the first two for requests that came together and reads their rows, all without waiting; `infer` does the
last two for a batch. Both run in a transport's thread. Whatever would hold that thread up is a coroutine, which
the dispatcher gives to the workers: `infer_in_steps`, `infer_unresolved`, `infer_alone`.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from forwardpass.errors import DeadlineExceededError

from forwardpass_server.memory import ByteBudget, Claim
from forwardpass_server.registry import Registry, Snapshot
from forwardpass_server.serving.admission import Admit
from forwardpass_server.serving.batch import Batch, RequestRows, assemble_batches, read_prepared_rows, read_rows
from forwardpass_server.serving.batching_policy import BatchingPolicy
from forwardpass_server.serving.decode import PreparedRequest, PreparedRequestCache
from forwardpass_server.serving.encode import encode_batch
from forwardpass_server.serving.execute import ExecutedBatch, execute, execute_in_steps
from forwardpass_server.serving.predict_many import join, split
from forwardpass_server.serving.requests import InferenceRequest, Method, RawRequest, RawResponse
from forwardpass_server.serving.resolve import (
    RejectedRequest,
    ResolvedRequest,
    UnresolvedRequest,
    find_loaded,
    resolve,
    resolve_now,
)
from forwardpass_server.serving.shadows import LiveRows
from forwardpass_server.serving.tasks import next_turn, until
from forwardpass_server.serving.work_limits import WorkLimits

ReadRequest = RequestRows | UnresolvedRequest | RejectedRequest


class ReadRequests(NamedTuple):
    """Requests after the steps that need no waiting; each is in one of the lists, once.

    Attributes:
        rows: The rows of requests whose version is loaded.
        unresolved: Requests that have to wait for their version.
        rejected: Requests to which the response is an error.
        seconds: How long reading one request took, on average.
    """

    rows: Sequence[RequestRows]
    unresolved: Sequence[UnresolvedRequest]
    rejected: Sequence[RejectedRequest]
    seconds: float


class Inferred(NamedTuple):
    """The responses to requests, and the rows that shadows may compute.

    Attributes:
        responses: The response to each request, in the order of the requests.
        live: Rows that shadows may compute too, once the responses are sent.
    """

    responses: Sequence[RawResponse]
    live: Sequence[LiveRows]


class _Prepared:
    """The prepared requests of one snapshot of the registry."""

    def __init__(self, snapshot: Snapshot | None, policy: BatchingPolicy) -> None:
        self.snapshot = snapshot
        self.caches: defaultdict[Method, PreparedRequestCache] = defaultdict(lambda: PreparedRequestCache(policy))


class Predictor:
    """Computes requests with the versions of a registry. May be used by several threads."""

    def __init__(self, registry: Registry, limits: WorkLimits, policy: BatchingPolicy, computing: ByteBudget) -> None:
        """Make a predictor.

        Args:
            registry: The versions.
            limits: The most that one call may need.
            policy: What is long.
            computing: The bytes of responses that are computed in steps at the same time; further ones wait.
        """
        self._registry = registry
        self._limits = limits
        self._policy = policy
        self._computing = computing
        self._prepared = _Prepared(None, policy)

    def read(self, requests: Sequence[RawRequest]) -> ReadRequests:
        """Decode requests, resolve their versions and read their rows, as far as nothing has to be waited for."""
        began = time.monotonic()
        snapshot = self._registry.snapshot
        known = self._prepared
        if known.snapshot is not snapshot:
            known = self._prepared = _Prepared(snapshot, self._policy)
        caches, own_batch_rows = known.caches, self._policy.own_batch_rows
        alike: dict[PreparedRequest, list[RawRequest]] = {}
        long: list[tuple[PreparedRequest, list[RawRequest]]] = []
        read: list[ReadRequest] = []
        for request in requests:
            if request.expires <= began:
                read.append(RejectedRequest(request, deadline_passed()))
                continue
            strip = request.method.strip_request_id
            data = request.data if strip is None else strip(request.data)
            cache = caches[request.method]
            prepared = cache.find(data)
            if prepared is None:
                read.append(self._read_and_prepare(request, data, snapshot, cache))
            elif prepared in alike:
                alike[prepared].append(request)
            elif prepared.rows >= own_batch_rows:
                long.append((prepared, [request]))
            else:
                alike[prepared] = [request]
        rows: list[RequestRows] = []
        for prepared, same in (*long, *alike.items()):
            together = self._read_prepared(prepared, same, snapshot)
            if together is not None:
                rows.append(together)
            else:
                read += [self._read_in_full(request, prepared, snapshot) for request in same]
        seconds = (time.monotonic() - began) / max(len(requests), 1)
        return _sorted(read, rows, seconds) if read else ReadRequests(rows, (), (), seconds)

    def infer(self, batch: Batch, read_seconds: float) -> Inferred:
        """Compute a batch and encode the responses.

        Args:
            batch: The batch.
            read_seconds: How long reading one of its requests took.
        """
        return _encoded(batch, execute(batch), read_seconds)

    async def infer_in_steps(self, batch: Batch, read_seconds: float) -> Inferred:
        """Compute a batch with turns for other tasks, and encode the responses; the arguments are as for `infer`."""
        # All share it as one caller: room to send the responses was reserved for each caller before, and the memory is
        # needed until they are encoded, not until their clients have read them.
        claim = Claim(caller="", size=sum([member.response_bytes for member in batch.members]))

        def take(resume: Callable[[None], None]) -> None:
            claim.resume = partial(resume, None)
            if self._computing.take_or_wait(claim):
                resume(None)

        try:
            await until(take)
            return _encoded(batch, await execute_in_steps(batch, self._policy), read_seconds)
        finally:
            self._computing.release(claim)

    async def infer_unresolved(self, unresolved: UnresolvedRequest, admit: Admit) -> Inferred:
        """Compute a request that has to wait for its version; `admit` is as for `infer_alone`."""
        return await self._infer_read([unresolved.request], ReadRequests((), [unresolved], (), 0.0), admit)

    async def infer_alone(
        self, request: RawRequest, encode_status: Callable[[Exception], bytes], admit: Admit
    ) -> Inferred:
        """Compute a request that is large, or several in one.

        Args:
            request: The request.
            encode_status: Serializes the `google.rpc.Status` of an error of one of several requests.
            admit: Called with the size of the response and the amount of work, before anything is computed.

        Raises:
            MalformedRequestError: It is a PredictMany that is not a valid message.
            InvalidFieldError: It is a PredictMany without requests.
            QuotaExceededError: There are too many of them, or the response would be too large.
            OverloadedError: Its work would end too late.
        """
        if len(request.data) > self._policy.inline_request_bytes:
            await next_turn()
        method = request.method.parts
        if method is None:
            return await self._infer_read([request], self.read([request]), admit)
        parts = split(request.data)
        self._limits.check_requests(len(parts))
        requests = [
            RawRequest(method, part, request.expires, place, arrived=request.arrived)
            for place, part in enumerate(parts)
        ]
        responses, live = await self._infer_read(requests, self.read(requests), admit)
        return Inferred([join(responses, encode_status)], live)

    async def _infer_read(self, requests: Sequence[RawRequest], read: ReadRequests, admit: Admit) -> Inferred:
        """Compute requests whose responses are sent together, waiting for what has to be waited for."""
        rows, rejected = [*read.rows], [*read.rejected]
        if read.unresolved:
            resolved = await resolve(read.unresolved, self._registry)
            more = _sorted(map(self._read_resolved, resolved), rows, 0.0)
            rows, rejected = [*more.rows], [*rejected, *more.rejected]
        response_bytes = sum([member.response_bytes for member in rows])
        self._limits.check_response_bytes(response_bytes)
        responses: dict[int, RawResponse] = {id(request): error for request, error in rejected}
        live: list[LiveRows] = []
        batches = assemble_batches(rows, self._policy)
        if batches:
            await admit(response_bytes, sum([batch.flops for batch in batches]), batches[0].speed_key)
        for batch in batches:
            if batch.flops > self._policy.step_flops:
                inferred = await self.infer_in_steps(batch, read.seconds)
            else:
                inferred = self.infer(batch, read.seconds)
            responses |= zip(map(id, batch.requests), inferred.responses, strict=True)
            live += inferred.live
        return Inferred([responses[id(request)] for request in requests], live)

    def _read_and_prepare(
        self, request: RawRequest, data: bytes, snapshot: Snapshot, cache: PreparedRequestCache
    ) -> ReadRequest:
        """Read a request for which nothing is prepared, and prepare for those like it.

        Args:
            request: The request.
            data: The serialized request without its id.
            snapshot: The registry's snapshot.
            cache: What is prepared for the method and snapshot.
        """
        try:
            inference = _decode(request)
            resolved = resolve_now(request, inference, self._registry, snapshot)
            if isinstance(resolved, UnresolvedRequest):
                return resolved
            rows = read_rows(resolved, self._limits, self._policy)
        except Exception as error:  # noqa: BLE001 - becomes the response
            return RejectedRequest.of(request, error)
        cache.add(data, inference, resolved.version, rows.options, rows.rows, rows.flops)
        return rows

    def _read_prepared(
        self, prepared: PreparedRequest, requests: list[RawRequest], snapshot: Snapshot
    ) -> RequestRows | None:
        """Read requests that are alike but for their numbers; return None if one of them needs more than that."""
        try:
            loaded = self._registry.get_loaded(prepared.version)
            return None if loaded is None else read_prepared_rows(prepared, requests, loaded, snapshot)
        except Exception:  # noqa: BLE001 - found again where each request is read by itself
            return None

    def _read_in_full(self, request: RawRequest, prepared: PreparedRequest, snapshot: Snapshot) -> ReadRequest:
        """Decode and read a request for which the prepared one is not enough."""
        try:
            inference = _decode(request)
            loaded = find_loaded(inference, prepared.version, self._registry)
        except Exception as error:  # noqa: BLE001 - becomes the response
            return RejectedRequest.of(request, error)
        if loaded is None:
            return UnresolvedRequest(request, inference, prepared.version, snapshot)
        return self._read_resolved(ResolvedRequest(request, inference, prepared.version, loaded, snapshot))

    def _read_resolved(self, resolved: ResolvedRequest | RejectedRequest) -> RequestRows | RejectedRequest:
        if isinstance(resolved, RejectedRequest):
            return resolved
        try:
            return read_rows(resolved, self._limits, self._policy)
        except Exception as error:  # noqa: BLE001 - becomes the response
            return RejectedRequest.of(resolved.request, error)


def deadline_passed() -> DeadlineExceededError:
    """Make the error of a call whose caller has stopped waiting."""
    return DeadlineExceededError("the deadline passed before the call was computed")


def _decode(request: RawRequest) -> InferenceRequest:
    if request.method.decode is None:
        raise TypeError(f"a {request.method.name} consists of several requests")
    return request.method.decode(request.data)


def _sorted(read: Iterable[ReadRequest], rows: Iterable[RequestRows], seconds: float) -> ReadRequests:
    """Sort requests into rows (after those of `rows`), unresolved and rejected ones."""
    rows = [*rows]
    unresolved: list[UnresolvedRequest] = []
    rejected: list[RejectedRequest] = []
    for each in read:
        if isinstance(each, RequestRows):
            rows.append(each)
        elif isinstance(each, RejectedRequest):
            rejected.append(each)
        else:
            unresolved.append(each)
    return ReadRequests(rows, unresolved, rejected, seconds)


def _encoded(batch: Batch, executed: ExecutedBatch, read_seconds: float) -> Inferred:
    """Encode the responses of a batch, and count it."""
    began = time.monotonic()
    responses = encode_batch(batch, executed.computed)
    requests = batch.requests
    batch.version.runtime.statistics.count_batch(
        len(executed.matrix),
        [request.arrived for request in requests],
        begun=executed.begun,
        read=read_seconds * len(requests),
        infer=executed.seconds,
        output=time.monotonic() - began,
    )
    return Inferred(responses, _live_rows(batch, executed) if batch.snapshot.shadowed else ())


def _live_rows(batch: Batch, executed: ExecutedBatch) -> Sequence[LiveRows]:
    """Return the rows of a batch if its version has shadows; only predictions are traffic."""
    loaded, computed = batch.loaded, executed.computed
    shadowings = batch.snapshot.shadowed.get((loaded.name, loaded.version), ())
    if not shadowings or not isinstance(computed, np.ndarray):
        return ()
    return (LiveRows(loaded=loaded, shadowings=shadowings, inputs=executed.matrix, outputs=computed),)
