"""Shadows are computed after the response, on the rows drawn; differences are counted as numpy counts them."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from forwardpass.errors import NetworkCorruptError
from forwardpass.spec import FORMAT, parse
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest, PredictResponse, TraceRequest
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Tensor
from forwardpass_server.core import forward
from forwardpass_server.registry import Registry, ShadowTotals, SqlStore
from forwardpass_server.serving import (
    PREDICT,
    PREDICT_MANY,
    TRACE,
    BatchingPolicy,
    Dispatcher,
    RawRequest,
    Shadows,
    Workers,
)
from forwardpass_server.serving import shadows as shadows_module

from tests.support.sample_networks import chain, number_request
from tests.support.serving import POLICY, KeepingTransport, idle_unsent, make_predictor

SECONDS = 60.0


class Bench:
    """A registry with a network of two versions, and the dispatcher of its calls."""

    def __init__(self, registry: Registry, policy: BatchingPolicy = POLICY) -> None:
        self.registry = registry
        self.shadows = Shadows(registry, policy)
        self.workers = Workers(1)
        self.dispatcher = Dispatcher(
            make_predictor(registry, policy=policy), self.shadows, self.workers, policy, idle_unsent()
        )
        self.transport = KeepingTransport()

    def ask(self, rows: "np.ndarray[Any, Any]", method: Any = PREDICT) -> None:
        tensor = Tensor(dtype=DATA_TYPE_FLOAT64, shape=rows.shape, data=rows.tobytes())
        request = number_request("net")
        request.tensor.CopyFrom(tensor)
        if method is TRACE:
            message: Any = TraceRequest(network="net", tensor=tensor)
        elif method is PREDICT_MANY:
            message = PredictManyRequest(requests=[request, request])
        else:
            message = request
        self.dispatcher.take([RawRequest(method, message.SerializeToString(), key=object())], self.transport)

    def figures(self) -> ShadowTotals:
        assert self.shadows.wait_until_idle(SECONDS)
        [shadowing] = self.registry.network("net").shadowings
        return shadowing.statistics.collect()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with SqlStore("sqlite://") as store:
        registry = Registry.open(store)
        registry.register("net", chain([3, 4, 2], seed=1, classes=["p", "q"]))
        registry.register("net", chain([3, 4, 2], seed=2, classes=["p", "q"]), keep_latest=True)
        yield registry


@pytest.fixture
def bench(registry: Registry) -> Iterator[Bench]:
    bench = Bench(registry)
    yield bench
    bench.dispatcher.close()


ROWS = np.random.default_rng(0).standard_normal((300, 3))


def test_nothing_is_done_without_a_shadow(bench: Bench) -> None:
    bench.ask(ROWS)
    assert bench.shadows._thread is None
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0)
    bench.registry.rollout.clear_shadow("net", "latest")
    bench.ask(ROWS)
    assert bench.shadows._thread is None
    assert len(bench.transport.responses) == 2


@pytest.mark.parametrize("sizes", [[300], [1] * 300, [100, 7, 193]], ids=["one call", "a row each", "three calls"])
def test_counts_are_those_of_numpy(bench: Bench, sizes: list[int]) -> None:
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0, tolerance=1.0)
    start = 0
    for size in sizes:
        bench.ask(ROWS[start : start + size])
        start += size
    ours, theirs = (forward(bench.registry.load_reference("net", version).plan, ROWS) for version in ("1", "2"))
    apart = np.abs(ours - theirs)
    expected = ShadowTotals(
        rows=300,
        sampled=300,
        compared=300,
        beyond=int((apart > 1.0 * np.maximum(1, np.abs(ours))).any(axis=1).sum()),
        relabeled=int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum()),
        worst_absolute=float(apart.max()),
    )
    assert 0 < expected.beyond < 300
    assert expected.relabeled
    assert bench.figures() == expected
    responded = np.concatenate(
        [np.frombuffer(PredictResponse.FromString(response).outputs.data) for response in bench.transport.responses]  # type: ignore[arg-type] # all are bytes
    )
    assert responded.tobytes() == ours.tobytes(), "the response has the version's own outputs"


def test_only_the_share_is_computed(bench: Bench) -> None:
    bench.registry.rollout.set_shadow("net", "latest", "2", share=0.1)
    for _ in range(20):
        bench.ask(ROWS)
    figures = bench.figures()
    assert figures.rows == 6_000
    assert 400 < figures.sampled == figures.compared < 800


def test_which_methods_count(bench: Bench) -> None:
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0)
    bench.ask(ROWS[:5], PREDICT_MANY)
    assert bench.figures().compared == 10
    bench.ask(ROWS[:5], TRACE)
    assert bench.figures().rows == 10, "a trace is for looking at, and no traffic"


def test_long_work_counts_too(registry: Registry) -> None:
    bench = Bench(registry, BatchingPolicy(step_flops=1_000))
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0)
    bench.ask(ROWS)
    bench.workers.close()
    assert bench.figures().compared == 300
    bench.dispatcher.close()


def test_the_response_goes_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shadow that hangs does not delay callers; what it cannot take is dropped, and all of it is counted."""
    begun, may_go_on = threading.Event(), threading.Event()

    def hang(*arguments: Any) -> Any:
        begun.set()
        assert may_go_on.wait(SECONDS)
        return forward(*arguments)

    monkeypatch.setattr(shadows_module, "forward", hang)
    bench = Bench(bench.registry, BatchingPolicy(shadow_queue_bytes=20_000))
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0)
    for _ in range(10):
        bench.ask(ROWS)
    assert len(bench.transport.responses) == 10
    assert begun.wait(SECONDS)
    may_go_on.set()
    figures = bench.figures()
    assert (figures.rows, figures.sampled) == (3_000, 3_000)
    assert figures.compared + figures.dropped == 3_000
    assert (figures.compared, figures.dropped) == (300, 2_700)
    bench.ask(ROWS)
    assert bench.figures().compared == 600, "there is room again"
    bench.dispatcher.close()


