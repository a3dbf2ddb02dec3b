"""Both clients before the real server."""

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forwardpass import StreamRequest, errors, spec

from tests.client.twins import Twin
from tests.processes import ServerProcess

_names = count()


@pytest.fixture
def client(server: ServerProcess, connect: Twin) -> Any:
    return connect(server.address)


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    """The name of a network of this test's own."""
    own = f"client-{next(_names)}"
    yield own
    try:
        client.delete_network(own)
    except errors.NetworkNotFoundError:
        pass


def _document(scale: float = 1.0, **fields: Any) -> dict[str, Any]:
    layer = {"name": "price", "weights": [[scale, 2.0]], "bias": [0.5]}
    return {"format": spec.FORMAT, "inputs": ["area", "rooms"], "layers": [layer], **fields}


@pytest.mark.parametrize(
    ("network", "row", "output"),
    [
        ("article-linear", [2, 3], 9.0),
        ("article-1-hidden", [2, 3], 9.0),
        ("article-2-hidden", [3, 5], 182.0),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(list, id="list"),
        pytest.param(np.float32, id="float32"),
        pytest.param(lambda row: {"children": row[0], "accounts": row[1]}, id="dict"),
        pytest.param(lambda row: pd.DataFrame({"accounts": [row[1]], "children": [row[0]]}), id="frame"),
    ],
)
def test_the_articles_numbers(client: Any, network: str, row: list[int], output: float, form: Any) -> None:
    assert client.predict(network, form(row)).outputs.tolist() == [[output]]


