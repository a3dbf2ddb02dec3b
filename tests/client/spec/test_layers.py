"""Kinds of layers in specs: the same in every form, and their faults."""

from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import InvalidNetworkError
from forwardpass.spec.layers import KINDS
from hypothesis import given
from hypothesis import strategies as st

from tests.support.random_layers import random_layer


def document(*layers: dict[str, Any], inputs: int = 3) -> dict[str, Any]:
    return {"format": spec.FORMAT, "inputs": inputs, "layers": list(layers)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), inputs=st.integers(2, 9))
def test_every_form_gives_the_same_network(kind: str, dtype: str, seed: int, inputs: int) -> None:
    layer = random_layer(np.random.default_rng(seed), kind, inputs, dtype)
    network = spec.parse({**document(layer, inputs=inputs), "dtype": dtype})
    assert spec.from_json(spec.to_json(network)) == network
    assert spec.from_message(spec.to_message(network)) == network
    assert spec.from_safetensors(spec.to_safetensors(network)) == network
    assert network.layers[0].kind == kind
    assert network.layers[0].inputs == inputs


def test_missing_arrays_are_filled_or_stay_missing() -> None:
    layers = spec.parse(
        document({"kind": "scale_shift"}, {"kind": "clip", "high": [1, 2, 3]}, {"kind": "dropout"})
    ).layers
    assert {key: array.tolist() for key, array in layers[0].arrays.items()} == {"scale": [1, 1, 1], "shift": [0, 0, 0]}
    assert list(layers[1].arrays) == ["high"]
    assert (layers[2].arrays, layers[2].settings) == ({}, {"rate": 0.0})


def test_widths_follow_from_the_sources() -> None:
    network = spec.parse(
        document(
            {"name": "one", "kind": "bucketize", "boundaries": [0]},
            {"name": "two", "kind": "embedding", "table": [[1, 2], [3, 4]]},
            {"name": "three", "from": ["one", "two"], "merge": "concatenate", "kind": "dropout"},
        )
    )
    assert [(layer.inputs, layer.outputs) for layer in network.layers] == [(3, 3), (3, 6), (9, 9)]
    assert network.parameter_count == 5


def rnn(**changed: Any) -> dict[str, Any]:
    known = {"kind": "recurrent", "cell": "rnn", "steps": 3, "weights": [[1]], "recurrent_weights": [[1]]}
    return {**known, **changed}