def test_a_shadow_that_fails_is_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0)

    def damaged(*_: Any) -> Any:
        raise NetworkCorruptError("the content is damaged")

    monkeypatch.setattr(shadows_module, "forward", damaged)
    bench.ask(ROWS)
    assert (bench.figures().failed, bench.figures().failure) == (300, "the content is damaged")

    def broken(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(shadows_module, "forward", broken)
    bench.ask(ROWS)
    assert (bench.figures().failed, bench.figures().failure) == (600, "it failed; the server's log has the reason")
    assert all(isinstance(response, bytes) for response in bench.transport.responses)


def test_a_version_of_another_kind(bench: Bench) -> None:
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0)
    bench.registry.register("net", chain([3, 1]))
    bench.ask(ROWS)
    figures = bench.figures()
    assert (figures.failed, figures.compared) == (300, 0)
    assert "version 3, which serves now, has other inputs or outputs" in figures.failure


def test_what_the_shadow_does_not_accept(registry: Registry) -> None:
    registry.register("net", chain([3, 4, 2], seed=1, classes=["p", "q"], allow_non_finite_inputs=True))
    registry.rollout.set_shadow("net", "latest", "2", share=1.0)
    bench = Bench(registry)
    bench.ask(np.array([[np.nan, 0.0, 0.0]]))
    figures = bench.figures()
    assert (figures.failed, figures.compared) == (1, 0)
    assert "values that the shadow does not accept" in figures.failure
    bench.dispatcher.close()


def test_rows_of_before_do_not_disturb_the_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that waited while the shadow was set anew are counted where they belong."""
    may_go_on = threading.Event()

    def wait(*arguments: Any) -> Any:
        assert may_go_on.wait(SECONDS)
        return forward(*arguments)

    monkeypatch.setattr(shadows_module, "forward", wait)
    [before] = bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0).shadowings
    bench.ask(ROWS)
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0, tolerance=0.5)
    bench.ask(ROWS[:10])
    may_go_on.set()
    assert (bench.figures().rows, bench.figures().compared) == (10, 10)
    assert (before.statistics.collect().rows, before.statistics.collect().compared) == (300, 300)


def test_closing_drops_what_waits(bench: Bench) -> None:
    bench.registry.rollout.set_shadow("net", "latest", "2", share=1.0)
    bench.shadows.close()
    bench.ask(ROWS)
    [shadowing] = bench.registry.network("net").shadowings
    assert shadowing.statistics.collect().dropped == 300
    assert len(bench.transport.responses) == 1


def test_typed_features(registry: Registry) -> None:
    """A value that is missing for the live version may be NaN for its layers; that is no failure of the shadow."""
    layers = [{"kind": "impute", "values": [7.0]}, {"weights": [[1.0]]}]
    for weight in (1.0, 2.0):
        document = {
            "format": FORMAT,
            "inputs": [{"name": "x", "missing": "nan"}],
            "layers": [layers[0], {"weights": [[weight]]}],
        }
        registry.register("typed", parse(document))
    registry.rollout.set_shadow("typed", "latest", "1", share=1.0)
    shadows = Shadows(registry, POLICY)
    dispatcher = Dispatcher(make_predictor(registry), shadows, Workers(1), POLICY, idle_unsent())
    request = number_request("typed", float("nan"), 3.0).SerializeToString()
    dispatcher.take([RawRequest(PREDICT, request, key=object())], KeepingTransport())
    assert shadows.wait_until_idle(SECONDS)
    [shadowing] = registry.network("typed").shadowings
    figures = shadowing.statistics.collect()
    assert (figures.compared, figures.beyond, figures.worst_absolute) == (2, 2, 7.0), figures
    dispatcher.close()
