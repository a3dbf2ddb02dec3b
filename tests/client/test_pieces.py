"""Large calls in pieces: the same result and the same errors as of one request, by one version, in bounded memory."""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from forwardpass import Client, StreamRequest, errors, spec
from forwardpass._batching import pieces
from forwardpass._batching.joined_rows import ROW_ARRAYS, ROW_TUPLES
from forwardpass._requests import predictions
from forwardpass._transport import memory
from forwardpass.models import Explanation, LayerAttributions, LayerTrace, Prediction, Trace

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import FakeServer
from tests.support.sample_networks import chain
from tests.support.server_process import ServerProcess, wait_until

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(1_200, 3))
"""28,800 bytes: sixteen pieces or so."""
NAMES = ("age", "height", "size")
NAMED = [dict(zip(NAMES, row, strict=True)) for row in ROWS.tolist()]
FORMS: dict[str, Any] = {
    "float64": ROWS,
    "float32": ROWS.astype(np.float32),
    "float16": ROWS.astype(np.float16),
    "Fortran": np.asfortranarray(ROWS),
    "strided": np.repeat(ROWS, 2, axis=0)[::2],
    "big-endian": ROWS.astype(">f8"),
    "integers": RNG.integers(-9, 9, size=ROWS.shape),
    "lists": ROWS.tolist(),
    "dicts": NAMED,
    "columns": {name: ROWS[:, place] for place, name in enumerate(NAMES)},
    "frame": pd.DataFrame(ROWS, columns=[*NAMES]),
}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut rows that are quick to compute."""
    monkeypatch.setattr(memory, "LARGE_BYTES", 6_000)
    monkeypatch.setattr(pieces, "MAX_WHOLE_BYTES", 6_000)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 2_000)
    monkeypatch.setattr(pieces, "FIRST_PIECE_BYTES", 500)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The pieces that were sent."""
    made: list[Any] = []
    make = pieces.Pieces.next

    def next_and_note(self: Any) -> Any:
        piece = make(self)
        made.extend([piece] if piece is not None else [])
        return piece

    monkeypatch.setattr(pieces.Pieces, "next", next_and_note)
    return made


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something when the first piece has its response, and no other piece was sent."""
    add = pieces.Pieces.add

    def do(action: Callable[[], object]) -> None:
        actions = [action]

        def add_and_act(self: Any, piece: Any, response: Any) -> None:
            add(self, piece, response)
            if actions:
                actions.pop()()

        monkeypatch.setattr(pieces.Pieces, "add", add_and_act)

    return do


@pytest.fixture
def real(connect: ClientFactory, server: ServerProcess) -> Any:
    return connect(server.address)


@pytest.fixture
def name(real: Any, request: pytest.FixtureRequest) -> str:
    """A classifier of two layers whose features have ranges, in a network of the test's own."""
    name = "pieces-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")[-50:]
    real.register(name, _classifier(0))
    return name


