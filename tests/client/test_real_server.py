"""Both clients against the real server: a network's life, and the same bits by every road."""

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forwardpass import AsyncClient, StreamRequest, errors, spec

from tests.support.client_factory import ClientFactory
from tests.support.server_process import ServerProcess


@pytest.fixture
def real(connect: ClientFactory, server: ServerProcess) -> Any:
    return connect(server.address)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A network's name of the test's own."""
    return "real-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")[-50:]


def test_the_article(real: Any) -> None:
    assert real.predict("article-linear", {"children": 2, "accounts": 3}).outputs.tolist() == [[9.0]]
    assert real.predict("article-1-hidden", [2, 3]).outputs.tolist() == [[9.0]]
    trace = real.trace("article-2-hidden", [3, 5])
    assert [layer.activation.tolist() for layer in trace.layers] == [[[26, 0]], [[0, 26]], [[182]]]
    assert "transactions = 182" in str(trace)


def test_the_life_of_a_network(real: Any, name: str) -> None:
    document = {"format": spec.FORMAT, "inputs": ["a", "b"], "layers": [{"weights": [[1, 2]]}]}
    first = real.register(name, document)
    assert (first.created, first.version, real.register(name, document).created) == (True, 1, False)
    second = real.register(name, spec.parse({**document, "layers": [{"weights": [[3, 4]]}]}), keep_latest=True)
    assert real.predict(name, [1, 1]).outputs.item() == 3
    real.set_alias(name, "next", second.version)
    assert real.predict(name, [1, 1], version="next").outputs.item() == 7
    assert {info.number for info in real.versions(name)} == {1, 2}
    assert real.network(name).aliases == {"latest": 1, "next": 2}
    assert spec.digest(real.spec(name, version=2)) == second.digest
    assert name in {info.name for info in real.networks()}
    with pytest.raises(errors.VersionInUseError):
        real.delete_version(name, 2)
    with pytest.raises(errors.AliasMovedError):
        real.set_alias(name, "next", 1, expected=0)
    real.set_alias(name, "next", 1, expected=2)
    back = real.rollback(name, "next", expected=1)
    assert (back.from_version, back.to_version, back.network.aliases["next"]) == (1, 2, 2)
    assert [move.version for move in real.alias_moves(name, "next")] == [2, 1, 2]
    with pytest.raises(errors.NoEarlierVersionError):
        real.rollback(name, "next")
    with pytest.raises(errors.InvalidFieldError):
        real.rollback(name, "next", expected="2")
    real.delete_alias(name, "next")
    real.delete_version(name, 2)
    real.delete_network(name)
    with pytest.raises(errors.NetworkNotFoundError) as rejected:
        real.predict(name, [1, 1])
    assert rejected.value.facts["resourceName"] == name
    assert rejected.value.request_id


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_form_of_rows_is_the_same_prediction(real: Any, name: str, dtype: str) -> None:
    weights = np.random.default_rng(0).standard_normal((3, 2))
    layers = [{"weights": weights, "activation": "tanh"}]
    real.register(name, {"format": spec.FORMAT, "dtype": dtype, "inputs": ["x", "y"], "layers": layers})
    rows = np.random.default_rng(1).standard_normal((5, 2))
    whole = real.predict(name, rows).outputs
    assert whole.dtype == dtype
    named = [{"y": y, "x": x} for x, y in rows.tolist()]
    frame = pd.DataFrame({"y": rows[:, 1], "x": rows[:, 0]})
    for other in (named, frame, rows.tolist(), np.asfortranarray(rows)):
        assert real.predict(name, other).outputs.tobytes() == whole.tobytes()
    assert real.trace(name, rows).outputs.tobytes() == whole.tobytes()
    alone = [real.predict(name, row).outputs for row in rows]
    assert np.concatenate(alone).tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_article_with_a_function_of_its_own(real: Any, name: str, dtype: str) -> None:
    own = {"expression": "where(x>0, x, slope*expm1(x))", "parameters": {"slope": 0.5}}
    network = spec.from_nodes({"node_0": [1, 1], "node_1": [-1, -1], "output": [2, 1]}, activation=own, dtype=dtype)
    registered = real.register(name, network)
    says = "where(x > 0, x, slope * expm1(x)) with slope=0.5"
    assert [layer.function for layer in registered.info.layers] == [says, "identity"]
    assert registered.digest == spec.digest(network) == spec.digest(real.spec(name))
    rows = np.random.default_rng(1).standard_normal((300, 2))
    whole = real.predict(name, rows).outputs
    assert whole.dtype == dtype
    trace = real.trace(name, rows)
    hidden = trace.layers[0]
    assert (hidden.function, hidden.parameters) == (says, {"slope": 0.5})
    assert f"hidden: {says}" in str(trace)
    z = hidden.pre_activation
    expected = np.where(z > 0, z, 0.5 * np.expm1(z))
    np.testing.assert_allclose(hidden.activation, expected, rtol=1e-6 if dtype == "float32" else 1e-15)
    assert trace.outputs.tobytes() == whole.tobytes()
    assert np.concatenate([real.predict(name, row).outputs for row in rows[:5]]).tobytes() == whole[:5].tobytes()


def test_an_expression_is_rejected_with_its_column(real: Any, name: str) -> None:
    layer = {"weights": [[1.0]], "activation": {"expression": "x * sigmod(x)"}}
    with pytest.raises(errors.InvalidNetworkError) as rejected:
        real.register(name, {"format": spec.FORMAT, "inputs": 1, "layers": [layer]})
    (fault,) = rejected.value.faults
    assert fault.path == "spec.layers[0].activation.expression"
    assert fault.message == 'at column 5: "sigmod" is no function; did you mean "sigmoid"?'


def test_where_an_expression_has_no_value_the_outputs_say_so(real: Any, name: str) -> None:
    layer = {"weights": [[1.0]], "activation": {"expression": "log(x)"}}
    real.register(name, {"format": spec.FORMAT, "inputs": 1, "layers": [layer]})
    outputs = real.predict(name, [[-1.0], [0.0], [1.0]]).outputs
    assert np.isnan(outputs[0, 0])
    assert outputs[1:, 0].tolist() == [-np.inf, 0.0]


def test_large_networks_are_uploaded_with_progress(real: Any, name: str, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((1_200, 1_000))
    network = spec.parse({"format": spec.FORMAT, "inputs": 1_000, "layers": [{"weights": weights}]})
    file = tmp_path / "network.safetensors"
    file.write_bytes(spec.to_safetensors(network))
    seen: list[tuple[int, int]] = []
    done = real.register(name, file, progress=lambda sent, total: seen.append((sent, total)))
    assert done.digest == spec.digest(network)
    assert seen[-1] == (done.info.size_bytes, done.info.size_bytes)
    assert len(seen) > 5
    assert real.spec(name) == network


def test_an_error_has_the_servers_facts(real: Any) -> None:
    with pytest.raises(errors.ShapeMismatchError) as rejected:
        real.predict("article-linear", [[1, 2, 3]])
    assert rejected.value.facts["expectedShape"] == "[rows, 2]"
    assert isinstance(rejected.value, ValueError)
    example = {"inputs": [1, 1], "outputs": [4]}
    document = {"format": spec.FORMAT, "inputs": 2, "layers": [{"weights": [[1, 2]]}], "examples": [example]}
    with pytest.raises(errors.ExampleFailedError) as failed:
        real.register("failing", document)
    assert failed.value.faults[0].path == "spec.examples[0].outputs[0]"


def _document(scale: float = 1.0, **fields: Any) -> dict[str, Any]:
    layer = {"name": "price", "weights": [[scale, 2.0]], "bias": [0.5]}
    return {"format": spec.FORMAT, "inputs": ["area", "rooms"], "layers": [layer], **fields}


def test_a_classifier_says_label_and_probability(real: Any, name: str) -> None:
    layer = {"weights": [[1.0, 0.0], [0.0, 1.0]], "activation": "softmax"}
    real.register(name, _document(layers=[layer], classes=["flat", "house"]))
    prediction = real.predict(name, [[1.0, 2.0], [2.0, 1.0]])
    assert prediction.labels == ("house", "flat")
    assert prediction.classifications[0].probability == prediction.outputs[0, 1]


def test_validating_writes_nothing(real: Any, name: str) -> None:
    registered = real.register(name, _document(), validate_only=True)
    assert (registered.created, registered.version, registered.info.create_time) == (False, 0, None)
    assert registered.digest == spec.digest(spec.parse(_document()))
    with pytest.raises(errors.NetworkNotFoundError):
        real.network(name)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([1.0, 2.0, 3.0], errors.ShapeMismatchError),
        ({"area": 1.0, "romos": 2.0}, errors.FeatureMismatchError),
        ([1.0, float("nan")], errors.MissingValueError),
        (pd.DataFrame({"area": pd.array([1, None], "Int64"), "rooms": [1, 2]}), errors.MissingValueError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_rows_that_do_not_fit_are_rejected(real: Any, name: str, rows: Any, kind: type[Exception]) -> None:
    real.register(name, _document())
    for method in (real.predict, real.trace):
        with pytest.raises(kind):
            method(name, rows)


def test_an_unknown_layer_is_rejected(real: Any, name: str) -> None:
    real.register(name, _document())
    with pytest.raises(errors.LayerNotFoundError, match="prize"):
        real.trace(name, [1, 1], layers=["prize"])


def test_a_stream_gives_the_bits_of_predict(real: Any) -> None:
    rows = np.random.default_rng(3).normal(size=(50, 2))
    requests = [StreamRequest(network="article-1-hidden", rows=row, id=str(n)) for n, row in enumerate(rows)]
    alone = real.predict("article-1-hidden", rows).outputs
    responses = dict(real.predict_stream(requests))
    assert len(responses) == 50
    assert all(responses[str(n)].outputs[0] == alone[n] for n in range(50))


def test_a_stream_returns_the_error_of_a_bad_request(real: Any) -> None:
    requests = [
        StreamRequest(network="article-linear", rows=[1.0, 2.0, 3.0]),
        StreamRequest(network="nowhere", rows=[1.0, 2.0]),
        StreamRequest(network="article-linear", rows=["one", "two"]),  # type: ignore[list-item] # texts
        StreamRequest(network="article-linear", rows=[2.0, 3.0]),
    ]
    responses = dict(real.predict_stream(requests))
    assert type(responses["0"]) is errors.ShapeMismatchError
    assert type(responses["1"]) is errors.NetworkNotFoundError
    assert type(responses["2"]) is errors.InvalidTensorError
    assert responses["3"].outputs.tolist() == [[9.0]]


def test_many_networks_in_one_call(real: Any) -> None:
    requests = [StreamRequest(network=name, rows=[[2, 3], [3, 5]]) for name in ("article-linear", "article-2-hidden")]
    bad = [StreamRequest(network="nowhere", rows=[1, 2]), StreamRequest(network="article-linear", rows=[1, 2, 3])]
    *good, unknown, misshapen = real.predict_many(requests + bad)
    assert good == [real.predict(one.network, one.rows) for one in requests]
    assert type(unknown) is errors.NetworkNotFoundError
    assert type(misshapen) is errors.ShapeMismatchError
    assert misshapen.facts["expectedShape"] == "[rows, 2]"


def test_a_watch_yields_changes(real: Any, connect: ClientFactory, server: ServerProcess, name: str) -> None:
    changes = real.watch(prefix=name)
    assert next(changes).event == "synced"
    other = connect(server.address)
    other.register(name, _document())
    assert next(changes).network.aliases == {"latest": 1}
    other.delete_network(name)
    deleted = next(change for change in changes if change.event == "deleted")
    assert (deleted.name, deleted.network) == (name, None)


def test_a_watch_has_the_state_first(real: Any) -> None:
    changes = list(islice(real.watch(prefix="article-"), 4))
    assert [change.event for change in changes] == ["current"] * 3 + ["synced"]
    assert [change.name for change in changes[:3]] == ["article-1-hidden", "article-2-hidden", "article-linear"]


def test_the_server_is_ready(real: Any) -> None:
    real.wait_until_ready(60)
    assert real.ready()


def test_a_list_of_addresses_is_one_target(server: ServerProcess, connect: ClientFactory) -> None:
    client = connect(f"ipv4:{server.address},{server.address}")
    client.wait_until_ready(60)
    assert client.predict("article-linear", [2, 3]).outputs.tolist() == [[9.0]]


@pytest.mark.prove
def test_a_network_of_58_million_weights_that_are_mostly_zero(real: Any, name: str) -> None:
    random = np.random.default_rng(0)
    layers: list[dict[str, Any]] = []
    for place, (inputs, outputs) in enumerate([(4000, 7000), (7000, 4000), (4000, 500)]):
        weights = np.zeros((outputs, inputs), np.float32)
        places = random.integers(0, weights.size, weights.size // 20)
        weights.ravel()[places] = random.normal(size=len(places)) / np.sqrt(inputs / 20)
        layers.append({"name": f"layer-{place}", "weights": weights, "activation": "relu"})
    network = spec.parse({"format": spec.FORMAT, "dtype": "float32", "inputs": 4000, "layers": layers})
    started = time.perf_counter()
    real.register(name, network, timeout=300)
    print(
        f"{sum(layer['weights'].size for layer in layers):,} weights: {time.perf_counter() - started:.1f} s to register"
    )
    rows = random.normal(size=(2, 4000)).astype(np.float32)
    expected = rows
    for layer in layers:
        expected = np.maximum(expected @ layer["weights"].T, 0)
    computed = real.predict(name, rows, timeout=300).outputs
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


async def test_an_upload_that_is_rejected_while_it_is_sent_says_why(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    layers = [{"weights": np.ones((1_000, 1_000))}]
    network = spec.parse({"format": spec.FORMAT, "dtype": "float32", "inputs": 1_000, "layers": layers})
    file = tmp_path / "network.safetensors"
    file.write_bytes(spec.to_safetensors(network))
    server = start_server("--max-network-bytes=1000000")
    async with AsyncClient(server.address, timeout=60, retries=False) as client:
        for _ in range(4):
            with pytest.raises(errors.QuotaExceededError, match=r"header\.size_bytes is 4,00"):
                await client.register("large", file)
