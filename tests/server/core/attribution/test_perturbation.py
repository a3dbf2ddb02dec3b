"""Feature ablation and Shapley values against their definitions."""

import itertools
import math

import numpy as np
import pytest
from forwardpass_server.core import Plan, forward
from forwardpass_server.core.attribution import (
    AttributionOptions,
    attribute,
    attribution_steps,
    empty_attributions,
)
from forwardpass_server.registry.compile import compile_plan

from tests.support.random_graphs import random_graph

DTYPES = ["float32", "float64"]


def network(seed: int, dtype: str = "float64", widest: int = 3) -> Plan:
    """A random graph of 4 to 12 inputs."""
    for trial in itertools.count(seed * 1_000):
        plan = compile_plan(random_graph(trial, dtype, layers=5, widest=widest))
        if 4 <= plan.inputs <= 12:
            return plan
    raise AssertionError


def options(plan: Plan, rows: int, method: str, **others: object) -> AttributionOptions:
    targets = np.tile(np.arange(min(plan.outputs, 3)), (rows, 1))
    return AttributionOptions(method=method, targets=targets, **others)  # type: ignore[arg-type]


def value(plan: Plan, row: np.ndarray, baselines: np.ndarray, own: list[int], features: list[list[int]]) -> np.ndarray:
    columns = [column for feature in own for column in features[feature]]
    mixed = baselines.copy()
    mixed[:, columns] = row[columns]
    found: np.ndarray = forward(plan, mixed)[:, :3].mean(axis=0)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_shapley_values_are_the_means_over_all_orders(seed: int) -> None:
    plan = network(seed)
    rng = np.random.default_rng(seed)
    rows, baselines = rng.standard_normal((2, 3, plan.inputs))
    features = [part.tolist() for part in np.array_split(rng.permutation(plan.inputs), 4)]
    groups = tuple(np.array(feature) for feature in features)
    found = attribute(plan, rows, options(plan, 3, "shapley_values", baselines=baselines, features=groups))
    for index, row in enumerate(rows):
        expected = np.zeros((min(plan.outputs, 3), 4))
        for order in itertools.permutations(range(4)):
            for place, feature in enumerate(order):
                before, after = list(order[:place]), list(order[: place + 1])
                gain = value(plan, row, baselines, after, features) - value(plan, row, baselines, before, features)
                expected[:, feature] += gain / math.factorial(4)
        np.testing.assert_allclose(found.values[index], expected, atol=1e-12 * max(1, np.abs(expected).max()))
    assert found.completeness_error is not None
    assert np.abs(found.completeness_error).max() <= 1e-12 * max(1, np.abs(found.values).max())
    assert found.standard_error is None


def test_ablation_is_the_difference_without_a_feature() -> None:
    plan = network(1)
    rng = np.random.default_rng(1)
    rows, baselines = rng.standard_normal((2, 3, plan.inputs))
    features = [part.tolist() for part in np.array_split(np.arange(plan.inputs), 3)]
    groups = tuple(np.array(feature) for feature in features)
    found = attribute(plan, rows, options(plan, 3, "feature_ablation", baselines=baselines, features=groups))
    for index, row in enumerate(rows):
        whole = value(plan, row, baselines, [0, 1, 2], features)
        for feature in range(3):
            rest = value(plan, row, baselines, [other for other in range(3) if other != feature], features)
            np.testing.assert_allclose(found.values[index, :, feature], whole - rest, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.outputs[index], whole, rtol=1e-12, atol=1e-12)


def test_sampled_values_are_near_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = network(2)
    rng = np.random.default_rng(2)
    rows, baselines = rng.standard_normal((2, 2, plan.inputs))
    chosen = options(plan, 2, "shapley_values", baselines=baselines, samples=300, seed=4)
    exact = attribute(plan, rows, chosen)
    monkeypatch.setattr("forwardpass_server.core.attribution.perturbation.MAX_EXACT_FEATURES", 3)
    monkeypatch.setattr("forwardpass_server.core.attribution.methods.MAX_EXACT_FEATURES", 3)
    found = attribute(plan, rows, chosen)
    assert found.standard_error is not None
    away = np.abs(found.values - exact.values) / (found.standard_error + 1e-12)
    assert away.max() < 5
    assert found.completeness_error is not None
    assert np.abs(found.completeness_error).max() <= 1e-12 * max(1, np.abs(found.values).max())
    assert attribute(plan, rows, chosen).values.tobytes() == found.values.tobytes()
    other = attribute(plan, rows, options(plan, 2, "shapley_values", baselines=baselines, samples=300, seed=5))
    assert not np.array_equal(other.values, found.values)


@pytest.mark.parametrize("method", ["feature_ablation", "shapley_values", "gradient", "input_x_gradient"])
@pytest.mark.parametrize("widest", [3, 40])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_every_batch_and_step(method: str, widest: int, dtype: str) -> None:
    plan = compile_plan(random_graph(5, dtype, layers=6, widest=widest)) if widest > 3 else network(3, dtype)
    assert (plan.inputs > 12) == (widest > 3)
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((9, plan.inputs)).astype(dtype)
    baselines = rng.standard_normal((2, plan.inputs)).astype(dtype)
    targets = rng.integers(0, plan.outputs, (9, 2))

    def computed(some: slice, flops: int) -> list[bytes]:
        chosen = AttributionOptions(method=method, targets=targets[some], baselines=baselines, samples=3)
        result = empty_attributions(plan, len(rows[some]), chosen)
        for _ in attribution_steps(plan, rows[some], chosen, result, flops):
            pass
        kept = [result.values, result.outputs, result.standard_error, result.completeness_error]
        return [row.tobytes() for array in kept if array is not None for row in array]

    whole = computed(slice(None), 10**9)
    count = len(whole) // 9
    for start, end, flops in ((0, 1, 10**9), (8, 9, 1), (3, 7, 10**5), (0, 9, 10**6)):
        assert computed(slice(start, end), flops) == [
            whole[9 * array + row] for array in range(count) for row in range(start, end)
        ]
