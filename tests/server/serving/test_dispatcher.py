"""Any history of calls at both transports: every call gets one response, its own, and nothing is left."""

import asyncio
import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from forwardpass.errors import NotFoundError, OverloadedError
from forwardpass.reasons import REASONS
from forwardpass.v1.prediction_service_pb2 import (
    PredictManyRequest,
    PredictManyResponse,
    PredictRequest,
    PredictResponse,
    TraceRequest,
    TraceResponse,
)
from forwardpass_server.memory import Sockets, Unsent
from forwardpass_server.registry import LoadedVersion, Registry, SqlStore, VersionState
from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.rpc.interceptors import InFlight
from forwardpass_server.rpc.native_transport import NativeTransport
from forwardpass_server.serving import PREDICT, PREDICT_MANY, TRACE, BatchingPolicy, Dispatcher, Method, RawRequest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support.sample_networks import identity, number_request
from tests.support.server_process import wait_until
from tests.support.serving import KeepingTransport, idle_unsent, idle_watch, make_dispatcher

MANY_BYTES = 4_096
SMALL = BatchingPolicy(step_flops=3_000, inline_request_bytes=MANY_BYTES)
"""Little counts as long here, so that long calls are quick."""

LARGEST_REQUEST = 16_384
SECONDS = 60.0
"""For what happens at once, unless the machine is busy."""
ROOM = 16
HEALTH = "/grpc.health.v1.Health/Check"
REASON_OF = {error: reason for reason, error in REASONS.items()}
HOT = {f"/forwardpass.v1.PredictionService/{method.name}": method for method in (PREDICT, TRACE, PREDICT_MANY)}


class FakeFront:
    """What `NativeTransport` uses of `NativeGrpcFront`: events go in by hand, and responses are kept."""

    def __init__(self) -> None:
        self.responses: dict[int, list[bytes | str]] = {}
        self.methods: dict[str, int] = {}
        self._events: list[Any] = []
        self._news = threading.Condition()
        self._waits = False
        self._closed = False

    def add_methods(self, methods: Sequence[tuple[str, bool]]) -> list[int]:
        for path, streaming in methods:
            assert not streaming
            self.methods[path] = len(self.methods)
        return [self.methods[path] for path, _ in methods]

    def start(self) -> None:
        """Listen: there is nothing to listen to."""

    def recv_batch_details(self, max_events: int, timeout_ms: int | None = None) -> list[Any] | None:
        with self._news:
            self._waits = True
            self._news.notify_all()
            self._news.wait_for(lambda: self._events or self._closed, None if timeout_ms is None else timeout_ms / 1000)
            self._waits = False
            events, self._events = self._events[:max_events], self._events[max_events:]
            return None if self._closed and not events else events

    def respond(self, number: int, payload: bytes) -> bool:
        self.responses.setdefault(number, []).append(payload)
        return True

    def fail(self, number: int, code: int, message: str, trailers: Sequence[tuple[str, Any]]) -> bool:
        status = Status.FromString(dict(trailers)["grpc-status-details-bin"])
        assert (status.code, status.message) == (code, message)
        self.responses.setdefault(number, []).append(reason_of(status))
        return True

    def close(self) -> None:
        with self._news:
            self._closed = True
            self._news.notify_all()

    def bring(self, events: Sequence[Any]) -> None:
        """Let events come at the same moment; return when the transport has taken them."""
        with self._news:
            self._events += events
            self._news.notify_all()
            assert self._news.wait_for(lambda: self._waits and not self._events, 60), "the transport's thread has ended"


def reason_of(status: Status) -> str:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


def numbers_of(response: PredictResponse | TraceResponse) -> list[float]:
    found: list[float] = np.frombuffer(response.outputs.data).tolist()
    return found


