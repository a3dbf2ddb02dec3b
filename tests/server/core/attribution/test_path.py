"""Integrated gradients and layer conductance: completeness, fine sums, and the same bits in every batch."""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from forwardpass import spec
from forwardpass_server.core import Plan, forward, trace
from forwardpass_server.core.attribution import (
    AttributionOptions,
    Attributions,
    attribute,
    attribution_bytes,
    attribution_flops,
    attribution_steps,
    baseline_rows,
    empty_attributions,
)
from forwardpass_server.core.attribution.encodings import find_encodings
from forwardpass_server.core.attribution.quadrature import DERIVATIVES, PLACES, WEIGHTS
from forwardpass_server.registry.compile import compile_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.random_graphs import random_graph

DTYPES = ["float32", "float64"]


def chain(sizes: list[int], activation: str, last: str = "identity", dtype: str = "float64", seed: int = 0) -> Plan:
    rng = np.random.default_rng(seed)
    layers = [
        {
            "name": f"layer_{index}",
            "weights": rng.standard_normal((after, before)) / np.sqrt(before),
            "bias": rng.standard_normal(after) / 2,
            "activation": last if index == len(sizes) - 2 else activation,
        }
        for index, (before, after) in enumerate(itertools.pairwise(sizes))
    ]
    features = [{"name": f"x{index}", "mean": 0.5, "scale": 1.5} for index in range(sizes[0])]
    return compile_plan(spec.parse({"format": spec.FORMAT, "dtype": dtype, "inputs": features, "layers": layers}))


def explain(plan: Plan, rows: np.ndarray, method: str = "integrated_gradients", **options: object) -> Attributions:
    targets = np.tile(np.arange(plan.outputs), (len(rows), 1))
    known = {"targets": targets, "baselines": baseline_rows(plan, "zeros"), **options}
    return attribute(plan, rows, AttributionOptions(method=method, **known))  # type: ignore[arg-type]


def check_completeness(plan: Plan, found: Attributions, rows: np.ndarray, baselines: np.ndarray) -> float:
    """Compare sums of shares with differences of outputs; return the largest difference, relative where they are."""
    outputs, start = forward(plan, rows), forward(plan, baselines).mean(axis=0)
    np.testing.assert_array_equal(found.outputs, outputs)
    assert found.baseline_outputs is not None
    assert found.completeness_error is not None
    np.testing.assert_allclose(found.baseline_outputs, np.broadcast_to(start, outputs.shape), rtol=1e-12, atol=1e-12)
    error = np.abs(outputs - start - found.values.sum(axis=2))
    np.testing.assert_allclose(np.abs(found.completeness_error), error, atol=1e-12 * (1 + np.abs(outputs).max()))
    differences = np.abs(outputs[:, np.newaxis] - forward(plan, baselines)).mean(axis=1)
    worst = error / (differences + 1e-5 * (np.abs(outputs) + np.abs(start)))
    return float(worst.max())


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "leaky_relu", "hard_swish", "sigmoid", "sin"])
@pytest.mark.parametrize("last", ["identity", "softmax"])
def test_shares_sum_to_the_difference(activation: str, last: str) -> None:
    plan = chain([12, 20, 10, 3], activation, last)
    rows = np.random.default_rng(5).standard_normal((6, 12)) * 2
    baselines = np.concatenate([baseline_rows(plan, "means"), rows[:1] + 1])
    for chosen in (baselines[:1], baselines):
        found = explain(plan, rows, baselines=chosen, tolerance=1e-9, max_steps=50_000)
        assert check_completeness(plan, found, rows, chosen) <= 1e-9
        assert found.is_converged is not None
        assert found.is_converged.all()


@given(seed=st.integers(0, 2**32 - 1), layers=st.integers(1, 6))
@settings(max_examples=25)
def test_shares_of_random_graphs_sum_to_the_difference(seed: int, layers: int) -> None:
    check_random_graph(seed, layers)


@pytest.mark.prove
def test_shares_of_many_random_graphs(capsys: pytest.CaptureFixture[str]) -> None:
    found = [error for seed in range(2_000) if (error := check_random_graph(seed, seed % 10 + 1)) is not None]
    with capsys.disabled():
        print(f"\n{len(found):,} random graphs without jumps of computed values: completeness to {max(found):.1e}")
    assert len(found) > 1_000


