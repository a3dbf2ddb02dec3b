"""The faults of a spec: their paths and sentences, and that one error reports all of them."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import InvalidNetworkError
from forwardpass.spec.layers import KINDS
from forwardpass.v1 import network_pb2, tensor_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.random_layers import random_layer


def document(**changes: Any) -> dict[str, Any]:
    """A valid document of two layers, with changes."""
    return {
        "format": spec.FORMAT,
        "inputs": ["children", "accounts"],
        "layers": [
            {"name": "hidden", "weights": [[1, 1], [-1, 1]], "activation": "relu"},
            {"name": "output", "weights": [[2, -1]]},
        ],
        "examples": [{"inputs": [2, 3], "outputs": [9]}],
        **changes,
    }


def hidden(**changes: Any) -> dict[str, Any]:
    base = document()
    return document(layers=[{**base["layers"][0], **changes}, base["layers"][1]])


def output(**changes: Any) -> dict[str, Any]:
    base = document()
    return document(layers=[base["layers"][0], {**base["layers"][1], **changes}])


def groups(*widths: object, **changes: Any) -> dict[str, Any]:
    named = [{"name": f"group_{index}", "width": width} for index, width in enumerate(widths)]
    return document(input_groups=named, **changes)


def example(**changes: Any) -> dict[str, Any]:
    return document(examples=[{"inputs": [2, 3], "outputs": [9], **changes}])


def faults(change: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidNetworkError) as refused:
        spec.parse(change)
    return {fault.path: fault.message for fault in refused.value.faults}


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no format": ({k: v for k, v in document().items() if k != "format"}, "spec.format", "missing"),
    "other format": (document(format="forwardpass.network/9"), "spec.format", "forwardpass.network/1"),
    "key typo": (document(ouputs=["x"]), "spec.ouputs", '"outputs"'),
    "dtype": (document(dtype="float16"), "spec.dtype", '"float32" or "float64"'),
    "no inputs": (document(inputs=[]), "spec.inputs", ""),
    "zero inputs": (document(inputs=0), "spec.inputs", "1"),
    "inputs true": (document(inputs=True), "spec.inputs", "true"),
    "inputs too many": (document(inputs=10**12), "spec.inputs", ""),
    "feature twice": (document(inputs=["a", "a"], examples=[]), "spec.inputs[1]", "spec.inputs[0]"),
    "feature is a number": (document(inputs=["a", 3], examples=[]), "spec.inputs[1]", "3"),
    "feature's name is a list": (
        document(inputs=["a", {"name": ["b"], "kind": "boolean"}], examples=[{"inputs": {"a": 1}, "outputs": [9]}]),
        "spec.inputs[1].name",
        "a list of 1",
    ),
    "feature's kind is a list": (
        document(inputs=["a", {"name": "b", "kind": ["boolean"]}], examples=[]),
        "spec.inputs[1].kind",
        "a list of 1",
    ),
    "scale 0": (document(inputs=["a", {"name": "b", "scale": 0}], examples=[]), "spec.inputs[1].scale", "0"),
    "mean is true": (document(inputs=["a", {"name": "b", "mean": True}], examples=[]), "spec.inputs[1].mean", "true"),
    "no layers": (document(layers=[]), "spec.layers", "empty"),
    "layers is an object": (document(layers={}), "spec.layers", "list"),
    "no weights": (document(layers=[{"name": "a"}]), "spec.layers[0].weights", "missing"),
    "empty weights": (hidden(weights=[]), "spec.layers[0].weights", "empty"),
    "empty row": (hidden(weights=[[], []]), "spec.layers[0].weights[0]", "empty"),
    "ragged rows": (hidden(weights=[[1, 1], [1]]), "spec.layers[0].weights[1]", "1 weights"),
    "true as a weight": (hidden(weights=[[1, True], [1, 1]]), "spec.layers[0].weights[0][1]", "true"),
    "text as a weight": (hidden(weights=[[1, "1"], [1, 1]]), "spec.layers[0].weights[0][1]", '"1"'),
    "null as a weight": (hidden(weights=[[1, None], [1, 1]]), "spec.layers[0].weights[0][1]", "null"),
    "NaN": (hidden(weights=[[1, float("nan")], [1, 1]]), "spec.layers[0].weights[0][1]", "NaN"),
    "infinity": (hidden(weights=[[1, float("inf")], [1, 1]]), "spec.layers[0].weights[0][1]", "Infinity"),
    "huge integer": (hidden(weights=[[1, 10**400], [1, 1]]), "spec.layers[0].weights[0][1]", "bits"),
    "beyond float32": (
        {**hidden(weights=[[1, 1e300], [1, 1]]), "dtype": "float32"},
        "spec.layers[0].weights[0][1]",
        "float32",
    ),
    "weights by name, ragged": (hidden(weights={"a": [1, 1], "b": [1]}), "spec.layers[0].weights.b", "1 weights"),
    "array of three axes": (hidden(weights=np.ones((2, 2, 2))), "spec.layers[0].weights", "two axes"),
    "array of texts": (hidden(weights=np.array([["1", "2"]])), "spec.layers[0].weights", "numbers"),
    "width": (hidden(weights=[[1, 1, 1], [1, 1, 1]]), "spec.layers[0].weights", "must have 2"),
    "bias length": (hidden(bias=[1]), "spec.layers[0].bias", "1"),
    "bias is true": (hidden(bias=[1, True]), "spec.layers[0].bias[1]", "true"),
    "activation typo": (hidden(activation="rleu"), "spec.layers[0].activation", '"relu"'),
    "activation is a number": (hidden(activation=3), "spec.layers[0].activation", "3"),
    "parameter typo": (
        hidden(activation={"name": "leaky_relu", "negativ_slope": 0.1}),
        "spec.layers[0].activation.negativ_slope",
        '"negative_slope"',
    ),
    "parameter range": (
        hidden(activation={"name": "celu", "alpha": 0}),
        "spec.layers[0].activation.alpha",
        "greater than 0",
    ),
    "hard_tanh bounds": (
        hidden(activation={"name": "hard_tanh", "min_value": 2}),
        "spec.layers[0].activation.min_value",
        "less than",
    ),
    "node count": (hidden(nodes=["a"]), "spec.layers[0].nodes", "1"),
    "node twice": (hidden(nodes=["a", "a"]), "spec.layers[0].nodes[1]", "nodes[0]"),
    "layer twice": (
        document(layers=[document()["layers"][1]] * 2, inputs=2, examples=[]),
        "spec.layers[1].name",
        "layers[0]",
    ),
    "layer called inputs": (hidden(name="inputs"), "spec.layers[0].name", "inputs"),
    "path as a name": (hidden(name="../etc/passwd"), "spec.layers[0].name", "letters"),
    "NUL in a name": (hidden(name="a\0b"), "spec.layers[0].name", ""),
    "right to left": (document(description="abc \u202e cba"), "spec.description", "U+202E"),
    "a long name": (hidden(name="a" * 10_000), "spec.layers[0].name", "10000 characters"),
    "no NFC": (document(tags=["e\u0301"]), "spec.tags[0]", "NFC"),
    "unknown source": (hidden(**{"from": "inptus"}), "spec.layers[0].from", '"inputs"'),
    "forward reference": (hidden(**{"from": "output"}), "spec.layers[0].from", ""),
    "merge missing": (hidden(**{"from": ["inputs", "inputs"]}), "spec.layers[0].merge", "sum"),
    "a layer that reads itself": (output(**{"from": "output"}), "spec.layers[1].from", "the layer itself"),
    "source twice": (
        output(**{"from": ["hidden", "hidden"]}, merge="sum"),
        "spec.layers[1].from[1]",
        "named twice",
    ),
    "source typo": (output(**{"from": ["hiden"]}), "spec.layers[1].from[0]", 'did you mean "hidden"?'),
    "no sources": (output(**{"from": []}), "spec.layers[1].from", "empty"),
    "merge typo": (output(**{"from": ["inputs", "hidden"]}, merge="man"), "spec.layers[1].merge", '"mean"'),
    "merge of one": (output(merge="max"), "spec.layers[1].merge", "leave it out"),
    "unequal widths": (
        document(
            inputs=3,
            examples=[],
            layers=[
                {"name": "a", "weights": [[1, 1, 1]]},
                {"weights": [[1, 1, 1]], "from": ["inputs", "a"], "merge": "mean"},
            ],
        ),
        "spec.layers[1].from",
        "3, 1 nodes; a mean needs equal widths",
    ),
    "width of a concatenation": (
        output(**{"from": ["inputs", "hidden"]}, merge="concatenate"),
        "spec.layers[1].weights",
        "must have 4, the width of the concatenate of 2 layers",
    ),
    "a layer that nobody reads": (output(**{"from": "inputs"}), "spec.layers[0]", 'no layer reads "hidden"'),
    "a last layer that nobody reads": (document(output_layers=["hidden"]), "spec.layers[1]", "`output_layers`"),
    "no output layers": (document(output_layers=[]), "spec.output_layers", "empty"),
    "output layer typo": (document(output_layers=["ouput"]), "spec.output_layers[0]", 'did you mean "output"?'),
    "output layer twice": (document(output_layers=["output", "output"]), "spec.output_layers[1]", "named twice"),
    "output layers are a text": (document(output_layers="output"), "spec.output_layers", "list"),
    "outputs of several layers": (
        document(output_layers=["hidden", "output"], outputs=["a"]),
        "spec.outputs",
        "must have 3, one for each node of the output layers",
    ),
    "node of two output layers": (
        document(
            inputs=["x"],
            examples=[],
            layers=[{"weights": {"a": [1]}, "from": "inputs"}, {"weights": {"a": [1]}, "from": "inputs"}],
            output_layers=["layer_0", "layer_1"],
        ),
        "spec.output_layers[1]",
        'has a node "a", as spec.output_layers[0] has',
    ),
    "groups too narrow": (groups(1), "spec.input_groups", "must have 2"),
    "group of no width": (groups(0, 2), "spec.input_groups[0].width", "1 or greater"),
    "group without a width": (document(input_groups=[{"name": "a"}]), "spec.input_groups[0].width", "missing"),
    "group is a text": (document(input_groups=["a"]), "spec.input_groups[0]", "an object"),
    "group key typo": (
        document(input_groups=[{"name": "a", "width": 2, "feature": 1}]),
        "spec.input_groups[0].feature",
        "not known here",
    ),
    "group called inputs": (
        document(input_groups=[{"name": "inputs", "width": 2}]),
        "spec.input_groups[0].name",
        "all inputs",
    ),
    "group twice": (
        document(input_groups=[{"name": "a", "width": 1}] * 2),
        "spec.input_groups[1].name",
        "spec.input_groups[0]",
    ),
    "group called as a layer": (
        document(input_groups=[{"name": "hidden", "width": 2}]),
        "spec.layers[0].name",
        "a group of inputs",
    ),
    "group that nobody reads": (
        groups(1, 1, layers=[{"weights": [[1]], "from": "group_1"}]),
        "spec.input_groups[0]",
        'no layer reads "group_0"',
    ),
    "output names": (document(outputs=["a", "b"]), "spec.outputs", "2"),
    "class labels": (document(classes=["a", "b", "c"]), "spec.classes", "3"),
    "class twice": (document(classes=["a", "a"]), "spec.classes[1]", "classes[0]"),
    "example width": (example(inputs=[1]), "spec.examples[0].inputs", "2"),
    "example outputs": (example(outputs=[1, 2]), "spec.examples[0].outputs", "1"),
    "example feature typo": (
        example(inputs={"childen": 1, "accounts": 2}),
        "spec.examples[0].inputs.childen",
        '"children"',
    ),
    "example is NaN": (example(inputs=[1, float("nan")]), "spec.examples[0].inputs[1]", "NaN"),
    "tolerance": (example(tolerance=-1), "spec.examples[0].tolerance", "-1"),
    "metadata": (document(metadata={"a": 1}), "spec.metadata.a", "1"),
    "numerics": (document(numerics="fats"), "spec.numerics", 'did you mean "fast"?'),
    "numerics of another type": (document(numerics=2), "spec.numerics", 'must be "exact" or "fast"'),
    "flag": (document(allow_non_finite_inputs="yes"), "spec.allow_non_finite_inputs", "true or false"),
}


@pytest.mark.parametrize(("change", "path", "words"), CASES.values(), ids=CASES)
def test_fault(change: dict[str, Any], path: str, words: str) -> None:
    found = faults(change)
    assert path in found, found
    assert words in found[path], found


def test_one_fault_does_not_hide_another() -> None:
    change = hidden(activation="rleu", weights=[[1, True], [1]], bias=[1, 2, 3])
    change |= {"dtpye": "float32", "examples": [{"inputs": [1, 2, 3], "outputs": [True]}], "classes": [1]}
    assert set(faults(change)) >= {
        "spec.layers[0].activation",
        "spec.layers[0].weights[0][1]",
        "spec.layers[0].weights[1]",
        "spec.layers[0].bias",
        "spec.dtpye",
        "spec.examples[0].inputs",
        "spec.examples[0].outputs[0]",
        "spec.classes[0]",
    }


TEXTS: dict[str, tuple[str | bytes, str, str]] = {
    "nothing": ("", "", "JSON"),
    "no object": ("[]", "spec", "object"),
    "not UTF-8": (b"\xff\xfe{", "", "UTF-8"),
    "key twice": ('{"format": 1, "format": 2}', "spec.format", "repeated"),
    "key twice, deep": ('{"layers": [{"name": "a", "name": "b"}]}', "spec.layers[0].name", "repeated"),
    "deep": ("[" * 100_000, "", "deep"),
    "deep object": ('{"a":' * 50_000, "", "deep"),
    "NaN": (json.dumps(hidden(weights=[[1, float("nan")], [1, 1]])), "spec.layers[0].weights[0][1]", "NaN"),
    "1e999": (json.dumps(document()).replace("[[2, -1]]", "[[2, 1e999]]"), "spec.layers[1].weights[0][1]", "Infinity"),
    "9999 digits": (
        json.dumps(document()).replace("[[2, -1]]", f"[[2, {'9' * 9999}]]"),
        "spec.layers[1].weights[0][1]",
        "",
    ),
}


@pytest.mark.parametrize(("text", "path", "words"), TEXTS.values(), ids=TEXTS)
def test_faulty_text(text: str | bytes, path: str, words: str) -> None:
    with pytest.raises(InvalidNetworkError) as refused:
        spec.from_json(text)
    said = str(refused.value)
    assert words in said
    if path:
        assert path in {fault.path for fault in refused.value.faults}


def test_declared_sizes_are_checked_before_allocation() -> None:
    message = network_pb2.NetworkSpec(inputs=network_pb2.Inputs(width=2**40))
    tensor = tensor_pb2.Tensor(shape=[2**40, 2**40], data=bytes(8), dtype=tensor_pb2.DATA_TYPE_FLOAT64)
    message.layers.add(weights=tensor)
    with pytest.raises(InvalidNetworkError) as refused:
        spec.from_message(message)
    assert len(refused.value.faults) >= 1
    content = bytearray(spec.to_safetensors(spec.parse(document())))
    content[:8] = (2**62).to_bytes(8, "little")
    with pytest.raises(InvalidNetworkError):
        spec.from_safetensors(bytes(content))


def test_limits() -> None:
    small = spec.Limits(max_layers=1, max_network_bytes=64)
    with pytest.raises(InvalidNetworkError) as refused:
        spec.parse(document(), limits=small)
    assert "spec.layers" in {fault.path for fault in refused.value.faults}


def test_the_limit_of_content_is_in_bytes() -> None:
    small = spec.Limits(max_network_bytes=40)
    layer = {"name": "out", "weights": [[0.0] * 9], "bias": [0.0]}
    known: dict[str, Any] = {"format": spec.FORMAT, "inputs": 9, "layers": [layer]}
    assert spec.parse({**known, "dtype": "float32"}, limits=small).dtype == "float32"
    with pytest.raises(InvalidNetworkError) as caught:
        spec.parse({**known, "dtype": "float64"}, limits=small)
    (fault,) = caught.value.faults
    assert fault.message == (
        "have 10 weights and biases, 80 bytes of float64; at most 40 are allowed (`max_network_bytes`); "
        "in float32 they have half as many"
    )


READERS: dict[str, Callable[[bytes], object]] = {"json": spec.from_json, "safetensors": spec.from_safetensors}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@given(data=st.data())
@settings(max_examples=150)
def test_any_bytes_are_read_or_refused(reader: Callable[[bytes], object], data: st.DataObject) -> None:
    valid = spec.parse(document())
    good = spec.to_json(valid).encode() if reader is spec.from_json else spec.to_safetensors(valid)
    content = bytearray(data.draw(st.just(good) | st.binary(max_size=200)))
    for _ in range(data.draw(st.integers(0, 4)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = reader(bytes(content))
    except InvalidNetworkError as error:
        assert error.faults
        assert str(error).encode()
    else:
        assert isinstance(read, spec.NetworkSpec)


def typed() -> dict[str, Any]:
    """A valid document with a feature of each kind."""
    features = [
        {"name": "age", "range": [0, 120], "out_of_range": "refuse", "missing": 40},
        {"name": "region", "kind": "category", "categories": ["north", "south"], "unknown": "nan"},
        {"name": "smoker", "kind": "boolean", "missing": False},
    ]
    inputs = {"age": None, "region": "south", "smoker": True}
    return document(inputs=features, layers=[{"weights": [[1, 1, 1]]}], examples=[{"inputs": inputs, "outputs": [42]}])


def every_kind() -> dict[str, Any]:
    """A valid document with a layer of each kind."""
    layers = [{"name": kind, **random_layer(np.random.default_rng(1), kind, 3, "float64")} for kind in KINDS]
    return document(inputs=3, layers=[{**layer, "from": "inputs"} for layer in layers], output_layers=list(KINDS))


def as_lists(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda array: array.tolist()))


BASES: dict[str, Any] = {"plain": document(), "typed": typed(), "kinds": as_lists({**every_kind(), "examples": []})}


@pytest.mark.parametrize("base", BASES)
def test_the_bases_are_valid(base: str) -> None:
    assert spec.digest(spec.parse(BASES[base]))


@pytest.mark.parametrize("base", BASES)
@given(data=st.data())
@settings(max_examples=200)
def test_any_document_is_read_or_refused(base: str, data: st.DataObject) -> None:
    change: Any = copy.deepcopy(BASES[base])
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = change
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                place[key] = data.draw(JSON)
                break
            place = place[key]
    try:
        assert isinstance(spec.parse(change), spec.NetworkSpec)
    except InvalidNetworkError as error:
        assert error.faults


def test_a_network_that_holds_too_much_at_once_is_refused() -> None:
    layers = [{"name": f"wide_{index}", "weights": np.ones((60_000, 1)), "from": "inputs"} for index in range(10)]
    last: dict[str, Any] = {"weights": np.ones((1, 60_000)), "merge": "sum"}
    last["from"] = [layer["name"] for layer in layers]
    some = {**last, "from": last["from"][:7]}
    assert spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": [*layers[:7], some]}).layers
    found = faults({"format": spec.FORMAT, "inputs": 1, "layers": [*layers, last]})
    assert list(found) == ["spec.layers[8]"]
    assert "540001 values of each row are held at once; at most 524288" in found["spec.layers[8]"]


def test_the_paths_of_a_message_are_its_own_field_names() -> None:
    message = spec.to_message(spec.parse(document(outputs=["a"])))
    message.inputs.groups.add(name="group", width=3)
    message.output_names.append("b")
    message.layers[1].merge = 9  # type: ignore[assignment] # what a newer client might send
    with pytest.raises(InvalidNetworkError) as refused:
        spec.from_message(message)
    found = {fault.path: fault.message for fault in refused.value.faults}
    assert set(found) == {"spec.inputs.groups", "spec.output_names", "spec.layers[1].merge"}
    assert "MERGE_MEAN, MERGE_MAX" in found["spec.layers[1].merge"]
