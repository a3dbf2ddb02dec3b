"""Every kind of layer against its formula in plain loops, and itself in other batches."""

import math
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.spec.layers import ARRAYS, KINDS
from forwardpass_server.core import Operation, forward, trace
from forwardpass_server.core.operations import GRADIENTS, JUMPS, OPERATIONS, ORIGINS
from forwardpass_server.registry.compile import compile_plan
from hypothesis import given
from hypothesis import strategies as st

from tests.support.random_layers import SMOOTH, STEPS, pre_activations, random_layer

DTYPES = ["float32", "float64"]
VALUES = (*range(-2, 6), 0.0, -0.0, 0.5, math.nan, math.inf, -math.inf, 1e30)
"""Categories and other numbers, zeros of both signs, NaN and infinities."""


def alone(layer: dict[str, Any], inputs: int, dtype: str = "float64") -> spec.NetworkSpec:
    document = {"format": spec.FORMAT, "dtype": dtype, "inputs": inputs, "layers": [layer]}
    return spec.parse({**document, "allow_non_finite_inputs": True})


def test_the_tables_are_complete() -> None:
    assert set(KINDS) == {"dense", *OPERATIONS} == {*SMOOTH, *STEPS}
    assert list(GRADIENTS) == list(OPERATIONS)
    assert set(STEPS) == JUMPS <= set(ORIGINS) <= set(OPERATIONS)
    for kind, arrays in ARRAYS.items():
        assert set(arrays) <= set(KINDS[kind].model_fields)


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 2**32 - 1), inputs=st.integers(1, 20))
def test_matches_plain_loops(kind: str, dtype: str, seed: int, inputs: int) -> None:
    rng = np.random.default_rng(seed)
    network = alone(random_layer(rng, kind, inputs, dtype), inputs, dtype)
    rows = rng.choice(VALUES, (6, inputs)) if kind in STEPS else rng.standard_normal((6, inputs))
    rows = rows.astype(dtype)
    found = forward(compile_plan(network), rows)
    expected = [pre_activations(network.layers[0], row) for row in rows.tolist()]
    assert found.dtype == dtype
    assert found.shape == (6, network.layers[0].outputs)
    near = 0 if kind in {*STEPS, "dropout", "take", "clip"} else (1e-12 if dtype == "float64" else 1e-4)
    np.testing.assert_allclose(found, expected, rtol=near, atol=near)


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_every_batch(kind: str, dtype: str) -> None:
    for seed, inputs in enumerate([1, 3, 7, 8, 9, 16, 33, 64, 130, 600]):
        rng = np.random.default_rng(seed)
        plan = compile_plan(alone(random_layer(rng, kind, inputs, dtype, widest=70), inputs, dtype))
        rows = rng.standard_normal((97, inputs)).astype(dtype)
        rows[::5] = rng.choice(VALUES, (20, inputs)).astype(dtype)
        together = forward(plan, rows)
        before = rows.copy()
        traced = trace(plan, rows)
        assert traced.outputs.tobytes() == traced.layers[0].pre_activation.tobytes() == together.tobytes()
        assert rows.tobytes() == before.tobytes()
        for start in range(97):
            end = int(rng.integers(start + 1, 98))
            assert forward(plan, rows[start:end]).tobytes() == together[start:end].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["group_softmax", "group_sparsemax", "layer_norm"])
def test_groups_have_the_same_bits_in_every_batch(kind: str, dtype: str) -> None:
    for size, groups in ((size, groups) for size in (1, 2, 7, 15, 32, 33) for groups in (1, 2, 3, 8)):
        arrays = {"gamma": np.full(size * groups, 1.5, dtype), "beta": np.ones(size * groups, dtype), "epsilon": 1e-5}
        function = OPERATIONS[kind](groups=groups, **(arrays if kind == "layer_norm" else {}))
        rows = np.random.default_rng(size).standard_normal((9, size * groups)).astype(dtype)
        together = function(rows)
        for start, end in [*((row, row + 1) for row in range(9)), (2, 9)]:
            assert function(rows[start:end]).tobytes() == together[start:end].tobytes()


def test_matrices_of_no_rows_have_no_products() -> None:
    assert OPERATIONS["matmul"](groups=2, rows=1, inner=3, columns=2)(np.empty((0, 18))).shape == (0, 4)


def test_a_masked_weight_counts_as_zero() -> None:
    masked = alone({"weights": [[2, 3], [4, 5]], "mask": [[1, 0], [0, 1]]}, 2)
    assert forward(compile_plan(masked), np.array([[10.0, 100.0]])).tolist() == [[20.0, 500.0]]
    assert masked.layers[0].weights.tolist() == [[2, 3], [4, 5]]


def test_arrays_that_are_left_out_have_no_effect() -> None:
    for kind in ("scale_shift", "layer_norm"):
        layer = {"kind": kind}
        plan = compile_plan(alone(layer, 3))
        rows = np.array([[1.0, 2.0, 6.0]])
        expected = rows if kind == "scale_shift" else (rows - 3) / np.sqrt(14 / 3 + 1e-5)
        np.testing.assert_allclose(forward(plan, rows), expected, rtol=1e-15)
    assert forward(compile_plan(alone({"kind": "one_hot", "categories": [3, 4]}, 1)), np.array([[4.0]])).tolist() == [
        [0, 1]
    ]
    assert forward(compile_plan(alone({"kind": "lookup", "keys": [1], "values": [2]}, 1)), np.ones((1, 1))) == 2


def test_an_operation_cannot_be_changed() -> None:
    (layer,) = compile_plan(alone({"kind": "clip", "low": [0, 0]}, 2)).layers
    assert isinstance(layer, Operation)
    with pytest.raises(ValueError, match="read-only"):
        layer.arguments["low"][0] = 1
