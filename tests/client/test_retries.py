"""What fails is repeated until the call's time is over, where the method says that it may be."""

import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import grpc
import pytest
from forwardpass import StreamRequest, errors
from forwardpass._transport.retries import Retries, RetryBudget
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import FakeServer

NAME = "article-linear"
ROW = [2.0, 3.0]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SPEC = {"format": "forwardpass/v1", "inputs": 1, "layers": [{"weights": [[1]]}]}


def overloaded(seconds: float | None = None) -> Status:
    """A status as our servers send it, with the seconds that a client is to wait."""
    status = Status(code=UNAVAILABLE.value[0], message="too many calls wait")
    details: list[Any] = [ErrorInfo(reason="OVERLOADED", domain="forwardpass.dev")]
    if seconds is not None:
        delay = Duration()
        delay.FromNanoseconds(int(seconds * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    for detail in details:
        packed = Packed()
        packed.Pack(detail)
        status.details.append(packed)
    return status


@pytest.fixture
def restart() -> Iterator[Any]:
    """Stop a server at once and start another on its port after some seconds."""
    started: list[FakeServer] = []
    timers: list[threading.Timer] = []

    def after(fake: FakeServer, seconds: float) -> None:
        fake.stop()
        port = int(fake.address.rpartition(":")[2])
        timers.append(threading.Timer(seconds, lambda: started.append(FakeServer(port))))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.join()
    for server in started:
        server.stop()


class TestRestart:
    """The only server is gone for longer than gRPC's own retries last."""

    SECONDS = 2.0

    def test_a_prediction_waits_for_it(self, client: Any, fake: FakeServer, restart: Any) -> None:
        client.predict(NAME, ROW)
        restart(fake, self.SECONDS)
        assert client.predict(NAME, ROW).outputs == 9

    def test_a_coalesced_prediction_waits_for_it(self, connect: ClientFactory, fake: FakeServer, restart: Any) -> None:
        client = connect(fake.address, coalesce=True)
        client.predict(NAME, ROW)
        restart(fake, self.SECONDS)
        assert client.predict(NAME, ROW).outputs == 9

    def test_a_write_that_is_idempotent_waits_for_it(self, client: Any, fake: FakeServer, restart: Any) -> None:
        restart(fake, self.SECONDS)
        assert client.set_alias(NAME, "stable", 1).name == NAME

    def test_a_write_that_is_not_does_not(self, client: Any, fake: FakeServer) -> None:
        fake.stop()
        with pytest.raises(errors.UnavailableError):
            client.delete_network(NAME)

    def test_a_stream_without_a_response_yet_waits_for_it(self, client: Any, fake: FakeServer, restart: Any) -> None:
        restart(fake, self.SECONDS)
        requests = [StreamRequest(network=NAME, rows=[float(n), 0.0]) for n in range(20)]
        predicted = dict(client.predict_stream(requests))
        assert [float(predicted[str(n)].outputs[0, 0]) for n in range(20)] == [3.0 * n for n in range(20)]

    def test_a_watch_waits_for_it(self, client: Any, fake: FakeServer, restart: Any) -> None:
        restart(fake, self.SECONDS)
        assert [change.event for change in islice(client.watch(), 4)] == ["current"] * 3 + ["synced"]

    def test_batches_wait_for_it(self, client: Any, fake: FakeServer, restart: Any) -> None:
        restart(fake, self.SECONDS)
        rows = [[float(n), 0.0] for n in range(50)]
        found = [row for part in client.predict_batches(NAME, rows, batch_rows=8) for row in part.outputs[:, 0]]
        assert found == [3.0 * n for n in range(50)]

    def test_until_the_timeout(self, connect: ClientFactory) -> None:
        begun = time.monotonic()
        with pytest.raises(errors.UnavailableError, match="cannot be reached") as caught:
            connect("127.0.0.1:1", timeout=2.0).predict(NAME, ROW)
        assert 1.5 < time.monotonic() - begun < 10.0
        assert any("attempts in" in note for note in caught.value.__notes__)

    def test_streams_without_a_timeout_wait_as_long_as_other_calls(self, connect: ClientFactory) -> None:
        begun = time.monotonic()
        with pytest.raises(errors.UnavailableError, match="cannot be reached"):
            list(connect("127.0.0.1:1", timeout=1.0).predict_stream([StreamRequest(network=NAME, rows=ROW)]))
        assert 0.7 < time.monotonic() - begun < 9.0


class TestServersWord:
    def test_the_pause_of_a_server_is_kept(self, client: Any, fake: FakeServer) -> None:
        fake.fail(UNAVAILABLE, status=overloaded(0.7))
        begun = time.monotonic()
        assert client.predict(NAME, ROW).outputs == 9
        assert 0.7 < time.monotonic() - begun < 10.0
        assert len(fake.calls) == 2

    def test_nobody_waits_longer_than_the_timeout(self, client: Any, fake: FakeServer) -> None:
        fake.fail(UNAVAILABLE, status=overloaded(60))
        with pytest.raises(errors.OverloadedError) as caught:
            client.predict(NAME, ROW)
        assert caught.value.retry_after == 60
        assert len(fake.calls) == 1

    def test_many_attempts(self, client: Any, fake: FakeServer) -> None:
        fake.fail(UNAVAILABLE, status=overloaded(0.01), times=7)
        assert client.predict(NAME, ROW).outputs == 9
        assert len(fake.calls) == 8


class TestStreams:
    def test_what_was_taken_is_sent_again_and_once(self, client: Any, fake: FakeServer) -> None:
        taken: list[int] = []

        def requests() -> Iterator[StreamRequest]:
            for number in range(30):
                taken.append(number)
                yield StreamRequest(network=NAME, rows=[float(number), 0.0])

        fake.fail(UNAVAILABLE, times=3)
        predicted = dict(client.predict_stream(requests()))
        assert [float(predicted[str(n)].outputs[0, 0]) for n in range(30)] == [3.0 * n for n in range(30)]
        assert taken == list(range(30))

    def test_not_after_the_first_response(self, client: Any, fake: FakeServer) -> None:
        stream = client.predict_stream(StreamRequest(network=NAME, rows=ROW) for _ in range(10**6))
        next(stream)
        threading.Timer(0.1, fake.stop).start()
        with pytest.raises(errors.UnavailableError):
            for _ in stream:
                pass
        assert fake.methods() == ["PredictStream"]


class Failed(grpc.RpcError):
    """What a call without a connection fails with."""

    def code(self) -> grpc.StatusCode:
        return UNAVAILABLE

    def details(self) -> str:
        return ""

    def trailing_metadata(self) -> tuple[Any, ...]:
        return ()

    def initial_metadata(self) -> tuple[Any, ...]:
        return ()


class TestPauses:
    def test_grow_and_differ(self) -> None:
        def pauses() -> list[float]:
            retries = Retries("Predict", None, None, begun=time.monotonic(), budget=RetryBudget())
            failure = errors.UnavailableError("gone")
            return [retries.pause_after(Failed(), failure) or 0.0 for _ in range(8)]

        first, second = pauses(), pauses()
        assert first != second
        assert first[0] <= 0.1
        assert 0.5 <= first[-1] <= 1.0
        assert all(low / 2 <= pause <= low for pause, low in zip(first, [0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1], strict=True))

    def test_a_budget_bounds_what_servers_reject(self) -> None:
        budget = RetryBudget(capacity=5, per_second=0)
        assert [budget.take() for _ in range(7)] == [True] * 5 + [False] * 2
