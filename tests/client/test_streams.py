"""Streams of predictions, and watches."""

import itertools
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from forwardpass import AsyncClient, StreamRequest, errors

from tests.support.fake_server import ARTICLE, FakeServer, outputs_of

NAME = "article-1-hidden"


def _request(number: int, **options: Any) -> StreamRequest:
    return StreamRequest(**{"network": NAME, "rows": [float(number), 1.0], **options})


def _expected(number: int) -> list[list[float]]:
    return outputs_of(ARTICLE[NAME], [[float(number), 1.0]])


def _eventually(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(condition())


class TestPredictStream:
    def test_counts_the_requests(self, client: Any) -> None:
        responses = dict(client.predict_stream(map(_request, range(300))))
        assert {key: response.outputs.tolist() for key, response in responses.items()} == {
            str(number): _expected(number) for number in range(300)
        }

    def test_gives_the_callers_ids_back(self, client: Any) -> None:
        requests = [_request(number, id=f"row {number}") for number in range(3)]
        assert [key for key, _ in client.predict_stream(requests)] == ["row 0", "row 1", "row 2"]

    def test_requests_the_version(self, client: Any, fake: FakeServer) -> None:
        list(client.predict_stream([_request(1, version=3), _request(2)]))
        assert [request.request.version for request in fake.calls[0].requests] == ["3", ""]

    def test_of_nothing_is_empty(self, client: Any) -> None:
        assert list(client.predict_stream([])) == []

    def test_goes_on_after_a_request_that_fails(self, client: Any) -> None:
        requests = [
            _request(0),
            _request(1, network="nowhere"),
            _request(2, rows=[[1.0, 2.0], [3.0]]),
            _request(3, rows=[]),
            _request(4, rows={"children": b"two", "accounts": 1}),
            _request(5),
        ]
        responses = [response for _, response in client.predict_stream(requests)]
        assert [type(response).__name__ for response in responses] == [
            "Prediction",
            "NotFoundError",
            "InvalidTensorError",
            "ShapeMismatchError",
            "FeatureMismatchError",
            "Prediction",
        ]
        assert responses[5].outputs.tolist() == _expected(5)

    def test_a_request_may_depend_on_an_earlier_response(self, client: Any) -> None:
        todo: queue.SimpleQueue[StreamRequest | None] = queue.SimpleQueue()
        todo.put(_request(1))
        seen = []
        for _, response in client.predict_stream(_Drained(todo, client)):
            seen.append(response.outputs.tolist())
            todo.put(_request(len(seen) + 1) if len(seen) < 5 else None)
        assert seen == [_expected(number) for number in range(1, 6)]

    def test_raises_what_the_callers_iterator_raised(self, client: Any) -> None:
        def requests() -> Iterator[StreamRequest]:
            yield _request(1)
            raise KeyError("no more rows")

        responses = client.predict_stream(requests())
        assert next(responses)[1].outputs.tolist() == _expected(1)
        with pytest.raises(KeyError, match="no more rows"):
            next(responses)

    def test_rejects_an_id_that_is_in_use(self, client: Any, fake: FakeServer) -> None:
        fake.stream_reads = 2
        with pytest.raises(errors.InvalidFieldError, match=r"'same'.*has no response yet"):
            list(client.predict_stream([_request(1, id="same"), _request(2, id="same")]))

    def test_an_id_may_be_used_again_after_its_response(self, client: Any) -> None:
        for _ in range(2):
            assert [key for key, _ in client.predict_stream([_request(1, id="same")])] == ["same"]

    def test_an_error_of_the_stream_is_raised(self, client: Any, fake: FakeServer) -> None:
        fake.fail(grpc.StatusCode.PERMISSION_DENIED)
        with pytest.raises(errors.PermissionDeniedError):
            list(client.predict_stream([_request(1)]))

    def test_leaving_early_ends_the_call(self, client: Any, fake: FakeServer) -> None:
        responses = client.predict_stream(map(_request, itertools.count()))
        assert next(responses)[0] == "0"
        responses.close()
        assert fake.calls[0].ended.wait(60)

    def test_is_read_no_faster_than_responses_come(self, client: Any, fake: FakeServer) -> None:
        taken = 0
        rows = np.ones((2_000, 2))

        def requests() -> Iterator[StreamRequest]:
            nonlocal taken
            while True:
                taken += 1
                yield _request(0, rows=rows)

        responses = client.predict_stream(requests())
        next(responses)
        before, still = -1, 0
        # Until the windows of the connection are full of requests, 32 KB each, and of responses.
        while still < 5 and taken < 5_000:
            still = still + 1 if taken == before else 0
            before = taken
            time.sleep(0.1)
        assert taken < 5_000
        responses.close()
        assert fake.calls[0].ended.wait(60)

    def test_has_no_timeout_by_default(self, client: Any, fake: FakeServer) -> None:
        list(client.predict_stream([_request(1)]))
        assert fake.calls[0].seconds_left is None or fake.calls[0].seconds_left > 1e6

    def test_has_a_timeout_when_set(self, client: Any, fake: FakeServer) -> None:
        forever = threading.Event()

        def requests() -> Iterator[StreamRequest]:
            yield _request(1)
            forever.wait(60)

        try:
            with pytest.raises(errors.DeadlineExceededError, match=r"within 0\.3 s"):
                list(client.predict_stream(_Paused(requests(), client), timeout=0.3))
        finally:
            forever.set()
        assert all(call.ended.wait(60) for call in fake.calls)  # none, if the deadline was over before it came


class _Drained:
    """The requests of a queue until None comes, in the way of the client's kind."""

    def __init__(self, requests: "queue.SimpleQueue[StreamRequest | None]", client: Any) -> None:
        self._requests = requests
        if hasattr(client, "_loop"):
            # Seen by isinstance(..., AsyncIterable), so only where a test needs it.
            self.__class__ = _AsyncDrained

    def __iter__(self) -> Iterator[StreamRequest]:
        while (request := self._requests.get()) is not None:
            yield request


class _AsyncDrained(_Drained):
    async def __aiter__(self) -> AsyncIterator[StreamRequest]:
        import asyncio

        while (request := await asyncio.to_thread(self._requests.get)) is not None:
            yield request


class _Paused(_Drained):
    def __init__(self, requests: Iterator[StreamRequest], client: Any) -> None:
        todo: queue.SimpleQueue[StreamRequest | None] = queue.SimpleQueue()

        def fill() -> None:
            for request in requests:
                todo.put(request)
            todo.put(None)

        threading.Thread(target=fill, daemon=True).start()
        super().__init__(todo, client)


class TestWatch:
    def test_yields_the_state_then_the_changes(self, client: Any) -> None:
        changes = list(itertools.islice(client.watch(), 5))
        assert [(change.event, change.name) for change in changes] == [
            ("current", "article-1-hidden"),
            ("current", "article-2-hidden"),
            ("current", "article-linear"),
            ("synced", ""),
            ("deleted", "gone"),
        ]
        assert changes[0].network.aliases == {"latest": 1}
        assert changes[3].network is None
        assert changes[4].network is None
        assert changes[4].revision == 8

    def test_yields_only_names_with_the_prefix(self, client: Any) -> None:
        changes = list(itertools.islice(client.watch(prefix="article-l"), 2))
        assert [change.name for change in changes] == ["article-linear", ""]

    def test_leaving_early_ends_the_call(self, client: Any, fake: FakeServer) -> None:
        changes = client.watch()
        next(changes)
        changes.close()
        assert _eventually(fake.calls[0].ended.is_set)

    def test_a_watch_that_the_server_ends_is_no_quiet_end(self, client: Any, fake: FakeServer) -> None:
        fake.watching.set()
        with pytest.raises(errors.UnavailableError, match="watch again"):
            list(client.watch())

    def test_closing_the_client_ends_it(self, client: Any) -> None:
        changes = client.watch()
        list(itertools.islice(changes, 5))
        threading.Timer(0.1, client.close).start()
        with pytest.raises((RuntimeError, errors.UnavailableError)):
            next(changes)


async def test_an_async_iterator_may_raise_too(fake: FakeServer) -> None:
    async def requests() -> AsyncIterator[StreamRequest]:
        yield _request(1)
        raise KeyError("no more rows")

    async with AsyncClient(fake.address) as client:
        seen = []
        with pytest.raises(KeyError, match="no more rows"):
            async for key, _ in client.predict_stream(requests()):
                seen.append(key)
        assert seen == ["0"]
