"""Typed features from end to end: a client and a server in its own process, on both engines."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forwardpass import AsyncClient, Client, spec
from forwardpass.errors import MissingValueError, OutOfRangeError, UnknownCategoryError
from forwardpass.models import ClassProbability, Prediction
from forwardpass.spec import DEFAULT_LIMITS
from forwardpass_server.registry.compile import check_examples, compile_plan
from forwardpass_server.serving.inputs import checks

from tests.support.server_process import ServerProcess

CITIES = ["Bern", "Basel", "Genf"]
NETWORK: dict[str, Any] = {
    "format": spec.FORMAT,
    "inputs": [
        {"name": "age", "range": [0, 120], "unit": "years", "missing": 40, "mean": 40, "scale": 20},
        {"name": "city", "kind": "category", "categories": CITIES, "unknown": "Bern", "missing": "Genf"},
        {"name": "member", "kind": "boolean", "missing": False},
    ],
    "layers": [
        {"weights": [[0.3, -0.2, 0.5], [1, 0.1, -0.7], [-0.4, 0.6, 0.2]], "activation": "tanh"},
        {"weights": [[1, 2, 3], [-1, 0.5, 2], [0.1, 0.2, 0.3]], "activation": "softmax"},
    ],
    "classes": ["none", "some", "all"],
    "outputs": [{"name": "none", "unit": "%", "scale": 100}, "some", {"name": "all", "shift": 0.25}],
}
STRICT = {
    **NETWORK,
    "inputs": [
        {"name": "age", "range": [0, 120], "out_of_range": "refuse"},
        {"name": "city", "kind": "category", "categories": CITIES},
        {"name": "member", "kind": "boolean"},
    ],
}
TABLE = pd.DataFrame(
    {
        "age": [30.0, 130.0, None, -1.0, 64.5],
        "city": ["Basel", "Rom", "Bern", None, "Genf"],
        "member": [True, False, None, True, None],
    }
)
MATRIX = np.array([[30, 1, 1], [130, -1, 0], [np.nan, 0, np.nan], [-1, np.nan, 1], [64.5, 2, np.nan]])


@pytest.fixture(autouse=True)
def networks(server: ServerProcess) -> None:
    """Both networks; registering what is there changes nothing."""
    with Client(server.address) as client:
        client.register("typed", NETWORK)
        client.register("strict", STRICT)


def dicts() -> list[dict[str, Any]]:
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in TABLE.to_dict("records")
    ]


FORMS: dict[str, Any] = {
    "matrix": MATRIX,
    "dicts": dicts(),
    "dicts with names left out": [{name: value for name, value in row.items() if value is not None} for row in dicts()],
    "columns": {name: [row[name] for row in dicts()] for name in TABLE},
    "columns in another order": {name: [row[name] for row in dicts()] for name in reversed(TABLE.columns)},
    "frame": TABLE,
    "frame of categories": TABLE.astype({"city": "category", "member": "boolean"}),
    "frame of strings": TABLE.astype({"city": "string"}),
}


def comparable(prediction: Prediction) -> tuple[object, ...]:
    return prediction.outputs.tobytes(), prediction.classifications, prediction.warnings, prediction.warning_count


@pytest.mark.parametrize("rows", FORMS.values(), ids=FORMS)
def test_all_forms_give_the_same_bits_and_warnings(server: ServerProcess, rows: Any) -> None:
    with Client(server.address) as client:
        prediction = client.predict("typed", rows, top_k=2)
        trace = client.trace("typed", rows, top_k=2)
        expected = client.predict("typed", MATRIX, top_k=2)
        batches = [*client.predict_batches("typed", rows, batch_rows=2)]
    assert comparable(prediction) == comparable(expected)
    assert (trace.outputs.tobytes(), trace.warnings) == (expected.outputs.tobytes(), expected.warnings)
    assert np.concatenate([batch.outputs for batch in batches]).tobytes() == expected.outputs.tobytes()
    assert [(warning.row, warning.feature, warning.value) for warning in expected.warnings] == [
        (1, "age", 130),
        (3, "age", -1),
    ]
    assert expected.warnings[0].message == "'age' is 130 years, which is out of range: from 0 to 120 is in range"


def test_what_is_computed_is_what_a_plain_pass_computes(server: ServerProcess) -> None:
    settled = np.array([[30, 1, 1], [130, 0, 0], [40, 0, 0], [-1, 2, 1], [64.5, 2, 0]])
    hidden = np.tanh((settled - [40, 0, 0]) / [20, 1, 1] @ np.transpose(NETWORK["layers"][0]["weights"]))
    powers = np.exp(hidden @ np.transpose(NETWORK["layers"][1]["weights"]))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    with Client(server.address) as client:
        prediction = client.predict("typed", TABLE)
        version = client.version("typed")
        assert client.spec("typed") == spec.parse(NETWORK)
    np.testing.assert_allclose(prediction.outputs, probabilities * [100, 1, 1] + [0, 0, 0.25], rtol=1e-12)
    assert [feature.kind for feature in version.features] == ["number", "category", "boolean"]
    assert version.features[1].categories == tuple(CITIES)
    assert [feature.missing for feature in version.features] == [40, "Genf", 0]
    assert version.features[1].unknown == "Bern"
    assert (version.features[0].low, version.features[0].high) == (0, 120)
    assert version.output_metadata[0].unit == "%"
    assert (version.output_metadata[0].scale, version.output_metadata[2].shift) == (100, 0.25)


REFUSED = [
    pytest.param({"age": 30, "city": "Rom", "member": True}, UnknownCategoryError, "city", "Rom", id="category"),
    pytest.param({"age": 130, "city": "Bern", "member": True}, OutOfRangeError, "age", "130.0", id="range"),
    pytest.param({"age": 30, "city": "Bern"}, MissingValueError, "member", None, id="missing"),
]


@pytest.mark.parametrize("ask", ["predict", "trace"])
@pytest.mark.parametrize(("row", "error", "feature", "value"), REFUSED)
def test_errors_name_row_feature_and_value(
    server: ServerProcess, ask: str, row: Any, error: Any, feature: str, value: str | None
) -> None:
    right = {"age": 30, "city": "Bern", "member": True}
    with Client(server.address) as client, pytest.raises(error) as refused:
        getattr(client, ask)("strict", [right, row])
    assert refused.value.facts["row"] == "1"
    assert refused.value.facts["feature"] == feature
    if value is not None:
        assert refused.value.facts["value"] == value
    assert refused.value.faults[0].path == f"rows[1].{feature}"


def test_the_most_probable_classes(server: ServerProcess) -> None:
    with Client(server.address) as client:
        plain, two = client.predict("typed", MATRIX), client.predict("typed", MATRIX, top_k=2)
        all_ = client.predict("typed", MATRIX, top_k=9)
    assert all(not said.top for said in plain.classifications)
    for row, said, more in zip(plain.outputs.tolist(), two.classifications, all_.classifications, strict=True):
        best = sorted(zip(row, NETWORK["classes"], strict=True), reverse=True)
        assert more.top == tuple(ClassProbability(label=label, probability=p) for p, label in best)
        assert said.top == more.top[:2]
        assert (said.label, said.probability) == (said.top[0].label, said.top[0].probability)


def each_alone(server: ServerProcess) -> list[Prediction]:
    rows = dicts() * 8
    with Client(server.address, coalesce=True) as client, ThreadPoolExecutor(len(rows)) as pool:
        return [*pool.map(lambda row: client.predict("typed", row, top_k=1), rows)]


def each_in_a_task(server: ServerProcess) -> list[Prediction]:
    async def ask() -> list[Prediction]:
        async with AsyncClient(server.address, coalesce=True) as client:
            return [*await asyncio.gather(*(client.predict("typed", row, top_k=1) for row in dicts() * 60))]

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [each_alone, each_in_a_task], ids=["threads", "tasks"])
def test_in_a_batch_each_row_has_its_own_warnings(
    server: ServerProcess, ask: Callable[[ServerProcess], list[Prediction]]
) -> None:
    # The tasks' rows have more than a hundred warnings together, more than one response lists.
    with Client(server.address) as client:
        alone = [comparable(client.predict("typed", row, top_k=1)) for row in dicts()]
    for place, found in enumerate(ask(server)):
        assert comparable(found) == alone[place % len(alone)]


DOCS = Path(__file__).parents[2] / "docs" / "reference" / "features.md"


def test_the_documented_network_is_valid_and_its_python_prints_what_it_says(server: ServerProcess) -> None:
    blocks = dict(re.findall(r"```(json|python)\n(.*?)```", DOCS.read_text(), flags=re.DOTALL))
    network = spec.from_json(blocks["json"])
    check_examples(network, compile_plan(network))
    code = blocks["python"].replace("localhost:50051", server.address)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=DOCS.parents[2]
    )
    said = [line.split("  # ")[1] for line in code.splitlines() if "  # " in line]
    assert ran.stdout.splitlines() == said


def test_the_documented_limits_and_errors_are_those_of_the_code() -> None:
    text = DOCS.read_text()
    assert f"at most {DEFAULT_LIMITS.max_name_length} characters" in text
    assert f"at most {DEFAULT_LIMITS.max_categories:,}" in text
    assert {kind.error.__name__ for kind in checks._REJECTIONS.values()} == set(re.findall(r"\| `(\w+Error)` \|", text))