@dataclass(kw_only=True)
class Sent:
    """A call that was made, and what it must come to.

    Attributes:
        method: The method.
        request: The bytes.
        expected: Its outcome: numbers, the numbers or reason of each request of several, or a reason.
        may_also: Reasons that are as good, since they depend on time.
        number: What the front knows the call by.
        task: What waits in the event loop.
        cancelled: Whether the caller stopped waiting.
    """

    method: Method
    request: bytes
    expected: object
    may_also: set[str] = field(default_factory=lambda: {"OVERLOADED"})
    remaining: float | None = None
    number: int = 0
    task: "asyncio.Task[bytes] | None" = None
    cancelled: bool = False

    def outcome(self, response: bytes) -> object:
        if self.method is PREDICT:
            return numbers_of(PredictResponse.FromString(response))
        if self.method is TRACE:
            trace = TraceResponse.FromString(response)
            (layer,) = trace.layers
            assert layer.activation.data == layer.pre_activation.data == trace.inputs.data == trace.outputs.data
            return numbers_of(trace)
        return [
            numbers_of(result.response) if result.HasField("response") else reason_of(result.error)
            for result in PredictManyResponse.FromString(response).results
        ]

    def check(self, responses: Sequence[bytes | str]) -> None:
        if self.cancelled and not responses:
            return
        (response,) = responses
        outcome = self.outcome(response) if isinstance(response, bytes) else response
        assert outcome == self.expected or outcome in self.may_also, (self, outcome)


class Broken(Registry):
    """A registry with a mistake: looking for one of its networks raises an unexpected exception."""

    def get_loaded(self, version: VersionState) -> LoadedVersion | None:
        if version.network == "broken":
            raise ZeroDivisionError
        return super().get_loaded(version)


def failing(_: object, out: object = None) -> Any:  # noqa: ARG001 - an activation's signature
    raise RuntimeError("the computation fails")


def spoil(registry: Registry, name: str, function: Callable[[Any], Any]) -> None:
    """Let a network compute something else."""
    object.__setattr__(registry.load_reference(name, "").plan.layers[0], "function", function)


REFUSED = {
    "no message": (b"\xff", "MALFORMED_REQUEST"),
    "no network": (b"", "INVALID_FIELD"),
    "missing network": (number_request("missing", 1.0).SerializeToString(), "NETWORK_NOT_FOUND"),
    "nan": (number_request("same", float("nan")).SerializeToString(), "MISSING_VALUE"),
    "infinity": (number_request("same", float("inf"), 1.0).SerializeToString(), "NON_FINITE_INPUT"),
    "fails": (number_request("failing", 1.0).SerializeToString(), "INTERNAL"),
    "fails after a while": (number_request("failing", *[1.0] * 100).SerializeToString(), "INTERNAL"),
    "breaks the reading": (number_request("broken", 1.0).SerializeToString(), "INTERNAL"),
}


