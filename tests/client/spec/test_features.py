"""Typed features and output metadata: the same in every form, and their faults."""

import json
from typing import Any

import pytest
from forwardpass import spec
from forwardpass.errors import InvalidNetworkError
from forwardpass.spec.feature_kinds import UNKNOWN
from forwardpass.spec.limits import Limits
from forwardpass.v1 import network_pb2
from hypothesis import given, settings

from tests.support import network_schema
from tests.support.random_features import documents
from tests.support.spec_forms import assert_same_in_every_form

AGE = {"name": "age", "range": [0, 120], "missing": 40}
CITY = {"name": "city", "kind": "category", "categories": ["Bern", "Basel"], "unknown": "Bern", "missing": "nan"}
MEMBER = {"name": "member", "kind": "boolean", "missing": False}


def network(*inputs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    given = list(inputs or (AGE, CITY, MEMBER))
    return {"format": spec.FORMAT, "inputs": given, "layers": [{"weights": [[1] * len(given)]}], **changes}


def of_rows(*rows: Any, **changes: Any) -> dict[str, Any]:
    return network(examples=[{"inputs": row, "outputs": [0]} for row in rows], **changes)


@given(document=documents())
@settings(max_examples=60)
def test_every_form_gives_the_same_typed_network(document: dict[str, Any]) -> None:
    network = spec.parse(document)
    assert_same_in_every_form(network)
    network_schema.validate(document)
    network_schema.validate(json.loads(spec.to_json(network)))


def test_default_values_do_not_change_the_digest() -> None:
    plain = network({"name": "age"}, outputs=["y"])
    said = {"kind": "number", "missing": "refuse"}
    same = network({"name": "age", **said}, outputs=[{"name": "y", "scale": 1, "shift": 0}])
    assert spec.digest(spec.parse(same)) == spec.digest(spec.parse(plain))
    halves = [network(classes=["no", "yes"], **more) for more in ({}, {"threshold": 0.5}, {"threshold": [0.5]})]
    assert len({spec.digest(spec.parse(half)) for half in halves}) == 1


def test_an_example_by_name_has_texts_and_booleans() -> None:
    read = spec.parse(
        of_rows({"age": None, "city": "Basel", "member": True}, [3, "Basel", 0], [3, 1, False], [3, "Rom", None])
    )
    assert [example.inputs for example in read.examples] == [(None, 1, 1), (3, 1, 0), (3, 1, 0), (3, UNKNOWN, None)]
    assert_same_in_every_form(read)


FAULTY: dict[str, tuple[dict[str, Any], str, str]] = {
    "kind": (network({"name": "a", "kind": "text"}), "spec.inputs[0].kind", '"category"'),
    "categories of a number": (network({"name": "a", "categories": ["x"]}), "spec.inputs[0].categories", "does not go"),
    "mean of a category": (network({**CITY, "mean": 1}), "spec.inputs[0].mean", "does not go"),
    "range of a category": (network({**CITY, "range": [0, 1]}), "spec.inputs[0].range", "does not go"),
    "category without categories": (
        network({"name": "a", "kind": "category"}),
        "spec.inputs[0].categories",
        "is missing",
    ),
    "no categories": (network({**CITY, "categories": []}), "spec.inputs[0].categories", "empty"),
    "categories twice": (network({**CITY, "categories": ["Bern", "Bern"]}), "spec.inputs[0].categories[1]", "index 0"),
    "category that is a number": (
        network({**CITY, "categories": ["Bern", 1]}),
        "spec.inputs[0].categories[1]",
        "in quotes",
    ),
    "empty category": (network({**CITY, "categories": ["Bern", ""]}), "spec.inputs[0].categories[1]", "empty"),
    "blank category": (network({**CITY, "categories": ["Bern", " "]}), "spec.inputs[0].categories[1]", "empty"),
    "long category": (
        network({**CITY, "categories": ["Bern", "x" * 129]}),
        "spec.inputs[0].categories[1]",
        "129 characters",
    ),
    "category on two lines": (
        network({**CITY, "categories": ["Bern", "x\n"]}),
        "spec.inputs[0].categories[1]",
        "U+000A",
    ),
    "categories that are no list": (network({**CITY, "categories": "Bern"}), "spec.inputs[0].categories", "list"),
    "fill value that is no category": (
        network({**CITY, "unknown": "Rom"}),
        "spec.inputs[0].unknown",
        "not one of the categories",
    ),
    "fill value that is a number": (network({**CITY, "missing": 1}), "spec.inputs[0].missing", "must be a category"),
    "missing number as text": (network({**AGE, "missing": "mean"}), "spec.inputs[0].missing", "must be a number"),
    "missing number as truth": (network({**AGE, "missing": True}), "spec.inputs[0].missing", "must be a number"),
    "missing truth as number": (network({**MEMBER, "missing": 2}), "spec.inputs[0].missing", "true or false"),
    "infinite fill value": (network({**AGE, "missing": float("inf")}), "spec.inputs[0].missing", "finite"),
    "range upside down": (network({**AGE, "range": [2, 1]}), "spec.inputs[0].range", "must not be above"),
    "range of one end": (network({**AGE, "range": [2]}), "spec.inputs[0].range", "two numbers"),
    "range of no end": (network({**AGE, "range": [None, None]}), "spec.inputs[0].range", "leave it out"),
    "range of texts": (network({**AGE, "range": ["0", 1]}), "spec.inputs[0].range[0]", "number"),
    "rule without range": (
        network({"name": "a", "out_of_range": "warn"}),
        "spec.inputs[0].out_of_range",
        "needs a range",
    ),
    "rule that is not one": (network({**AGE, "out_of_range": "clip"}), "spec.inputs[0].out_of_range", '"refuse"'),
    "key typo": (network({**AGE, "rnage": [0, 1]}), "spec.inputs[0].rnage", '"range"'),
    "category of an example": (
        of_rows({"age": 1, "city": 0, "member": 1}),
        "spec.examples[0].inputs.city",
        "in quotes",
    ),
    "truth of an example": (of_rows([1, "Bern", 2]), "spec.examples[0].inputs[2]", "true or false"),
    "number of an example": (of_rows(["1", "Bern", 1]), "spec.examples[0].inputs[0]", "number"),
    "missing name": (of_rows({"age": 1, "city": "Bern"}), "spec.examples[0].inputs", '"member"'),
    "unknown category": (
        network({**CITY, "unknown": "refuse"}, examples=[{"inputs": ["Brn"], "outputs": [0]}]),
        "spec.examples[0].inputs[0]",
        'the categories are "Bern", "Basel"',
    ),
    "no index": (
        network({**CITY, "unknown": "refuse"}, examples=[{"inputs": [2], "outputs": [0]}]),
        "spec.examples[0].inputs[0]",
        "from 0 to 1",
    ),
    "missing and refused": (
        network({**AGE, "missing": "refuse"}, examples=[{"inputs": [None], "outputs": [0]}]),
        "spec.examples[0].inputs[0]",
        "has no fill value",
    ),
    "out of range and refused": (
        network({**AGE, "out_of_range": "refuse"}, examples=[{"inputs": [121], "outputs": [0]}]),
        "spec.examples[0].inputs[0]",
        "from 0 to 120",
    ),
    "threshold of no classifier": (network(threshold=0.5), "spec.threshold", "classes"),
    "threshold above 1": (network(classes=["a", "b"], threshold=1.5), "spec.threshold", "from 0 to 1"),
    "thresholds": (network(classes=["a", "b"], threshold=[0.1, 0.2]), "spec.threshold", "must have 1"),
    "output typo": (network(outputs=[{"name": "y", "unt": "m"}]), "spec.outputs[0].unt", '"unit"'),
    "output without name": (network(outputs=[{"unit": "m"}]), "spec.outputs[0].name", "missing"),
    "infinite output": (network(outputs=[{"name": "y", "scale": float("inf")}]), "spec.outputs[0].scale", "finite"),
}


@pytest.mark.parametrize(("document", "path", "words"), FAULTY.values(), ids=FAULTY)
def test_fault(document: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidNetworkError) as refused:
        spec.parse(document)
    faults = {fault.path: fault.message for fault in refused.value.faults}
    assert words in faults[path], faults


def test_categories_are_counted_before_they_are_read() -> None:
    with pytest.raises(InvalidNetworkError, match="categories"):
        spec.parse(network(), limits=Limits(max_categories=1))


def test_a_message_has_its_own_paths() -> None:
    message = spec.to_message(spec.parse(network()))
    message.inputs.features[1].unknown.category = "nan"
    message.inputs.features[0].kind = 9  # type: ignore[assignment]
    message.inputs.features[0].out_of_range = 9  # type: ignore[assignment]
    message.outputs.add(unit="m")
    message.outputs.add()
    with pytest.raises(InvalidNetworkError) as refused:
        spec.from_message(message)
    assert {fault.path for fault in refused.value.faults} == {
        "spec.inputs.features[0].kind",
        "spec.inputs.features[0].out_of_range",
        "spec.inputs.features[1].unknown.category",
        "spec.output_names",
    }


def test_unset_fields_of_a_message_are_the_defaults() -> None:
    message = spec.to_message(spec.parse(network({"name": "age"})))
    message.inputs.features[0].missing.SetInParent()
    message.inputs.features[0].unknown.SetInParent()
    message.inputs.features[0].ClearField("unknown")
    message.inputs.features[0].kind = network_pb2.FEATURE_KIND_NUMBER
    assert spec.from_message(message) == spec.parse(network({"name": "age"}))
