"""Convolutions and pools: in blocks, beside other rows, with and without padding, and how much memory they hold."""

import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass_server.core import Plan, convolution, forward, trace
from forwardpass_server.core.pooling import pool
from forwardpass_server.registry.compile import compile_plan

from tests.support.random_layers import pre_activations, random_layer


def plan_of(inputs: int, *layers: dict[str, Any], dtype: str = "float32") -> Plan:
    return compile_plan(spec.parse({"format": spec.FORMAT, "dtype": dtype, "inputs": inputs, "layers": list(layers)}))


def small_network(rng: np.random.Generator) -> list[dict[str, Any]]:
    """A LeNet of 12 x 12 places: two convolutions, two pools, and a dense layer."""

    def numbers(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32) / 4

    shared = {"kind": "conv", "kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "activation": "relu"}
    return [
        {"name": "one", **shared, "input_shape": [1, 12, 12], "weights": numbers(4, 9), "bias": numbers(4)},
        {"name": "half", "kind": "pool", "windows": grid(4, 12, 2, 2), "reduce": "max"},
        {"name": "two", **shared, "input_shape": [4, 6, 6], "weights": numbers(6, 18), "group": 2},
        {"name": "mean", "kind": "pool", "windows": grid(6, 6, 3, 3), "reduce": "mean"},
        {"name": "last", "weights": numbers(5, 24), "activation": "softmax"},
    ]


def grid(channels: int, size: int, kernel: int, stride: int) -> Any:
    """The windows of a pool over squares, `(outputs, kernel * kernel)`."""
    places = np.arange(channels * size * size).reshape(channels, size, size)
    starts = range(0, size - kernel + 1, stride)
    parts = [places[:, row : row + kernel, column : column + kernel] for row in starts for column in starts]
    return np.stack([part.reshape(channels, -1) for part in parts], axis=1).reshape(-1, kernel * kernel)


@pytest.mark.parametrize("numbers", [1, 7, 100, 2**18])
def test_blocks_of_positions_give_the_same_values(monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    monkeypatch.setattr(convolution, "MAX_COLUMN_NUMBERS", numbers)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reads = int(rng.choice([12, 24, 30, 64]))
        layer = random_layer(rng, "conv", reads, "float64", widest=100)
        network = spec.parse({"format": spec.FORMAT, "inputs": reads, "layers": [layer]})
        plan = compile_plan(network)
        rows = rng.standard_normal((5, reads))
        expected = [pre_activations(network.layers[0], row) for row in rows.tolist()]
        np.testing.assert_allclose(forward(plan, rows), expected, rtol=1e-12, atol=1e-12)
        # The gradient is linear, and each row of this one is a row of the Jacobian.
        outputs = np.eye(plan.outputs)
        gradient = plan.layers[0].pre_activation_gradient(outputs, np.zeros((plan.outputs, reads)))
        bias = forward(plan, np.zeros((1, reads)))
        np.testing.assert_allclose(rows @ gradient.T + bias, expected, rtol=1e-12, atol=1e-12)


def test_rows_have_the_same_bits_alone_together_and_traced() -> None:
    rng = np.random.default_rng(3)
    plan = plan_of(144, *small_network(rng))
    assert (plan.leading, plan.leading_rows > 1) == (4, True)
    rows = rng.standard_normal((2 * plan.leading_rows + 3, 144)).astype(np.float32)
    together = forward(plan, rows)
    for count in (1, 2, 3, 17):
        assert np.array_equal(forward(plan, rows[:count]), together[:count])
        traced = trace(plan, rows[-count:])
        assert np.array_equal(traced.outputs, together[-count:])
        assert [len(layer.activation) for layer in traced.layers] == [count] * 5


@pytest.mark.parametrize(
    ("pool_windows", "reduce", "activation", "steps"),
    [
        pytest.param(grid(4, 10, 2, 2), "max", "relu", 2, id="maxima"),
        pytest.param(grid(4, 10, 3, 1), "min", "identity", 2, id="minima of overlapping windows"),
        pytest.param(grid(4, 10, 2, 2), "mean", "relu", 3, id="means"),
        pytest.param(grid(4, 10, 2, 2), "max", "silu", 3, id="an activation that falls"),
        pytest.param([[0, 100], [99, 399]], "max", "relu", 3, id="windows over several filters"),
    ],
)
def test_a_pool_of_a_convolution_in_one_step_has_the_bits_of_two(
    pool_windows: Any, reduce: str, activation: str, steps: int
) -> None:
    rng = np.random.default_rng(8)
    weights, bias = rng.standard_normal((4, 9)).astype(np.float32), np.array([0.1, -0.0, 0, -7], np.float32)
    conv = {"kind": "conv", "input_shape": [1, 12, 12], "kernel_shape": [3, 3], "weights": weights, "bias": bias}
    pools = {"kind": "pool", "windows": pool_windows, "reduce": reduce}
    plan = plan_of(144, {**conv, "activation": activation}, pools, {"kind": "dropout"})
    assert len(plan.leading_steps) == steps
    rows = rng.standard_normal((40, 144)).astype(np.float32)
    rows[3] = 0
    rows[4:6, 50] = np.inf, np.nan
    outputs = forward(plan, rows)
    assert outputs.tobytes() == trace(plan, rows).outputs.tobytes()
    assert outputs[7:9].tobytes() == forward(plan, rows[7:9]).tobytes()


def test_threads_that_compute_at_once_give_the_same_bits() -> None:
    rng = np.random.default_rng(9)
    plans = [plan_of(144, *small_network(rng)) for _ in range(4)]
    rows = rng.standard_normal((50, 144)).astype(np.float32)
    expected = [forward(plan, rows) for plan in plans]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda index: forward(plans[index % 4], rows), range(40)))
    assert all(np.array_equal(outputs, expected[index % 4]) for index, outputs in enumerate(found))


