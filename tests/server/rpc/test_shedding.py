"""Calls that are rejected before they are read, on real transports: the same error, and only where it is deserved."""

import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from math import inf
from typing import Any

import grpc
import pytest
from forwardpass.errors import OverloadedError
from forwardpass_server.memory import Arrivals
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc import (
    PREDICTION_SERVICE,
    Around,
    AsyncioTransport,
    ErrorMapper,
    Guard,
    InFlight,
    NativeTransport,
    Receiver,
    authorization,
    declared_scopes,
    errors,
    grpc_server,
    handlers,
    prediction_service,
)
from forwardpass_server.rpc.error_mapping import NO_RETRY_TRAILER
from forwardpass_server.rpc.native_transport import open_front
from forwardpass_server.rpc.tokens_file import Token
from forwardpass_server.serving import PREDICT, BatchingPolicy, Dispatcher, shedding
from forwardpass_server.serving.admission import MAX_RETRY_SECONDS
from google.rpc.status_pb2 import Status

from tests.support.raw_grpc import PREDICTIONS, decode
from tests.support.sample_networks import identity, number_request
from tests.support.serving import idle_unsent, idle_watch, make_dispatcher

PATH = f"{PREDICTIONS}Predict"
SMALL = BatchingPolicy(step_flops=3_000)
"""Little counts as long here."""
LONG = number_request("same", *[1.0] * 2_000).SerializeToString()
SHORT = number_request("same", 1.0).SerializeToString()
TOKEN = "flood"  # noqa: S105 - of the test
TOKENS = (
    Token(key=hashlib.sha256(TOKEN.encode()).digest(), scopes=frozenset({"predict"}), name="flood"),
    Token(key=hashlib.sha256(b"polite").digest(), scopes=frozenset({"predict"}), name="polite"),
)
UNREAD = "rejected unread"
LOOPBACK = "ipv4:127.0.0.1"


