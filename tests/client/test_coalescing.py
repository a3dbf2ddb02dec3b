"""Rows of concurrent callers share requests, which no caller notices in a response, an error or a timeout."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from math import inf
from typing import Any

import grpc
import numpy as np
import pytest
from forwardpass import AsyncClient, ForwardpassError, Prediction, errors, spec
from forwardpass._batching.coalescing import (
    MAX_BYTES,
    MAX_IN_FLIGHT,
    MAX_RESPONSE_BYTES,
    MAX_ROWS,
    Batch,
    Coalescer,
    PendingRequest,
    batch_key,
)
from forwardpass.rows import read_rows
from forwardpass.tensors import from_tensor, to_tensor
from forwardpass.v1.prediction_service_pb2 import PredictResponse
from hypothesis import given
from hypothesis import strategies as st

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import ARTICLE, FakeServer, outputs_of
from tests.support.server_process import ServerProcess, wait_until

NAME = "article-2-hidden"


def _pending(network: str, row: Any) -> PendingRequest:
    read = read_rows(row)
    key = batch_key(network, "", read)
    assert key is not None
    return PendingRequest(key, read, Future(), None, inf)


class _World:
    """Callers and a sender around a `Coalescer`, checked at each step."""

    ROWS: tuple[Any, ...] = (
        np.array([1, 2], np.float32),
        np.array([1, 2], np.float64),
        np.array([[1.0, 2.0, 3.0]]),
        {"a": 1.0},
    )

    def __init__(self) -> None:
        self.coalescer = Coalescer()
        self.requests: list[PendingRequest] = []
        self.flying: list[Batch] = []
        self.sent: list[PendingRequest] = []

    def join(self, number: int) -> None:
        request = _pending("one" if number < 4 else "other", self.ROWS[number % 4])
        self.requests.append(request)
        if self.coalescer.add(request):
            self._take(request)

    def take(self, number: int) -> None:
        if self.requests:
            self._take(self.requests[number % len(self.requests)])

    def end(self, number: int) -> None:
        if self.flying:
            batch = self.flying.pop(number % len(self.flying))
            self.coalescer.finish(batch)
            self._take(batch.requests[0])

    def go(self, number: int) -> None:
        if self.requests:
            self.requests[number % len(self.requests)].outcome.cancel()

    def _take(self, request: PendingRequest) -> None:
        batch = self.coalescer.take(request.key)
        if batch is not None:
            assert {one.key for one in batch.requests} == {request.key}
            assert not any(one.outcome.done() for one in batch.requests)
            self.sent += batch.requests
            self.flying.append(batch)
        assert sum(one.requests[0].key == request.key for one in self.flying) <= MAX_IN_FLIGHT


class TestCoalescer:
    """The rules alone, without a client."""

    @given(st.lists(st.tuples(st.sampled_from(["join", "take", "end", "go"]), st.integers(0, 7)), max_size=80))
    def test_every_pending_request_is_sent_once_with_its_own_key(self, steps: list[tuple[str, int]]) -> None:
        world = _World()
        for step, number in steps:
            getattr(world, step)(number)
        while world.flying:
            world.end(0)
        assert len(set(map(id, world.sent))) == len(world.sent)
        assert all(request in world.sent or request.outcome.cancelled() for request in world.requests)
        for key in {request.key for request in world.requests}:
            order = [world.requests.index(request) for request in world.sent if request.key == key]
            assert order == sorted(order)

    @pytest.mark.parametrize(("width", "most"), [(2, MAX_ROWS), (1_000, MAX_BYTES // 8_000), (10**6, 1)])
    def test_a_batch_is_bounded(self, width: int, most: int) -> None:
        coalescer = Coalescer()
        requests = [_pending("n", np.zeros(width)) for _ in range(most + 1)]
        for request in requests:
            coalescer.add(request)
        batch = coalescer.take(requests[0].key)
        assert batch is not None
        assert len(batch.requests) == most
        assert coalescer.take(coalescer.finish(batch)) is not None

    def test_a_batch_is_bounded_by_its_response_once_a_row_of_one_is_known(self) -> None:
        coalescer = Coalescer()
        requests = [_pending("n", np.zeros(2)) for _ in range(20)]
        coalescer.add(requests[0])
        first = coalescer.take(requests[0].key)
        assert first is not None
        for request in requests[1:]:
            coalescer.add(request)
        first.split_response(PredictResponse(outputs=to_tensor(np.zeros((1, MAX_RESPONSE_BYTES // 40)))))
        second = coalescer.take(coalescer.finish(first))
        assert second is not None
        assert len(second.requests) == 5

    def test_the_most_patient_decides_how_long(self) -> None:
        requests = [_pending("n", [1.0, 2.0]) for _ in range(3)]
        for request, expires in zip(requests, (3.0, 5.0, 4.0), strict=True):
            request.expires = expires
        assert Batch(requests).timeout(1.0) == 4.0
        requests[0].expires = inf
        assert Batch(requests).timeout(1.0) is None

    def test_many_rows_are_sent_alone(self) -> None:
        assert batch_key("n", "", read_rows([[1.0], [2.0]])) is None
        assert batch_key("n", "", read_rows([{"a": 1}, {"a": 2}])) is None


@pytest.fixture
def together(connect: ClientFactory, fake: FakeServer) -> Any:
    """A client of `fake` that coalesces rows, of each kind in turn."""
    return connect(fake.address, coalesce=True)


def _waiting(client: Any) -> int:
    """How many rows wait in a client to be sent."""
    sender = getattr(client, "_client", client)._sender
    return sum(len(queue.waiting) for queue in list(sender._coalescer._queues.values()))


def _while_one_is_in_flight(
    client: Any, fake: FakeServer, first: Callable[[], Any], others: Sequence[Callable[[], Any]]
) -> list[Future[Any]]:
    """Call `first`, hold its response back until the others have called, and wait for all."""
    hold = fake.hold()
    with ThreadPoolExecutor(len(others) + 1) as threads:
        calls = [threads.submit(first)]
        wait_until(lambda: fake.calls)
        calls += [threads.submit(other) for other in others]
        wait_until(lambda: len(fake.calls) - 1 + _waiting(client) >= len(others))  # those who cannot wait are sent
        hold.set()
    return calls


class TestBatches:
    def test_a_lone_row_goes_at_once(self, together: Any, fake: FakeServer) -> None:
        assert together.predict(NAME, [3, 5]).outputs.tolist() == [[182.0]]
        assert fake.methods() == ["Predict"]

    def test_all_that_wait_go_in_the_next_call(self, together: Any, fake: FakeServer) -> None:
        rows = [[float(number), 1.0] for number in range(40)]
        ask = [partial(together.predict, NAME, row) for row in rows]
        calls = _while_one_is_in_flight(together, fake, ask[0], ask[1:])
        assert [call.result().outputs.tolist() for call in calls] == [outputs_of(ARTICLE[NAME], [row]) for row in rows]
        assert fake.methods() == ["Predict"] * 2
        assert from_tensor(fake.calls[1].requests[0].tensor).shape == (39, 2)

    def test_only_what_is_alike_goes_together(self, together: Any, fake: FakeServer) -> None:
        one = np.ones(2, np.float32)
        others = [one, one[None], [1.0, 2.0], {"children": 1, "accounts": 2}, np.ones((3, 2))]
        ask = [partial(together.predict, NAME, row) for row in others]
        ask += [partial(together.predict, NAME, [1.0, 2.0], version="1")]
        ask += [partial(together.predict, "article-linear", [1.0, 2.0])]
        _while_one_is_in_flight(together, fake, partial(together.predict, NAME, one), ask)
        sent = [call.requests[0] for call in fake.calls[1:]]
        shapes = [from_tensor(one.tensor).shape if one.WhichOneof("inputs") == "tensor" else None for one in sent]
        assert sorted(map(str, shapes)) == ["(2, 2)", "(2,)", "(2,)", "(2,)", "(3, 2)", "None"]

    def test_named_rows_go_together_too(self, together: Any, fake: FakeServer) -> None:
        rows = [{"children": float(number), "accounts": 1.0} for number in range(5)]
        calls = _while_one_is_in_flight(
            together,
            fake,
            partial(together.predict, NAME, rows[0]),
            [partial(together.predict, NAME, row) for row in rows],
        )
        expected = [outputs_of(ARTICLE[NAME], [[float(number), 1.0]]) for number in range(5)]
        assert [call.result().outputs.tolist() for call in calls[1:]] == expected
        assert len(fake.calls[1].requests[0].rows.rows) == 5

    @pytest.mark.parametrize("row", [[16_777_217, 1], {"children": 16_777_217, "accounts": 1}], ids=["list", "named"])
    def test_integers_that_must_be_exact_say_so_in_a_batch_too(self, together: Any, fake: FakeServer, row: Any) -> None:
        ask = [partial(together.predict, NAME, row)] * 3
        _while_one_is_in_flight(together, fake, ask[0], ask[1:])
        alone, shared = (getattr(call.requests[0], call.requests[0].WhichOneof("inputs")) for call in fake.calls)
        assert alone.exact_integers
        assert shared.exact_integers

    def test_outputs_are_read_only_and_apart(self, together: Any, fake: FakeServer) -> None:
        ask = [partial(together.predict, NAME, [3, 5])] * 3
        one, other = (call.result().outputs for call in _while_one_is_in_flight(together, fake, ask[0], ask[1:])[1:])
        assert not one.flags.writeable
        assert not np.shares_memory(one, other)

    def test_odd_arguments_are_rejected_before_they_are_sent(self, together: Any, fake: FakeServer) -> None:
        for arguments in ({"rows": ["x"]}, {"rows": [1, 2], "version": None}, {"rows": [1, 2], "timeout": 0}):
            with pytest.raises(errors.InvalidRequestError):
                together.predict(NAME, **arguments)
        assert fake.calls == []


class TestErrors:
    def test_of_the_call_are_everyones_each_with_their_own(self, together: Any, fake: FakeServer) -> None:
        def ask() -> Exception:
            with pytest.raises(errors.PermissionDeniedError) as caught:
                together.predict(NAME, [1.0, 2.0])
            return caught.value

        hold = fake.hold()
        with ThreadPoolExecutor(9) as threads:
            first = threads.submit(together.predict, NAME, [1.0, 2.0])
            wait_until(lambda: fake.calls)
            fake.fail(grpc.StatusCode.PERMISSION_DENIED)
            calls = [threads.submit(ask) for _ in range(8)]
            wait_until(lambda: _waiting(together) == 8)
            hold.set()
        first.result()
        raised = [call.result() for call in calls]
        assert len(set(map(id, raised))) == 8
        assert len({str(error) for error in raised}) == 1
        assert fake.methods() == ["Predict"] * 2

    def test_that_may_concern_one_row_send_each_row_by_itself(self, together: Any, fake: FakeServer) -> None:
        hold = fake.hold()
        fake.fail(grpc.StatusCode.INVALID_ARGUMENT)
        with ThreadPoolExecutor(5) as threads:
            first = threads.submit(together.predict, NAME, [0.0, 1.0])
            wait_until(lambda: fake.calls)
            calls = [threads.submit(together.predict, NAME, [float(number), 1.0]) for number in range(4)]
            wait_until(lambda: _waiting(together) == 4)
            hold.set()
        first.result()
        expected = [outputs_of(ARTICLE[NAME], [[float(number), 1.0]]) for number in range(4)]
        assert [call.result().outputs.tolist() for call in calls] == expected
        assert fake.methods() == ["Predict", "Predict", "PredictMany"]


class TestPatience:
    def test_the_impatient_give_up_by_themselves(self, together: Any, connect: ClientFactory, fake: FakeServer) -> None:
        first_hold, hold = fake.hold(), fake.hold()
        while not fake.calls:  # a call whose time is over before it comes is none
            with pytest.raises(errors.DeadlineExceededError) as alone:
                connect(fake.address).predict(NAME, [1.0, 1.0], timeout=1.5)
        assert len(fake.calls) == 1
        first_hold.set()
        with ThreadPoolExecutor(4) as threads:
            first = threads.submit(together.predict, NAME, [3.0, 5.0])
            wait_until(lambda: len(fake.calls) == 2)
            waits = threads.submit(together.predict, NAME, [3.0, 5.0])
            hurries = threads.submit(together.predict, NAME, [3.0, 5.0], timeout=1.5)
            with pytest.raises(errors.DeadlineExceededError) as caught:
                hurries.result()
            assert not waits.done()
            hold.set()
            assert waits.result().outputs == first.result().outputs == 182
        assert (str(caught.value), caught.value.facts) == (str(alone.value), alone.value.facts)

    def test_the_impatient_leave_a_call_that_others_wait_for(self, together: Any, fake: FakeServer) -> None:
        first_hold, hold = fake.hold(), fake.hold()
        with ThreadPoolExecutor(4) as threads:
            threads.submit(together.predict, NAME, [3.0, 5.0])
            wait_until(lambda: fake.calls)
            patient = threads.submit(together.predict, NAME, [3.0, 5.0], timeout=None)
            hurried = threads.submit(together.predict, NAME, [3.0, 5.0], timeout=3)
            wait_until(lambda: _waiting(together) == 2)
            first_hold.set()
            wait_until(lambda: len(fake.calls) == 2)
            with pytest.raises(errors.DeadlineExceededError, match="within 3 s"):
                hurried.result()
            hold.set()
            assert patient.result().outputs == 182
        assert from_tensor(fake.calls[1].requests[0].tensor).shape == (2, 2)

    def test_the_server_gets_the_longest_timeout(self, together: Any, fake: FakeServer) -> None:
        ask = [partial(together.predict, NAME, [1, 2], timeout=seconds) for seconds in (20, 40, 30)]
        _while_one_is_in_flight(together, fake, ask[0], ask)
        assert 30 < (fake.calls[1].seconds_left or 0) <= 40

    def test_a_call_that_nobody_waits_for_ends(self, together: Any, fake: FakeServer) -> None:
        hold = fake.hold()
        while not fake.calls:  # a call whose time is over before it comes is none
            with pytest.raises(errors.DeadlineExceededError):
                together.predict(NAME, [1.0, 2.0], timeout=1.0)
        assert fake.calls[0].ended.wait(60)
        hold.set()
        assert together.predict(NAME, [3.0, 5.0]).outputs == 182

    async def test_everyone_waits_as_long_as_they_said(self, fake: FakeServer) -> None:
        holds = [fake.hold() for _ in range(12)]
        async with AsyncClient(fake.address, coalesce=True) as client:
            waited: list[tuple[float, float]] = []

            async def caller(seconds: float, begins: float) -> None:
                await asyncio.sleep(begins)
                begun = time.monotonic()
                with pytest.raises(errors.DeadlineExceededError):
                    await client.predict(NAME, [1.0, 2.0], timeout=seconds)
                waited.append((seconds, time.monotonic() - begun))

            # Some begin when others who are as patient have given up, or wait still.
            await asyncio.gather(*(caller(seconds, 0.1 * n) for n in range(6) for seconds in (0.2, 0.25)))
            assert len(waited) == 12
            assert all(real > seconds - 0.01 for seconds, real in waited)
        for hold in holds:
            hold.set()

    async def test_who_is_cancelled_takes_nobody_along(self, fake: FakeServer) -> None:
        hold = fake.hold()
        async with AsyncClient(fake.address, coalesce=True) as client:
            tasks = [asyncio.create_task(client.predict(NAME, [float(n), 1.0])) for n in range(6)]
            while not fake.calls:
                await asyncio.sleep(0.01)
            waiting = [asyncio.create_task(client.predict(NAME, [float(n), 1.0])) for n in range(6)]
            await asyncio.sleep(0)
            for task in (tasks[0], tasks[3], waiting[0], waiting[5]):
                task.cancel()
            hold.set()
            outcomes = await asyncio.gather(*tasks, *waiting, return_exceptions=True)
        gone = {0, 3, 6, 11}
        for place, outcome in enumerate(outcomes):
            if place in gone:
                assert isinstance(outcome, asyncio.CancelledError)
            else:
                assert isinstance(outcome, Prediction)
                assert outcome.outputs.tolist() == outputs_of(ARTICLE[NAME], [[float(place % 6), 1.0]])
        assert from_tensor(fake.calls[1].requests[0].tensor).shape == (4, 2)

    async def test_when_all_are_cancelled_their_call_ends(self, fake: FakeServer) -> None:
        hold = fake.hold()
        async with AsyncClient(fake.address, coalesce=True) as client:
            tasks = [asyncio.create_task(client.predict(NAME, [1.0, 2.0])) for _ in range(3)]
            while not fake.calls:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await asyncio.to_thread(fake.calls[0].ended.wait, 60)
            hold.set()
            assert (await client.predict(NAME, [3.0, 5.0])).outputs == 182


class TestClosing:
    def test_raises_for_rows_in_flight_and_for_rows_that_wait(self, together: Any, fake: FakeServer) -> None:
        hold = fake.hold()
        with ThreadPoolExecutor(5) as threads:
            calls = [threads.submit(together.predict, NAME, [1.0, 2.0])]
            wait_until(lambda: fake.calls)
            calls += [threads.submit(together.predict, NAME, [1.0, 2.0]) for _ in range(4)]
            wait_until(lambda: _waiting(together) == 4)
            together.close()
            try:
                for call in calls:
                    with pytest.raises(RuntimeError, match="the client is closed"):
                        call.result(60)
            finally:
                hold.set()
        with pytest.raises(RuntimeError, match="the client is closed"):
            together.predict(NAME, [1.0, 2.0])
        assert len(fake.calls) == 1

    def test_an_event_loop_that_ends_leaves_nobody_waiting(self, fake: FakeServer) -> None:
        fake.hold()

        async def leave() -> None:
            client = AsyncClient(fake.address, coalesce=True)
            task = asyncio.create_task(client.predict(NAME, [1.0, 2.0]))
            while not fake.calls:
                await asyncio.sleep(0.01)
            assert not task.done()

        asyncio.run(leave())


@pytest.fixture(scope="module")
def classifier(server: ServerProcess) -> str:
    from forwardpass import Client

    rng = np.random.default_rng(5)
    layers = [
        {"weights": rng.standard_normal((9, 3)), "activation": "tanh"},
        {"weights": rng.standard_normal((2, 9)), "activation": "softmax"},
    ]
    with Client(server.address) as client:
        for dtype in ("float32", "float64"):
            document = {"format": spec.FORMAT, "dtype": dtype, "inputs": ["x", "y", "z"], "layers": layers}
            client.register(f"together-{dtype}", {**document, "classes": ["no", "yes"]})
    return "together-float32"


def _outcome(call: Callable[[], Prediction]) -> Any:
    """What a caller can see: a value, or all of an error but its request's id."""
    try:
        return call()
    except ForwardpassError as error:
        return type(error), error.message, error.facts, error.faults, error.retry_after


