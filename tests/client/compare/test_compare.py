"""Comparisons against numpy's own sums over all rows at once."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forwardpass import Client, errors, spec
from forwardpass.compare import Comparer, compare
from forwardpass.compare.comparison import CHUNK_ROWS
from forwardpass.differences import beyond, differences
from forwardpass.models import Classification, Prediction
from forwardpass.rows import read_rows

from tests.support.server_process import ServerProcess

RNG = np.random.default_rng(0)
WEIGHTS = RNG.standard_normal((3, 4))


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.address, timeout=60) as client:
        yield client


def network(weights: Any = WEIGHTS, **fields: Any) -> dict[str, Any]:
    layers = [{"name": "only", "weights": np.asarray(weights).tolist(), "activation": "softmax"}]
    return {"format": spec.FORMAT, "inputs": list("abcd"), "layers": layers, **fields}


def register(client: Client, name: str, *documents: dict[str, Any]) -> None:
    for number, document in enumerate(documents, start=1):
        assert client.register(name, document).version == number


def test_against_numpy(client: Client) -> None:
    classes, moved = ["x", "y", "z"], WEIGHTS + 0.1 * RNG.standard_normal(WEIGHTS.shape)
    register(client, "cmp-numpy", network(classes=classes), network(moved, classes=classes))
    rows = RNG.standard_normal((3 * CHUNK_ROWS + 17, 4))
    found = compare(client, "cmp-numpy", 1, "latest", iter(rows), tolerance=0.03, worst=7)
    one, other = (client.predict("cmp-numpy", rows, version=version) for version in (1, 2))
    apart = np.abs(one.outputs - other.outputs)
    assert (found.first, found.second, found.rows, found.agree) == (1, 2, len(rows), False)
    assert [output.absolute for output in found.outputs] == apart.max(axis=0).tolist()
    size = np.maximum(np.abs(one.outputs), np.abs(other.outputs))
    assert [output.relative for output in found.outputs] == (apart / size).max(axis=0).tolist()
    too_far = apart > 0.03
    assert [output.beyond for output in found.outputs] == too_far.sum(axis=0).tolist()
    assert found.rows_beyond == too_far.any(axis=1).sum()
    changed = Counter((a, b) for a, b in zip(one.labels, other.labels, strict=True) if a != b)
    assert {(change.first, change.second): change.rows for change in found.relabeled} == changed
    assert found.rows_relabeled == changed.total() > 0
    renamed = np.array([a != b for a, b in zip(one.labels, other.labels, strict=True)])
    order = sorted(range(len(rows)), key=lambda row: (not renamed[row], -apart[row].max(), row))
    assert [worst.row for worst in found.worst] == order[:7]
    for worst in found.worst:
        assert worst.inputs == dict(zip("abcd", rows[worst.row].tolist(), strict=True))
        assert [*worst.first.values()] == one.outputs[worst.row].tolist()
        assert [*worst.second.values()] == other.outputs[worst.row].tolist()
        assert worst.labels == (one.labels[worst.row], other.labels[worst.row])
        assert worst.absolute == apart[worst.row].max()
    assert not any(difference.path == "layers" for difference in found.spec)
    assert {difference.path for difference in found.spec} == {"digest"}


def test_the_same_content_agrees_with_itself(client: Client) -> None:
    register(client, "cmp-same", network())
    found = compare(client, "cmp-same", 1, "latest")
    assert found.agree
    assert found.rows >= CHUNK_ROWS // 2
    assert (found.spec, found.worst, found.relabeled) == ((), (), ())
    assert all(output.absolute == output.relative == output.beyond == 0 for output in found.outputs)


@pytest.mark.parametrize("form", ["dicts", "frames", "single rows", "one array", "one frame"])
def test_every_form_of_rows(client: Client, form: str) -> None:
    register_once(client, "cmp-forms", network(), network(WEIGHTS * 2))
    rows = RNG.standard_normal((40, 4))
    frame = pd.DataFrame(rows, columns=list("abcd"))
    forms: dict[str, Any] = {
        "dicts": frame.to_dict("records"),
        "frames": iter([frame[:30], frame[30:]]),
        "single rows": rows.tolist(),
        "one array": rows,
        "one frame": frame[list("dcba")],
    }
    found, whole = (compare(client, "cmp-forms", 1, 2, each) for each in (forms[form], rows))
    assert found == whole
    assert found.rows == 40


def register_once(client: Client, name: str, *documents: dict[str, Any]) -> None:
    for document in documents:
        client.register(name, document)


def test_without_rows_examples_and_random_rows_are_compared(client: Client) -> None:
    """A difference far from where random rows lie is found by an example."""
    step = {"weights": [[1.0]], "activation": "relu"}
    document = {"format": spec.FORMAT, "inputs": ["x"], "layers": [{**step, "bias": [-1000.0]}]}
    wide = {**document, "layers": [{**step, "bias": [-1001.0]}], "examples": [{"inputs": [2000.0], "outputs": [999.0]}]}
    register(client, "cmp-examples", document, wide)
    found = compare(client, "cmp-examples", 1, 2)
    assert (found.rows_beyond, found.worst[0].inputs) == (1, {"x": 2000.0})
    assert found == compare(client, "cmp-examples", 1, 2), "the same rows each time"


def test_features_in_another_order(client: Client) -> None:
    turned = {**network(WEIGHTS[:, ::-1]), "inputs": list("dcba")}
    register(client, "cmp-order", network(), turned)
    found = compare(client, "cmp-order", 1, 2)
    assert found.agree
    assert any(difference.path == "features" for difference in found.spec)


def test_outputs_are_matched_by_name(client: Client) -> None:
    register(client, "cmp-names", network(outputs=["x", "y", "z"]), network(WEIGHTS[::-1], outputs=["z", "y", "x"]))
    found = compare(client, "cmp-names", 1, 2)
    assert found.agree
    assert [output.name for output in found.outputs] == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (network(inputs=list("abce")), "different features: only one of them has 'd', 'e'"),
        (network(WEIGHTS[:, :3], inputs=3), "version 1 reads 4 inputs, version 2 3"),
        (network(WEIGHTS[:2], outputs=["p", "q"]), "no output in common"),
    ],
    ids=["features", "width", "outputs"],
)
def test_versions_that_cannot_be_compared(
    client: Client, other: dict[str, Any], words: str, request: pytest.FixtureRequest
) -> None:
    name = f"cmp-not-{request.node.callspec.id.split('-')[-1]}"
    register(client, name, network(), other)
    found = compare(client, name, 1, 2, [[1, 2, 3, 4]])
    assert words in found.obstacle
    assert (found.agree, found.rows) == (False, 0)
    assert found.spec


def test_the_differences_of_two_specs(client: Client) -> None:
    first: dict[str, Any] = {"name": "a", "weights": [[1, 1]], "activation": "relu"}
    last = {"name": "b", "weights": {"y": [1]}}
    document = {"format": spec.FORMAT, "inputs": ["x", {"name": "z", "unit": "EUR"}], "layers": [first, last]}
    changed = {
        **document,
        "dtype": "float32",
        "inputs": ["x", {"name": "z", "scale": 2.0}],
        "layers": [{**first, "activation": "tanh"}, {**last, "from": ["a"]}],
        "tags": ["new"],
    }
    register(client, "cmp-said", document, changed)
    found = compare(client, "cmp-said", 1, 2)
    said = {difference.path: (difference.first, difference.second) for difference in found.spec}
    assert said.pop("digest")
    assert said == {
        "dtype": ("float64", "float32"),
        "tags": ("", "new"),
        "features.z.unit": ("EUR", ""),
        "features.z.scale": ("1", "2"),
        "layers.a.activation": ("relu", "tanh"),
    }
    assert found.tolerance == 1e-4


def test_errors_say_where(client: Client) -> None:
    register_once(client, "cmp-errors", network())
    rows = [[0.0] * 4] * CHUNK_ROWS + [[0.0, np.nan, 0.0, 0.0]]
    with pytest.raises(errors.MissingValueError) as refused:
        compare(client, "cmp-errors", 1, 1, rows)
    assert refused.value.facts["firstRow"] == str(CHUNK_ROWS)
    with pytest.raises(errors.InvalidFieldError, match="tolerance: is -1"):
        compare(client, "cmp-errors", 1, 1, rows, tolerance=-1)
    with pytest.raises(errors.VersionNotFoundError):
        compare(client, "cmp-errors", 1, 2)


def test_nan_and_infinity() -> None:
    nan, inf = np.nan, np.inf
    one, other = np.array([nan, inf, nan, inf, -inf, 1.0, 0.0]), np.array([nan, inf, 1.0, -inf, 3.0, 1.0, -0.0])
    apart = differences(one, other)
    assert apart.tolist() == [0, 0, inf, inf, inf, 0, 0]
    assert beyond(apart, one, 1e300).tolist() == [False, False, True, True, True, False, False]


def test_no_more_is_kept_than_asked_for(client: Client) -> None:
    register_once(client, "cmp-kept", network(), network(WEIGHTS * 2))
    one, other = (client.version("cmp-kept", version=version) for version in (1, 2))
    comparer = Comparer(one, other, tolerance=0.0, worst=0)
    said = Prediction(
        outputs=np.zeros((2, 3)),
        network="cmp-kept",
        version=1,
        digest="",
        output_names=one.output_names,
        classifications=(Classification(label="x", probability=1.0),) * 2,
    )
    comparer.add(read_rows(np.zeros((2, 4))), said, said)
    assert (comparer.rows, comparer.worst()) == (2, ())


def test_typed_features_by_name(client: Client) -> None:
    """Categories in another order are the same categories, by name, and own rows are ones that both can read."""
    colour = {"name": "colour", "kind": "category", "categories": ["red", "green", "blue"], "missing": "red"}
    size = {"name": "size", "range": [0, 2], "out_of_range": "refuse"}
    table = {"name": "table", "kind": "embedding", "table": [[1.0], [2.0], [4.0]], "from": ["c"]}
    document = {
        "format": spec.FORMAT,
        "inputs": [colour, size],
        "input_groups": [{"name": "c", "width": 1}, {"name": "s", "width": 1}],
        "layers": [table, {"weights": [[1.0, 1.0]], "from": ["table", "s"], "merge": "concatenate"}],
        "examples": [{"inputs": [1, 1.5], "outputs": [3.5]}],
    }
    turned = {
        **document,
        "inputs": [{**colour, "categories": ["blue", "green", "red"]}, size],
        "layers": [{**table, "table": [[4.0], [2.0], [1.0]]}, document["layers"][1]],
    }
    register(client, "cmp-typed", document, turned)
    found = compare(client, "cmp-typed", 1, 2)
    assert found.agree
    assert found.rows > 500
    assert [difference.path for difference in found.spec if difference.path != "digest"] == [
        "features.colour.categories"
    ]
    assert compare(client, "cmp-typed", 1, 2, [{"colour": None, "size": 0.5}, {"colour": "blue", "size": 1}]).agree
