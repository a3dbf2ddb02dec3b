"""Tensor references that are taken, concatenated and reshaped have the numbers that numpy computes."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.importers import reference
from forwardpass.importers.graph import GraphBuilder, LayerOperations, TensorRef, reduce_axes, safe_name
from forwardpass.importers.graph.arithmetic import COMPARISONS, EXPRESSIONS_OF_TWO, combine
from forwardpass.importers.graph.pending_operations import PendingOperations
from forwardpass.importers.graph.reductions import REDUCTIONS, norm, place_of_extreme
from forwardpass.importers.graph.windows import Windows, pool
from hypothesis import given, settings
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


@settings(max_examples=50)
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


BUILDERS = {"layers": LayerOperations, "pending functions": PendingOperations}


def computed(compute: Callable[..., TensorRef], builder: type[LayerOperations], *shape: int) -> Any:
    """The rows, `(rows, *shape)`, and what an operation computes of them."""
    graph = builder()
    x = graph.add_inputs(int(np.prod(shape))).reshape(*shape)
    found = compute(graph, x)
    graph.output(graph.materialize(found, "found"), ())
    network = spec.parse({"format": spec.FORMAT, "inputs": x.size, "layers": graph.layers})
    rows = np.random.default_rng(2).normal(size=(3, x.size)).round(1)
    outputs = reference.compute(network, rows)[:, -found.size :]
    return rows.reshape(3, *shape), outputs.reshape(3, *found.shape)


OF_NUMPY: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("sum", "mean", "max", "min", "prod")},
    "l1": lambda x, **options: np.abs(x).sum(**options),
    "l2": lambda x, **options: np.sqrt((x * x).sum(**options)),
    "sum_square": lambda x, **options: (x * x).sum(**options),
    "log_sum": lambda x, **options: np.log(np.sum(x, **options)),
    "log_sum_exp": lambda x, **options: np.log(np.exp(x).sum(**options)),
}


@pytest.mark.parametrize("builder", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_are_those_of_numpy(name: str, builder: type[LayerOperations]) -> None:
    for axes, keepdims in product([(0,), (1,), (0, 2)], [False, True]):
        with np.errstate(invalid="ignore"):
            rows, found = computed(
                lambda graph, x: REDUCTIONS[name](graph, graph.function(x, "x * x"), axes, keepdims=keepdims),  # noqa: B023
                builder,
                *(2, 3, 2),
            )
            along = tuple(axis + 1 for axis in axes)
            expected = OF_NUMPY[name](rows * rows, axis=along, keepdims=keepdims)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("largest", "last"), list(product([True, False], repeat=2)))
def test_the_place_of_an_extreme_is_the_first_or_last(largest: bool, last: bool) -> None:
    rows, found = computed(
        lambda graph, x: place_of_extreme(graph, graph.function(x, "floor(x)"), 1, largest=largest, last=last),
        PendingOperations,
        *(2, 7),
    )
    values = np.floor(rows) if largest else -np.floor(rows)
    expected = 6 - values[..., ::-1].argmax(axis=2) if last else values.argmax(axis=2)
    np.testing.assert_array_equal(found, expected)


def windows_of(sizes: tuple[int, ...], windows: Windows) -> Any:
    """The places of each window, one after another, as `(place along each axis, ...)`, those outside too."""
    for first in product(*map(range, windows.counts(sizes))):
        known = zip(first, windows.strides, windows.pads, windows.kernel, windows.dilations, strict=True)
        yield list(product(*([at * by - pads[0] + step * gap for step in range(k)] for at, by, pads, k, gap in known)))


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("reduce", ["max", "mean", "mean with pads"])
def test_windows_are_reduced_as_one_by_one(reduce: str, ceil: bool) -> None:
    sizes, include_pads = (6, 5), reduce == "mean with pads"
    windows = Windows(kernel=[3, 2], strides=[2, 3], pads=[(1, 2), (1, 0)], dilations=[2, 1], ceil=ceil)
    rows, found = computed(
        lambda graph, x: pool(graph, x, windows, reduce[:4].strip(), include_pads=include_pads),
        LayerOperations,
        2,
        *sizes,
    )
    expected = []
    for places in windows_of(sizes, windows):
        inside = [place for place in places if all(0 <= at < size for at, size in zip(place, sizes, strict=True))]
        values = np.stack([rows[(..., *place)] for place in inside])
        within = [place for place in places if place[0] < sizes[0] + 2 and place[1] < sizes[1]]
        count = len(within) if include_pads else len(inside)
        expected.append(values.max(axis=0) if reduce == "max" else values.sum(axis=0) / count)
    np.testing.assert_allclose(found.reshape(3, 2, -1), np.stack(expected, axis=-1), rtol=1e-12)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "max", *EXPRESSIONS_OF_TWO])
def test_operands_may_be_constant_on_either_side(op: str) -> None:
    numbers = np.array([[0.5], [2.0]])
    for of_two, builder in product([numbers, numbers[:1, 0]], BUILDERS.values()):
        whole = [
            computed(lambda graph, x: combine(graph, op, graph.function(x, "abs(x) + 1"), of_two), builder, 2, 3),  # noqa: B023
            computed(lambda graph, x: combine(graph, op, of_two, graph.function(x, "abs(x) + 1")), builder, 2, 3),  # noqa: B023
        ]
        x = np.abs(whole[0][0]) + 1
        expected = OF_TWO[op](x, of_two), OF_TWO[op](of_two, x)
        for (_, found), numbers_found in zip(whole, expected, strict=True):
            np.testing.assert_allclose(found, np.broadcast_to(numbers_found, found.shape), rtol=1e-12)


OF_TWO: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "div": np.divide,
    "pow": np.power,
    "mod": np.mod,
    "fmod": np.fmod,
    "floor_div": np.floor_divide,
    "hypot": np.hypot,
    "heaviside": np.heaviside,
    "atan2": np.arctan2,
    "xlogy": lambda x, y: x * np.log(y),
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    **{name: getattr(np, name) for name in COMPARISONS},
}


def test_a_floored_quotient_is_that_of_the_remainder() -> None:
    rows, found = computed(lambda graph, x: combine(graph, "floor_div", x, np.array(0.1)), LayerOperations, 9)
    assert (np.floor(rows / 0.1) != np.floor_divide(rows, 0.1)).any()
    np.testing.assert_array_equal(found, np.floor_divide(rows, 0.1))


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, np.inf])
def test_norms_are_those_of_numpy(order: float) -> None:
    rows, found = computed(lambda graph, x: norm(graph, x, (0,), order), LayerOperations, 4, 2)
    np.testing.assert_allclose(found, np.linalg.norm(rows, order, axis=1), rtol=1e-12)


def test_no_axes_reduce_nothing() -> None:
    graph = LayerOperations()
    x = graph.add_inputs(3)
    assert reduce_axes(graph, x, (), "sum") is x
