"""A network is the same in every form."""

import hashlib
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.spec.activations import ACTIVATIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load, save

from tests.support.random_graphs import random_graph
from tests.support.spec_forms import assert_same_in_every_form

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}", fullmatch=True).filter(lambda name: name != "inputs")
LABELS = st.text("abcdefgh XYZ0189äöü", min_size=1, max_size=10).map(str.strip).filter(bool)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    dtype = draw(st.sampled_from(["float32", "float64"]))
    numbers = st.floats(-(2.0**99), 2.0**99, width=32)
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    names = draw(st.lists(NAMES, min_size=len(sizes) - 1, max_size=len(sizes) - 1, unique=True))
    layers = []
    for name, inputs, outputs in zip(names, sizes[:-1], sizes[1:], strict=True):
        layer: dict[str, Any] = {"name": name, "weights": draw(arrays(dtype, (outputs, inputs), elements=numbers))}
        if draw(st.booleans()):
            layer["bias"] = draw(arrays(dtype, outputs, elements=numbers))
        if draw(st.booleans()):
            layer["nodes"] = draw(st.lists(NAMES, min_size=outputs, max_size=outputs, unique=True))
        layer["activation"] = draw(st.sampled_from([*ACTIVATIONS]))
        layers.append(layer)
    document: dict[str, Any] = {"format": spec.FORMAT, "dtype": dtype, "inputs": sizes[0], "layers": layers}
    if draw(st.booleans()):
        features = draw(st.lists(LABELS, min_size=sizes[0], max_size=sizes[0], unique=True))
        scale = st.floats(0.5, 100, width=32)
        document["inputs"] = [{"name": name, "mean": draw(numbers), "scale": draw(scale)} for name in features]
    if draw(st.booleans()):
        row = st.lists(st.floats(-1e30, 1e30), min_size=sizes[0], max_size=sizes[0])
        outputs_ = st.lists(st.floats(-1e9, 1e9), min_size=sizes[-1], max_size=sizes[-1])
        document["examples"] = [{"inputs": draw(row), "outputs": draw(outputs_), "tolerance": 0.5}]
    document["numerics"] = draw(st.sampled_from([None, "exact", "fast"]))
    document["description"] = draw(st.text("abc äöü\n\t", max_size=20))
    document["metadata"] = draw(st.dictionaries(LABELS, st.text("abc", max_size=5), max_size=3))
    document["tags"] = draw(st.lists(LABELS, max_size=3, unique=True))
    return document


@given(document=documents())
@settings(max_examples=100)
def test_every_form_gives_the_same_network(document: dict[str, Any]) -> None:
    network = spec.parse(document)
    assert_same_in_every_form(network)


def test_a_spec_without_numerics_keeps_its_digest() -> None:
    network = spec.from_nodes({"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]}, activation="relu")
    assert spec.digest(network) == "9df3fd9a38eb209887f66e0a4281406934a238863a06d72c48323bf647d0a3b5"
    said = {spec.digest(replace(network, numerics=numerics)) for numerics in (None, "exact", "fast")}
    assert len(said) == 3


@given(document=documents())
@settings(max_examples=30)
def test_the_safetensors_library_reads_ours_and_we_read_theirs(document: dict[str, Any]) -> None:
    network = spec.parse(document)
    content = spec.to_safetensors(network)
    assert hashlib.sha256(content).hexdigest() == spec.digest(network)
    tensors = load(content)
    for layer in network.layers:
        assert np.array_equal(tensors[f"{layer.name}.weights"], layer.weights)
        assert np.array_equal(tensors[f"{layer.name}.bias"], layer.bias)
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    theirs = save(tensors, json.loads(header)["__metadata__"])
    assert spec.from_safetensors(theirs) == network


def test_defaults_are_filled_in() -> None:
    network = spec.parse({"format": spec.FORMAT, "inputs": 2, "layers": [{"weights": [[1, 2], [3, 4]]}]})
    (layer,) = network.layers
    assert (layer.name, layer.nodes, layer.from_) == ("layer_0", ("layer_0_0", "layer_0_1"), ("inputs",))
    assert layer.bias.tolist() == [0, 0]
    assert (layer.activation.name, network.dtype, network.outputs) == ("identity", "float64", layer.nodes)
    assert network.inputs.names == ("input_0", "input_1")
    assert network.is_chain


def test_swish_is_silu_and_parameters_are_complete() -> None:
    layers = [{"weights": [[1]], "activation": "swish"}, {"weights": [[1]], "activation": "leaky_relu"}]
    network = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": layers})
    assert [str(layer.activation) for layer in network.layers] == ["silu", "leaky_relu(negative_slope=0.01)"]


def test_a_graph_without_groups_and_output_layers_keeps_its_digest() -> None:
    layers = [
        {"name": "a", "weights": [[1, 1], [1, 1]]},
        {"name": "b", "weights": [[1, 1, 1, 1]], "from": ["inputs", "a"], "merge": "concatenate"},
    ]
    network = spec.parse({"format": spec.FORMAT, "inputs": 2, "layers": layers})
    assert not network.is_chain
    assert spec.digest(network) == "1c7ccc6b4e3c1d0ed93b0466b970c334937eaba5091b102eebb8a0e1e087099b"
    said = {"input_groups": [], "output_layers": ["b"]}
    assert spec.parse({"format": spec.FORMAT, "inputs": 2, "layers": layers, **said}) == network


@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(["float32", "float64"]))
@settings(max_examples=60)
def test_every_form_gives_the_same_graph(seed: int, dtype: str) -> None:
    network = random_graph(seed, dtype)
    assert_same_in_every_form(network)


def test_inputs_of_a_group_are_named_after_it() -> None:
    groups = [{"name": "image", "width": 2}, {"name": "place", "width": 1}]
    example = {"inputs": {"image_0": 1, "place_0": 3, "image_1": 2}, "outputs": [321]}
    network = spec.parse(
        {
            "format": spec.FORMAT,
            "inputs": 3,
            "input_groups": groups,
            "layers": [{"weights": [[1, 10, 100]]}],
            "examples": [example],
        }
    )
    assert network.inputs.names == ("image_0", "image_1", "place_0")
    assert network.examples[0].inputs == (1, 2, 3)


@pytest.mark.parametrize("form", ["arrays", "safetensors", "message"])
def test_large_specs_do_not_go_through_lists(form: str) -> None:
    weights = np.random.default_rng(0).standard_normal((2_500, 2_500))
    weights.flags.writeable = False
    document = {"format": spec.FORMAT, "inputs": 2_500, "layers": [{"weights": weights}]}
    network = spec.parse(document)
    content, message = spec.to_safetensors(network), spec.to_message(network)
    start = time.process_time()
    if form == "arrays":
        network = spec.parse(document)
        assert np.shares_memory(network.layers[0].weights, weights)
    elif form == "safetensors":
        network = spec.from_safetensors(content)
    else:
        network = spec.from_message(message)
    # Lists of 6 million numbers would take seconds.
    assert time.process_time() - start < 1.0
    assert not network.layers[0].weights.flags.writeable