class TransportsMachine(RuleBasedStateMachine):
    """Calls come at two transports of one dispatcher, in any order and batch."""

    @initialize()
    def open(self) -> None:
        self.store = SqlStore("sqlite://")
        registry = Broken.open(self.store)
        for weight, name in enumerate(("same", "failing", "broken")):
            registry.register(name, identity(description=f"{weight}"))
        spoil(registry, "failing", failing)
        self.in_flight = InFlight(ROOM)
        self.error_mapper = ErrorMapper(Guard(None))
        self.dispatcher = make_dispatcher(registry, SMALL)
        self.front = FakeFront()
        self.native_transport = NativeTransport(
            self.front,  # type: ignore[arg-type] # has what is used
            self.dispatcher,
            hot=HOT,
            direct={HEALTH: lambda _, __: b"\x08\x01"},
            guard=Guard(None),
            error_mapper=self.error_mapper,
            in_flight=self.in_flight,
            policy=SMALL,
            watch=idle_watch(),
            unsent=idle_unsent(),
            max_request_bytes=LARGEST_REQUEST,
            call_timeout=60.0,
        )
        self.native_transport.start()
        self.loop = asyncio.new_event_loop()
        self.asyncio_transport = self.loop.run_until_complete(self._asyncio_transport())
        self.numbers = itertools.count(1)
        self.ids = itertools.count(1)
        self.events: list[Any] = []
        self.sent: list[Sent] = []
        # Those that no transport has seen yet.
        self.new: list[Sent] = []

    async def _asyncio_transport(self) -> AsyncioTransport:
        return AsyncioTransport(self.dispatcher, Guard(None), self.error_mapper, SMALL, idle_unsent())

    async def _in_loop(self, sent: Sent) -> bytes:
        """RawResponse a call as the interceptors and the handler do."""
        if not self.in_flight.enter():
            raise self.in_flight.overloaded()
        expires = float("inf") if sent.remaining is None else time.monotonic() + sent.remaining
        try:
            counted = await self.asyncio_transport.call(
                sent.method, sent.request, request_id="id", credential=None, peer="peer", expires=expires
            )
            counted.forget()
            return counted.response
        finally:
            self.in_flight.leave()

    def send(self, method: Method, request: Message | bytes, expected: object, *, front: bool) -> Sent:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        sent = Sent(method=method, request=data, expected=expected)
        self.sent.append(sent)
        self.new.append(sent)
        if front:
            sent.number = next(self.numbers)
            path = next(path for path, other in HOT.items() if other is method)
            event = [0, sent.number, self.front.methods[path], data, None, sent]
            self.events.append(event)
        else:
            sent.task = self.loop.create_task(self._in_loop(sent))
        return sent

    def some_numbers(self, count: int) -> list[float]:
        return [float(next(self.ids)) for _ in range(count)]

    @rule(front=st.booleans(), rows=st.integers(1, 3))
    def light(self, rows: int, *, front: bool) -> None:
        numbers = self.some_numbers(rows)
        self.send(PREDICT, number_request("same", *numbers), numbers, front=front)

    @rule(front=st.booleans(), rows=st.integers(60, 400))
    def heavy_by_work(self, rows: int, *, front: bool) -> None:
        numbers = self.some_numbers(rows)
        self.send(PREDICT, number_request("same", *numbers), numbers, front=front)

    @rule(front=st.booleans(), method=st.sampled_from([PREDICT, TRACE]))
    def heavy_by_bytes(self, method: Method, *, front: bool) -> None:
        numbers = self.some_numbers(1)
        padding = b"\xa2\x06" + bytes([0x80 | MANY_BYTES & 0x7F, MANY_BYTES >> 7]) + bytes(MANY_BYTES)
        self.send(method, padding + number_request("same", *numbers).SerializeToString(), numbers, front=front)

    @rule(front=st.booleans(), rows=st.sampled_from([1, 2, 100]))
    def trace(self, rows: int, *, front: bool) -> None:
        numbers = self.some_numbers(rows)
        request = TraceRequest(network="same", tensor=number_request("", *numbers).tensor)
        self.send(TRACE, request, numbers, front=front)

    @rule(front=st.booleans(), sizes=st.lists(st.sampled_from([-2, -1, 0, 1, 2, 80]), min_size=1, max_size=5))
    def many(self, sizes: list[int], *, front: bool) -> None:
        requests: list[PredictRequest] = []
        expected: list[object] = []
        for size in sizes:
            numbers = self.some_numbers(max(size, 1))
            if size == 0:
                requests.append(PredictRequest())
                expected.append("INVALID_FIELD")
            elif size == -1:
                requests.append(number_request("missing", *numbers))
                expected.append("NETWORK_NOT_FOUND")
            elif size == -2:
                requests.append(number_request("same", float("nan")))
                expected.append("MISSING_VALUE")
            else:
                requests.append(number_request("same", *numbers))
                expected.append(numbers)
        self.send(PREDICT_MANY, PredictManyRequest(requests=requests), expected, front=front)

    @rule(
        front=st.booleans(),
        method=st.sampled_from([PREDICT, TRACE]),
        case=st.sampled_from(sorted(REFUSED)),
    )
    def refused(self, method: Method, case: str, *, front: bool) -> None:
        self.send(method, *REFUSED[case], front=front)

    @rule(front=st.booleans())
    def many_of_a_network_that_fails(self, *, front: bool) -> None:
        requests = [number_request("same", 1.0), number_request("failing", 1.0)]
        self.send(PREDICT_MANY, PredictManyRequest(requests=requests), "INTERNAL", front=front)

    @rule()
    def too_large_for_the_front(self) -> None:
        self.send(PREDICT, bytes(LARGEST_REQUEST + 1), "QUOTA_EXCEEDED", front=True)

    @rule(front=st.booleans(), rows=st.sampled_from([1, 100, 0]))
    def expired(self, rows: int, *, front: bool) -> None:
        if rows:
            sent = self.send(PREDICT, number_request("same", *[1.0] * rows), "DEADLINE_EXCEEDED", front=front)
        else:
            request = PredictManyRequest(requests=[number_request("same", 1.0)])
            sent = self.send(PREDICT_MANY, request, "DEADLINE_EXCEEDED", front=front)
        sent.remaining = -1.0

    @precondition(lambda self: self.new)
    @rule(microseconds=st.integers(0, 2_000))
    def the_last_one_has_little_time(self, microseconds: int) -> None:
        if self.new[-1].remaining is None and isinstance(self.new[-1].expected, list):
            self.new[-1].remaining = microseconds / 1e6
            self.new[-1].may_also.add("DEADLINE_EXCEEDED")
            # One of several requests may be too late when the others are not.
            if self.new[-1].method is PREDICT_MANY:
                self.new[-1].remaining = None

    @rule()
    def health(self) -> None:
        number = next(self.numbers)
        self.front.bring([(0, number, self.front.methods[HEALTH], b"", None, ((), "peer", None))])
        assert self.front.responses.pop(number) == [b"\x08\x01"]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.sent[-6:]))
        if sent.cancelled:
            return
        sent.cancelled = True
        if sent.task is not None:
            sent.task.cancel()
        elif sent.number not in self.front.responses:  # a front tells of those that it waits for
            self.events.append((1, sent.number, 0, None, None, None))

    @rule()
    def turn(self) -> None:
        """Let each transport see the calls that came since the last time."""
        if self.in_flight.draining:
            for sent in self.new:
                if sent.expected != "QUOTA_EXCEEDED":
                    sent.expected = "DRAINING"
        self.new.clear()
        events = []
        for event in self.events:
            *rest, sent = event
            events.append((*rest, None if sent is None else ((), "peer", sent.remaining)))
        self.events.clear()
        if events:
            self.front.bring(events)
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))

    @precondition(lambda self: len(self.sent) > 12 and not self.in_flight.draining)
    @rule()
    def drain(self) -> None:
        self.in_flight.draining = True

    @rule()
    def await_responses(self) -> None:
        """When every call has its response, each is right and nothing is left."""
        self.turn()
        end = time.monotonic() + 60
        while self.in_flight.count:
            assert time.monotonic() < end, f"{self.in_flight.count} calls stay in flight"
            self.loop.run_until_complete(asyncio.sleep(0.0005))
        assert self.in_flight.count == 0
        self.loop.run_until_complete(asyncio.sleep(0))
        for sent in self.sent:
            sent.check(self.responses_to(sent))
        assert not self.front.responses
        wait_until(lambda: not self.dispatcher._waiting, 60)
        self.sent.clear()

    def responses_to(self, sent: Sent) -> Sequence[bytes | str]:
        if sent.task is None:
            return self.front.responses.pop(sent.number, [])
        assert sent.task.done()
        if sent.task.cancelled():
            return []
        error = sent.task.exception()
        if error is None:
            return [sent.task.result()]
        return [next((reason for kind, reason in REASON_OF.items() if type(error) is kind), "INTERNAL")]

    def teardown(self) -> None:
        if hasattr(self, "front"):
            try:
                self.await_responses()
            finally:
                self.native_transport.close()
                self.dispatcher.close()
                self.loop.close()
                self.store.close()


TransportsMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
TestTransportsMachine = TransportsMachine.TestCase


@pytest.fixture
def registry() -> Any:
    store = SqlStore("sqlite://")
    opened = Registry.open(store)
    opened.register("same", identity())
    yield opened
    store.close()


def predict(key: str, rows: int = 1) -> RawRequest:
    return RawRequest(PREDICT, number_request("same", *[1.0] * rows).SerializeToString(), key=key)


def test_closing_finishes_what_was_begun(registry: Registry) -> None:
    dispatcher, transport = make_dispatcher(registry), KeepingTransport()
    keys = [f"heavy {number}" for number in range(4)]
    dispatcher.take([predict(key, 400_000) for key in keys], transport)
    dispatcher.close()
    assert sorted(transport.keys) == keys
    assert all(isinstance(response, bytes) for _, response in transport.sent)


@pytest.mark.parametrize("rows", [1, 40_000], ids=["read at once", "read by a worker"])
def test_a_rejected_request_is_forgotten_without_a_collection_of_garbage(registry: Registry, rows: int) -> None:
    dispatcher, transport = make_dispatcher(registry), KeepingTransport()
    data = number_request("missing", *[1.0] * rows).SerializeToString()
    before = sys.getrefcount(data)
    gc.disable()
    try:
        dispatcher.take([RawRequest(PREDICT, data, key="rejected")], transport)
        dispatcher.close()
        assert isinstance(dict(transport.sent)["rejected"], NotFoundError)
        assert sys.getrefcount(data) == before
    finally:
        gc.enable()


