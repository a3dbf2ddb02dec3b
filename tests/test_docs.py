"""What the documents show is true: their specs are valid, their Python runs, the schema is the models'."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from forwardpass import spec
from forwardpass.errors import InvalidNetworkError
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support import network_schema, reference_tables

ROOT = Path(__file__).parents[1]
SPEC = (ROOT / "docs" / "reference" / "spec.md").read_text()
SCHEMA = reference_tables.SCHEMA


def blocks(language: str, text: str = SPEC) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


LAYERS = (ROOT / "docs" / "reference" / "layers.md").read_text()


@pytest.mark.parametrize(
    "text", [*blocks("json"), *blocks("json", LAYERS)], ids=["chain", "graph", "layers", "convolutions", "steps"]
)
def test_the_spec_that_is_shown(text: str) -> None:
    network = spec.from_json(text)
    check_examples(network, compile_plan(network))
    network_schema.validate(json.loads(text))


@pytest.mark.parametrize("name", reference_tables.TABLES)
def test_the_tables_follow_from_the_code(name: str) -> None:
    page = reference_tables.TABLES[name].read_text()
    assert reference_tables.rows_of(page) == reference_tables.table(name), "run `make reference`"


def test_the_python_that_is_shown() -> None:
    for code in blocks("python"):
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_published_schema_is_fresh_and_valid() -> None:
    schema = json.loads(SCHEMA.read_text())
    assert schema == json.loads(reference_tables.schema()), "run `make reference`"
    jsonschema.Draft202012Validator.check_schema(schema)


EXAMPLES = [
    "breast_cancer/network",
    "diabetes/network",
    "features/insurance",
    "graphs/residual",
    "graphs/wide_and_deep",
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_fit_the_schema_and_hold(name: str) -> None:
    text = (ROOT / "examples" / f"{name}.json").read_text()
    network_schema.validate(json.loads(text))
    network = spec.from_json(text)
    assert network.examples
    check_examples(network, compile_plan(network))


# `make docs` checks the links of the pages below docs/.
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:\s]+)[^):]*\)", text):
        assert (ROOT / target).exists(), target


FAULTY: dict[str, Any] = {
    "wrong format": {"format": "forwardpass.network/2"},
    "no layers": {"layers": []},
    "unknown key": {"layer": []},
    "unknown activation": {"layers": [{"weights": [[1, 1]], "activation": "rleu"}]},
    "unknown merge": {"layers": [{"weights": [[1, 1]]}, {"weights": [[1]], "from": ["inputs"], "merge": "add"}]},
    "group of no width": {"input_groups": [{"name": "a", "width": 0}]},
    "output layers are a text": {"output_layers": "layer_0"},
    "text as weight": {"layers": [{"weights": [[1, "1"]]}]},
}


@pytest.mark.parametrize("change", FAULTY.values(), ids=FAULTY)
def test_the_schema_refuses_what_the_models_refuse(change: dict[str, Any]) -> None:
    document = {"format": spec.FORMAT, "inputs": 2, "layers": [{"weights": [[1, 1]]}], **change}
    with pytest.raises(InvalidNetworkError):
        spec.parse(document)
    with pytest.raises(jsonschema.ValidationError):
        network_schema.validate(document)