def test_the_articles_trace(client: Any) -> None:
    trace = client.trace("article-2-hidden", [3, 5], contributions=True)
    assert [layer.activation.tolist() for layer in trace.layers] == [[[26.0, 0.0]], [[0.0, 26.0]], [[182.0]]]
    assert trace.layers[0].contributions.tolist() == [[[6.0, 20.0], [12.0, -25.0]]]
    assert trace.outputs.tolist() == [[182.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_have_the_networks_dtype(client: Any, name: str, dtype: str) -> None:
    client.register(name, _document(dtype=dtype))
    prediction = client.predict(name, [1.0, 1.0])
    assert prediction.outputs.dtype == dtype
    assert client.version(name).dtype == dtype


def test_a_classifier_says_label_and_probability(client: Any, name: str) -> None:
    layer = {"weights": [[1.0, 0.0], [0.0, 1.0]], "activation": "softmax"}
    client.register(name, _document(layers=[layer], classes=["flat", "house"]))
    prediction = client.predict(name, [[1.0, 2.0], [2.0, 1.0]])
    assert prediction.labels == ("house", "flat")
    assert prediction.classifications[0].probability == prediction.outputs[0, 1]


def test_a_life(client: Any, name: str) -> None:
    one = client.register(name, _document())
    again = client.register(name, _document())
    two = client.register(name, _document(scale=3.0), keep_latest=True)
    assert (one.created, again.created, two.created) == (True, False, True)
    assert again.version == one.version
    assert client.network(name).aliases == {"latest": 1}
    assert [version.number for version in client.versions(name)] == [2, 1]
    assert client.set_alias(name, "production", 2).aliases == {"latest": 1, "production": 2}
    assert client.predict(name, [1, 1], version="production").outputs.tolist() == [[5.5]]
    assert client.predict(name, [1, 1]).digest == one.version.digest
    assert client.spec(name, version=2) == spec.parse(_document(scale=3.0))
    with pytest.raises(errors.VersionInUseError):
        client.delete_version(name, 2)
    assert client.delete_alias(name, "production").aliases == {"latest": 1}
    assert client.delete_version(name, 2).version_count == 1
    with pytest.raises(errors.VersionNotFoundError):
        client.predict(name, [1, 1], version=2)
    assert name in [network.name for network in client.networks()]
    client.delete_network(name)
    with pytest.raises(errors.NetworkNotFoundError):
        client.network(name)


def test_validating_writes_nothing(client: Any, name: str) -> None:
    registered = client.register(name, _document(), validate_only=True)
    assert (registered.created, registered.version.number, registered.version.create_time) == (False, 0, None)
    assert registered.version.digest == spec.digest(spec.parse(_document()))
    with pytest.raises(errors.NetworkNotFoundError):
        client.network(name)


def test_examples_that_fail_say_where(client: Any, name: str) -> None:
    example = {"inputs": {"area": 1, "rooms": 1}, "outputs": [4]}
    with pytest.raises(errors.ExampleFailedError) as caught:
        client.register(name, _document(examples=[example]))
    assert caught.value.faults
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([1.0, 2.0, 3.0], errors.ShapeMismatchError),
        ({"area": 1.0, "romos": 2.0}, errors.FeatureMismatchError),
        ([1.0, float("nan")], errors.NonFiniteInputError),
        (pd.DataFrame({"area": pd.array([1, None], "Int64"), "rooms": [1, 2]}), errors.NonFiniteInputError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_rows_that_do_not_fit_are_refused(client: Any, name: str, rows: Any, kind: type[Exception]) -> None:
    client.register(name, _document())
    for method in (client.predict, client.trace):
        with pytest.raises(kind):
            method(name, rows)


def test_an_unknown_layer_is_refused(client: Any, name: str) -> None:
    client.register(name, _document())
    with pytest.raises(errors.LayerNotFoundError, match="prize"):
        client.trace(name, [1, 1], layers=["prize"])


def test_a_large_network_is_uploaded_and_comes_back(client: Any, name: str) -> None:
    weights = np.random.default_rng(2).normal(size=(1_200, 1_000))
    large = spec.parse({"format": spec.FORMAT, "inputs": 1_000, "layers": [{"weights": weights}]})
    progress: list[tuple[int, int]] = []
    registered = client.register(name, large, progress=lambda *told: progress.append(told))
    assert registered.version.digest == spec.digest(large)
    assert registered.version.size_bytes == progress[-1][0] == progress[-1][1]
    assert client.spec(name) == large
    row = np.ones(1_000)
    assert np.allclose(client.predict(name, row).outputs, [weights.sum(axis=1)])


def test_a_stream_gives_the_bits_of_predict(client: Any) -> None:
    rows = np.random.default_rng(3).normal(size=(50, 2))
    requests = [StreamRequest(network="article-1-hidden", rows=row, id=str(n)) for n, row in enumerate(rows)]
    alone = client.predict("article-1-hidden", rows).outputs
    answers = dict(client.predict_stream(requests))
    assert len(answers) == 50
    assert all(answers[str(n)].outputs[0] == alone[n] for n in range(50))


def test_a_stream_answers_a_bad_request_with_its_error(client: Any) -> None:
    requests = [
        StreamRequest(network="article-linear", rows=[1.0, 2.0, 3.0]),
        StreamRequest(network="nowhere", rows=[1.0, 2.0]),
        StreamRequest(network="article-linear", rows=["one", "two"]),
        StreamRequest(network="article-linear", rows=[2.0, 3.0]),
    ]
    answers = dict(client.predict_stream(requests))
    assert type(answers["0"]) is errors.ShapeMismatchError
    assert type(answers["1"]) is errors.NetworkNotFoundError
    assert type(answers["2"]) is errors.InvalidTensorError
    assert answers["3"].outputs.tolist() == [[9.0]]


def test_a_watch_tells_of_changes(client: Any, connect: Twin, server: ServerProcess, name: str) -> None:
    changes = client.watch(prefix=name)
    assert next(changes).event == "synced"
    other = connect(server.address)
    other.register(name, _document())
    assert next(changes).network.aliases == {"latest": 1}
    other.delete_network(name)
    told = next(change for change in changes if change.event == "deleted")
    assert (told.name, told.network) == (name, None)


def test_a_watch_has_the_state_first(client: Any) -> None:
    told = list(islice(client.watch(prefix="article-"), 4))
    assert [change.event for change in told] == ["current"] * 3 + ["synced"]
    assert [change.name for change in told[:3]] == ["article-1-hidden", "article-2-hidden", "article-linear"]


def test_the_server_is_ready(client: Any) -> None:
    client.wait_until_ready(10)
    assert client.ready()