def check_random_graph(seed: int, layers: int) -> float | None:
    """Return the completeness error of a random graph, None where computed values jump, so that there is no path."""
    network = random_graph(seed, layers=layers)
    plan = compile_plan(network)
    jumping = {layer.name for layer in network.layers if layer.kind in {"embedding", "one_hot", "bucketize", "lookup"}}
    if not jumping <= set(find_encodings(plan, logits=False)):
        return None
    # Here a value that is exactly 0 is missing; computed ones often are.
    if any(layer.kind == "impute" and layer.name not in find_encodings(plan, logits=False) for layer in network.layers):
        return None
    rng = np.random.default_rng([seed, 1])
    rows, baselines = rng.integers(0, 3, (2, 3, plan.inputs)) + rng.choice([0, 0.25], (2, 3, plan.inputs))
    found = explain(plan, rows, targets=np.zeros((3, 1), int), baselines=baselines, tolerance=1e-9, max_steps=20_000)
    outputs, start = forward(plan, rows)[:, :1], forward(plan, baselines).mean(axis=0)[:1]
    is_known = np.isfinite(outputs - start)
    assert np.isnan(found.values[~is_known]).all()
    error = np.abs(outputs - start - found.values.sum(axis=2))[is_known]
    size = (np.abs(found.values).sum(axis=2) + np.abs(outputs) + np.abs(start))[is_known]
    assert np.all(error <= 1e-9 * size)
    return float((error / (size + 1e-300)).max(initial=0))


def test_a_linear_network_shares_by_its_weights() -> None:
    plan = chain([4, 3], "identity")
    rows = np.random.default_rng(1).standard_normal((5, 4))
    weights = plan.dense[0].weights / 1.5
    found = explain(plan, rows)
    np.testing.assert_allclose(found.values, weights * rows[:, np.newaxis], rtol=1e-12, atol=1e-12)
    assert np.all(found.steps == 8)
    products = explain(plan, rows, "input_x_gradient").values
    np.testing.assert_allclose(products, found.values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_shares_and_conductances_are_the_sums_of_many_small_steps(activation: str) -> None:
    plan = chain([5, 7, 6, 2], activation)
    row = np.random.default_rng(3).standard_normal((1, 5))
    found = explain(plan, row, "layer_conductance", tolerance=1e-9, max_steps=50_000)
    places = np.linspace(0, 1, 40_001)[:, np.newaxis]
    path = trace(plan, places * row)
    middle = (places[1:] + places[:-1]) / 2 * row
    for target in range(2):
        targets = np.full((len(middle), 1), target)
        slopes = attribute(plan, middle, AttributionOptions(method="gradient", targets=targets)).values[:, 0]
        np.testing.assert_allclose(found.values[0, target], slopes.mean(axis=0) * row[0], atol=1e-4)
    # The conductance of a node: the gradient of the layers after it, times its change in each step.
    for index, layer in enumerate(found.layers):
        later = tuple(replace(layer, from_=()) for layer in plan.layers[index + 1 :])
        rest = Plan(dtype=plan.dtype, layers=later) if later else None
        activations = path.layers[index].activation
        between = (activations[1:] + activations[:-1]) / 2
        for target in range(2):
            slopes = np.tile(np.eye(2)[target], (len(between), 1))
            if rest is not None:
                targets = np.full((len(between), 1), target)
                slopes = attribute(rest, between, AttributionOptions(method="gradient", targets=targets)).values[:, 0]
            shares = (slopes * np.diff(activations, axis=0)).sum(axis=0)
            np.testing.assert_allclose(layer.values[0, target], shares, atol=1e-4)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_conductances_of_every_layer_sum_to_the_difference(activation: str, logits: bool) -> None:
    plan = chain([8, 20, 10, 3], activation, "softmax")
    rows = np.random.default_rng(5).standard_normal((4, 8)) * 2
    found = explain(plan, rows, "layer_conductance", logits=logits, tolerance=1e-9, max_steps=50_000)
    assert found.baseline_outputs is not None
    rise = found.outputs - found.baseline_outputs
    assert [layer.name for layer in found.layers] == ["layer_0", "layer_1", "layer_2"]
    for layer in found.layers:
        np.testing.assert_allclose(layer.values.sum(axis=2), rise, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        found.values, explain(plan, rows, logits=logits, tolerance=1e-9, max_steps=50_000).values, atol=1e-8
    )
    (one,) = explain(plan, rows, "layer_conductance", logits=logits, layers=("layer_1",)).layers
    assert one.name == "layer_1"


def test_logits_are_the_pre_activations() -> None:
    plan = chain([4, 6, 3], "tanh", "softmax")
    rows = np.random.default_rng(5).standard_normal((4, 4))
    logits = Plan(
        dtype=plan.dtype,
        layers=(plan.layers[0], chain([4, 6, 3], "tanh", "identity").layers[1]),
        mean=plan.mean,
        scale=plan.scale,
    )
    for method in ("gradient", "input_x_gradient", "integrated_gradients", "feature_ablation", "shapley_values"):
        found, expected = explain(plan, rows, method, logits=True), explain(logits, rows, method)
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-12)
        assert found.outputs.tobytes() == trace(plan, rows).layers[1].pre_activation.tobytes()


