"""Expressions on arrays against Python's evaluation of the same text, number by number."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from forwardpass.spec import expressions
from forwardpass.spec.activations import ACTIVATIONS as VOCABULARY
from forwardpass_server.core import ACTIVATIONS, Elementwise
from forwardpass_server.core.elementwise import CHUNK_NUMBERS, DERIVATIVES, FUNCTIONS
from forwardpass_server.core.erf import erf
from hypothesis import given, reject, settings

from tests.support.default_parameters import default_parameters
from tests.support.random_expressions import UNARY, texts

DTYPES = ["float32", "float64"]
UNITS = 8
"""The largest error of an operation, in units in the last place; numpy's float32 functions are within 4."""


def function(text: str, dtype: str, parameters: Mapping[str, float] | None = None) -> Elementwise:
    known = parameters or {}
    return Elementwise(expressions.fold(expressions.parse(text, known), known, dtype), np.dtype(dtype))


class UnsureError(Exception):
    """Only rounding decides which value the result has, or whether it has one."""


class Near:
    """A float with a bound of the error that rounding in a dtype may cause.

    The bound of a result comes from the operation at the corners of its operands' bounds, and from its own rounding.
    """

    def __init__(self, value: float, slack: float, dtype: str) -> None:
        self.value, self.slack, self.dtype = value, slack, dtype
        if abs(value) + slack > float(np.finfo(dtype).max) / 4:
            raise UnsureError

    def corners(self) -> tuple[float, ...]:
        return (self.value, self.value - self.slack, self.value + self.slack) if self.slack else (self.value,)

    def near(self, other: Any) -> "Near":
        if isinstance(other, Near):
            return other
        rounded = float(np.dtype(self.dtype).type(other))
        return Near(float(other), abs(rounded - other), self.dtype)

    def apply(self, compute: Callable[..., float], *operands: Any) -> "Near":
        every = [self.near(operand) for operand in operands]
        try:
            first, *others = [
                compute(*corner) for corner in itertools.product(*(operand.corners() for operand in every))
            ]
        except (ValueError, OverflowError, ZeroDivisionError):
            raise UnsureError from None
        kind = np.finfo(self.dtype)
        slack = max((abs(other - first) for other in others), default=0.0)
        return Near(first, slack + UNITS * float(kind.eps) * abs(first) + float(kind.tiny), self.dtype)

    def differs(self, other: Any) -> bool:
        that = self.near(other)
        if abs(self.value - that.value) <= 2 * (self.slack + that.slack):
            raise UnsureError
        return True

    def __add__(self, other: Any) -> "Near":
        return self.apply(lambda a, b: a + b, self, other)

    def __radd__(self, other: Any) -> "Near":
        return self.apply(lambda a, b: a + b, other, self)

    def __sub__(self, other: Any) -> "Near":
        return self.apply(lambda a, b: a - b, self, other)

    def __rsub__(self, other: Any) -> "Near":
        return self.apply(lambda a, b: a - b, other, self)

    def __mul__(self, other: Any) -> "Near":
        return self.apply(lambda a, b: a * b, self, other)

    def __rmul__(self, other: Any) -> "Near":
        return self.apply(lambda a, b: a * b, other, self)

    def __truediv__(self, other: Any) -> "Near":
        that = self.near(other)
        if abs(that.value) <= 2 * that.slack:
            raise UnsureError
        return self.apply(lambda a, b: a / b, self, that)

    def __rtruediv__(self, other: Any) -> "Near":
        return self.near(other) / self

    def __pow__(self, other: Any) -> "Near":
        return self.apply(math.pow, self, other)

    def __rpow__(self, other: Any) -> "Near":
        return self.apply(math.pow, other, self)

    def __neg__(self) -> "Near":
        return Near(-self.value, self.slack, self.dtype)

    def __lt__(self, other: Any) -> bool:
        return self.differs(other) and self.value < self.near(other).value

    def __gt__(self, other: Any) -> bool:
        return self.differs(other) and self.value > self.near(other).value

    __le__, __ge__ = __lt__, __gt__

    def __eq__(self, other: object) -> bool:
        return not self.differs(other)

    def __ne__(self, other: object) -> bool:
        return self.differs(other)

    __hash__ = None  # type: ignore[assignment] # what is nearly equal has no hash


SCALAR: dict[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in UNARY if hasattr(math, name)},
    "abs": abs,
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)),
    "softplus": lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    "min": min,
    "max": max,
    "clip": lambda x, low, high: min(max(x, low), high),
}


