"""Graphs of layers against plain loops, and themselves in other batches."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from forwardpass_server.core import Dense, Plan, costs, empty_trace, forward, forward_steps, trace, trace_steps
from forwardpass_server.core.graph import merge
from forwardpass_server.core.plan import MAX_VALUES_OF_FULL_STEPS
from forwardpass_server.registry.compile import compile_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.random_graphs import compute, merged, outputs_of, random_graph

DTYPES = ["float32", "float64"]
MERGES = ["sum", "concatenate", "multiply", "mean", "max"]


def dense(name: str, reads: int, nodes: int, sources: Sequence[str] = (), how: str | None = None) -> Dense:
    rng = np.random.default_rng(len(name) + reads)
    weights = rng.standard_normal((nodes, reads)) / np.sqrt(reads)
    return Dense(name=name, weights=weights, bias=np.zeros(nodes), activation="tanh", from_=tuple(sources), merge=how)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 2**32 - 1), layers=st.integers(1, 9), rows=st.integers(1, 9))
@settings(max_examples=150)
def test_matches_plain_loops(dtype: str, seed: int, layers: int, rows: int) -> None:
    network = random_graph(seed, dtype, layers=layers)
    plan = compile_plan(network)
    inputs = np.random.default_rng(seed).standard_normal((rows, plan.inputs)).astype(dtype)
    traced = trace(plan, inputs, contributions=True)
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    by_name = {layer.name: layer for layer in traced.layers}
    assert forward(plan, inputs).tobytes() == traced.outputs.tobytes()
    for index, row in enumerate(inputs.tolist()):
        expected = compute(network, row)
        largest = max(1.0, *(abs(value) for values in expected.values() for value in values))
        for layer in network.layers:
            found = by_name[layer.name]
            assert np.abs(found.activation[index] - expected[layer.name]).max() <= tolerance * largest
            read = merged([expected[name] for name in layer.from_], layer.merge)
            assert (found.contributions is not None) == (layer.kind == "dense")
            if found.contributions is not None:
                weights = layer.weights * layer.arrays.get("mask", 1)
                assert np.abs(found.contributions[index] - weights * np.array(read)).max() <= tolerance * largest
            assert (found.merged is None) == (layer.merge is None)
            if found.merged is not None:
                assert np.abs(found.merged[index] - read).max() <= tolerance * largest
        assert np.abs(traced.outputs[index] - outputs_of(network, expected)).max() <= tolerance * largest


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_every_batch(dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    comparisons = differing = 0
    for seed in range(40):
        network = random_graph(seed, dtype, layers=8, widest=70)
        plan = compile_plan(network)
        rng = np.random.default_rng(seed)
        inputs = rng.standard_normal((97, plan.inputs)).astype(dtype)
        whole = forward(plan, inputs)
        everything = trace(plan, inputs)
        outputs, stepped = np.empty_like(whole), empty_trace(plan, 97)
        assert sum(1 for _ in forward_steps(plan, inputs, outputs, 20)) == sum(
            1 for _ in trace_steps(plan, inputs, stepped, 20)
        )
        for start, end in [(row, row + 1) for row in range(97)] + [(3, 50), (50, 97), (0, 97)]:
            part = inputs[start:end]
            traced = trace(plan, part)
            found = [forward(plan, part), traced.outputs, outputs[start:end], stepped.outputs[start:end]]
            for one, other in zip(traced.layers, everything.layers, strict=True):
                found += [one.activation] if one.name in plan.output_layers else []
                differing += one.activation.tobytes() != other.activation[start:end].tobytes()
                differing += one.merged is not None and one.merged.tobytes() != bits(other.merged, start, end)
                comparisons += 1
            for array in found[:4]:
                comparisons += end - start
                differing += sum(a.tobytes() != b.tobytes() for a, b in zip(array, whole[start:end], strict=True))
    with capsys.disabled():
        print(
            f"\ngraphs, {dtype}: {comparisons} comparisons alone, in a batch, traced, in steps: {differing} differing"
        )
    assert comparisons > 40_000
    assert differing == 0


def bits(array: np.ndarray | None, start: int, end: int) -> bytes | None:
    return None if array is None else array[start:end].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", MERGES)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_merged_row_has_the_same_bits_beside_other_rows(how: str, dtype: str) -> None:
    rng = np.random.default_rng(2)
    pool = np.array([0.0, -0.0, np.nan, -np.nan, 1.0, -1.0, np.inf, -np.inf], dtype)
    for _ in range(300):
        shape = rng.integers(1, 20, 2)
        arrays = [rng.choice(pool, shape) for _ in range(rng.integers(2, 4))]
        whole = merge(arrays, how)
        for row in range(len(whole)):
            alone = merge([array[row : row + 1].copy() for array in arrays], how)
            assert alone.tobytes() == whole[row].tobytes()


@pytest.mark.parametrize("how", MERGES)
def test_merging_does_not_change_its_sources(how: str) -> None:
    arrays = [np.arange(6.0).reshape(2, 3) + index for index in range(3)]
    kept = [array.copy() for array in arrays]
    merge(arrays, how)
    np.testing.assert_array_equal(arrays, kept)


def test_memory_is_bounded_by_the_kept_activations() -> None:
    layers = [dense("layer_0", 512, 512), dense("layer_1", 512, 512)]
    layers += [
        dense(f"layer_{index}", 512, 512, [f"layer_{index - 1}", f"layer_{index - 2}"], "sum") for index in range(2, 60)
    ]
    plan = Plan(dtype=np.dtype("float64"), layers=tuple(layers))
    inputs = np.ones((plan.max_step_rows, 512))
    one = inputs.nbytes
    tracemalloc.start()
    forward(plan, inputs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 2 * one <= peak <= 7 * one  # 60 layers, all of which are kept when they are traced


def test_steps_have_few_rows_where_many_values_are_kept() -> None:
    wide = [dense(f"wide_{index}", 1, 8_192, ["inputs"]) for index in range(40)]
    last = dense("last", 8_192, 2, [layer.name for layer in wide], "max")
    plan = Plan(dtype=np.dtype("float64"), layers=(*wide, last))
    assert plan.row_multiple <= plan.max_step_rows <= 128 * MAX_VALUES_OF_FULL_STEPS / (39 * 8_192)
    assert plan.max_step_rows % plan.row_multiple == 0
    inputs = np.linspace(-1, 1, 50)[:, np.newaxis]
    whole = forward(plan, inputs)
    assert whole[7:8].tobytes() == forward(plan, inputs[7:8]).tobytes()


def test_merges_are_part_of_the_cost() -> None:
    first, second = dense("first", 3, 3), dense("second", 3, 3)
    both = ["first", "second"]
    chain = Plan(dtype=np.dtype("float64"), layers=(first, second))
    plan = Plan(dtype=np.dtype("float64"), layers=(first, second, dense("sum", 3, 1, both, "sum")))
    beside = Plan(dtype=np.dtype("float64"), layers=(first, second, dense("beside", 6, 1, both, "concatenate")))
    tanh = costs.FUNCTION
    assert chain.flops_per_row == 2 * (9 + 9) + 6 * tanh
    assert plan.flops_per_row == 2 * (9 + 9 + 3) + 6 + 7 * tanh
    assert beside.flops_per_row == 2 * (9 + 9 + 6) + 6 + 7 * tanh


def test_a_chain_keeps_nothing() -> None:
    plan = Plan(dtype=np.dtype("float64"), layers=(dense("a", 3, 4), dense("b", 4, 2, ["a"])))
    assert plan.is_chain
    assert plan.edges == (None, None)
    assert not plan.keeps_inputs
