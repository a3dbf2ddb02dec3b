"""Tensor references that are taken, concatenated and reshaped have the numbers that numpy computes."""

from typing import Any

import numpy as np
from forwardpass import spec
from forwardpass.importers import reference
from forwardpass.importers.graph import GraphBuilder, LayerOperations, TensorRef, safe_name
from hypothesis import given
from hypothesis import strategies as st

WIDTHS = {"left": 3, "right": 4}
ROWS = np.random.default_rng(0).normal(size=(5, 7))


def moved(
    data: st.DataObject, graph: GraphBuilder, known: list[tuple[TensorRef, np.ndarray]]
) -> tuple[TensorRef, np.ndarray]:
    """Do one step with values that are known, and with their numbers `(rows, ...)`."""
    values, numbers = data.draw(st.sampled_from(known))
    step = data.draw(st.sampled_from(["take", "join", "reshape", "layer", "materialize"]))
    if step == "take":
        places = data.draw(st.lists(st.integers(0, values.shape[0] - 1), min_size=1, max_size=6))
        return values.take(places), np.take(numbers, places, axis=1)
    if step == "join":
        other, more = data.draw(st.sampled_from(known))
        flat, tail = values.reshape(values.size), other.reshape(other.size)
        return graph.concatenate([flat, tail]), np.concatenate([numbers.reshape(5, -1), more.reshape(5, -1)], axis=1)
    if step == "reshape":
        return values.reshape(values.size, 1), numbers.reshape(5, -1, 1)
    if step == "materialize":
        return graph.materialize(values, "materialize"), numbers
    doubled = graph.add_layer("doubled", values, kind="scale_shift", scale=np.full(values.size, 2.0))
    return doubled, 2 * numbers.reshape(5, -1)


@given(data=st.data())
def test_steps_are_those_of_numpy(data: st.DataObject) -> None:
    graph = GraphBuilder()
    left, right = (graph.add_inputs(width, name) for name, width in WIDTHS.items())
    known = [(left, ROWS[:, :3]), (right, ROWS[:, 3:])]
    for _ in range(data.draw(st.integers(1, 8))):
        known.append(moved(data, graph, known))
    chosen = [data.draw(st.sampled_from(known)) for _ in range(2)]
    flat = [(values.reshape(values.size), numbers.reshape(5, -1)) for values, numbers in chosen]
    out = graph.add_layer("out", graph.concatenate([values for values, _ in flat]), kind="scale_shift")
    twice = graph.add_layer("twice", [out, out], merge="sum", kind="scale_shift")
    document = {
        "format": spec.FORMAT,
        "inputs": 7,
        "input_groups": [{"name": name, "width": width} for name, width in WIDTHS.items()],
        "layers": graph.layers,
        # Whatever was added on the way is an output too, or it would lead nowhere.
        "output_layers": [layer["name"] for layer in graph.layers],
    }
    if not {"left", "right"} <= {source for layer in graph.layers for source in layer["from"]}:
        return  # a group that nothing reads is refused
    network = spec.parse(document)
    expected = 2 * np.concatenate([numbers for _, numbers in flat], axis=1)
    np.testing.assert_array_equal(reference.compute(network, ROWS)[:, -twice.size :], expected)


def test_names_are_free_and_may_be_names() -> None:
    graph = GraphBuilder()
    graph.add_inputs(2, "inputs")
    values = graph.add_inputs(1, "one")
    names = [
        graph.add_layer(hint, values, kind="scale_shift").sources[0]
        for hint in ("a b/c", "a b/c", "one", "inputs", "ä")
    ]
    assert names == ["a_b_c", "a_b_c_2", "one_2", "inputs_2", "layer"]
    assert len(safe_name("x" * 500)) <= 128


def test_a_number_alone_is_one_for_each_element() -> None:
    graph = LayerOperations()
    two: Any = np.float64(2.0)
    x = graph.add_inputs(3)
    x = graph.scale_shift(x.take([2, 0, 1]), two, np.array(1.0))
    graph.output(graph.clip(x, -two / 2, None), ())
    network = spec.parse({"format": spec.FORMAT, "inputs": 3, "layers": graph.layers})
    np.testing.assert_array_equal(reference.compute(network, ROWS[:, :3]), np.maximum(2 * ROWS[:, [2, 0, 1]] + 1, -1))