def python(text: str, x: float, dtype: str) -> Near:
    """Evaluate a text, which is valid Python too, with the precedence of Python's parser."""
    at = Near(x, 0.0, dtype)

    def lifted(compute: Callable[..., float]) -> Callable[..., Near]:
        return lambda *operands: at.apply(compute, *operands)

    def oscillating(compute: Callable[[float], float]) -> Callable[[Any], Near]:
        """A function that oscillates between the corners of its operand's bound, with a slope of at most 1."""

        def bounded(operand: Any) -> Near:
            near = at.near(operand)
            result = at.apply(compute, near)
            return Near(result.value, result.slack + near.slack, dtype)

        return bounded

    names: dict[str, Any] = {
        "__builtins__": {},
        "x": at,
        "pi": math.pi,
        "e": math.e,
        "where": lambda condition, a, b: at.near(a if condition else b),
        **{name: lifted(compute) for name, compute in SCALAR.items()},
        "sin": oscillating(math.sin),
        "cos": oscillating(math.cos),
    }
    return at.near(eval(text, names))  # noqa: S307 - the oracle; the text is of our own making


POINTS = [-30.0, -3.5, -1.0, -0.7, -1e-3, 0.0, 1e-6, 0.3, 0.5, 1.0, 1.2, 2.0, 3.9, 25.0]


@pytest.mark.parametrize("dtype", DTYPES)
@given(text=texts())
@settings(max_examples=300)
def test_matches_python(dtype: str, text: str) -> None:
    try:
        found = function(text, dtype)(np.array([POINTS], dtype))
    except expressions.ExpressionError:
        reject()  # a constant part has no value
    assert found.dtype == dtype
    assert found.shape == (1, len(POINTS))
    for x, got in zip(np.array(POINTS, dtype).tolist(), found[0].tolist(), strict=True):
        try:
            want = python(text, x, dtype)
        except (UnsureError, ValueError, OverflowError, ZeroDivisionError):
            continue
        # A bound from corners is good to first order, hence twice.
        assert abs(got - want.value) <= 2 * want.slack, (text, x, got, want.value, want.slack)


BUILT_IN = {name: known.expression for name, known in VOCABULARY.items() if known.expression}
"""The expression of every function of the vocabulary that works on each node alone."""

WIDE = {"gelu", "gelu_tanh", "gaussian"}
"""Functions that the core computes in float64 for every dtype; an expression uses the network's dtype."""