def _classifier(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return {
        "format": spec.FORMAT,
        "dtype": "float32" if seed else "float64",
        "inputs": [{"name": "age", "range": [-0.5, 0.5]}, {"name": "height"}, {"name": "size", "missing": 0}],
        "layers": [
            {"name": "hidden", "weights": rng.normal(size=(5, 3)), "activation": "tanh"},
            {"name": "last", "weights": rng.normal(size=(4, 5)), "activation": "softmax"},
        ],
        "classes": [*"abcd"],
    }


def whole(client: Any, build: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Make a call with one request."""
    return client._call(build(*arguments, **{"version": "", **options}), 60)


def predict_whole(client: Any, name: str, rows: Any, *, top_k: int = 0, version: str = "") -> Any:
    """Predict with one request."""
    return whole(client, predictions.predict, name, rows, top_k=top_k, version=version)


class TestResults:
    def test_are_those_of_one_call(self, real: Any, name: str, made: list[Any]) -> None:
        for form, rows in FORMS.items():
            made.clear()
            found = real.predict(name, rows, top_k=2)
            assert len(made) > 4, form
            assert found == predict_whole(real, name, rows, top_k=2), form
            assert found.warning_count > len(found.warnings) == 100
            assert not found.outputs.flags.writeable

    def test_are_those_of_one_call_for_any_sizes(self, real: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        one = predict_whole(real, name, ROWS)
        for _ in range(5):
            monkeypatch.setattr(pieces, "PIECE_BYTES", int(RNG.integers(300, 9_000)))
            monkeypatch.setattr(pieces, "PIECE_RESPONSE_BYTES", int(RNG.integers(3_000, 90_000)))
            monkeypatch.setattr(pieces, "FIRST_PIECE_BYTES", int(RNG.integers(1, 3_000)))
            assert real.predict(name, ROWS) == one

    def test_of_a_trace(self, real: Any, name: str, made: list[Any]) -> None:
        rows, layers = ROWS[:400], ("hidden", "last")
        found = real.trace(name, rows, layers=iter(layers), contributions=True, top_k=1)
        assert len(made) > 2
        assert found == whole(real, predictions.trace, name, rows, layers=layers, contributions=True, top_k=1)

    def test_of_an_explanation(self, real: Any, name: str, made: list[Any]) -> None:
        rows = ROWS[:260]
        parameters = inspect.signature(Client.explain).parameters.values()
        defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
        del defaults["timeout"]
        for method, outputs in {"input_x_gradient": (), "layer_conductance": ("a", "last_2")}.items():
            made.clear()
            options = {**defaults, "method": method, "outputs": outputs}
            found = real.explain(name, rows, **options)
            assert len(made) > 2
            assert found == whole(real, predictions.explain, name, rows, **options)

    def test_of_percentiles_come_by_one_request(self, real: Any, name: str, made: list[Any]) -> None:
        real.profile(name, ROWS[:50])
        found = real.trace(name, ROWS[:400], percentiles=True)
        assert (made, found.profile_rows, len(found.outputs)) == ([], 50, 400)

    def test_of_coalescing_clients(self, connect: ClientFactory, server: ServerProcess, name: str) -> None:
        client = connect(server.address, coalesce=True)
        assert client.predict(name, ROWS) == predict_whole(client, name, ROWS)

    def test_a_row_alone_is_never_cut(self, real: Any, made: list[Any]) -> None:
        real.register("pieces-one-input", chain([1, 2]))
        column = RNG.normal(size=3_000)
        assert len(real.predict("pieces-one-input", column).outputs) == 3_000
        assert made == []

    def test_have_each_array_and_tuple_that_grows_with_the_rows(self) -> None:
        constant = {
            "bias",
            "categories",
            "nodes",
            "inputs",
            "from_",
            "input_names",
            "output_names",
            "output_classes",
            "parameters",
        }
        for kind in (Prediction, Trace, LayerTrace, Explanation, LayerAttributions):
            known = {*ROW_ARRAYS[kind], *ROW_TUPLES.get(kind, ()), *constant, "layers", "warnings"}
            for each in fields(kind):
                if "Array" in str(each.type) or "tuple" in str(each.type):
                    assert each.name in known, (kind, each.name)


class TestErrors:
    @pytest.mark.parametrize("row", [0, 777])
    def test_name_the_rows_of_the_caller(self, real: Any, name: str, row: int) -> None:
        rows = ROWS.copy()
        rows[row, 1] = np.inf
        forms: list[Any] = [
            rows,
            [dict(zip(NAMES, values, strict=True)) for values in rows.tolist()],
            {each: rows[:, place] for place, each in enumerate(NAMES)},
        ]
        for form in forms:
            with pytest.raises(errors.NonFiniteInputError) as one:
                predict_whole(real, name, form)
            with pytest.raises(errors.NonFiniteInputError) as cut:
                real.predict(name, form)
            assert cut.value.facts["row"] == str(row)
            assert _shown(cut.value) == _shown(one.value)

    def test_name_the_shape_of_the_caller(self, real: Any, name: str) -> None:
        rows = np.ones((900, 4))
        with pytest.raises(errors.ShapeMismatchError) as one:
            predict_whole(real, name, rows)
        with pytest.raises(errors.ShapeMismatchError) as cut:
            real.predict(name, rows)
        assert _shown(cut.value) == _shown(one.value)
        assert cut.value.facts["actualShape"] == "[900, 4]"

    def test_of_options_and_names_are_those_of_one_call(self, real: Any, made: list[Any]) -> None:
        with pytest.raises(errors.NetworkNotFoundError):
            real.predict("pieces-nothing", ROWS)
        assert len(made) == 1
        with pytest.raises(errors.InvalidFieldError):
            real.predict("pieces-nothing", ROWS, top_k=-1)
        with pytest.raises(errors.InvalidTensorError):
            real.predict("pieces-nothing", [*ROWS.tolist(), ["a", "b", "c"]])
        assert len(made) == 1


def _shown(error: errors.ForwardpassError) -> tuple[str, Any, Any]:
    return str(error), error.faults, {key: value for key, value in error.facts.items() if key != "requestId"}


class TestOneVersion:
    @pytest.mark.parametrize("version", ["", "production"])
    def test_computes_all_pieces_wherever_an_alias_moves(
        self, real: Any, name: str, between: Any, version: str, connect: ClientFactory, server: ServerProcess
    ) -> None:
        other = _other(connect, server)
        real.set_alias(name, "production", 1)

        def move() -> None:
            other.register(name, _classifier(1))
            other.set_alias(name, "production", 2)

        between(move)
        found = real.predict(name, ROWS, version=version)
        assert (found.version, found) == (1, predict_whole(real, name, ROWS, version="1"))
        assert real.predict(name, ROWS, version=version).version == 2

    def test_that_is_deleted_in_the_middle_is_an_error(
        self, real: Any, name: str, between: Any, connect: ClientFactory, server: ServerProcess
    ) -> None:
        other = _other(connect, server)
        other.register(name, _classifier(1))
        between(lambda: other.delete_version(name, 1))
        with pytest.raises(errors.VersionNotFoundError, match=name):
            real.predict(name, ROWS, version=1)

    def test_that_is_replaced_in_the_middle_is_an_error(
        self, real: Any, name: str, between: Any, connect: ClientFactory, server: ServerProcess
    ) -> None:
        other = _other(connect, server)

        def replace() -> None:
            other.delete_network(name)
            other.register(name, _classifier(1))

        between(replace)
        with pytest.raises(errors.VersionNotFoundError, match="has no version 1"):
            real.predict(name, ROWS)

    def test_that_another_server_has_by_the_same_number_is_an_error(
        self, client: Any, fake: FakeServer, between: Any
    ) -> None:
        between(lambda: fake.networks.update({"article-linear": fake.networks["article-1-hidden"]}))
        with pytest.raises(errors.VersionNotFoundError, match="was replaced by another one of this number"):
            client.predict("article-linear", ROWS[:, :2])


def _other(connect: ClientFactory, server: ServerProcess) -> Any:
    """A client for what happens in the middle of a call; it blocks whatever thread it is called in."""
    return ClientFactory("sync", connect._loop)(server.address) if connect.kind == "async" else connect(server.address)


class TestLimits:
    """Servers whose limits the client does not know."""

    def test_of_a_server_are_kept(
        self, connect: ClientFactory, start_server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flags = {"max_response_bytes": 20_000, "max_request_bytes": 140_000, "max_rows": 70}
        server = start_server(*[f"--{name.replace('_', '-')}={value}" for name, value in flags.items()])
        client = connect(server.address)
        for setting, inputs, outputs in (("response", 3, 100), ("request", 60, 2), ("rows", 2, 1)):
            client.register(setting, chain([inputs, outputs]))
            rows = RNG.normal(size=(300, inputs))
            parts = [client.predict(setting, rows[start : start + 10]).outputs for start in range(0, 300, 10)]
            for size in (1_000, 2**20):  # rejected in pieces, and before that whole
                monkeypatch.setattr(memory, "LARGE_BYTES", size)
                monkeypatch.setattr(pieces, "MAX_WHOLE_BYTES", size)
                assert client.predict(setting, rows).outputs.tobytes() == np.concatenate(parts).tobytes()
                assert client.trace(setting, rows).outputs.tobytes() == np.concatenate(parts).tobytes()
        with pytest.raises(errors.QuotaExceededError, match="needs 20,800 bytes in the response") as rejected:
            client.register("too-wide", chain([2, 2_600]))
            client.predict("too-wide", rows)
        assert rejected.value.facts["setting"] == "max_response_bytes"
        client.register("deep", chain([3, 1_200, 2]))
        with pytest.raises(errors.QuotaExceededError, match="fewer `layers`, or trace without `contributions`"):
            client.trace("deep", ROWS[0], contributions=True)
        assert len(client.trace("deep", ROWS[0]).layers) == 2
        last = client.version("deep").layers[1].name
        assert len(client.trace("deep", ROWS[0], layers=[last], contributions=True).layers) == 1
        with pytest.raises(errors.QuotaExceededError, match="send fewer rows in each call"):
            list(client.predict_batches("response", ROWS, batch_rows=100))
        assert sum(len(part.outputs) for part in client.predict_batches("response", ROWS, batch_rows=20)) == len(ROWS)
        requests = [StreamRequest(network="request", rows=np.ones((60, 60)))] * 5
        with pytest.raises(errors.QuotaExceededError, match="max_request_bytes") as rejected:
            client.predict_many(requests)
        assert (rejected.value.facts["setting"], rejected.value.facts["quotaLimit"]) == ("max_request_bytes", "140000")
        assert [len(fewer.outputs) for fewer in client.predict_many(requests[:4])] == [60] * 4


class TestFailures:
    def test_restart_of_the_server_in_the_middle_is_waited_for(
        self, connect: ClientFactory, start_server: Any, between: Any, tmp_path: Path
    ) -> None:
        server = start_server("--listen", f"unix:{tmp_path}/socket")
        client = connect(server.address, timeout=60)
        client.register("classifier", _classifier(0))
        one = predict_whole(client, "classifier", ROWS)

        def restart() -> None:
            server.kill()
            restarting.append(threads.submit(server.start))

        restarting: list[Any] = []
        with ThreadPoolExecutor(1) as threads:
            between(restart)
            assert client.predict("classifier", ROWS) == one
            restarting[0].result()

    def test_of_a_piece_is_repeated_alone(self, client: Any, fake: FakeServer) -> None:
        fake.script.append(lambda _: None)
        fake.fail(grpc.StatusCode.UNAVAILABLE, times=3)
        outputs = client.predict("article-linear", ROWS[:, :2]).outputs
        assert outputs.tobytes() == client.predict("article-linear", ROWS[:, :2]).outputs.tobytes()
        assert len(fake.calls) % 2 == 1  # three more than the second time

    def test_end_of_the_timeout_in_the_middle_names_that_of_the_call(self, client: Any, fake: FakeServer) -> None:
        fake.script.append(lambda _: None)
        holds = [fake.hold() for _ in range(pieces.MAX_PIECES_IN_FLIGHT)]
        with pytest.raises(errors.DeadlineExceededError, match=r"within 1 s"):
            client.predict("article-linear", ROWS[:, :2], timeout=1)
        for hold in holds:
            hold.set()
        assert all(call.ended.wait(30) for call in fake.calls)
        assert len(fake.calls) <= 1 + pieces.MAX_PIECES_IN_FLIGHT

    def test_of_one_piece_ends_the_others(self, client: Any, fake: FakeServer) -> None:
        fake.script.append(lambda _: None)
        fake.fail(grpc.StatusCode.INVALID_ARGUMENT, times=pieces.MAX_PIECES_IN_FLIGHT)
        with pytest.raises(errors.InvalidRequestError):
            client.predict("article-linear", ROWS[:, :2])
        assert len(fake.calls) <= 1 + pieces.MAX_PIECES_IN_FLIGHT
        assert all(call.ended.wait(30) for call in fake.calls)


class TestInFlight:
    def test_are_the_first_alone_and_then_a_few(self, client: Any, fake: FakeServer) -> None:
        first, *others = [fake.hold() for _ in range(1 + pieces.MAX_PIECES_IN_FLIGHT)]
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(partial(client.predict, "article-linear", ROWS[:, :2], timeout=30))
            wait_until(lambda: fake.calls)
            first.set()
            wait_until(lambda: len(fake.calls) == 1 + pieces.MAX_PIECES_IN_FLIGHT)
            assert fake.calls[0].requests[0].version == ""
            assert {received.requests[0].version for received in fake.calls[1:]} == {"1"}
            for hold in others:
                hold.set()
            assert len(call.result().outputs) == len(ROWS)

    def test_share_the_room_of_other_large_calls(self, client: Any, fake: FakeServer) -> None:
        inner = getattr(client, "_client", client)
        inner._bytes = type(inner._bytes)(2 * pieces.PIECE_BYTES * pieces.MAX_PIECES_IN_FLIGHT)
        holds = [fake.hold() for _ in range(3)]
        with ThreadPoolExecutor(3) as threads:
            calls = [threads.submit(partial(client.predict, "article-linear", ROWS, timeout=30)) for _ in range(3)]
            wait_until(lambda: len(fake.calls) == 2)
            for hold in holds:
                hold.set()
            assert {call.exception() is None for call in calls}