def conv(**fields: Any) -> dict[str, Any]:
    return {"kind": "conv", "weights": [[1, 2]], "input_shape": [1, 3], "kernel_shape": [2], **fields}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a kind that is not one": (
        {"kind": "batchnorm"},
        "kind",
        'is "batchnorm"; must be one of .*did you mean "batch_norm"',
    ),
    "a kind that is no text": ({"kind": 7}, "kind", "is 7; must be one of"),
    "a key of another kind": ({"kind": "dropout", "weights": [[1]]}, "weights", '"weights" is not known here'),
    "another width": ({"kind": "impute", "values": [1]}, "values", "has 1 numbers; must have 3, one for each value"),
    "something left out": ({"kind": "batch_norm", "mean": [1, 2, 3]}, "variance", "is missing"),
    "a negative variance": (
        {"kind": "batch_norm", "mean": [1, 2, 3], "variance": [1, -1, 1]},
        "variance[1]",
        "a variance must be 0 or greater",
    ),
    "no epsilon": ({"kind": "layer_norm", "epsilon": 0}, "epsilon", "is 0; must be greater than 0"),
    "a rate of 1": ({"kind": "dropout", "rate": 1}, "rate", "is 1; must be from 0 to less than 1"),
    "boundaries that descend": ({"kind": "bucketize", "boundaries": [1, 1]}, "boundaries[1]", "greater than the one"),
    "an index beyond the inputs": ({"kind": "take", "indices": [0, 3]}, "indices[1]", "is 3; the layer reads 3 values"),
    "a window beyond the inputs": (
        {"kind": "pool", "windows": [[0, 1], [2, 9]], "reduce": "max"},
        "windows[1][1]",
        "is 9; the layer reads 3 values",
    ),
    "half an index": ({"kind": "take", "indices": [0.5]}, "indices[0]", "must be the index of a value"),
    "no reduction": ({"kind": "pool", "windows": [[0]], "reduce": "avg"}, "reduce", 'is "avg"; must be "max"'),
    "a key twice": ({"kind": "lookup", "keys": [1, 1], "values": [2, 3]}, "keys[1]", "is a duplicate"),
    "keys without values": (
        {"kind": "lookup", "keys": [1, 2], "values": [2]},
        "values",
        "must have 2, one for each",
    ),
    "no indices": (
        {"kind": "one_hot", "categories": [1, 2]},
        "indices",
        "is missing; each node needs the index of one of the 3 values",
    ),
    "a category twice": (
        {"kind": "one_hot", "categories": [1, 1], "indices": [2, 2]},
        "categories[1]",
        "is the category of node 0 already",
    ),
    "bounds that cross": ({"kind": "clip", "low": [0, 0, 2], "high": [1, 1, 1]}, "high[2]", "less than the low of 2"),
    "half a mask": ({"weights": [[1, 2, 3]], "mask": [[1, 0.5, 0]]}, "mask[0][1]", "must be 1 where a weight counts"),
    "a mask of another shape": (
        {"weights": [[1, 2, 3]], "mask": [[1, 0]]},
        "mask",
        "must have 3, as the weights",
    ),
    "a table that is an object": ({"kind": "embedding", "table": {"a": [1]}}, "table", "must be a list of rows"),
    "matrices of other sizes": (
        {"kind": "matmul", "rows": 1, "inner": 2, "columns": 1},
        "inner",
        r"1 x \(1 x 2 \+ 2 x 1\) = 4 values; the layer reads 3",
    ),
    "matrices without a size": ({"kind": "matmul", "rows": 1, "inner": 1}, "columns", "is missing"),
    "half a row": ({"kind": "matmul", "rows": 1.5, "inner": 1, "columns": 2}, "rows", "must be an integer from 1"),
    "far too large a product": (
        {"kind": "matmul", "rows": 300, "inner": 1, "columns": 300},
        "",
        "has 90000 nodes; at most 65536",
    ),
    "parts that are not equal": ({"kind": "elementwise", "expression": "x + y"}, "expression", "reads 2 parts"),
    "a second part that is not read": ({"kind": "elementwise", "expression": "x + z"}, "expression", "call the second"),
    "a part too many": ({"kind": "elementwise", "expression": "x + w"}, "expression", "is no name that is known"),
    "a condition": ({"kind": "elementwise", "expression": "x > 1"}, "expression", "is a condition, not a number"),
    "groups of different sizes": ({"kind": "group_softmax", "groups": 2}, "groups", "is 2; must divide the 3 values"),
    "normalized groups": ({"kind": "layer_norm", "groups": 2}, "groups", "is 2; must divide the 3 values"),
    "gates of another cell": (
        rnn(cell="lstm"),
        "weights",
        "has 1 rows; must have 4, of 4 gates of 1 units in a cell lstm",
    ),
    "a cell of another name": (rnn(cell="LSTM"), "cell", 'is "LSTM"; must be "rnn", "gru" or "lstm"'),
    "another number of steps": (
        rnn(steps=4),
        "steps",
        "makes 4 x 1 = 4 values, or 5 with the initial state; the layer reads 3",
    ),
    "no steps": (rnn(steps=0), "steps", "is 0; must be an integer from 1"),
    "a cell state of a cell without one": (rnn(final_cell=True), "final_cell", "a cell rnn has no cell state"),
    "a function with parameters": (rnn(state_activation="elu"), "state_activation", 'is "elu"; must be "identity"'),
    "far too many steps": (
        rnn(steps=3, weights=[[1]] * 70_000, recurrent_weights=[[0] * 30_000]),
        "",
        "has 90000 nodes; at most 65536",
    ),
    "no geometry": (
        {"kind": "conv", "weights": [[1]], "kernel_shape": [1]},
        "input_shape",
        "is missing; must be a list",
    ),
    "a kernel of a fraction": (
        conv(kernel_shape=[1.5]),
        "kernel_shape",
        "has at index 0 1.5; must be an integer from 1",
    ),
    "no stride": (conv(strides=[0]), "strides", "has at index 0 0; must be an integer from 1 to 65536"),
    "strides of two axes": (conv(strides=[1, 1]), "strides", "has 2 numbers; must have 1, one for each axis"),
    "pads of one side": (conv(pads=[1]), "pads", "has 1 numbers; must have 2, one before each axis of the kernel"),
    "four axes": (
        conv(input_shape=[3, 1, 1, 1, 1], kernel_shape=[1, 1, 1, 1], weights=[[1, 2, 3]]),
        "kernel_shape",
        "has 4 sizes; must have from 1 to 3",
    ),
    "seven axes": (conv(pads=[0] * 8), "pads", "has 8 integers; must have from 1 to 6"),
    "input_dilations of two axes": (
        conv(input_dilations=[2, 2]),
        "input_dilations",
        "has 2 numbers; must have 1, one for each axis of the kernel",
    ),
    "pads that are a number": (conv(pads=1), "pads", "is 1; must be a list of integers"),
    "another shape than the inputs": (
        conv(input_shape=[1, 4]),
        "input_shape",
        "has 4 values together; must have 3, as",
    ),
    "a kernel that does not fit": (
        conv(kernel_shape=[2], dilations=[3]),
        "kernel_shape",
        "spans 4 values along axis 0, which has 3 with its padding; pad the axis",
    ),
    "another window": (conv(weights=[[1, 2, 3]]), "weights", "has 3 numbers in each row; must have 2, one for each"),
    "a group of half a channel": (conv(group=2, weights=[[1, 2], [3, 4]]), "group", "is 2; must divide the 1 channels"),
    "a group of half a filter": (
        conv(input_shape=[3, 1], kernel_shape=[1], weights=[[1]], group=3),
        "group",
        "is 3; must divide the 1 filters",
    ),
    "a bias of another length": (conv(bias=[1, 2]), "bias", "has 2 numbers; must have 1, one for each filter"),
    "weights by node name": (conv(weights={"a": [1, 2]}), "weights", "is an object; must be a list of rows"),
    "far too many windows": (
        conv(input_shape=[1, 65_536], kernel_shape=[1], weights=[[1], [1]]),
        "",
        "has 131072 nodes; at most 65536",
    ),
    "far too much padding": (
        conv(
            pads=[60_000, 60_000, 60_000, 60_000], input_shape=[1, 1, 3], kernel_shape=[1, 2], strides=[65_536, 65_536]
        ),
        "pads",
        "make 14400480003 values of a row with their padding; at most 524288",
    ),
    "far too wide": ({"kind": "embedding", "table": [[0] * 30_000]}, "", "has 90000 nodes; at most 65536"),
}