@pytest.mark.parametrize("seed", range(3))
def test_nobody_can_tell(connect: ClientFactory, server: ServerProcess, classifier: str, seed: int) -> None:
    """Callers of every kind, at random moments, some of them in error: each gets what it gets alone."""
    alone, coalescing = connect(server.address), connect(server.address, coalesce=True)
    chance = random.Random(seed)
    rng = np.random.default_rng(seed)

    def rows() -> Any:
        row = rng.standard_normal(3)
        if chance.random() < 0.1:
            row[chance.randrange(3)] = np.nan
        return chance.choice(
            [
                row,
                row.astype(np.float32),
                row.astype(np.float32)[None],
                row.tolist(),
                dict(zip("xyz", row.tolist(), strict=True)),
                dict(zip("xyw", row.tolist(), strict=True)),
                row[:2],
                rng.standard_normal((4, 3)),
                ["one", 2, 3],
            ]
        )

    calls = [
        (chance.choice([classifier, "together-float64", "nowhere"]), rows(), chance.choice(["", "1", "latest", 7]))
        for _ in range(150)
    ]

    def one(name: str, row: Any, version: str | int) -> Any:
        time.sleep(chance.random() * 0.02)
        return _outcome(partial(coalescing.predict, name, row, version=version))

    expected = [_outcome(partial(alone.predict, name, row, version=version)) for name, row, version in calls]
    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(lambda call: one(*call), calls))
    assert found == expected
    assert any(isinstance(result, Prediction) and result.classifications for result in found)
    assert any(not isinstance(result, Prediction) for result in found)
