"""Every activation against arithmetic of 50 digits, over the whole range of its dtype."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import mpmath as mp
import numpy as np
import pytest
from forwardpass_server.core import ACTIVATIONS
from forwardpass_server.core.activations import GRADIENTS
from forwardpass_server.core.erf import erfc
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.support.default_parameters import default_parameters
from tests.support.random_layers import sparsemax

DTYPES = [np.float32, np.float64]
ROW_WISE = {"softmax", "log_softmax", "sparsemax"}


def sigmoid(z: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-z))


def phi(z: mp.mpf) -> mp.mpf:
    return mp.erfc(-z / mp.sqrt(2)) / 2


def clip(z: mp.mpf, low: float, high: float) -> mp.mpf:
    return min(max(z, mp.mpf(low)), mp.mpf(high))


def elu(z: mp.mpf, alpha: mp.mpf) -> mp.mpf:
    return z if z > 0 else alpha * mp.expm1(z)


EXACT: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "identity": lambda z: z,
    "relu": lambda z: max(z, mp.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else mp.mpf("0.01") * z,
    "prelu": lambda z: z if z > 0 else z / 4,
    "relu6": lambda z: clip(z, 0, 6),
    "elu": lambda z: elu(z, mp.mpf(1)),
    "selu": lambda z: mp.mpf("1.0507009873554804934193349852946") * elu(z, mp.mpf("1.6732632423543772848170429916717")),
    "celu": lambda z: elu(z, mp.mpf(1)),
    "gelu": lambda z: z * phi(z),
    "gelu_tanh": lambda z: z * sigmoid(2 * mp.sqrt(2 / mp.pi) * (z + mp.mpf("0.044715") * z**3)),
    "silu": lambda z: z * sigmoid(z),
    "mish": lambda z: z * mp.tanh(mp.log1p(mp.exp(z))),
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "softsign": lambda z: z / (1 + abs(z)),
    "tanh": mp.tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda z: clip(z + 3, 0, 6) / 6,
    "hard_tanh": lambda z: clip(z, -1, 1),
    "hard_swish": lambda z: z * clip(z + 3, 0, 6) / 6,
    "log_sigmoid": lambda z: -mp.log1p(mp.exp(-z)),
    "exp": mp.exp,
    "sin": mp.sin,
    "cos": mp.cos,
    "gaussian": lambda z: mp.exp(-z * z),
    "step": lambda z: mp.mpf(1 if z >= 0 else 0),
    "square": lambda z: z * z,
}
# Where the function goes through zero, or its argument is rounded first, the error is absolute.
ABSOLUTE = {"sin", "cos", "hard_sigmoid", "hard_swish"}


def apply(name: str, z: np.ndarray) -> np.ndarray:
    return ACTIVATIONS[name](z, **default_parameters(name))


def points(dtype: type[np.floating]) -> np.ndarray:
    rng = np.random.default_rng(0)
    small = np.concatenate([rng.uniform(-20, 20, 400), rng.standard_normal(200), rng.uniform(-100, 100, 100)])
    tiny = 10.0 ** rng.uniform(-30, -3, 100) * rng.choice([-1, 1], 100)
    edges = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.84375, 1.25, 1 / 0.35, -6.0, 28.0, -28.0]
    return np.concatenate([small, tiny, edges]).astype(dtype)


def test_every_function_has_an_oracle() -> None:
    assert set(EXACT) | ROW_WISE == set(ACTIVATIONS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_matches_fifty_digits(name: str, dtype: type[np.floating]) -> None:
    z = points(dtype)
    found = apply(name, z)
    assert found.dtype == dtype
    tiny, eps = float(np.finfo(dtype).tiny), float(np.finfo(dtype).eps)
    with mp.workdps(50):
        for value, got in zip(z.tolist(), found.tolist(), strict=True):
            want = EXACT[name](mp.mpf(value))
            # The argument of an exponential is rounded, which costs as many units as it is large.
            slack = 8 * eps * max(1.0, abs(value) ** 2 if name in {"gaussian", "gelu", "gelu_tanh"} else abs(value))
            bound = slack if name in ABSOLUTE else slack * abs(want) + tiny
            if abs(want) <= float(np.finfo(dtype).max):
                assert abs(mp.mpf(got) - want) <= bound, (name, value, got, want)
            else:
                assert got == math.inf


SLOPES_THROUGH_ZERO = {"sin", "cos", "gelu", "gelu_tanh", "silu", "mish", "hard_swish"}
"""Here the error of the slope is absolute."""
KINKS = (0.0, 1.0, -1.0, 3.0, -3.0, 6.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(set(EXACT) - {"step"}))
def test_the_gradient_is_the_derivative_to_many_digits(name: str, dtype: type[np.floating]) -> None:
    z = points(dtype)
    z = z[~np.isin(z, KINKS) & (np.abs(z) > 1e-10)]
    found = GRADIENTS[name](np.ones_like(z), z, **default_parameters(name))
    assert found.dtype == dtype
    tiny, eps = float(np.finfo(dtype).tiny), float(np.finfo(dtype).eps)
    with mp.workdps(60):
        for value, got in zip(z[::3].tolist(), found[::3].tolist(), strict=True):
            want = mp.diff(EXACT[name], mp.mpf(value), h=mp.mpf(10) ** -20)
            slack = 8 * eps * max(1.0, abs(value) ** 2 if name in {"gaussian", "gelu", "gelu_tanh"} else abs(value))
            bound = slack * (1 if name in SLOPES_THROUGH_ZERO else abs(want)) + tiny
            if abs(want) <= float(np.finfo(dtype).max):
                assert abs(mp.mpf(got) - want) <= bound + 1e-35, (name, value, got, want)


@pytest.mark.parametrize(("name", "kinks"), [
    ("relu", {0: 0}), ("relu6", {0: 0, 6: 0}), ("leaky_relu", {0: 0.01}), ("prelu", {0: 0.25}), ("elu", {0: 1}),
    ("selu", {0: 1.7580993408473766}), ("celu", {0: 1}), ("hard_tanh", {-1: 0, 1: 0}), ("hard_sigmoid", {-3: 0, 3: 0}),
    ("hard_swish", {-3: 0, 3: 1}), ("softsign", {0: 1}), ("step", {0: 0}),
])  # fmt: skip
def test_the_slope_at_a_kink_is_the_one_of_pytorch(name: str, kinks: dict[float, float]) -> None:
    z = np.array([[*kinks]], float)
    assert GRADIENTS[name](np.ones_like(z), z, **default_parameters(name)).tolist() == [[*kinks.values()]]


def test_every_function_has_a_gradient() -> None:
    assert list(GRADIENTS) == list(ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(ROW_WISE))
def test_the_gradient_of_all_nodes_is_the_derivative(name: str) -> None:
    rng = np.random.default_rng(0)
    z, gradient = rng.standard_normal((2, 5, 4))
    found = GRADIENTS[name](gradient, z)
    for node in range(4):
        step = np.eye(4)[node] * 1e-6
        change = (apply(name, z + step) - apply(name, z - step)) / 2e-6
        np.testing.assert_allclose(found[:, node], (gradient * change).sum(axis=1), atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_of_the_whole_range_of_finite_numbers(name: str, dtype: type[np.floating]) -> None:
    top = np.finfo(dtype).max
    z = np.array([[-top, -1e30, -1e10, -100, -1, 0, 1, 100, 1e10, 1e30, top]], dtype=dtype)
    found = GRADIENTS[name](np.ones_like(z), z, **default_parameters(name))
    assert found.dtype == dtype
    assert not np.isnan(found).any()


@pytest.mark.parametrize("name", EXACT)
def test_float32_within_four_units_in_the_last_place(name: str) -> None:
    z = points(np.float32)
    with mp.workdps(50):
        for value, got in zip(z.tolist(), apply(name, z).tolist(), strict=True):
            want = EXACT[name](mp.mpf(value))
            # Below this, a factor is subnormal and has lost digits.
            if 100 * float(np.finfo(np.float32).tiny) < abs(want) <= float(np.finfo(np.float32).max):
                assert abs(mp.mpf(got) - want) <= 4 * float(np.spacing(np.float32(abs(want)))), (value, got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_row_has_the_same_bits_beside_other_rows(name: str, dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(2)
    ends = np.array([0.0, -0.0, 1e-45, -1e-45, 104, -104, 1e5, -1e22, 1e38, -1e38], dtype=dtype)
    for width in range(1, 35):
        z = (rng.standard_normal((5, width)) * rng.choice([1, 30, 1e4])).astype(dtype)
        odd = rng.random(z.shape) < 0.2
        z[odd] = rng.choice(ends, odd.sum())
        shifted = np.empty(z.size + 3, dtype=dtype)[3:].reshape(z.shape)  # elsewhere in a cache line
        shifted[...] = z
        whole = apply(name, shifted)
        for row, found in zip(z, whole, strict=True):
            assert apply(name, row.reshape(1, -1).copy()).tobytes() == found.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_whole_range_of_finite_numbers(name: str, dtype: type[np.floating]) -> None:
    top = np.finfo(dtype).max
    z = np.array([[-top, -1e30, -1e10, -100, -1, 0, 1, 100, 1e10, 1e30, top]], dtype=dtype)
    before = z.copy()
    found = apply(name, z)  # warnings are errors here
    assert found.shape == z.shape
    assert not np.isnan(found).any()
    assert np.array_equal(z, before)
    # Of these, the true values at the ends are beyond the dtype.
    if name not in {"exp", "square", "selu", "log_softmax"}:
        assert np.isfinite(found).all()


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_softmax_is_a_distribution(dtype: type[np.floating], data: st.DataObject) -> None:
    width: Literal[32, 64] = 32 if dtype is np.float32 else 64
    z = data.draw(arrays(dtype, (3, 7), elements=st.floats(-(2.0**99), 2.0**99, width=width)))
    found = apply("softmax", z)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=8 * float(np.finfo(dtype).eps))
    for row, got, logs in zip(z.tolist(), found.tolist(), apply("log_softmax", z).tolist(), strict=True):
        top = max(row)
        total = math.fsum(math.exp(value - top) for value in row)
        for value, probability, logarithm in zip(row, got, logs, strict=True):
            assert probability == pytest.approx(math.exp(value - top) / total, rel=1e-5, abs=1e-40)
            assert logarithm == pytest.approx(value - top - math.log(total), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_sparsemax_is_the_nearest_distribution(dtype: type[np.floating], data: st.DataObject) -> None:
    width: Literal[32, 64] = 32 if dtype is np.float32 else 64
    scale = data.draw(st.sampled_from([0.01, 0.3, 1.0, 50.0]))
    values = st.floats(-2, 2, width=width) | st.sampled_from([0.0, -0.0, 0.5, -0.5])
    z = (data.draw(arrays(dtype, (3, 7), elements=values)) * scale).astype(dtype)
    found = apply("sparsemax", z)
    for row, got in zip(z.tolist(), found.tolist(), strict=True):
        assert got == pytest.approx(sparsemax(row), rel=0, abs=4 * float(np.finfo(dtype).eps) * max(1.0, scale))
        for place, value in enumerate(row):  # ties share alike
            assert {got[other] for other in range(7) if row[other] == value} == {got[place]}


@pytest.mark.parametrize("dtype", DTYPES)
def test_sparsemax_of_what_is_not_finite(dtype: type[np.floating]) -> None:
    inf, nan = np.inf, np.nan
    rows = np.array(
        [[1, -inf, 1], [0.25, -inf, -inf], [1, inf, 2], [inf, inf, -inf], [1, nan, 2], [-inf, -inf, -inf]], dtype
    )
    with np.errstate(all="ignore"):
        found = apply("sparsemax", rows)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(apply("softmax", rows)))
    np.testing.assert_array_equal(found[:2], [[0.5, 0, 0.5], [1, 0, 0]])
    assert np.isnan(found[2:]).all()


def test_erfc_matches_the_standard_library() -> None:
    x = np.concatenate([np.linspace(-30, 30, 60_001), np.logspace(-300, 1, 2_000), [np.inf, -np.inf]])
    want = np.array([math.erfc(value) for value in x])
    normal = want > np.finfo(float).tiny
    found = erfc(x)
    assert np.max(np.abs(found - want)[normal] / want[normal]) < 4e-15
    assert np.isnan(erfc(np.array([np.nan]))[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_out_does_not_change_the_bits(name: str, dtype: str) -> None:
    compute = partial(ACTIVATIONS[name], **default_parameters(name))
    rng = np.random.default_rng(2)
    for rows, nodes in ((0, 3), (1, 1), (4, 7), (40, 33), (4097, 65)):
        z = (rng.standard_normal((rows, nodes)) * 20).astype(dtype)
        kept = z.copy()
        plain = compute(z)
        assert plain.dtype == z.dtype
        assert not np.shares_memory(plain, z)
        elsewhere = np.full_like(z, 7)
        assert compute(z, out=elsewhere) is elsewhere
        assert z.tobytes() == kept.tobytes()
        assert compute(z, out=z) is z
        assert plain.tobytes() == elsewhere.tobytes() == z.tobytes()
