"""The road of requests from the transports to the predictor and back: each gets exactly one response, its own.

    transport -> decode -> resolve -> batch -> execute -> encode -> transport

A transport hands over the requests that wait, without a timer or a setting: an idle server responds to a lone
request at once, and a busy one batches by itself. What is short is done before `take` returns; what is long, or has to
wait, is a task for the workers, if it can end before its caller stops waiting.
"""

import threading
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol

from forwardpass.errors import OverloadedError

from forwardpass_server.memory import Claim, Unsent
from forwardpass_server.serving.admission import Admission, Admit, Work
from forwardpass_server.serving.batch import Batch, RequestRows, assemble_batches
from forwardpass_server.serving.batching_policy import BatchingPolicy
from forwardpass_server.serving.predictor import Inferred, Predictor, deadline_passed
from forwardpass_server.serving.requests import Method, RawRequest, RawResponse
from forwardpass_server.serving.shadows import Shadows
from forwardpass_server.serving.shedding import Shedding
from forwardpass_server.serving.tasks import Suspension, Task, Workers, next_turn, until

NO_CLAIMS: Final[Mapping[Any, Claim]] = MappingProxyType({})


class Transport(Protocol):
    """A source of requests that sends the responses. Its functions are called in any thread and must not raise."""

    @property
    def inline_flops(self) -> int:
        """The floating-point operations up to which a batch is computed in this transport's thread."""

    def send(
        self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], claims: Mapping[Any, Claim] = NO_CLAIMS
    ) -> None:
        """Send the responses to requests of this transport.

        Args:
            requests: The requests.
            responses: The response to each.
            claims: The room that was reserved for some of the responses, by the keys of their requests; to be released
                when they are sent.
        """

    def encode_status(self, request: RawRequest, error: Exception) -> bytes:
        """Serialize the `google.rpc.Status` for an error of one of the requests in a request."""

    def caller_of(self, request: RawRequest) -> str:
        """Return who sent a request, as far as the workers' time is shared: a token, else an address."""


class _OpenBatch:
    """A batch that waits for the workers; until they begin it, requests of the same caller may join it.

    Attributes:
        key: What is the same for all batches that may join.
        members: The rows.
        requests: The requests, in the order of their rows.
        work: What it is to the workers.
    """

    __slots__ = ("key", "members", "requests", "work")

    def __init__(self, key: Hashable, batch: Batch, work: Work) -> None:
        self.key = key
        self.members = [*batch.members]
        self.requests = [*batch.requests]
        self.work = work


