"""The stages of serving put together for tests, without a transport or with one that keeps what it is sent."""

import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from forwardpass_server.memory import ByteBudget, Claim, MemoryWatch, Sockets, Unsent
from forwardpass_server.registry import Registry
from forwardpass_server.serving import (
    NO_CLAIMS,
    BatchingPolicy,
    Dispatcher,
    Predictor,
    RawRequest,
    RawResponse,
    Shadows,
    Workers,
    WorkLimits,
)
from forwardpass_server.serving.batch import assemble_batches
from forwardpass_server.serving.tasks import Task

POLICY: Final = BatchingPolicy()
LIMITS: Final = WorkLimits()
Result = TypeVar("Result")


def make_predictor(registry: Registry, limits: WorkLimits = LIMITS, policy: BatchingPolicy = POLICY) -> Predictor:
    """A predictor of a registry."""
    return Predictor(registry, limits, policy, ByteBudget(2**30))


def make_dispatcher(
    registry: Registry, policy: BatchingPolicy = POLICY, *, workers: int = 1, unsent: Unsent | None = None
) -> Dispatcher:
    """A dispatcher of a registry, with threads of its own; close it."""
    shadows = Shadows(registry, policy)
    return Dispatcher(
        make_predictor(registry, policy=policy), shadows, Workers(workers), policy, unsent or idle_unsent()
    )


def idle_unsent() -> Unsent:
    """Responses that are not sent, of which there are none."""
    return Unsent(Sockets(), max_bytes=2**30, seconds=30.0)


def idle_watch() -> MemoryWatch:
    """A watch that is not started."""
    return MemoryWatch(
        Sockets(),
        idle_unsent(),
        max_memory=2**30,
        max_arrivals=2**27,
        receive_timeout=60.0,
        plan_bytes=lambda: 0,
        max_connections=1_000,
    )


def finish(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine of serving to its end in this thread; raise what it raises."""
    results: list[Result] = []
    errors: list[Exception] = []
    task = Task(coroutine, on_done=results.append, on_error=errors.append)
    while not task.is_done:
        suspension = task.run()
        if suspension is not None:
            resumed = threading.Event()
            suspension(resumed.set)
            assert resumed.wait(60)
    if errors:
        raise errors[0]
    return results[0]


def respond(predictor: Predictor, requests: Sequence[RawRequest], policy: BatchingPolicy = POLICY) -> list[RawResponse]:
    """Respond to requests that come together, in their order."""
    read = predictor.read(requests)
    responses: dict[int, RawResponse] = {id(request): error for request, error in read.rejected}
    for unresolved in read.unresolved:
        (responses[id(unresolved.request)],) = finish(predictor.infer_unresolved(unresolved, _take_on)).responses
    for batch in assemble_batches(read.rows, policy):
        responses |= zip(map(id, batch.requests), predictor.infer(batch, read.seconds).responses, strict=True)
    assert len(responses) == len(requests)
    return [responses[id(request)] for request in requests]


async def _take_on(response_bytes: int, flops: int, version: object) -> None:
    """Take on work of any size."""


class KeepingTransport:
    """A transport that keeps the responses in the order in which they come."""

    def __init__(self, inline_flops: int = POLICY.step_flops) -> None:
        self.inline_flops = inline_flops
        self.sent: list[tuple[Any, RawResponse]] = []
        self.claims: dict[Any, Claim] = {}

    def send(
        self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], claims: Mapping[Any, Claim] = NO_CLAIMS
    ) -> None:
        """Keep responses, and what was reserved for them, by the keys of their requests."""
        self.claims |= claims
        self.sent += zip([request.key for request in requests], responses, strict=True)

    def encode_status(self, request: RawRequest, error: Exception) -> bytes:
        """Fail: no request of the tests has an error that is only a part of it."""
        raise AssertionError((request, error))

    def caller_of(self, request: RawRequest) -> str:
        """Return the same caller for all requests."""
        del request
        return "test"

    @property
    def keys(self) -> list[Any]:
        """The keys of the requests that were responded to."""
        return [key for key, _ in self.sent]

    @property
    def responses(self) -> list[RawResponse]:
        """The responses."""
        return [response for _, response in self.sent]