def some(dtype: str, shape: tuple[int, int] = (40, 33)) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.asarray(rng.standard_normal(shape) * rng.choice([0.1, 1, 8], shape), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_expression_of_a_function_has_its_bits(name: str, dtype: str) -> None:
    parameters = default_parameters(name)
    z = some(dtype)
    want = ACTIVATIONS[name](z, **parameters)
    found = function(BUILT_IN[name], dtype, parameters)(z)
    if dtype == "float64" or name not in WIDE:
        assert found.tobytes() == want.tobytes()
        return
    # The argument of an exponential is rounded to float32, which costs as many units as it is large.
    normal = np.abs(want) > np.finfo(dtype).tiny
    units = (np.abs(found - want) / np.spacing(np.abs(want)))[normal]
    assert units.max() <= 128


def test_every_function_of_single_nodes_has_an_expression() -> None:
    assert set(ACTIVATIONS) - set(BUILT_IN) == {"softmax", "log_softmax", "sparsemax"}


TEXTS = [
    "x",
    "1.5 - x",
    "x * sigmoid(1.702 * x)",
    "where(x > 0 and x < 2 or x == -1, x ** 3, x ** 2 / (1 + abs(x)))",
    "clip(exp(x) - exp(-x), -x ** 2, max(x, erf(x)))",
    "log(x) + sqrt(x) ** 1.5 + log1p(x) * sin(x) - cos(x)",
    "where(not x >= 0, expm1(x), softplus(x) + erfc(x) + relu(x) * tanh(x))",
    "2 ** x",
    "asin(x) - acos(x / 2) * atan(x)",
    "floor(x) + ceil(x) * 2 - round(x * 3) + mod(x, 0.75)",
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", TEXTS)
def test_a_row_has_the_same_bits_beside_other_rows(text: str, dtype: str) -> None:
    compute = function(text, dtype)
    for width in (*range(1, 35), CHUNK_NUMBERS // 3, CHUNK_NUMBERS + 5):
        z = some(dtype, (5, width))
        shifted = np.empty(z.size + 3, dtype=dtype)[3:].reshape(z.shape)  # elsewhere in a cache line
        shifted[...] = z
        for row, found in zip(z, compute(shifted), strict=True):
            assert compute(row.reshape(1, -1).copy()).tobytes() == found.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", TEXTS)
def test_out_does_not_change_the_bits(text: str, dtype: str) -> None:
    compute = function(text, dtype)
    for rows, nodes in ((0, 3), (1, 1), (4, 7), (40, 33), (4097, 9), (2, CHUNK_NUMBERS + 1)):
        z = some(dtype, (rows, nodes))
        kept = z.copy()
        plain = compute(z)
        assert plain.dtype == z.dtype
        assert not np.shares_memory(plain, z)
        elsewhere = np.full_like(z, 7)
        assert compute(z, out=elsewhere) is elsewhere
        assert z.tobytes() == kept.tobytes()
        assert compute(z, out=z) is z
        assert plain.tobytes() == elsewhere.tobytes() == z.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_value_is_nan_and_too_large_is_infinity(dtype: str) -> None:
    z = np.array([[-1.0, 0.0, 1.0, np.finfo(dtype).max]], dtype)
    for text, want in (
        ("log(x)", [math.nan, -math.inf, 0, None]),
        ("1 / x", [-1, math.inf, 1, None]),
        ("sqrt(x)", [math.nan, 0, 1, None]),
        ("x ** 0.5", [math.nan, 0, 1, None]),
        ("exp(x)", [None, 1, None, math.inf]),
        ("where(x > 0, log(x), 0)", [0, 0, 0, None]),
        ("acos(x)", [None, None, 0, math.nan]),
        ("mod(-x, 0.75)", [0.25, 0, 0.5, None]),
        ("mod(x, x * 0)", [math.nan, math.nan, math.nan, math.nan]),
        ("round(x / 2)", [0, 0, 0, None]),
    ):
        found = function(text, dtype)(z)  # warnings are errors here
        for got, value in zip(found[0].tolist(), want, strict=True):
            assert value is None or got == value or (math.isnan(got) and math.isnan(value)), text


def test_parameters_and_constants_do_not_widen() -> None:
    compute = function("where(x > 0, x, alpha * (exp(x) - 1)) * pi", "float32", {"alpha": 0.1})
    assert compute(some("float32")).dtype == np.float32


def test_erf_matches_the_standard_library() -> None:
    x = np.concatenate([np.linspace(-6, 6, 60_001), np.logspace(-300, 1, 2_000), [np.inf, -np.inf]])
    want = np.array([math.erf(value) for value in x])
    found = erf(x)
    assert np.max(np.abs(found - want) / np.maximum(np.abs(want), 1e-300)) < 1e-15
    assert np.isnan(erf(np.array([np.nan]))[0])


CONDITIONS = {"or", "and", "not", "<", "<=", ">", ">=", "==", "!="}


def test_every_function_has_a_derivative() -> None:
    assert [name for name in FUNCTIONS if name not in {*CONDITIONS, "where"}] == list(DERIVATIVES)
    assert set(FUNCTIONS) > CONDITIONS


@given(text=texts())
@settings(max_examples=150)
def test_the_gradient_is_the_slope_between_near_points(text: str) -> None:
    try:
        compiled = function(text, "float64")
    except expressions.ExpressionError:
        reject()
    z = np.random.default_rng(0).uniform(-2, 2, (40, 3))
    found = compiled.gradient(np.ones_like(z), z)
    with np.errstate(all="ignore"):
        slopes = [(compiled(z + step) - compiled(z - step)) / (2 * step) for step in (2e-5, 1e-5)]
        # Where both slopes agree, there is no kink or jump nearby, and rounding does not matter.
        near = np.abs(slopes[0] - slopes[1]) <= 1e-5 * np.maximum(np.abs(slopes[1]), 1)
        near &= np.abs(slopes[1]) < 1e3
        if "**" in text:  # a part without a value may have a power that is 1
            near &= ~np.isnan(found)
        assert np.all(np.abs(found - slopes[1])[near] <= 1e-4 * np.maximum(np.abs(slopes[1]), 1)[near])


@pytest.mark.parametrize(
    ("text", "x", "slope"),
    [
        ("max(x, 0)", 0.0, 0.5),
        ("min(x, 2 * x)", 0.0, 1.5),
        ("clip(x, 0, 1)", 1.0, 1.0),
        ("abs(x)", 0.0, 0.0),
        ("relu(x)", 0.0, 0.0),
        ("where(x > 0, sqrt(x), 2 * x)", -1.0, 2.0),
        ("where(x > 0, log(x), 3)", 0.0, 0.0),
        ("x ** 3", -2.0, 12.0),
        ("2 ** x", 1.0, 2 * math.log(2)),
        ("x ** x", 1.0, 1.0),
        ("clip(2, x, 3 * x)", 1.0, 0.0),
        ("clip(5, x, 3 * x)", 1.0, 3.0),
        ("clip(0, x, 3 * x)", 1.0, 1.0),
        ("asin(x)", 0.0, 1.0),
        ("floor(x) + x", 2.0, 1.0),
        ("mod(7, x)", 2.0, -3.0),
    ],
)
def test_slopes_at_kinks_and_of_powers(text: str, x: float, slope: float) -> None:
    z = np.array([[x]])
    assert function(text, "float64").gradient(np.ones_like(z), z) == pytest.approx(slope)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_has_the_same_bits_beside_other_rows(dtype: str) -> None:
    rng = np.random.default_rng(1)
    compiled = function("where(x > 0, x * sigmoid(x), tanh(x) ** 3) / (2 + cos(x)) + exp(-x * x)", dtype)
    z, gradient = rng.standard_normal((2, 2 * CHUNK_NUMBERS // 7, 7)).astype(dtype)
    whole = compiled.gradient(gradient, z)
    assert whole.dtype == z.dtype
    for row in (0, 1, 100, len(z) - 1):
        part = slice(row, row + 1)
        assert compiled.gradient(gradient[part].copy(), z[part].copy()).tobytes() == whole[part].tobytes()
