"""Elementwise operations: sums, products, and functions of one element.

A number or a constant tensor becomes a layer's scale, shift or bound, or a constant in its expression; a tensor that
depends on the rows becomes a merge.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef, arithmetic
from forwardpass.importers.graph.arithmetic import EXPRESSIONS_OF_TWO, combine
from forwardpass.importers.graph.functions import EXPRESSIONS, SHRINK, THRESHOLD
from forwardpass.importers.pytorch.constants import array_of, is_number, number_of, of_rows, text
from forwardpass.importers.pytorch.integers import BooleanRef
from forwardpass.importers.pytorch.rows_axis import MovedRef, aligned, arranged, whole
from forwardpass.importers.unsupported import UnsupportedError

_EXACT_SOFTPLUS: Final = 45.0
"""From here on, `log(1 + exp(x))` equals `x` in float64."""

_SAME: Final = (
    *("abs", "neg", "floor", "ceil", "trunc", "frac", "sqrt", "rsqrt", "reciprocal", "log", "log1p", "log2", "log10"),
    *("exp2", "expm1", "logit", "erf", "erfc", "tan", "sinh", "cosh"),
)
_ALSO_ARC: Final = ("sin", "cos", "tan", "sinh", "cosh", "tanh")

_EXPRESSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: EXPRESSIONS[name] for name in _SAME},
        **{f"{word}{name}": EXPRESSIONS[f"a{name}"] for name in _ALSO_ARC for word in ("a", "arc")},
        "fix": EXPRESSIONS["trunc"],
        "tanhshrink": EXPRESSIONS["tanh_shrink"],
        **dict.fromkeys(("sign", "sgn"), "where(x > 0, 1, where(x < 0, -1, 0))"),
        "positive": "x",
        **dict.fromkeys(("entr", "special_entr"), "where(x > 0, -x * log(x), where(x == 0, 0, -1 / (x - x)))"),
    }
)
"""Functions without an activation name, as expressions; in torch, the sign of NaN is 0."""

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            name: name for name in ("relu", "relu6", "selu", "mish", "softsign", "tanh", "sigmoid", "exp", "sin", "cos")
        },
        "silu": "silu",
        "square": "square",
        "expit": "sigmoid",
        "logsigmoid": "log_sigmoid",
        "log_sigmoid": "log_sigmoid",
        "hardsigmoid": "hard_sigmoid",
        "hardswish": "hard_swish",
    }
)
"""The activation of each function without parameters."""


def _function(function: str | Mapping[str, Any]) -> Callable[..., TensorRef]:
    def apply(graph: LayerOperations, x: TensorRef, *, inplace: bool = False) -> TensorRef:
        return graph.activation(x, function)

    return apply


def _combine(graph: LayerOperations, op: str, x: Any, y: Any) -> TensorRef:
    """Combine two operands, of which one may be a number or a constant tensor."""
    if not isinstance(x, TensorRef):
        return combine(graph, op, of_rows(x, y), y)
    return combine(graph, op, x, y if isinstance(y, TensorRef) else of_rows(y, x))


def add(graph: LayerOperations, x: Any, y: Any, *, alpha: float = 1) -> TensorRef:
    """Add tensors, or a constant."""
    return _combine(graph, "add", x, y if alpha == 1 else mul(graph, y, alpha))


def sub(graph: LayerOperations, x: Any, y: Any, *, alpha: float = 1) -> TensorRef:
    """Subtract."""
    return _combine(graph, "sub", x, y if alpha == 1 else mul(graph, y, alpha))


def rsub(graph: LayerOperations, x: Any, y: Any, *, alpha: float = 1) -> TensorRef:
    """Subtract the other way round."""
    return sub(graph, y, x, alpha=alpha)


def mul(graph: LayerOperations, x: Any, y: Any) -> Any:
    """Multiply tensors, or by a constant; two constants have a constant product."""
    if isinstance(x, TensorRef) or isinstance(y, TensorRef):
        return _combine(graph, "mul", x, y)
    return array_of(x) * array_of(y)


def div(graph: LayerOperations, x: Any, y: Any, *, rounding_mode: str | None = None) -> TensorRef:
    """Divide, and round where a mode is given."""
    if rounding_mode == "floor":
        return binary(graph, EXPRESSIONS_OF_TWO["floor_div"], x, y)
    quotient = _combine(graph, "div", x, y)
    return quotient if rounding_mode is None else graph.function(quotient, EXPRESSIONS[rounding_mode])


def power(graph: LayerOperations, x: Any, exponent: Any) -> TensorRef:
    """Raise to a power."""
    if isinstance(x, TensorRef) and is_number(exponent):
        same: str | Mapping[str, Any] = {"expression": f"x ** {text(exponent)}"}
        return graph.activation(x, "square" if number_of(exponent) == 2 else same)
    if isinstance(exponent, TensorRef) and is_number(x):
        return graph.activation(exponent, {"expression": f"{text(x)} ** x"})
    return binary(graph, EXPRESSIONS_OF_TWO["pow"], x, exponent)


def binary(graph: LayerOperations, expression: str, x: Any, y: Any) -> TensorRef:
    """Compute an expression of two operands, of which one may be a number or constant."""
    if not isinstance(x, TensorRef):
        x = graph.constants(y, of_rows(x, y))
    if not isinstance(y, TensorRef):
        if is_number(y):
            return graph.activation(x, {"expression": re.sub(r"\by\b", text(y), expression)})
        y = graph.constants(x, of_rows(y, x))
    return graph.elementwise(expression, x, y)


def _binary(op: str) -> Callable[..., TensorRef]:
    def apply(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
        return binary(graph, EXPRESSIONS_OF_TWO[op], x, y)

    return apply


def _condition(op: str) -> Callable[..., TensorRef]:
    """Return an operation of two operands whose values are 1 and 0."""

    def apply(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
        return boolean(graph, binary(graph, EXPRESSIONS_OF_TWO[op], x, y))

    return apply


def _test(expression: str) -> Callable[..., TensorRef]:
    """Return an operation of one operand whose values are 1 and 0."""

    def apply(graph: LayerOperations, x: TensorRef) -> TensorRef:
        return boolean(graph, graph.activation(x, {"expression": f"where({expression}, 1, 0)"}))

    return apply


def boolean(graph: LayerOperations, x: TensorRef) -> TensorRef:
    """Return a tensor of 1 and 0 as truth values."""
    graph.whole.note_computed(x, 2)
    return BooleanRef(sources=x.sources, index=x.index)


def where(graph: LayerOperations, condition: Any, x: Any, y: Any) -> TensorRef:
    """Choose between two by a condition."""
    if not isinstance(condition, TensorRef):
        like = x if isinstance(x, TensorRef) else y
        condition = graph.constants(like, of_rows(condition, like))
    tensors, names = [condition], ["x"]
    words = []
    for value in (x, y):
        if not isinstance(value, TensorRef) and is_number(value):
            words.append(_literal(number_of(value)))
            continue
        known = value if isinstance(value, TensorRef) else graph.constants(condition, of_rows(value, condition))
        words.append("yz"[len(names) - 1])
        names.append(words[-1])
        tensors.append(known)
    return graph.elementwise(f"where(x != 0, {words[0]}, {words[1]})", *tensors)


def _literal(number: float) -> str:
    """Return a number as the text of an expression in which x is finite."""
    infinite = {np.inf: "1 / (x - x)", -np.inf: "-1 / (x - x)"}
    return infinite.get(number) or ("0 / (x - x)" if np.isnan(number) else text(number))


def masked_fill(graph: LayerOperations, x: Any, mask: Any, value: Any) -> TensorRef:
    """Replace numbers where a mask holds."""
    return where(graph, mask, value, x)


def nan_to_num(graph: LayerOperations, x: TensorRef, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Any:
    """Replace NaN and infinities by numbers."""
    largest = float(np.finfo(graph.dtype).max)
    known = [text(default if value is None else value) for value, default in ((nan, 0.0), (posinf, largest))]
    known.append(text(-largest if neginf is None else neginf))
    infinite = f"where(x > 0, {known[1]}, {known[2]})"
    return graph.activation(x, {"expression": f"where(x != x, {known[0]}, where(x - x != 0, {infinite}, x))"})


def maximum(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
    """Return the larger of two tensors, or of a tensor and a constant."""
    return _combine(graph, "max", x, y)


def minimum(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
    """Return the smaller of two tensors, or of a tensor and a constant."""
    return _combine(graph, "min", x, y)


def clamp(graph: LayerOperations, x: TensorRef, min: Any = None, max: Any = None) -> TensorRef:  # noqa: A002 - torch's words
    """Bound each element."""
    if isinstance(min, TensorRef) or isinstance(max, TensorRef):
        above = x if min is None else maximum(graph, x, min)
        return above if max is None else minimum(graph, above, max)
    if min is not None and max is not None and (of_rows(min, x) > of_rows(max, x)).any():
        raise UnsupportedError("has a lower bound above the upper one")
    return graph.clip(x, *(None if bound is None else of_rows(bound, x) for bound in (min, max)))


def lerp(graph: LayerOperations, start: Any, end: Any, weight: Any) -> TensorRef:
    """Compute `start + weight * (end - start)`."""
    return add(graph, start, mul(graph, sub(graph, end, start), weight))


def addcmul(graph: LayerOperations, x: Any, one: Any, other: Any, *, value: float = 1) -> TensorRef:
    """Compute `x + value * one * other`."""
    product = mul(graph, one, other)
    return add(graph, x, product if value == 1 else mul(graph, product, value))


def addcdiv(graph: LayerOperations, x: Any, one: Any, other: Any, *, value: float = 1) -> TensorRef:
    """Compute `x + value * one / other`."""
    quotient = div(graph, one, other)
    return add(graph, x, quotient if value == 1 else mul(graph, quotient, value))


def rounded(graph: LayerOperations, x: TensorRef, *, decimals: int = 0) -> TensorRef:
    """Round to whole numbers."""
    power = 10**decimals if decimals >= 0 else 1 / 10**-decimals
    return graph.activation(x, {"expression": f"round(x * {text(power)}) / {text(power)}" if decimals else "round(x)"})


def leaky_relu(graph: LayerOperations, x: TensorRef, negative_slope: float = 0.01, inplace: bool = False) -> TensorRef:
    """Apply `leaky_relu`."""
    return graph.activation(x, {"name": "leaky_relu", "negative_slope": negative_slope})


def prelu(graph: LayerOperations, x: TensorRef, weight: Any) -> TensorRef:
    """Apply one learned slope, or one for each channel, which is `relu(x) + slope * min(x, 0)`."""
    slopes = array_of(weight)
    return arithmetic.prelu(graph, x, slopes if slopes.size == 1 else channels(slopes, x))


def rrelu(
    graph: LayerOperations,
    x: TensorRef,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> TensorRef:
    """Apply the mean slope, as inference does."""
    reject_training(training=training)
    return leaky_relu(graph, x, (lower + upper) / 2)


def elu(
    graph: LayerOperations, x: TensorRef, alpha: float = 1.0, scale: float = 1, input_scale: float = 1, **_: Any
) -> TensorRef:
    """Apply `elu`."""
    if scale != 1 or input_scale != 1:
        raise UnsupportedError("scales what it returns; use `scale * elu(x)` instead")
    return graph.activation(x, {"name": "elu", "alpha": alpha})


def celu(graph: LayerOperations, x: TensorRef, alpha: float = 1.0, inplace: bool = False) -> TensorRef:
    """Apply `celu`."""
    return graph.activation(x, {"name": "celu", "alpha": alpha})


def gelu(graph: LayerOperations, x: TensorRef, approximate: str = "none") -> TensorRef:
    """Apply `gelu`, or its approximation by `tanh`."""
    return graph.activation(x, "gelu" if approximate == "none" else "gelu_tanh")


def softplus(graph: LayerOperations, x: TensorRef, beta: float = 1.0, threshold: float = 20.0) -> TensorRef:
    """Apply `softplus`, which in PyTorch is x itself above a threshold."""
    if threshold >= _EXACT_SOFTPLUS:
        return graph.activation(x, {"name": "softplus", "beta": beta})
    inside = "x" if beta == 1 else f"{text(beta)} * x"
    smooth = "softplus(x)" if beta == 1 else f"softplus({inside}) / {text(beta)}"
    return graph.activation(x, {"expression": f"where({inside} > {text(threshold)}, x, {smooth})"})


def hardtanh(
    graph: LayerOperations,
    x: TensorRef,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> TensorRef:
    """Apply `hard_tanh`."""
    return graph.activation(x, {"name": "hard_tanh", "min_value": min_val, "max_value": max_val})


def hardshrink(graph: LayerOperations, x: TensorRef, lambd: float = 0.5) -> TensorRef:
    """Return x where its size is above lambda, else 0."""
    return graph.function(x, SHRINK, lambd=lambd, bias=0.0)


def softshrink(graph: LayerOperations, x: TensorRef, lambd: float = 0.5) -> TensorRef:
    """Move x towards 0 by lambda."""
    return graph.function(x, SHRINK, lambd=lambd, bias=lambd)


def threshold(graph: LayerOperations, x: TensorRef, threshold: float, value: float, inplace: bool = False) -> TensorRef:
    """Return x above a threshold, else a value."""
    return graph.function(x, THRESHOLD, threshold=threshold, value=value)


def dropout(
    graph: LayerOperations, x: TensorRef, p: float = 0.5, training: bool = False, inplace: bool = False
) -> TensorRef:
    """Return x, as inference does."""
    reject_training(training=training)
    return x


def reject_training(*, training: bool) -> None:
    """Reject an operation in training mode, in which it is random or computes something else."""
    if training:
        raise UnsupportedError("is computed as in training; call `.eval()` first, and pass `self.training` on")


def channels(numbers: Any, x: TensorRef) -> Any:
    """Return numbers for the channels, the first axis of a row, in a shape that broadcasts with a row."""
    if not x.shape or x.shape[0] != len(numbers):
        raise UnsupportedError(f"is made for {len(numbers)} channels and gets rows of shape {list(x.shape)}")
    return np.asarray(numbers).reshape(-1, *[1] * (len(x.shape) - 1))


def join(graph: LayerOperations, function: Callable[..., TensorRef], *args: Any, **options: Any) -> TensorRef:
    """Apply an elementwise operation to tensors whose rows are the same axis, wherever that is.

    Raises:
        UnsupportedError: Their rows are different axes.
    """
    tensors = [part for part in (*args, *options.values()) if isinstance(part, TensorRef)]
    from_right, before, after = aligned(tensors)
    if not any(isinstance(part, MovedRef) for part in tensors):
        return function(graph, *args, **options)
    if function is prelu:
        raise UnsupportedError("gets its rows not as the first axis; bring them there, as by `movedim`")

    def with_all_axes(part: Any) -> Any:
        if isinstance(part, TensorRef):
            return whole(part).tensor
        shape = getattr(part, "shape", ())
        if len(shape) >= from_right and shape[len(shape) - from_right] != 1:
            raise UnsupportedError(f"gets a constant of shape {list(shape)}, which is of several rows")
        return part

    named = {key: with_all_axes(part) for key, part in options.items()}
    result = function(graph, *map(with_all_axes, args), **named)
    return arranged(result, result.index, len(result.shape) - from_right, before, after)


_SHORT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "equal": "eq", "not_equal": "ne"}
)
"""The other name of each comparison in torch."""

ELEMENTWISE: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **{name: _function(function) for name, function in NAMES.items()},
        **{name: _function({"expression": expression}) for name, expression in _EXPRESSIONS.items()},
        "add": add,
        "sub": sub,
        "subtract": sub,
        "rsub": rsub,
        "mul": mul,
        "multiply": mul,
        "div": div,
        "divide": div,
        "true_divide": div,
        "truediv": div,
        "pow": power,
        "maximum": maximum,
        "minimum": minimum,
        "clamp": clamp,
        "clip": clamp,
        "hardtanh": hardtanh,
        "clamp_min": clamp,
        "clamp_max": lambda graph, x, max: clamp(graph, x, None, max),  # noqa: A006 - torch's word
        "leaky_relu": leaky_relu,
        "prelu": prelu,
        "rrelu": rrelu,
        "elu": elu,
        "celu": celu,
        "gelu": gelu,
        "softplus": softplus,
        "hardshrink": hardshrink,
        "softshrink": softshrink,
        "threshold": threshold,
        **dict.fromkeys(("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"), dropout),
        **dict.fromkeys(("dropout1d", "dropout2d", "dropout3d"), dropout),
        **{name: _condition(op) for op, name in _SHORT_NAMES.items()},
        **{op: _condition(op) for op in _SHORT_NAMES if op != "equal"},
        **{
            name: _condition(word)
            for word in ("and", "or", "xor")
            for name in (f"logical_{word}", f"bitwise_{word}", f"{word}_", f"__{word}__", word)
        },
        **dict.fromkeys(("logical_not", "bitwise_not", "invert"), _test("x == 0")),
        "bool": _test("x != 0"),
        "isnan": _test("x != x"),
        "isinf": _test("x == x and x - x != 0"),
        "isfinite": _test("x - x == 0"),
        "where": where,
        "masked_fill": masked_fill,
        "nan_to_num": nan_to_num,
        "remainder": _binary("mod"),
        "mod": _binary("mod"),
        "fmod": _binary("fmod"),
        "floor_divide": _binary("floor_div"),
        "floordiv": _binary("floor_div"),
        "hypot": _binary("hypot"),
        "heaviside": _binary("heaviside"),
        **dict.fromkeys(("atan2", "arctan2"), _binary("atan2")),
        **dict.fromkeys(("xlogy", "special_xlogy"), _binary("xlogy")),
        "round": rounded,
        "lerp": lerp,
        "addcmul": addcmul,
        "addcdiv": addcdiv,
    }
)
"""The function for each operation, by its name in torch."""
