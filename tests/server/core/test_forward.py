"""Forward propagation against plain loops, scikit-learn, and itself in other batches."""

import itertools
import math
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from forwardpass_server.core import (
    ACTIVATIONS,
    Dense,
    Plan,
    empty_trace,
    forward,
    forward_steps,
    trace,
    trace_steps,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from tests.support.default_parameters import default_parameters

DTYPES = ["float32", "float64"]


def random_plan(
    rng: np.random.Generator, sizes: Sequence[int], dtype: str, activation: Callable[[], str] | str = "relu"
) -> Plan:
    layers = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weights = (rng.standard_normal((outputs, inputs)) / math.sqrt(inputs)).astype(dtype)
        bias = rng.standard_normal(outputs).astype(dtype)
        name = activation if isinstance(activation, str) else activation()
        parameters = default_parameters(name)
        layers.append(Dense(name=f"layer_{index}", weights=weights, bias=bias, activation=name, parameters=parameters))
    return Plan(
        dtype=np.dtype(dtype),
        layers=tuple(layers),
        mean=rng.standard_normal(sizes[0]).astype(dtype),
        scale=rng.uniform(0.5, 2.0, sizes[0]).astype(dtype),
    )


def loops(plan: Plan, row: Sequence[float]) -> list[float]:
    """One row in plain Python: exact sums, one node at a time; relu and identity only."""
    assert plan.mean is not None
    assert plan.scale is not None
    values = [(x - m) / s for x, m, s in zip(row, plan.mean.tolist(), plan.scale.tolist(), strict=True)]
    for layer in plan.dense:
        sums = [
            math.fsum([*(w * v for w, v in zip(node, values, strict=True)), bias])
            for node, bias in zip(layer.weights.tolist(), layer.bias.tolist(), strict=True)
        ]
        values = [max(0.0, total) for total in sums] if layer.activation == "relu" else sums
    return values


@given(
    sizes=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    rows=st.integers(1, 20),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_matches_plain_loops(sizes: list[int], rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plan = random_plan(rng, sizes, "float64", lambda: str(rng.choice(["relu", "identity"])))
    inputs = rng.standard_normal((rows, sizes[0]))
    expected = [loops(plan, row) for row in inputs.tolist()]
    np.testing.assert_allclose(forward(plan, inputs), expected, rtol=1e-10, atol=1e-11)


def from_sklearn(model: Any, scaler: StandardScaler, dtype: str) -> Plan:
    functions = {"logistic": "sigmoid"}
    count = len(model.coefs_)
    return Plan(
        dtype=np.dtype(dtype),
        mean=scaler.mean_.astype(dtype),
        scale=scaler.scale_.astype(dtype),
        layers=tuple(
            Dense(
                name=f"layer_{index}",
                weights=weights.T.astype(dtype),
                bias=bias.astype(dtype),
                activation=functions.get(name, name),
            )
            for index, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True))
            for name in [model.out_activation_ if index == count - 1 else model.activation]
        ),
    )


DATA = {
    "iris": (datasets.load_iris, MLPClassifier),
    "wine": (datasets.load_wine, MLPClassifier),
    "breast_cancer": (datasets.load_breast_cancer, MLPClassifier),
    "digits": (datasets.load_digits, MLPClassifier),
    "diabetes": (datasets.load_diabetes, MLPRegressor),
    "linnerud": (datasets.load_linnerud, MLPRegressor),
}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("name", DATA)
def test_parity_with_scikit_learn(name: str, activation: str, capsys: pytest.CaptureFixture[str]) -> None:
    load, kind = DATA[name]
    x, y = load(return_X_y=True)
    scaler = StandardScaler().fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = kind(hidden_layer_sizes=(16, 8), activation=activation, max_iter=20, random_state=0)
        model.fit(scaler.transform(x), y)
    rows = scaler.transform(x)
    expected = sklearn_outputs(model, rows)
    differences = {dtype: np.abs(forward(from_sklearn(model, scaler, dtype), x) - expected) for dtype in DTYPES}
    worst = {dtype: np.max(found / np.abs(expected).max(axis=0)) for dtype, found in differences.items()}
    elementwise = {dtype: np.max(found / np.abs(expected)) for dtype, found in differences.items()}
    with capsys.disabled():
        print(
            f"\n{name}, {activation}: worst relative difference {worst['float64']:.1e}, {worst['float32']:.1e}; of "
            f"each number by itself {elementwise['float64']:.1e}, {elementwise['float32']:.1e}"
        )
    assert worst["float64"] <= elementwise["float64"] <= 1e-12
    assert worst["float32"] <= 1e-5
    # An output near zero is a difference of large terms, whose digits no float32 has.
    assert np.all(differences["float32"] <= rounding(model, scaler, x))


def rounding(model: Any, scaler: StandardScaler, x: Any) -> Any:
    """The largest error of float32: one rounding for each term of the sums (Higham 2002, chapter 3). No activation
    function of these models magnifies a difference."""
    sizes = (np.abs(x) + np.abs(scaler.mean_)) / scaler.scale_
    roundings = 4
    for weights, bias in zip(model.coefs_, model.intercepts_, strict=True):
        sizes = sizes @ np.abs(weights) + np.abs(bias)
        roundings += len(weights) + 4
    return roundings * 2.0**-24 * np.maximum(sizes, 1.0)


def sklearn_outputs(model: Any, rows: np.ndarray) -> np.ndarray:
    """Every output of the model, shape `(rows, outputs)`, in the dtype of its weights."""
    if isinstance(model, MLPRegressor):
        return np.asarray(model.predict(rows).reshape(len(rows), -1))
    probabilities = np.asarray(model.predict_proba(rows))
    return probabilities[:, 1:] if model.out_activation_ == "logistic" else probabilities


def test_parity_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = {
        "relu": functional.relu,
        "leaky_relu": functional.leaky_relu,
        "elu": functional.elu,
        "selu": functional.selu,
        "celu": functional.celu,
        "gelu": functional.gelu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "silu": functional.silu,
        "mish": functional.mish,
        "softplus": functional.softplus,
        "softsign": functional.softsign,
        "hard_sigmoid": functional.hardsigmoid,
        "hard_tanh": functional.hardtanh,
        "hard_swish": functional.hardswish,
        "log_sigmoid": functional.logsigmoid,
        "relu6": functional.relu6,
    }
    z = np.random.default_rng(0).uniform(-10, 10, (50, 7))
    for name, function in theirs.items():
        found = ACTIVATIONS[name](z, **default_parameters(name))
        np.testing.assert_allclose(found, function(torch.from_numpy(z)).numpy(), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_alone_in_a_batch_and_traced(dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(7)
    compared = differing = 0
    names = list(ACTIVATIONS)
    shapes = [[30, 64, 32, 1], [784, 256, 300, 10], [1, 1], [5, 300, 3], [2, 2, 1], [785, 512, 3], [100, 17, 4, 9]]
    for trial in range(22):
        sizes = shapes[trial] if trial < len(shapes) else rng.integers(1, 130, rng.integers(2, 5)).tolist()
        plan = random_plan(rng, sizes, dtype, lambda: str(rng.choice(names)))
        inputs = rng.standard_normal((160, sizes[0])).astype(dtype)
        whole = forward(plan, inputs).view(f"u{inputs.itemsize}")
        for index in range(160):
            start = int(rng.integers(0, index + 1))
            end = int(rng.integers(index + 1, 161))
            alone = forward(plan, inputs[index : index + 1])
            batched = forward(plan, inputs[start:end])[index - start]
            traced = trace(plan, inputs[start:end]).outputs[index - start]
            for found in (alone[0], batched, traced):
                compared += 1
                differing += not np.array_equal(found.view(f"u{inputs.itemsize}"), whole[index])
    with capsys.disabled():
        print(f"\n{dtype}: {compared} comparisons alone, in a batch and traced, {differing} differing")
    assert compared >= 10_000
    assert differing == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_computed_in_several_steps_have_the_same_bits(dtype: str) -> None:
    rng = np.random.default_rng(3)
    plan = random_plan(rng, [3, 5000, 2], dtype, "tanh")
    inputs = rng.standard_normal((3 * plan.max_step_rows + 5, 3)).astype(dtype)
    whole = forward(plan, inputs)
    traced = trace(plan, inputs, layers=["layer_1"], contributions=True)
    assert whole.tobytes() == traced.outputs.tobytes() == traced.layers[0].activation.tobytes()
    assert traced.layers[0].contributions is not None
    assert traced.layers[0].contributions.shape == (len(inputs), 2, 5000)
    for index in (0, plan.max_step_rows - 1, plan.max_step_rows, len(inputs) - 1):
        assert forward(plan, inputs[index : index + 1]).tobytes() == whole[index].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[30, 64, 32, 1], [784, 400, 10], [3, 2000, 2]], ids=str)
def test_the_size_of_a_step_does_not_change_the_bits(sizes: list[int], dtype: str) -> None:
    rng = np.random.default_rng(6)
    plan = random_plan(rng, sizes, dtype, lambda: str(rng.choice(list(ACTIVATIONS))))
    inputs = rng.standard_normal((333, sizes[0])).astype(dtype)
    whole = forward(plan, inputs)
    everything = trace(plan, inputs, contributions=sizes[0] < 100)
    for rows in (1, 7, 50, 128, 10**6):
        outputs = np.full_like(whole, np.nan)
        traced = empty_trace(plan, 333, contributions=sizes[0] < 100)
        yields = sum(1 for _ in forward_steps(plan, inputs, outputs, rows))
        assert yields == sum(1 for _ in trace_steps(plan, inputs, traced, rows)) >= 333 // (rows + plan.row_multiple)
        assert outputs.tobytes() == whole.tobytes() == traced.outputs.tobytes()
        assert traced.inputs.tobytes() == everything.inputs.tobytes()
        for layer, expected in zip(traced.layers, everything.layers, strict=True):
            for name in ("name", "pre_activation", "activation", "contributions", "bias"):
                assert bits(getattr(layer, name)) == bits(getattr(expected, name))


def bits(value: object) -> object:
    return value.tobytes() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("fast", [False, True])
def test_work_between_steps_sees_its_own_floating_point_warnings(fast: bool) -> None:
    plan = replace(random_plan(np.random.default_rng(1), [2, 3], "float64"), fast=fast)
    inputs = np.full((600, 2), np.finfo("float64").max)
    for _ in forward_steps(plan, inputs, np.empty((600, 3)), 100):
        with pytest.warns(RuntimeWarning, match="overflow"):
            inputs[:1] * 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("standardized", [False, True])
def test_inputs_of_any_memory_layout_are_read_and_not_changed(dtype: str, standardized: bool) -> None:
    rng = np.random.default_rng(8)
    plan = random_plan(rng, [9, 20, 2], dtype, "identity")
    if not standardized:
        plan = replace(plan, mean=None, scale=None)
    for rows in (0, 1, 4, 16, 37, 128):
        inputs = rng.standard_normal((rows, 9)).astype(dtype)
        expected = forward(plan, inputs)
        assert expected.shape == (rows, 2)
        wide = np.zeros((2 * rows, 18), dtype)
        wide[::2, ::2] = inputs
        for other in (np.asfortranarray(inputs), wide[::2, ::2], inputs[::-1].copy()[::-1], inputs.astype("float64")):
            kept = other.tobytes()
            other.flags.writeable = False
            for plan_ in (plan, replace(plan, fast=True)):
                found = forward(plan_, other), trace(plan_, other).outputs
                assert found[0].tobytes() == found[1].tobytes()
                assert plan_.fast or found[0].tobytes() == expected.tobytes()
            assert other.tobytes() == kept


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fast_plan_differs_by_rounding_only_and_its_trace_not_at_all(dtype: str) -> None:
    rng = np.random.default_rng(5)
    plan = random_plan(rng, [30, 64, 32, 3], dtype, "tanh")
    fast = replace(plan, fast=True)
    for rows in (0, 1, 7, 300):
        inputs = rng.standard_normal((rows, 30)).astype(dtype)
        found = forward(fast, inputs)
        tolerance = 50 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(found, forward(plan, inputs), rtol=tolerance, atol=tolerance)
        assert found.tobytes() == trace(fast, inputs).outputs.tobytes()


def test_memory_does_not_grow_with_rows_times_width() -> None:
    plan = random_plan(np.random.default_rng(3), [1, 5000, 1], "float32")
    inputs = np.ones((20_000, 1), dtype=np.float32)  # 80 kB in, and 400 MB of values on the way
    for compute in (forward, partial(trace, layers=["layer_1"])):
        tracemalloc.start()
        compute(plan, inputs)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30 * 2**20


@pytest.mark.parametrize("dtype", DTYPES)
def test_contributions_and_bias_sum_to_the_pre_activation(dtype: str) -> None:
    rng = np.random.default_rng(1)
    plan = random_plan(rng, [6, 9, 4], dtype, "tanh")
    traced = trace(plan, rng.standard_normal((5, 6)), contributions=True)
    for layer in traced.layers:
        assert layer.contributions is not None
        assert layer.bias is not None
        tolerance = 100 * float(np.finfo(dtype).eps)
        sums = layer.contributions.sum(axis=2) + layer.bias
        np.testing.assert_allclose(sums, layer.pre_activation, rtol=tolerance, atol=tolerance)


def test_a_trace_keeps_the_selected_layers_only() -> None:
    plan = random_plan(np.random.default_rng(1), [2, 3, 4, 1], "float64")
    traced = trace(plan, np.ones((1, 2)), layers=["layer_1"])
    assert [layer.name for layer in traced.layers] == ["layer_1"]
    assert traced.layers[0].contributions is None


def test_a_plan_cannot_be_changed() -> None:
    plan = random_plan(np.random.default_rng(1), [2, 3], "float64")
    for array in (plan.mean, plan.dense[0].weights, plan.dense[0].bias, plan.dense[0].columns):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