def test_what_is_abandoned_is_not_finished(registry: Registry) -> None:
    dispatcher, transport = make_dispatcher(registry), KeepingTransport()
    may_go_on = threading.Event()

    def wait(values: Any, out: Any = None) -> Any:  # noqa: ARG001 - an activation's signature
        assert may_go_on.wait(SECONDS)
        return values

    spoil(registry, "same", wait)
    dispatcher.take([predict(f"heavy {number}", 400_000) for number in range(5)], transport)
    dispatcher.abandon()
    may_go_on.set()
    dispatcher.close()
    assert not transport.keys
    assert not dispatcher._waiting


def test_one_row_gets_its_response_while_long_work_is_under_way(registry: Registry) -> None:
    dispatcher, transport = make_dispatcher(registry), KeepingTransport()
    may_go_on = threading.Event()

    def waits_for_many_rows(values: Any, out: Any = None) -> Any:  # noqa: ARG001 - an activation's signature
        if len(values) > 1_000:
            assert may_go_on.wait(SECONDS)
        return values

    spoil(registry, "same", waits_for_many_rows)
    dispatcher.take([predict("heavy", 400_000)], transport)
    for number in range(3):
        dispatcher.take([predict(f"light {number}")], transport)
    assert transport.keys == ["light 0", "light 1", "light 2"]
    may_go_on.set()
    dispatcher.close()
    assert transport.keys[3:] == ["heavy"]
    assert isinstance(transport.sent[-1][1], bytes)