def categories() -> Plan:
    """A number and a category, which an embedding and a one-hot layer read."""
    rng = np.random.default_rng(2)
    network = {
        "format": spec.FORMAT,
        "inputs": 2,
        "input_groups": [{"name": "number", "width": 1}, {"name": "category", "width": 1}],
        "layers": [
            {"name": "embedded", "kind": "embedding", "table": rng.standard_normal((3, 4)), "from": "category"},
            {"name": "coded", "kind": "one_hot", "categories": [0, 1, 2], "from": "category"},
            {"name": "all", "weights": rng.standard_normal((5, 8)), "activation": "tanh",
             "from": ["number", "embedded", "coded"], "merge": "concatenate"},
            {"name": "out", "weights": rng.standard_normal((1, 5))},
        ],
    }  # fmt: skip
    return compile_plan(spec.parse(network))


def test_a_category_gets_the_shares_of_its_encodings() -> None:
    plan = categories()
    rows, baselines = np.array([[0.5, 2.0], [1.0, 0.0], [-1.0, 1.0]]), np.array([[0.0, 1.0]])
    found = explain(plan, rows, baselines=baselines, tolerance=1e-10)
    assert check_completeness(plan, found, rows, baselines) <= 1e-9
    assert found.values[2, 0, 1] == 0  # the baseline's category
    assert np.all(found.values[:2, 0, 1] != 0)
    assert np.all(explain(plan, rows, "gradient").values[:, :, 1] == 0)
    assert np.all(explain(plan, rows, "input_x_gradient").values[:, :, 1] != 0)


def test_rows_without_a_finite_output_have_no_shares() -> None:
    plan = categories()
    rows = np.array([[0.5, 2.0], [1.0, 7.0], [np.nan, 1.0], [np.inf, 1.0]])
    found = explain(plan, rows)
    assert np.isfinite(found.values[0]).all()
    assert np.isnan(found.values[1:3]).all()
    assert found.steps is not None
    assert found.steps[1:3].tolist() == [[0], [0]]


def test_a_missing_input_gets_the_share_of_its_fill_value() -> None:
    layers = [{"kind": "impute", "values": [3.0, 4.0]}, {"weights": [[2.0, 5.0]]}]
    network = spec.parse({"format": spec.FORMAT, "inputs": 2, "layers": layers, "allow_non_finite_inputs": True})
    found = explain(compile_plan(network), np.array([[np.nan, 1.0]]))
    np.testing.assert_allclose(found.values, [[[6.0, 5.0]]])


def test_fewer_steps_than_needed_are_reported() -> None:
    plan = chain([12, 40, 10, 1], "relu")
    rows = np.random.default_rng(5).standard_normal((5, 12)) * 3
    found = explain(plan, rows, tolerance=1e-9, max_steps=60)
    assert found.steps is not None
    assert found.is_converged is not None
    assert 8 <= found.steps.min() <= found.steps.max() <= 60
    assert not found.is_converged.any()
    plenty = explain(plan, rows, tolerance=1e-9, max_steps=100_000)
    assert plenty.is_converged is not None
    assert plenty.is_converged.all()
    assert found.completeness_error is not None
    assert plenty.completeness_error is not None
    assert np.all(np.abs(found.completeness_error) > np.abs(plenty.completeness_error))
    np.testing.assert_allclose(found.values, plenty.values, atol=0.1)