class Dispatcher:
    """Responds to the requests of one or more transports. All methods may be called in any thread."""

    def __init__(
        self,
        predictor: Predictor,
        shadows: Shadows,
        workers: Workers,
        policy: BatchingPolicy,
        unsent: Unsent,
        *,
        max_in_flight: int = 1_000,
        max_waiting_bytes: int = 2**27,
    ) -> None:
        """Make a dispatcher.

        Args:
            predictor: Computes requests.
            shadows: Compute the same rows as live versions.
            workers: Run what is long.
            policy: What is long.
            unsent: The room for responses.
            max_in_flight: Requests that may wait for the workers.
            max_waiting_bytes: The bytes of them.
        """
        self.admission = Admission(
            workers.count, policy, max_in_flight, weights=workers.weights, max_bytes=max_waiting_bytes
        )
        self._shedding = Shedding(self.admission)
        self._predictor = predictor
        self._shadows = shadows
        self._workers = workers
        self._policy = policy
        self._unsent = unsent
        # What encoding the smallest response takes for which room is reserved.
        self._counted_flops = policy.counted_response_bytes * policy.flops_per_response_byte
        self._lock = threading.Lock()
        # The keys of requests that tasks compute.
        self._waiting: set[Any] = set()
        # The room that is reserved for their responses, or waited for.
        self._claims: dict[Any, Claim] = {}
        # Batches that are not begun, by what may join them.
        self._open: dict[Hashable, _OpenBatch] = {}

    def take(self, requests: Sequence[RawRequest], transport: Transport) -> None:
        """Respond to requests: now if that is short, else by tasks."""
        predictor, policy, inline_flops = self._predictor, self._policy, transport.inline_flops
        short = []
        for request in requests:
            if request.method.parts is not None or len(request.data) > policy.inline_request_bytes:
                self._start_alone(request, transport)
            else:
                short.append(request)
        read = predictor.read(short)
        if read.rejected:
            transport.send([request for request, _ in read.rejected], [error for _, error in read.rejected])
        for unresolved in read.unresolved:
            self._start_single(unresolved.request, partial(predictor.infer_unresolved, unresolved), transport)
        for assembled in assemble_batches(read.rows, policy):
            batch = assembled
            if assembled.flops > self._counted_flops:
                some = self._reserve(assembled, read.seconds, transport)
                if some is None:
                    continue
                batch = some
            if batch.flops > inline_flops or (self._open and batch.flops > policy.joining_flops):
                self._start_in_steps(batch, read.seconds, transport)
            else:
                self._compute(batch, read.seconds, transport)

    @property
    def sheds(self) -> bool:
        """Whether there are calls that `shed` rejects."""
        return self._shedding.active

    def shed(self, caller: str, method: Method, expires: float) -> float | None:
        """Return when a call that is rejected before it is read may come again, in seconds; None if it is to be read.

        Args:
            caller: Whose it is, as `Transport.caller_of` says.
            method: The method that is called.
            expires: When its caller stops waiting, in seconds of `time.monotonic()`.
        """
        return self._shedding.judge(caller, method.name, expires)

    def cancel(self, key: object) -> bool:
        """Forget a request whose caller no longer waits; return False if the response was sent already."""
        with self._lock:
            if key not in self._waiting:
                return False
            self._waiting.discard(key)
            claim = self._claims.pop(key, None)
        if claim is not None:
            self._unsent.release(claim)
        return True

    def abandon(self) -> None:
        """Forget every request, since no caller waits any more; tasks end at their next step."""
        with self._lock:
            self._waiting.clear()
            claims = [*self._claims.values()]
            self._claims.clear()
        for claim in claims:
            self._unsent.release(claim)

    def close(self) -> None:
        """Finish the tasks whose callers still wait, and end the threads."""
        self._workers.close()
        self._shadows.close()

    def _compute(self, batch: Batch, read_seconds: float, transport: Transport) -> None:
        """Compute a short batch in this thread."""
        try:
            responses, live = self._predictor.infer(batch, read_seconds)
        except Exception as error:  # noqa: BLE001 - every caller must hear of it
            self._send(batch.requests, [error] * len(batch.requests), transport)
        else:
            self._send(batch.requests, responses, transport)
            if live:
                self._shadows.offer(live)
        if self._shedding.active:
            for request in batch.requests:
                self._shedding.note_short(transport.caller_of(request), request.method.name)

    def _start_alone(self, request: RawRequest, transport: Transport) -> None:
        def encode_status(error: Exception) -> bytes:
            return transport.encode_status(request, error)

        self._start_single(request, partial(self._predictor.infer_alone, request, encode_status), transport)

    def _start_single(
        self,
        request: RawRequest,
        infer: Callable[[Admit], Coroutine[Suspension | None, None, Inferred]],
        transport: Transport,
    ) -> None:
        """Start to compute a request whose work, and the size of whose response, are declared when they are known."""
        admission = self.admission
        try:
            work = admission.begin(transport.caller_of(request), len(request.data))
        except OverloadedError as error:
            self._send([request], [error], transport)
            return

        async def admit(response_bytes: int, flops: int, version: Hashable) -> None:
            if response_bytes >= self._policy.counted_response_bytes:
                claim = await until(self._room(request, response_bytes, transport))
                if not claim.taken:
                    raise self._unsent.no_room()
            if flops > self._policy.step_flops:
                admission.declare(work, flops, version, request.expires)

        self._start([request], infer(admit), transport, work)

    def _reserve(self, batch: Batch, read_seconds: float, transport: Transport) -> Batch | None:
        """Reserve room to send the responses to a batch.

        Requests for which there is no room wait by themselves, since a caller that does not read its responses must not
        keep those of others from being computed.

        Returns:
            The requests for which there is room, or None if there is none.
        """
        members: list[RequestRows] = []
        for member in batch.members:
            size = member.response_bytes // len(member.requests)
            if size < self._policy.counted_response_bytes:
                members.append(member)
                continue
            places = []
            for place, request in enumerate(member.requests):
                claim = self._unsent.take(transport.caller_of(request), size)
                if claim is not None:
                    with self._lock:
                        self._claims[request.key] = claim
                    places.append(place)
                else:
                    self._start_with_room(member.at([place]), size, read_seconds, transport)
            if len(places) == len(member.requests):
                members.append(member)
            elif places:
                members.append(member.at(places))
        return Batch.of(members) if members else None

    def _start_with_room(self, rows: RequestRows, size: int, read_seconds: float, transport: Transport) -> None:
        """Start to compute a request as soon as there is room to send its response."""
        (request,), batch = rows.requests, Batch.of([rows])

        async def infer(admit: Admit) -> Inferred:
            await admit(size, batch.flops, batch.speed_key)
            return await self._predictor.infer_in_steps(batch, read_seconds)

        self._start_single(request, infer, transport)

    def _room(self, request: RawRequest, size: int, transport: Transport) -> Callable[[Callable[[Claim], None]], None]:
        """Return the event that there is room to send a response, or that it is not waited for any more."""
        claim = Claim(caller=transport.caller_of(request), size=size, expires=request.expires)

        def event(call_back: Callable[[Claim], None]) -> None:
            with self._lock:
                goes_on = request.key not in self._waiting
                if not goes_on:
                    claim.resume = partial(call_back, claim)
                    self._claims[request.key] = claim
                    goes_on = self._unsent.reserve(claim)
            if goes_on:
                call_back(claim)

        return event

    def _take_claims(self, requests: Sequence[RawRequest]) -> Mapping[Any, Claim]:
        """Return the room that was reserved for the responses to requests, and forget it; the lock is held."""
        if not self._claims:
            return NO_CLAIMS
        found = [(request.key, self._claims.pop(request.key, None)) for request in requests]
        return {key: claim for key, claim in found if claim is not None}

    def _start_in_steps(self, batch: Batch, read_seconds: float, transport: Transport) -> None:
        """Start to compute those requests of a batch that can end in time, and reject the others."""
        requests = batch.requests
        callers = [transport.caller_of(request) for request in requests]
        key = self._key(batch, callers, transport)
        with self._lock:
            into = self._open.get(key)
            if into is not None and into.work.flops + batch.flops > self._policy.max_joined_flops:
                into = None
            flops = [member.flops for member in batch.members for _ in member.requests]
            work, errors = self.admission.admit(
                callers,
                [request.expires for request in requests],
                flops,
                batch.speed_key,
                [len(request.data) for request in requests],
                into=None if into is None else into.work,
            )
            rejected = [pair for pair in zip(requests, errors, strict=True) if pair[1] is not None]
            if rejected or self._shedding.active:
                for caller, request, operations, error in zip(callers, requests, flops, errors, strict=True):
                    self._shedding.note_long(
                        caller, request.method.name, operations, batch.speed_key, rejected=error is not None
                    )
            if work is not None:
                admitted = _admitted(batch, errors) if rejected else batch
                self._waiting.update([request.key for request in admitted.requests])
                if into is not None:
                    into.members += admitted.members
                    into.requests += admitted.requests
                else:
                    opened = _OpenBatch(key, admitted, work)
                    if key is not None:
                        self._open[key] = opened
        if rejected:
            self._send(
                [request for request, _ in rejected], [error for _, error in rejected if error is not None], transport
            )
        if work is not None and into is None:
            self._start(opened.requests, self._infer_open(opened, read_seconds), transport, work, opened)

    def _key(self, batch: Batch, callers: Sequence[str], transport: Transport) -> Hashable:
        """Return what batches that may join one another have in common; None for one that no other may join."""
        first, policy = batch.members[0], self._policy
        if first.rows >= policy.own_batch_rows or first.flops > policy.step_flops or len({*callers}) > 1:
            return None
        return transport, callers[0], batch.loaded, first.options.computation, batch.snapshot.revision

    async def _infer_open(self, opened: _OpenBatch, read_seconds: float) -> Inferred:
        """Compute a batch with all requests that have joined it until then."""
        await next_turn()  # not in the thread that took the requests
        with self._lock:
            self._close(opened)
        return await self._predictor.infer_in_steps(Batch.of(opened.members), read_seconds)

    def _start(
        self,
        requests: Sequence[RawRequest],
        coroutine: Coroutine[Suspension | None, None, Inferred],
        transport: Transport,
        work: Work,
        opened: _OpenBatch | None = None,
    ) -> None:
        """Do the first step of a task, and leave the rest to the workers."""

        def on_done(inferred: Inferred) -> None:
            self._respond(requests, inferred.responses, transport)
            self._shadows.offer(inferred.live)

        def on_error(error: Exception) -> None:
            self._respond(requests, [error] * len(requests), transport)

        task = Task(
            coroutine,
            on_done=on_done,
            on_error=on_error,
            is_wanted=lambda: self._is_wanted(requests, transport, opened),
            work=work,
        )
        with self._lock:
            self._waiting.update([request.key for request in requests])
        suspension = task.run()
        if not task.is_done:
            self._workers.add(task, suspension)

    def _is_wanted(
        self, requests: Sequence[RawRequest], transport: Transport, opened: _OpenBatch | None = None
    ) -> bool:
        """Return whether a caller still waits; tell those whose deadline has passed."""
        now = time.monotonic()
        late = [request for request in requests if request.expires <= now]
        if late:
            self._respond(late, [deadline_passed()] * len(late), transport)
        with self._lock:
            wanted = any(request.key in self._waiting for request in requests)
            if opened is not None and not wanted:
                self._close(opened)
            return wanted

    def _close(self, opened: _OpenBatch) -> None:
        """Let no more requests join a batch; the lock is held."""
        if self._open.get(opened.key) is opened:
            del self._open[opened.key]

    def _respond(self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], transport: Transport) -> None:
        """Send the responses to those of the requests that were neither responded to nor cancelled meanwhile."""
        with self._lock:
            pairs = [pair for pair in zip(requests, responses, strict=True) if pair[0].key in self._waiting]
            self._waiting.difference_update([request.key for request, _ in pairs])
            claims = self._take_claims([request for request, _ in pairs])
        if pairs:
            transport.send([request for request, _ in pairs], [response for _, response in pairs], claims)

    def _send(self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], transport: Transport) -> None:
        """Send the responses to requests that no task computes."""
        if not self._claims:
            transport.send(requests, responses)
            return
        with self._lock:
            claims = self._take_claims(requests)
        transport.send(requests, responses, claims)


def _admitted(batch: Batch, errors: Sequence[Exception | None]) -> Batch:
    """Return a batch without the requests that have errors; the errors are in the order of the requests."""
    members: list[RequestRows] = []
    start = 0
    for member in batch.members:
        end = start + len(member.requests)
        places = [place for place, error in enumerate(errors[start:end]) if error is None]
        if places:
            members.append(member.at(places))
        start = end
    return Batch.of(members)
