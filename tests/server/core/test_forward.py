"""Forward propagation against plain loops, scikit-learn, and itself in other company."""

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from forwardpass_server.core import ACTIVATIONS, Dense, Plan, forward, trace
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

DTYPES = ["float32", "float64"]


def random_plan(
    rng: np.random.Generator, sizes: Sequence[int], dtype: str, activation: Callable[[], str] | str = "relu"
) -> Plan:
    layers = [
        Dense(
            name=f"layer_{index}",
            weights=(rng.standard_normal((outputs, inputs)) / math.sqrt(inputs)).astype(dtype),
            bias=rng.standard_normal(outputs).astype(dtype),
            activation=activation if isinstance(activation, str) else activation(),
        )
        for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
    ]
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
    for layer in plan.layers:
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
@settings(max_examples=60, deadline=None)
def test_against_plain_loops(sizes: list[int], rows: int, seed: int) -> None:
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
    if kind is MLPRegressor:
        expected = model.predict(scaler.transform(x)).reshape(len(x), -1)
    else:
        expected = model.predict_proba(scaler.transform(x))
        expected = expected[:, 1:] if model.out_activation_ == "logistic" else expected
    worst, strict = {}, {}
    for dtype, bound in (("float64", 1e-12), ("float32", 1e-5)):
        difference = np.abs(forward(from_sklearn(model, scaler, dtype), x) - expected)
        # An output near zero is a difference of large terms, and in float32 has no digits left.
        worst[dtype] = np.max(difference / np.maximum(np.abs(expected), 1.0))
        strict[dtype] = np.max(difference / np.abs(expected))
        assert worst[dtype] <= bound
    assert strict["float64"] <= 1e-12
    with capsys.disabled():
        print(
            f"\n{name}, {activation}: worst difference relative to max(1, |expected|) "
            f"{worst['float64']:.1e}, {worst['float32']:.1e}; relative to |expected| "
            f"{strict['float64']:.1e}, {strict['float32']:.1e} (float64, float32)"
        )


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
        known = ACTIVATIONS[name]
        found = known.function(z, **known.defaults)
        np.testing.assert_allclose(found, function(torch.from_numpy(z)).numpy(), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_alone_in_company_and_traced(dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(7)
    compared = differing = 0
    names = list(ACTIVATIONS)
    shapes = [[30, 64, 32, 1], [784, 256, 10], [1, 1], [5, 300, 3], [2, 2, 1], [100, 17, 4, 9]]
    for trial in range(36):
        sizes = shapes[trial] if trial < len(shapes) else rng.integers(1, 130, rng.integers(2, 5)).tolist()
        plan = random_plan(rng, sizes, dtype, lambda: str(rng.choice(names)))
        inputs = rng.standard_normal((160, sizes[0])).astype(dtype)
        whole = forward(plan, inputs).view(f"u{inputs.itemsize}")
        for index in range(160):
            start = int(rng.integers(0, index + 1))
            end = int(rng.integers(index + 1, 161))
            alone = forward(plan, inputs[index : index + 1])
            company = forward(plan, inputs[start:end])[index - start]
            traced = trace(plan, inputs[start:end]).outputs[index - start]
            for found in (alone[0], company, traced):
                compared += 1
                differing += not np.array_equal(found.view(f"u{inputs.itemsize}"), whole[index])
    with capsys.disabled():
        print(f"\n{dtype}: {compared} comparisons alone, in company and traced, {differing} differing")
    assert compared >= 10_000
    assert differing == 0


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


def test_only_the_layers_asked_for_are_kept() -> None:
    plan = random_plan(np.random.default_rng(1), [2, 3, 4, 1], "float64")
    traced = trace(plan, np.ones((1, 2)), layers=["layer_1"])
    assert [layer.name for layer in traced.layers] == ["layer_1"]
    assert traced.layers[0].contributions is None


def test_a_plan_cannot_be_changed() -> None:
    plan = random_plan(np.random.default_rng(1), [2, 3], "float64")
    for array in (plan.mean, plan.layers[0].weights, plan.layers[0].bias, plan.layers[0].columns):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