def test_a_cancelled_call_is_not_computed_to_its_end(registry: Registry) -> None:
    dispatcher, transport = make_dispatcher(registry), KeepingTransport()
    rows = 0
    started = threading.Event()
    may_go_on = threading.Event()

    def count(values: Any, out: Any = None) -> Any:  # noqa: ARG001 - an activation's signature
        nonlocal rows
        rows += len(values)
        started.set()
        assert may_go_on.wait(SECONDS)
        return values

    spoil(registry, "same", count)
    dispatcher.take([predict("gone", 2_000_000 // 2)], transport)
    assert started.wait(SECONDS)
    assert dispatcher.cancel("gone")
    assert not dispatcher.cancel("gone")
    may_go_on.set()
    dispatcher.close()
    assert not transport.sent
    assert 0 < rows < 1_000_000
    assert not dispatcher._waiting


def test_a_call_that_breaks_the_reading_fails_alone() -> None:
    store = SqlStore("sqlite://")
    registry = Broken.open(store)
    registry.register("same", identity())
    registry.register("broken", identity())
    dispatcher, transport = make_dispatcher(registry), KeepingTransport()
    broken = RawRequest(PREDICT, number_request("broken", 1.0).SerializeToString(), key="broken")
    dispatcher.take([predict("before"), broken, predict("after")], transport)
    dispatcher.close()
    store.close()
    assert {key: type(response) for key, response in transport.sent} == {
        "before": bytes,
        "broken": ZeroDivisionError,
        "after": bytes,
    }


JOINING = BatchingPolicy(step_flops=3_000, joining_flops=10, max_joined_flops=100_000)


def test_requests_join_a_batch_that_waits_for_the_workers(registry: Registry) -> None:
    registry.register("other", identity())
    dispatcher, transport = make_dispatcher(registry, JOINING), KeepingTransport(inline_flops=3_000)
    begun, may_go_on, sizes = threading.Event(), threading.Event(), []

    def wait(values: Any, out: Any = None) -> Any:  # noqa: ARG001 - an activation's signature
        begun.set()
        assert may_go_on.wait(SECONDS)
        return values

    def count(values: Any, out: Any = None) -> Any:  # noqa: ARG001 - an activation's signature
        sizes.append(len(values))
        return values

    spoil(registry, "other", wait)
    spoil(registry, "same", count)
    busy = RawRequest(PREDICT, number_request("other", *[1.0] * 1_000).SerializeToString(), key="busy")
    dispatcher.take([busy], transport)
    assert begun.wait(SECONDS)
    dispatcher.take([predict(f"first {number}") for number in range(100)], transport)
    dispatcher.take([predict("joins")], transport)
    assert dispatcher.cancel("first 0")
    dispatcher.take([predict("late")._replace(expires=time.monotonic() - 1)], transport)
    assert transport.keys == ["late"]
    may_go_on.set()
    dispatcher.close()
    assert sorted(transport.keys) == sorted(["busy", "late", "joins", *(f"first {n}" for n in range(1, 100))])
    assert sum(isinstance(response, bytes) for response in transport.responses) == 101
    assert 101 <= sum(sizes) <= 104, "one batch, in blocks of eight rows"
    assert not dispatcher._open
    assert not dispatcher._waiting
    assert dispatcher.admission.seconds == 0


def test_a_batch_whose_callers_have_gone_takes_no_one_along(registry: Registry) -> None:
    registry.register("other", identity())
    dispatcher, transport = make_dispatcher(registry, JOINING), KeepingTransport(inline_flops=3_000)
    may_go_on = threading.Event()

    def wait(values: Any, out: Any = None) -> Any:  # noqa: ARG001 - an activation's signature
        assert may_go_on.wait(SECONDS)
        return values

    spoil(registry, "other", wait)
    busy = RawRequest(PREDICT, number_request("other", *[1.0] * 1_000).SerializeToString(), key="busy")
    dispatcher.take([busy], transport)
    gone = [f"gone {number}" for number in range(100)]
    dispatcher.take([predict(key) for key in gone], transport)
    assert [dispatcher.cancel(key) for key in gone] == [True] * len(gone)
    may_go_on.set()
    wait_until(lambda: not dispatcher._open)
    dispatcher.take([predict("after")], transport)
    dispatcher.close()
    assert sorted(transport.keys) == ["after", "busy"]


COUNTING = BatchingPolicy(counted_response_bytes=1_000)
"""Responses of this size are counted here."""
ROWS = 1_000
RESPONSE_BYTES = 8 * ROWS


def make_narrow(registry: Registry, responses: float) -> tuple[Dispatcher, KeepingTransport, Unsent]:
    """A dispatcher with room for some responses of one caller."""
    unsent = Unsent(Sockets(), max_bytes=int(2 * responses * RESPONSE_BYTES), seconds=30.0)
    return make_dispatcher(registry, COUNTING, unsent=unsent), KeepingTransport(), unsent


def test_a_response_is_computed_when_there_is_room_to_send_it(registry: Registry) -> None:
    dispatcher, transport, unsent = make_narrow(registry, 2.5)
    keys = [f"large {number}" for number in range(5)]
    for request in [*(predict(key, ROWS) for key in keys), predict("small")]:
        dispatcher.take([request], transport)
    wait_until(lambda: len(transport.sent) == 3)
    assert sorted(transport.keys) == [*keys[:2], "small"]
    assert unsent.held == 2 * RESPONSE_BYTES
    for count, key in enumerate(keys, 1):
        wait_until(lambda key=key: key in transport.claims)
        unsent.release(transport.claims[key])
        wait_until(lambda count=count: len(transport.sent) == min(count + 3, 6))
    assert all(isinstance(response, bytes) for response in transport.responses)
    assert unsent.held == 0
    dispatcher.close()


def test_what_waits_for_room_can_be_cancelled(registry: Registry) -> None:
    dispatcher, transport, unsent = make_narrow(registry, 1)
    many = PredictManyRequest(requests=[PredictRequest.FromString(predict("", ROWS).data)]).SerializeToString()
    dispatcher.take([predict("first", ROWS)], transport)
    dispatcher.take([predict("second", ROWS), RawRequest(PREDICT_MANY, many, key="many")], transport)
    wait_until(lambda: transport.keys == ["first"])
    for key in ("second", "many"):
        wait_until(lambda key=key: key in dispatcher._claims)
        assert dispatcher.cancel(key)
    unsent.release(transport.claims["first"])
    dispatcher.close()
    assert transport.keys == ["first"]
    assert (unsent.held, dispatcher._claims, dispatcher.admission.seconds) == (0, {}, 0.0)


def test_who_waits_for_room_too_long_is_asked_to_come_back(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forwardpass_server.memory.unsent.WAITING_SECONDS", 0.0)
    dispatcher, transport, unsent = make_narrow(registry, 1)
    dispatcher.take([predict("first", ROWS)], transport)
    dispatcher.take([predict("second", ROWS)], transport)
    wait_until(lambda: "first" in transport.keys and "second" in dispatcher._claims)
    unsent.update()
    wait_until(lambda: len(transport.sent) == 2)
    error = dict(transport.sent)["second"]
    assert isinstance(error, OverloadedError)
    assert error.facts["setting"] == "max_memory"
    for claim in transport.claims.values():
        unsent.release(claim)
    assert unsent.held == 0
    dispatcher.close()


def test_room_is_free_again_when_the_response_is_an_error(registry: Registry) -> None:
    dispatcher, transport, _ = make_narrow(registry, 3)

    def fail(values: Any, out: Any = None) -> Any:  # noqa: ARG001 - an activation's signature
        raise ZeroDivisionError

    spoil(registry, "same", fail)
    dispatcher.take([predict(f"large {number}", ROWS) for number in range(3)], transport)
    wait_until(lambda: len(transport.sent) == 3)
    assert all(isinstance(response, Exception) for response in transport.responses)
    assert len(transport.claims) == 3, "the transport releases them"
    dispatcher.close()


def test_too_many_bytes_that_wait_are_rejected_each_by_itself(registry: Registry) -> None:
    dispatcher, transport = make_dispatcher(registry), KeepingTransport()
    dispatcher.admission._max_bytes = 1
    held = dispatcher.admission.begin("test", 1)
    dispatcher.take([predict("large", 40_000), predict("small")], transport)
    errors = {key: type(response) for key, response in transport.sent}
    assert errors == {"large": OverloadedError, "small": bytes}
    dispatcher.admission.end(held, done=False)
    dispatcher.close()
