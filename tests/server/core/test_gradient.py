"""The backward walk against finite differences of random graphs, and itself beside other rows."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from forwardpass import spec
from forwardpass_server.core import Plan, forward, trace
from forwardpass_server.core.attribution import AttributionOptions, attribute
from forwardpass_server.core.batch_invariant import pad
from forwardpass_server.core.forward import standardize
from forwardpass_server.core.gradient import backward_pass, forward_pass, gradient_row_multiple
from forwardpass_server.core.graph import INPUTS, merge, merge_gradients
from forwardpass_server.registry.compile import compile_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.random_graphs import random_graph

DTYPES = ["float32", "float64"]
MERGES = ["sum", "concatenate", "multiply", "mean", "max"]


def gradients(plan: Plan, rows: np.ndarray, most: int = 10**6) -> np.ndarray:
    """The gradients of all outputs, or of some at most, by all inputs, `(rows, outputs, inputs)`."""
    targets = np.tile(np.arange(min(plan.outputs, most)), (len(rows), 1))
    return attribute(plan, rows, AttributionOptions(method="gradient", targets=targets)).values


def slopes(plan: Plan, rows: np.ndarray, step: float) -> np.ndarray:
    """Central differences of all outputs by all inputs."""
    found = np.empty((len(rows), plan.outputs, plan.inputs))
    for column in range(plan.inputs):
        change = np.eye(plan.inputs)[column] * step
        found[:, :, column] = (forward(plan, rows + change) - forward(plan, rows - change)) / (2 * step)
    return found


@given(seed=st.integers(0, 2**32 - 1), layers=st.integers(1, 9))
@settings(max_examples=60)
def test_matches_finite_differences(seed: int, layers: int) -> None:
    plan = compile_plan(random_graph(seed, layers=layers))
    rows = np.random.default_rng([seed, 1]).standard_normal((4, plan.inputs))
    check_slopes(plan, rows)


def check_slopes(plan: Plan, rows: np.ndarray) -> tuple[int, int]:
    """Compare gradients and slopes; return how many were compared, and how many have a kink or jump nearby."""
    found, near, nearer = gradients(plan, rows), slopes(plan, rows, 1e-5), slopes(plan, rows, 5e-6)
    size = np.maximum(np.abs(nearer), 1)
    with np.errstate(invalid="ignore"):
        is_smooth = np.abs(near - nearer) <= 1e-6 * size
    assert np.all(np.abs(found - nearer)[is_smooth] <= 1e-5 * size[is_smooth])
    return int(is_smooth.sum()), int((~is_smooth).sum())


@pytest.mark.prove
def test_many_graphs_match_finite_differences(capsys: pytest.CaptureFixture[str]) -> None:
    compared = kinks = 0
    for seed in range(3_000):
        plan = compile_plan(random_graph(seed, layers=seed % 12 + 1, widest=8))
        counts = check_slopes(plan, np.random.default_rng([seed, 1]).standard_normal((5, plan.inputs)))
        compared, kinks = compared + counts[0], kinks + counts[1]
    with capsys.disabled():
        print(f"\n3,000 random graphs: {compared:,} derivatives match finite differences; {kinks:,} are at a kink")
    assert kinks < compared / 50


@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_pass_has_the_bits_of_the_trace(dtype: str) -> None:
    for seed in range(30):
        plan = compile_plan(random_graph(seed, dtype, layers=8, widest=20))
        rows = np.random.default_rng([seed, 1]).standard_normal((13, plan.inputs)).astype(dtype)
        passed = forward_pass(plan, pad(standardize(plan, rows), gradient_row_multiple(plan)))
        for layer in trace(plan, rows).layers:
            assert passed.activations[layer.name][:13].tobytes() == layer.activation.tobytes()
            assert passed.pre_activations[layer.name][:13].tobytes() == layer.pre_activation.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_every_batch(dtype: str) -> None:
    for seed in range(12):
        plan = compile_plan(random_graph(seed, dtype, layers=8, widest=40))
        rng = np.random.default_rng(seed)
        rows = rng.standard_normal((67, plan.inputs)).astype(dtype)
        whole = gradients(plan, rows, 2)
        for start, end in [(row, row + 1) for row in range(0, 67, 7)] + [(3, 50), (50, 67)]:
            assert gradients(plan, rows[start:end], 2).tobytes() == whole[start:end].tobytes()


@pytest.mark.parametrize("sizes", [[30, 64, 32, 1], [784, 300, 10], [3, 2000, 2], [785, 512, 3], [1, 1]], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_layers_have_the_same_bits_in_every_batch(sizes: Sequence[int], dtype: str) -> None:
    rng = np.random.default_rng(4)
    layers = [
        {"weights": rng.standard_normal((after, before)) / np.sqrt(before), "activation": "tanh"}
        for before, after in itertools.pairwise(sizes)
    ]
    plan = compile_plan(spec.parse({"format": spec.FORMAT, "dtype": dtype, "inputs": sizes[0], "layers": layers}))
    rows = rng.standard_normal((150, sizes[0])).astype(dtype)
    whole = gradients(plan, rows)
    for start, end in ((0, 1), (149, 150), (3, 7), (5, 39), (20, 150), (77, 78)):
        assert gradients(plan, rows[start:end]).tobytes() == whole[start:end].tobytes()


@pytest.mark.parametrize("how", MERGES)
def test_merges_match_finite_differences(how: str) -> None:
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((5, 4)) for _ in range(3)]
    gradient = rng.standard_normal(merge(arrays, how).shape)
    found = merge_gradients(gradient, arrays, how)
    for index, array in enumerate(arrays):
        for column in range(4):
            change = np.eye(4)[column] * 1e-6
            above, below = ([*arrays[:index], array + sign * change, *arrays[index + 1 :]] for sign in (1, -1))
            slope = (gradient * (merge(above, how) - merge(below, how))).sum(axis=1) / 2e-6
            np.testing.assert_allclose(found[index][:, column], slope, atol=1e-7)


def test_equal_largest_values_share_the_gradient() -> None:
    one, two, three = np.array([[1.0, 5.0]]), np.array([[1.0, 2.0]]), np.array([[0.0, 5.0]])
    found = merge_gradients(np.array([[6.0, 8.0]]), [one, two, three], "max")
    assert [array.tolist() for array in found] == [[[3.0, 4.0]], [[3.0, 0.0]], [[0.0, 4.0]]]


def test_a_product_with_zeros_keeps_the_gradient() -> None:
    one, two, three = np.array([[0.0, 0.0]]), np.array([[2.0, 0.0]]), np.array([[3.0, 4.0]])
    found = merge_gradients(np.ones((1, 2)), [one, two, three], "multiply")
    assert [array.tolist() for array in found] == [[[6.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]


def test_what_does_not_reach_the_output_has_no_gradient_even_beside_a_missing_value() -> None:
    one, two = np.array([[np.nan, 1.0]]), np.array([[2.0, 3.0]])
    found = merge_gradients(np.array([[0.0, 1.0]]), [one, two], "multiply")
    assert [array.tolist() for array in found] == [[[0.0, 3.0]], [[0.0, 1.0]]]
    network = {
        "format": spec.FORMAT,
        "inputs": 2,
        "input_groups": [{"name": "a", "width": 1}, {"name": "b", "width": 1}],
        "layers": [
            {"name": "x", "weights": [[2.0]], "activation": "tanh", "from": "a"},
            {"name": "y", "weights": [[3.0]], "activation": "tanh", "from": "b"},
        ],
        "output_layers": ["x", "y"],
        "allow_non_finite_inputs": True,
    }
    found_here = gradients(compile_plan(spec.parse(network)), np.array([[np.nan, 0.0]]))
    assert found_here[0, 1].tolist() == [0.0, 3.0]


def test_the_gradient_at_a_layer_that_is_kept() -> None:
    network = spec.parse(
        {
            "format": spec.FORMAT,
            "inputs": 2,
            "layers": [
                {"name": "a", "weights": [[1, 2], [3, 4]], "activation": "relu"},
                {"name": "b", "weights": [[5, -6]]},
            ],
        }
    )
    plan = compile_plan(network)
    rows = pad(np.array([[1.0, 1.0], [-1.0, 0.5]]), gradient_row_multiple(plan))
    passed = forward_pass(plan, rows)
    found = backward_pass(plan, passed, {"b": np.ones((len(rows), 1))}, keep=["a"])
    assert found["a"][:2].tolist() == [[5, -6], [5, -6]]
    assert found[INPUTS][:2].tolist() == [[-13, -14], [0, 0]]  # of the second row, both nodes are at or below 0


def test_a_plan_without_batch_invariance_has_gradients_too() -> None:
    network = random_graph(5, layers=6, widest=30)
    rows = np.random.default_rng(1).standard_normal((300, network.inputs.width))
    exact, fast = compile_plan(network), compile_plan(network, "fast")
    np.testing.assert_allclose(gradients(fast, rows), gradients(exact, rows), rtol=1e-9, atol=1e-9)
