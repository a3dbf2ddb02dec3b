"""Rows of any number over one stream: chunks, order, errors in their place, and bounded memory."""

import itertools
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forwardpass import AsyncClient, Prediction, chunks, errors, spec
from forwardpass._batching.row_stream import MAX_CHUNKS_IN_FLIGHT
from forwardpass.chunks import Chunks, chunk_rows, count_rows, row_values
from forwardpass.rows import UnreadableRows, read_rows
from forwardpass.tensors import Packed
from hypothesis import given
from hypothesis import strategies as st

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import ARTICLE, FakeServer, outputs_of
from tests.support.server_process import ServerProcess, wait_until

NAME = "article-2-hidden"
ROWS = np.random.default_rng(0).integers(-9, 9, size=(50, 2)).astype(np.float64)
FRAME = pd.DataFrame(ROWS, columns=["children", "accounts"])


def _chunks(items: Any, size: int) -> list[tuple[int, Any]]:
    gathered = Chunks(size)
    return [*itertools.chain.from_iterable(map(gathered.add, items)), *gathered.rest()]


def _bytes(chunk: Any) -> int:
    return len(chunk.data) if isinstance(chunk, Packed) else chunk.ByteSize()


class TestChunks:
    @given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 12), st.sampled_from(["array", "list", "frame"]))
    def test_have_all_rows_in_order_in_the_requested_size(self, lengths: list[int], size: int, form: str) -> None:
        ends = list(itertools.accumulate(lengths))
        whole = np.arange(2.0 * sum(lengths)).reshape(-1, 2)
        parts: list[Any] = [whole[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        if form == "list":
            parts = [part.tolist() for part in parts if len(part)]
        elif form == "frame":
            parts = [pd.DataFrame(part, columns=["a", "b"]) for part in parts]
        found = _chunks(parts, size)
        assert [first for first, _ in found] == list(range(0, len(whole), size))
        assert all(count_rows(chunk) == size for _, chunk in found[:-1])
        rows = [row_values(chunk, index) for _, chunk in found for index in range(count_rows(chunk))]
        assert [[*row.values()] if isinstance(row, dict) else row for row in rows] == whole.tolist()

    def test_are_bounded_in_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = np.arange(100.0).reshape(50, 2)
        named = [{"a": a, "b": b} for a, b in rows.tolist()]
        for limit, form in ((160, rows), (160, [*rows]), (160, named), (160, [named]), (1, rows)):
            monkeypatch.setattr(chunks, "MAX_CHUNK_BYTES", limit)
            found = _chunks([form] if form is rows else form, 20)
            sizes = [count_rows(chunk) for _, chunk in found]
            assert [first for first, _ in found] == [0, *itertools.accumulate(sizes)][:-1]
            assert (sum(sizes), max(sizes) < 20) == (50, True)
            assert max(_bytes(chunk) for _, chunk in found) <= max(limit, 16)
            read = [row_values(chunk, index) for _, chunk in found for index in range(count_rows(chunk))]
            assert [[row["a"], row["b"]] if isinstance(row, dict) else row for row in read] == rows.tolist()

    def test_change_where_the_rows_do(self) -> None:
        one = np.ones(2, np.float32)
        items: list[Any] = [one, one, [1.0, 2.0], [[1, 2]], [1.0, 2.0, 3.0], {"a": 1}, [{"a": 2}], "odd", "odd", one]
        counts = [
            (first, None if isinstance(chunk, UnreadableRows) else count_rows(chunk))
            for first, chunk in _chunks(items, 100)
        ]
        assert counts == [(0, 2), (2, 2), (4, 1), (5, 2), (7, None), (8, None), (9, 1)]

    @pytest.mark.parametrize(
        ("rows", "counts"), [(5.0, [1]), (Decimal(5), [1]), (True, [1]), (None, [None]), (object(), [None])]
    )
    def test_what_is_no_iterable_is_rows_itself(self, rows: Any, counts: list[int | None]) -> None:
        chunks = [chunk for _, chunk in chunk_rows(rows, 100)]
        assert [None if isinstance(chunk, UnreadableRows) else count_rows(chunk) for chunk in chunks] == counts

    @pytest.mark.parametrize(
        "odd",
        ["text", None, [], [[1], [2, 3]], [{"a": 1}, [2]], np.zeros((2, 2, 2)), np.ma.array([1], mask=[True])],
    )
    def test_no_rows_are_rejected_as_predict_rejects_them(self, odd: Any) -> None:
        ((_, chunk),) = _chunks([odd], 4)
        with pytest.raises(errors.InvalidRequestError):
            read_rows(chunk)


class TestPredictBatches:
    @pytest.mark.parametrize(
        "rows",
        [
            pytest.param(ROWS, id="one array"),
            pytest.param(FRAME, id="one frame"),
            pytest.param(ROWS.tolist(), id="lists"),
            pytest.param([ROWS[:7], ROWS[7:8], ROWS[8:]], id="arrays"),
            pytest.param([FRAME[:30], FRAME[30:]], id="frames"),
            pytest.param(FRAME.to_dict("records"), id="dicts"),
            pytest.param([row for _, row in FRAME.iterrows()], id="series"),
        ],
    )
    def test_gives_what_plain_loops_give(self, client: Any, fake: FakeServer, rows: Any) -> None:
        predictions = list(client.predict_batches(NAME, rows, batch_rows=8))
        assert [len(prediction.outputs) for prediction in predictions] == [8] * 6 + [2]
        found = np.concatenate([prediction.outputs for prediction in predictions])
        assert found.tolist() == outputs_of(ARTICLE[NAME], ROWS.tolist())
        assert fake.methods() == ["PredictStream"]

    def test_requests_the_version(self, client: Any, fake: FakeServer) -> None:
        list(client.predict_batches(NAME, ROWS, version=3))
        assert fake.calls[0].requests[0].request.version == "3"

    def test_of_nothing_is_nothing(self, client: Any) -> None:
        assert list(client.predict_batches(NAME, [])) == []
        assert list(client.predict_batches(NAME, ROWS[:0])) == []

    @pytest.mark.parametrize("size", [0, -1, 1.5, True, None])
    def test_an_odd_size_is_rejected(self, client: Any, fake: FakeServer, size: Any) -> None:
        with pytest.raises(errors.InvalidFieldError, match="batch_rows"):
            next(client.predict_batches(NAME, ROWS, batch_rows=size))
        assert fake.calls == []

    @pytest.mark.parametrize("bad", [["one", 2.0], [[1, 2], [3]], None], ids=["text", "ragged", "nothing"])
    def test_a_chunk_that_fails_says_where_after_all_before_it(self, client: Any, fake: FakeServer, bad: Any) -> None:
        seen: list[Prediction] = []
        with pytest.raises(errors.InvalidRequestError) as caught:
            seen.extend(client.predict_batches(NAME, [ROWS[:20], bad, ROWS[20:]], batch_rows=8))
        assert [len(prediction.outputs) for prediction in seen] == [8, 8, 4]
        assert caught.value.facts["firstRow"] == "20"
        assert fake.calls[0].ended.wait(60)

    def test_raises_what_the_callers_iterator_raised(self, client: Any) -> None:
        def rows() -> Iterator[Any]:
            yield ROWS[:16]
            raise KeyError("no more rows")

        seen = client.predict_batches(NAME, rows(), batch_rows=8)
        assert [len(next(seen).outputs) for _ in range(2)] == [8, 8]
        with pytest.raises(KeyError, match="no more rows"):
            next(seen)

    def test_a_million_rows_are_read_only_as_far_as_they_are_computed(self, client: Any, fake: FakeServer) -> None:
        read, given_back, furthest = 0, 0, 0

        def rows() -> Iterator[list[float]]:
            nonlocal read, furthest
            for number in range(1_000_000):
                read += 1
                furthest = max(furthest, read - given_back)
                yield [float(number % 5), 1.0]

        predictions = client.predict_batches(NAME, rows(), batch_rows=50)
        for _ in range(100):
            given_back += len(next(predictions).outputs)
        wait_until(lambda: read >= given_back + MAX_CHUNKS_IN_FLIGHT * 50)
        # One chunk more is complete and waits for room.
        assert furthest <= (MAX_CHUNKS_IN_FLIGHT + 2) * 50
        assert read <= given_back + (MAX_CHUNKS_IN_FLIGHT + 1) * 50
        predictions.close()
        assert fake.calls[0].ended.wait(60)
        assert read < 10_000

    def test_a_timeout_holds_for_the_whole(self, client: Any) -> None:
        with pytest.raises(errors.DeadlineExceededError, match=r"within 0\.5 s"):
            for _ in client.predict_batches(NAME, itertools.repeat(ROWS), timeout=0.5):
                pass


async def test_an_async_iterable_may_give_the_rows(fake: FakeServer) -> None:
    async def rows() -> AsyncIterator[Any]:
        for row in ROWS:
            yield row

    async with AsyncClient(fake.address) as client:
        found = [prediction.outputs async for prediction in client.predict_batches(NAME, rows(), batch_rows=20)]
    assert list(map(len, found)) == [20, 20, 10]
    assert np.concatenate(found).tolist() == outputs_of(ARTICLE[NAME], ROWS.tolist())


class TestRealServer:
    def test_order_and_bits_are_those_of_predict(self, connect: ClientFactory, server: ServerProcess) -> None:
        client = connect(server.address)
        layers = [{"weights": np.random.default_rng(0).standard_normal((4, 3)), "activation": "tanh"}]
        client.register("batches", {"format": spec.FORMAT, "dtype": "float32", "inputs": 3, "layers": layers})
        rows = np.random.default_rng(1).standard_normal((3_000, 3)).astype(np.float32)
        found = [prediction.outputs for prediction in client.predict_batches("batches", rows, batch_rows=64)]
        assert np.concatenate(found).tobytes() == client.predict("batches", rows).outputs.tobytes()

    def test_a_number_that_is_none_is_found(self, connect: ClientFactory, server: ServerProcess) -> None:
        rows = np.ones((1_000, 2))
        rows[777, 1] = np.nan
        with pytest.raises(errors.MissingValueError) as caught:
            list(connect(server.address).predict_batches("article-linear", rows, batch_rows=100))
        assert int(caught.value.facts["firstRow"]) + int(caught.value.facts["row"]) == 777