GEOMETRIES: dict[str, dict[str, Any]] = {
    "square": {"input_shape": [4, 7, 6], "kernel_shape": [3, 3]},
    "padded and dilated": {
        "input_shape": [2, 9, 8],
        "kernel_shape": [2, 3],
        "pads": [1, 0, 2, 3],
        "dilations": [3, 2],
    },
    "strided along the last axis": {"input_shape": [3, 6, 9], "kernel_shape": [4, 2], "strides": [1, 3]},
    "in groups": {"input_shape": [4, 5, 5], "kernel_shape": [3, 2], "group": 2},
    "with zeros between its values": {
        "input_shape": [2, 4, 3],
        "kernel_shape": [3, 2],
        "pads": [2, 1, 0, 2],
        "input_dilations": [2, 3],
    },
    "of three axes": {"input_shape": [2, 5, 6, 7], "kernel_shape": [2, 3, 2], "strides": [2, 1, 2], "pads": [1] * 6},
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("numbers", [2**18, 2**11])
def test_copies_of_lines_give_the_same_values(
    monkeypatch: pytest.MonkeyPatch, geometry: dict[str, Any], numbers: int
) -> None:
    rng = np.random.default_rng(6)
    channels, *sizes = geometry["input_shape"]
    window = channels // geometry.get("group", 1) * math.prod(geometry["kernel_shape"])
    weights, bias = rng.standard_normal((4, window)), rng.standard_normal(4)
    layer = {"kind": "conv", "weights": weights, "bias": bias, **geometry}
    monkeypatch.setattr(convolution, "MAX_COLUMN_NUMBERS", numbers)  # of several rows, or fewer than of all of them
    plan = plan_of(channels * math.prod(sizes), layer, dtype="float64")
    rows = rng.standard_normal((6, plan.inputs))
    found = forward(plan, rows)
    monkeypatch.setattr(convolution, "MAX_COLUMN_NUMBERS", 1)
    in_blocks = plan_of(plan.inputs, layer, dtype="float64")
    np.testing.assert_allclose(found, forward(in_blocks, rows), rtol=1e-12, atol=1e-12)
    assert np.array_equal(forward(plan, rows[4:5]), found[4:5])


@pytest.mark.parametrize("sizes", [(6, 5), (1, 5), (6, 1), (2, 3, 5)])
def test_tokens_are_multiplied_as_they_stand(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(8)
    rows, weights = rng.standard_normal((9, math.prod(sizes))), rng.standard_normal((4, sizes[-1]))
    kernel = [1] * (len(sizes) - 1) + [sizes[-1]]
    layer = {"kind": "conv", "weights": weights, "input_shape": [1, *sizes], "kernel_shape": kernel}
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        plan = plan_of(math.prod(sizes), layer, dtype=dtype)
        found = forward(plan, rows.astype(dtype))
        expected = (rows.reshape(9, -1, sizes[-1]) @ weights.T).swapaxes(1, 2).reshape(9, -1)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        for index in range(9):
            assert np.array_equal(forward(plan, rows[index : index + 1].astype(dtype)), found[index : index + 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_dense_products_are_computed_row_by_row(dtype: str) -> None:
    rng = np.random.default_rng(7)
    first: dict[str, Any] = {"kind": "conv", "input_shape": [1, 30, 30], "kernel_shape": [5, 5], "activation": "relu"}
    layers: list[dict[str, Any]] = [
        {**first, "weights": rng.standard_normal((16, 25)).astype(dtype)},
        {"weights": (rng.standard_normal((3, 16 * 26 * 26)) / 100).astype(dtype), "activation": "tanh"},
        {"weights": rng.standard_normal((2, 3)).astype(dtype)},
    ]
    plan = plan_of(900, *layers, dtype=dtype)
    assert (plan.row_multiple, [layer.row_by_row for layer in plan.dense]) == (1, [True, True])
    wide = plan_of(900, layers[0], {"weights": np.ones((99, 16 * 26 * 26), dtype)}, dtype=dtype)
    assert not wide.dense[0].row_by_row
    rows = rng.standard_normal((37, 900)).astype(dtype)
    together = forward(plan, rows)
    for index in range(len(rows)):
        assert np.array_equal(forward(plan, rows[index : index + 1]), together[index : index + 1])
    assert np.array_equal(trace(plan, rows[5:9]).outputs, together[5:9])
    assert np.array_equal(forward(plan, rows[::-1]), together[::-1])


def test_a_graph_is_padded_from_its_first_dense_layer_on() -> None:
    rng = np.random.default_rng(4)
    one, half, two, mean, last = small_network(rng)
    side = {"name": "side", "from": "half", "weights": rng.standard_normal((24, 144)).astype(np.float32)}
    both = {"name": "both", "from": ["side", "mean", "half_again"], "merge": "concatenate", "kind": "dropout"}
    again = {"name": "half_again", "from": "half", "kind": "dropout"}
    end = {**last, "weights": rng.standard_normal((5, 192)).astype(np.float32)}
    plan = plan_of(144, one, half, two, mean, side, again, both, end)
    assert plan.leading == 4
    rows = rng.standard_normal((33, 144)).astype(np.float32)
    together = forward(plan, rows)
    for count in (1, 2, 5):
        assert np.array_equal(forward(plan, rows[:count]), together[:count])
        assert np.array_equal(trace(plan, rows[:count]).outputs, together[:count])


def test_a_large_window_at_many_positions_holds_little_memory() -> None:
    layer = {"kind": "conv", "input_shape": [1, 8192], "kernel_shape": [2048], "weights": np.ones((1, 2048))}
    plan = plan_of(8192, layer)  # 48 MiB if all windows were copied
    rows = np.ones((1, 8192), np.float32)
    tracemalloc.start()
    outputs = forward(plan, rows)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (outputs == 2048).all()
    assert held < 4 * 2**20


@pytest.mark.parametrize("kernel", [(3, 3), (3, 1)], ids=["lines", "windows"])
def test_no_thread_keeps_the_weights_of_a_network_that_is_gone(kernel: tuple[int, int]) -> None:
    settings = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "input_dilations": (1, 1), "group": 1}
    tracemalloc.start()
    try:
        weights = np.ones((1_024, 64 * math.prod(kernel)))
        convolution.products(weights=weights, input_shape=(64, 3, 3), kernel_shape=kernel, **settings)(
            np.ones((1, 576))
        )
        size = weights.nbytes
        del weights
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < size


@pytest.mark.parametrize("reduce", ["max", "mean", "sum", "min"])
def test_pools_of_a_grid_and_of_any_windows(reduce: str) -> None:
    rng = np.random.default_rng(5)
    some = [rng.integers(0, 30, (int(rng.integers(1, 6)), int(rng.integers(1, 12)))) for _ in range(30)]
    grids = [grid(3, 6, 3, 2), grid(2, 4, 2, 2), grid(1, 5, 1, 2), grid(2, 12, 10, 2), grid(4, 7, 7, 7)]
    for windows in [*some, *grids, grids[0][::-1], grids[1][:, ::-1], rng.permutation(grids[0])]:
        values = rng.standard_normal((7, int(windows.max()) + 1))
        compute = pool(windows=windows.astype(float), reduce=reduce)
        found = compute(values)
        np.testing.assert_allclose(found, getattr(np, reduce)(values[:, windows], axis=2), rtol=1e-13, atol=1e-13)
        assert not np.shares_memory(found, values)
        for count in (0, 1, 3):
            assert np.array_equal(compute(values[:count]), found[:count])
        values[3] = np.nan
        assert np.array_equal(np.delete(compute(values), 3, axis=0), np.delete(found, 3, axis=0))