@pytest.fixture(autouse=True)
def _slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass, as far as shedding goes: tests may take as long as they like."""
    monkeypatch.setattr(shedding, "FLOOD_SECONDS", inf)
    monkeypatch.setattr(shedding, "READ_SECONDS", 3_600.0)
    monkeypatch.setattr(shedding, "SHORT_SECONDS", 3_600.0)


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    store = SqlStore("sqlite://")
    registry = Registry.open(store)
    registry.register("same", identity())
    with ExitStack() as stack:
        stack.callback(store.close)
        stack.callback(registry.close)
        dispatcher = make_dispatcher(registry, SMALL)
        stack.callback(dispatcher.close)
        yield dispatcher


@asynccontextmanager
async def serving(engine: str, dispatcher: Dispatcher, guard: Guard) -> AsyncIterator[grpc.aio.Channel]:
    """Serve the hot methods, and connect."""
    async with (
        (_native if engine == "native" else _grpcio)(dispatcher, guard) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


@asynccontextmanager
async def _native(dispatcher: Dispatcher, guard: Guard) -> AsyncIterator[int]:
    front = open_front("127.0.0.1:0")
    transport = NativeTransport(
        front,
        dispatcher,
        hot={PATH: PREDICT},
        direct={},
        guard=guard,
        error_mapper=ErrorMapper(guard),
        in_flight=InFlight(1_000),
        policy=SMALL,
        watch=idle_watch(),
        unsent=idle_unsent(),
        max_request_bytes=2**20,
        call_timeout=300.0,
    )
    transport.start()
    yield front.bound_port
    transport.close()


@asynccontextmanager
async def _grpcio(dispatcher: Dispatcher, guard: Guard) -> AsyncIterator[int]:
    mapper = ErrorMapper(guard)
    transport = AsyncioTransport(dispatcher, guard, mapper, SMALL, idle_unsent())
    receiver = Receiver(Arrivals(2**30, 60.0), idle_watch(), max_request_bytes=2**20)
    around = Around(receiver=receiver, outside=(errors(mapper), authorization(guard)))
    handler = handlers(prediction_service(transport), transport, around)
    server = grpc_server([handler], max_request_bytes=2**20, max_connection_age=600.0, max_connections=10)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(0)


async def response(
    channel: grpc.aio.Channel, request: bytes, *metadata: tuple[str, str], deadline: float = 60.0
) -> Any:
    """Return the response to a call, or the error."""
    predict: Any = channel.unary_unary(PATH)
    try:
        return await predict(request, timeout=deadline, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error


def fill(dispatcher: Dispatcher, caller: str) -> None:
    """Let work of a caller wait that takes an hour."""
    speed = 1e-3 / SMALL.step_flops
    work, _ = dispatcher.admission.admit([caller], [time.monotonic() + 1e9], [int(3_600 / speed)], "other", [0])
    assert work is not None


async def test_a_flood_is_rejected_unread(engine: str, dispatcher: Dispatcher) -> None:
    async with serving(engine, dispatcher, Guard(None)) as channel:
        assert isinstance(await response(channel, LONG), bytes)
        fill(dispatcher, LOOPBACK)
        # The first is read and rejected, the second is read to know what the caller sends now.
        found = [await response(channel, LONG, ("x-request-id", f"call-{number}")) for number in range(4)]
        assert [UNREAD in error.details() for error in found] == [False, False, True, True]
        for number, error in enumerate(found):
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert dict(error.trailing_metadata())["x-request-id"] == f"call-{number}"
            decoded = decode(error)
            assert decoded.reason == "OVERLOADED"
            assert decoded.details["RequestInfo"].request_id == f"call-{number}"
            delay = decoded.details["RetryInfo"].retry_delay.ToTimedelta().total_seconds()
            assert 0 < delay <= MAX_RETRY_SECONDS
            # Proxies do not repeat it, whether it was read or not.
            assert decoded.trailers["x-envoy-ratelimited"] == "true"


async def test_tokens_have_floods_of_their_own(engine: str, dispatcher: Dispatcher) -> None:
    guard = Guard(TOKENS, declared_scopes([PREDICTION_SERVICE]))
    flood, polite = ("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer polite")
    async with serving(engine, dispatcher, guard) as channel:
        fill(dispatcher, guard.caller(TOKEN, ""))
        found = [await response(channel, LONG, flood) for _ in range(3)]
        assert UNREAD in found[-1].details()
        assert isinstance(await response(channel, LONG, polite), bytes)
        assert decode(await response(channel, LONG)).reason == "UNAUTHENTICATED"
        assert decode(await response(channel, LONG, ("authorization", "Bearer other"))).reason == "UNAUTHENTICATED"


async def test_short_calls_are_computed_all_the_same(engine: str, dispatcher: Dispatcher) -> None:
    async with serving(engine, dispatcher, Guard(None)) as channel:
        fill(dispatcher, LOOPBACK)
        await response(channel, LONG)
        # The one that is read in a while: from now on this caller's calls are read.
        assert isinstance(await response(channel, SHORT), bytes)
        for _ in range(5):
            assert isinstance(await response(channel, SHORT), bytes)


@pytest.mark.parametrize("length", [1, 2, 16, 99, 100, 127, 128])
def test_a_prepared_error_is_the_same_but_for_the_order_of_its_details(length: int) -> None:
    error = OverloadedError("wait", retry_after=0.7, setting="some")
    mapper, request_id = ErrorMapper(Guard(None)), "x" * length
    prepared, mapped = mapper.prepare(error), mapper.map(error, request_id, None)
    (_, serialized), (_, echoed), no_retry = prepared.trailers(request_id)
    assert no_retry == NO_RETRY_TRAILER
    assert isinstance(serialized, bytes)
    status = Status.FromString(serialized)
    assert (status.code, status.message) == (mapped.status.code, mapped.status.message)
    assert sorted(each.SerializeToString() for each in status.details) == sorted(
        each.SerializeToString() for each in mapped.status.details
    )
    assert echoed == request_id
    mapper.count(prepared, None)
    assert mapper.counted()["OVERLOADED"] == 2