@pytest.mark.parametrize("method", ["integrated_gradients", "layer_conductance"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_every_batch_and_step(method: str, dtype: str) -> None:
    for activation, sizes in (("relu", [9, 33, 17, 3]), ("gelu", [40, 20, 2])):
        plan = chain(sizes, activation, "softmax", dtype)
        rng = np.random.default_rng(7)
        rows = (rng.standard_normal((23, sizes[0])) * 2).astype(dtype)
        baselines = rng.standard_normal((3, sizes[0])).astype(dtype)
        targets = rng.integers(0, sizes[-1], (23, 2))

        def computed(
            some: slice,
            flops: int,
            *,
            plan: Plan = plan,
            rows: np.ndarray = rows,
            baselines: np.ndarray = baselines,
            targets: np.ndarray = targets,
        ) -> Attributions:
            options = AttributionOptions(
                method=method, targets=targets[some], baselines=baselines, tolerance=1e-3, max_steps=200
            )
            result = empty_attributions(plan, len(rows[some]), options)
            for _ in attribution_steps(plan, rows[some], options, result, flops):
                pass
            return result

        whole = computed(slice(None), 10**9)
        for some, flops in ((slice(0, 1), 10**9), (slice(22, 23), 1), (slice(3, 9), 10**6), (slice(None), 10**7)):
            assert arrays(computed(some, flops)) == [array[some].tobytes() for array in all_arrays(whole)]
        alone = AttributionOptions(
            method=method, targets=targets[:, 1:], baselines=baselines, tolerance=1e-3, max_steps=200
        )
        assert attribute(plan, rows, alone).values[:, 0].tobytes() == whole.values[:, 1].tobytes()


def all_arrays(found: Attributions) -> list[np.ndarray]:
    some = [found.values, found.outputs, found.baseline_outputs, found.completeness_error, found.steps]
    return [array for array in some if array is not None] + [layer.values for layer in found.layers]


def arrays(found: Attributions) -> list[bytes]:
    return [array.tobytes() for array in all_arrays(found)]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_float32_is_complete_to_its_own_precision(activation: str) -> None:
    plan = chain([30, 64, 32, 1], activation, "sigmoid", "float32")
    rows = (np.random.default_rng(5).standard_normal((10, 30)) * 2).astype(np.float32)
    found = explain(plan, rows)
    assert found.is_converged is not None
    assert found.is_converged.all()
    assert found.values.dtype == np.float32
    wide = explain(chain([30, 64, 32, 1], activation, "sigmoid"), rows.astype(np.float64))
    np.testing.assert_allclose(found.values, wide.values, atol=2e-3)


def test_the_cost_is_judged_before_work() -> None:
    plan = chain([30, 64, 32, 1], "relu")
    options = AttributionOptions(
        method="integrated_gradients",
        targets=np.zeros((5, 1), int),
        baselines=baseline_rows(plan, "zeros"),
        max_steps=100,
    )
    assert attribution_flops(plan, 5, options) >= 5 * 100 * 3 * plan.flops_per_row
    assert attribution_flops(plan, 10, options) == 2 * attribution_flops(plan, 5, options)


@pytest.mark.parametrize("method", ["gradient", "layer_conductance", "feature_ablation", "shapley_values"])
@pytest.mark.parametrize("sizes", [[30, 64, 32, 1], [200, 300, 5]], ids=str)
def test_the_memory_is_judged_before_work(sizes: list[int], method: str) -> None:
    plan = chain(sizes, "relu")
    rows = np.random.default_rng(1).standard_normal((50, sizes[0]))
    options = AttributionOptions(
        method=method,
        targets=np.zeros((50, 1), int),
        baselines=baseline_rows(plan, "zeros"),
        max_steps=200,
        samples=2,
    )
    attribute(plan, rows[:1], replace(options, targets=options.targets[:1]))
    tracemalloc.start()
    attribute(plan, rows, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= attribution_bytes(plan, 50, options)


def test_the_rule_integrates_and_differentiates_polynomials() -> None:
    for degree in range(8):
        assert np.sum(WEIGHTS * PLACES[1:-1] ** degree) == pytest.approx(1 / (degree + 1), rel=1e-14)
    for degree in range(6):
        expected = degree * PLACES[1:-1] ** max(degree - 1, 0)
        np.testing.assert_allclose(DERIVATIVES @ PLACES**degree, expected, atol=1e-13)