@pytest.mark.parametrize(("layer", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_fault(layer: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidNetworkError) as caught:
        spec.parse(document(layer))
    place = f"spec.layers[0].{path}".rstrip(".")
    said = [fault.message for fault in caught.value.faults if fault.path == place]
    assert len(said) == 1, caught.value.faults
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(said[0])


def test_faults_of_a_message() -> None:
    message = spec.to_message(spec.parse(document({"kind": "clip", "low": [0, 0, 0]})))
    message.layers[0].clip.high.values.extend([1, -1, 1])
    message.layers[0].bias.values.extend([1])
    with pytest.raises(InvalidNetworkError, match='"bias" is not known here'):
        spec.from_message(message)
    message.layers[0].ClearField("bias")
    with pytest.raises(InvalidNetworkError, match=r"high\[1\]: is -1, which is less than the low of 0"):
        spec.from_message(message)


def test_a_geometry_that_is_left_out_is_the_plain_one() -> None:
    said = conv(strides=[1], pads=[0, 0], dilations=[1], group=1)
    short, long = spec.parse(document(conv())), spec.parse(document(said))
    assert short == long
    assert spec.digest(short) == spec.digest(long)
    assert "strides" not in spec.to_json(long)
    assert short.layers[0].settings == {
        "input_shape": (1, 3),
        "kernel_shape": (2,),
        "strides": (1,),
        "pads": (0, 0),
        "dilations": (1,),
        "input_dilations": (1,),
        "group": 1,
    }


def test_too_many_products() -> None:
    wide = conv(input_shape=[8, 8192], kernel_shape=[8192], pads=[4095, 4096], weights=np.ones((8, 65536)))
    with pytest.raises(InvalidNetworkError, match="multiply 4294967296 times for each row in their convolutions"):
        spec.parse(document(wide, inputs=65536))


def test_weights_at_two_places_of_a_message() -> None:
    message = spec.to_message(spec.parse(document(conv())))
    message.layers[0].weights.CopyFrom(message.layers[0].conv.weights)
    with pytest.raises(InvalidNetworkError, match=r"layers\[0\].weights: is there twice; leave out the one"):
        spec.from_message(message)
    message.layers[0].ClearField("weights")
    message.layers[0].conv.strides.extend([1] * 1_000_000)
    with pytest.raises(InvalidNetworkError, match="has 1000001 integers; must have from 1 to 6"):
        spec.from_message(message)


def test_the_most_tensors_that_layers_can_have() -> None:
    whole = {"kind": "batch_norm", "mean": [0.5], "variance": [2.0], "gamma": [3.0], "beta": [1.0]}
    network = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": [whole] * spec.DEFAULT_LIMITS.max_layers})
    assert spec.from_safetensors(spec.to_safetensors(network)) == network
