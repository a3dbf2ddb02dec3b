"""The names that a spec may use are the functions that the core has, and the docs list them."""

import inspect
import json
import re
from pathlib import Path

from forwardpass import spec
from forwardpass.spec import expressions
from forwardpass.spec.activations import ACTIVATIONS as VOCABULARY
from forwardpass.spec.expressions import grammar
from forwardpass_server.core import ACTIVATIONS as FUNCTIONS
from forwardpass_server.core.elementwise import FUNCTIONS as ELEMENTWISE

DOCS = Path(__file__).parents[1] / "docs" / "reference" / "activations.md"


def test_spec_and_core_agree() -> None:
    spoken = {name: set(known.parameters) for name, known in VOCABULARY.items()}
    keywords = {name: set(inspect.signature(function).parameters) for name, function in FUNCTIONS.items()}
    assert spoken == {name: known - {"z", "out"} for name, known in keywords.items()}
    assert list(spoken) == list(FUNCTIONS)


def test_what_expressions_may_say_is_what_the_core_computes() -> None:
    assert {*grammar.FUNCTIONS, *grammar.OPERATORS, *grammar.PREFIXES} == set(ELEMENTWISE)


def test_the_documented_grammar_is_complete() -> None:
    _, own = DOCS.read_text().split("\n## ")
    rows = [line.split("|")[1] for line in own.splitlines() if line.startswith("| `")]
    said = [part for row in rows for part in re.findall(r"`([^`]+)`", row)]
    calls = {part.split("(")[0]: part.count(",") + 1 for part in said if "(" in part}
    assert calls == {name: known.operands for name, known in grammar.FUNCTIONS.items()}
    symbols = {"-x": grammar.NEGATIVE, "not": "not"}
    words = {symbols.get(part, part) for part in said if "(" not in part}
    assert words == {*grammar.OPERATORS, *grammar.PREFIXES, *grammar.CONSTANTS, grammar.VARIABLE}
    limits = (expressions.MAX_LENGTH, grammar.MAX_PARTS, grammar.MAX_DEPTH, expressions.MAX_PARAMETERS)
    for limit in limits:
        assert f" {limit:,} " in own


def test_the_expressions_that_are_shown_are_valid() -> None:
    _, own = DOCS.read_text().split("\n## ")
    (block,) = re.findall(r"```json\n(.*?)```", own, flags=re.DOTALL)
    shown = [json.loads(line) for line in block.splitlines()]
    assert len(shown) >= 3
    for activation in shown:
        network = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[1]], **activation}]})
        assert spec.to_document(network)["layers"][0]["activation"] == activation["activation"]
