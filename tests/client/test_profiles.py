"""Both clients make, read and delete profiles, and traces compare with them; the oracle is numpy over all rows."""

from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from forwardpass import errors, spec
from forwardpass.profiles import percentiles
from forwardpass.profiles.builder import PROBABILITIES

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import FakeServer
from tests.support.server_process import ServerProcess


@pytest.fixture
def real(connect: ClientFactory, server: ServerProcess) -> Any:
    return connect(server.address)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A network's name of the test's own."""
    return "profile-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")[-50:]


def document(dtype: str = "float64", width: int = 8) -> dict[str, Any]:
    random = np.random.default_rng(0)
    layers = [
        {"name": "hidden", "weights": random.standard_normal((width, 2)), "activation": "relu"},
        {"name": "output", "weights": random.standard_normal((1, width)), "activation": "sigmoid"},
    ]
    inputs = [{"name": "age", "mean": 40, "scale": 10}, {"name": "income", "mean": 2000, "scale": 800}]
    return {"format": spec.FORMAT, "dtype": dtype, "inputs": inputs, "layers": layers}


def rows_of(count: int) -> Any:
    random = np.random.default_rng(1)
    return np.stack([random.normal(40, 10, count), random.normal(2000, 800, count)], axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_profile_is_numpys(real: Any, name: str, dtype: str) -> None:
    real.register(name, document(dtype))
    rows = rows_of(3_000)
    made = real.profile(name, rows)
    assert (made.network, made.version, made.rows, made.rank_error) == (name, 1, 3_000, 0)
    assert made.digest == real.version(name).digest
    assert made == real.get_profile(name)
    whole = real.trace(name, rows)
    for found, values in (
        (made.inputs, whole.inputs),
        (made.layers[0], whole.layers[0].activation),
        (made.layers[1], whole.layers[1].activation),
        (made.outputs, whole.outputs),
    ):
        exact = values.astype(np.float64)
        np.testing.assert_array_equal(found.quantiles, np.quantile(exact, PROBABILITIES, axis=0).astype(dtype))
        np.testing.assert_allclose(found.means, exact.mean(axis=0), rtol=1e-12)
        np.testing.assert_array_equal(found.zeros, (values == 0).mean(axis=0))
        assert not found.non_finite.any()
    assert made.inputs.nodes == ("age", "income")
    assert [layer.name for layer in made.layers] == ["hidden", "output"]


def test_traces_say_how_usual_values_are(real: Any, name: str) -> None:
    real.register(name, document())
    rows = rows_of(1_000)
    plain = real.trace(name, rows[:3])
    assert real.trace(name, rows[:3], percentiles=True) == plain, "without a profile it is the same trace"
    profile = real.profile(name, rows)
    assert real.trace(name, rows[:3]) == plain, "without the option too"
    far = [[40, 2000], [400, 2000]]
    for _ in range(3):  # the second time the request is prepared
        trace = real.trace(name, far, percentiles=True)
        assert trace.profile_rows == 1_000
        for found, distribution, values in (
            (trace.input_percentiles, profile.inputs, trace.inputs),
            (trace.layers[0].percentiles, profile.layers[0], trace.layers[0].activation),
            (trace.layers[1].percentiles, profile.layers[1], trace.layers[1].activation),
            (trace.output_percentiles, profile.outputs, trace.outputs),
        ):
            np.testing.assert_array_equal(found, percentiles(profile, distribution, values))
    assert trace.unusual(0) == ()
    assert trace.unusual(1)[0].is_outside
    assert ("inputs", "age", 100.0) in {(value.layer, value.node, value.percentile) for value in trace.unusual(1)}
    with pytest.raises(IndexError, match="row is 2; the trace has 2"):
        trace.unusual(2)


def test_a_later_profile_replaces_the_earlier_one(real: Any, name: str) -> None:
    real.register(name, document())
    before = real.version(name)
    assert before.profile is None
    first = real.profile(name, rows_of(10))
    changed = real.network(name).update_time
    assert real.profile(name, rows_of(10)) == first, "the same profile again changes nothing, not even its time"
    assert real.network(name).update_time == changed
    assert real.trace(name, [40, 2000], percentiles=True).profile_rows == 10
    second = real.profile(name, rows_of(20))
    assert real.get_profile(name) == second != first
    assert real.trace(name, [40, 2000], percentiles=True).profile_rows == 20
    after = real.version(name)
    assert (after.digest, after.profile.rows) == (before.digest, 20)
    assert real.delete_profile(name) == 1
    with pytest.raises(errors.ProfileNotFoundError, match="has no profile"):
        real.delete_profile(name, version="latest")
    with pytest.raises(errors.ProfileNotFoundError, match="has no profile") as caught:
        real.get_profile(name)
    assert isinstance(caught.value, errors.NotFoundError)
    assert real.trace(name, [40, 2000], percentiles=True).profile_rows == 0


def test_each_version_has_its_own(real: Any, name: str) -> None:
    real.register(name, document())
    real.register(name, document(width=4))
    first = real.profile(name, rows_of(10), version=1)
    assert len(first.layers[0].nodes) == 8
    with pytest.raises(errors.ProfileNotFoundError):
        real.get_profile(name)
    assert [info.profile is not None for info in _listed(real, name)] == [False, True]


def _listed(client: Any, name: str) -> list[Any]:
    return [*client.versions(name)]


def test_every_form_of_rows(real: Any, name: str) -> None:
    real.register(name, document())
    rows = rows_of(40)
    expected = real.profile(name, rows)
    named = [{"income": income, "age": age} for age, income in rows.tolist()]
    for other in (rows.tolist(), named, iter(named), pd.DataFrame(named), np.array_split(rows, 3)):
        assert real.profile(name, other) == expected


def test_some_layers(real: Any, name: str) -> None:
    real.register(name, document())
    profile = real.profile(name, rows_of(10), layers=["output"])
    assert [layer.name for layer in profile.layers] == ["output"]
    hidden, output = real.trace(name, rows_of(2), percentiles=True).layers
    assert np.isnan(hidden.percentiles).all()
    assert not np.isnan(output.percentiles).any()
    (only,) = real.trace(name, rows_of(2), layers=["output"], percentiles=True).layers
    np.testing.assert_array_equal(only.percentiles, output.percentiles)
    with pytest.raises(errors.LayerNotFoundError):
        real.profile(name, rows_of(10), layers="hiden")


def test_values_that_are_not_finite(real: Any, name: str) -> None:
    layer = {"weights": [[1.0], [0.0]], "activation": {"expression": "log(x)"}}
    real.register(name, {"format": spec.FORMAT, "inputs": 1, "layers": [layer]})
    profile = real.profile(name, [[1.0], [np.e], [0.0], [-1.0]])
    assert profile.outputs.non_finite.tolist() == [0.5, 1]
    assert profile.outputs.means[0] == pytest.approx(0.5)
    assert np.isnan(profile.outputs.quantiles[:, 1]).all()
    trace = real.trace(name, [[1.0], [0.0]], percentiles=True)
    assert trace.output_percentiles[0, 0] == 12.5, "one of four rows, of which half have no value"
    assert np.isnan(trace.output_percentiles[:, 1]).all()
    assert real.get_profile(name) == profile


def test_wide_networks_name_their_layers(real: Any, name: str) -> None:
    real.register(name, document(width=4_000))
    with pytest.raises(errors.InvalidFieldError, match="name fewer layers to profile"):
        real.profile(name, rows_of(3))
    assert real.profile(name, rows_of(3), layers=["output"]).rows == 3
    with pytest.raises(errors.InvalidFieldError, match="a profile needs at least one row"):
        real.profile(name, [])


def test_a_wrong_row_is_named(real: Any, name: str) -> None:
    real.register(name, document())
    rows = rows_of(2_500).tolist()
    rows[2_100][0] = np.nan
    with pytest.raises(errors.MissingValueError) as caught:
        real.profile(name, rows)
    first = int(caught.value.facts["firstRow"])
    assert first + int(caught.value.facts["row"]) == 2_100
    with pytest.raises(errors.ForwardpassError) as unreadable:
        real.profile(name, [[1, 2], [3, 4], "nothing"])
    assert unreadable.value.facts["firstRow"] == "2"
    with pytest.raises(errors.ProfileNotFoundError):
        real.get_profile(name)


class TestSent:
    """What both clients send, by a fake server."""

    def test_a_trace_for_each_part_then_the_profile(self, connect: ClientFactory, fake: FakeServer) -> None:
        connect(fake.address).profile("article-linear", np.ones((2_000, 2)))
        methods = fake.methods()
        assert methods == ["Trace"] * (len(methods) - 1) + ["SetProfile"]
        versions = [call.requests[0].version for call in fake.calls]
        assert versions == ["", *["1"] * (len(methods) - 1)], "the version that traced the first rows traces all"
        assert not any(call.requests[0].percentiles for call in fake.calls[:-1])

    @pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
    def test_reading_is_repeated(self, connect: ClientFactory, fake: FakeServer, code: grpc.StatusCode) -> None:
        client = connect(fake.address)
        kept = client.profile("article-linear", [[1, 2]])
        fake.fail(code, times=2)
        assert client.get_profile("article-linear").outputs == kept.outputs
        assert fake.methods()[-3:] == ["GetProfile"] * 3

    def test_setting_is_repeated(self, connect: ClientFactory, fake: FakeServer) -> None:
        fake.script.append(lambda _: None)
        fake.fail(grpc.StatusCode.UNAVAILABLE)
        connect(fake.address).profile("article-linear", [[1, 2]])
        assert fake.methods() == ["Trace", "SetProfile", "SetProfile"]
