"""Operations that work number by number: sums, products, and functions of one number.

A number or a constant tensor becomes a layer's scale, shift or bound, or a constant in its expression; a tensor that
depends on the rows becomes a merge.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

import numpy as np

from forwardpass.importers.pytorch.building import Builder, RefusedError
from forwardpass.importers.pytorch.constants import is_number, number_of, of_rows, text
from forwardpass.importers.pytorch.rows import Rows

_EXACT_SOFTPLUS: Final = 45.0
"""From here on, `log(1 + exp(x))` and `x` are one number in float64 too."""

EXPRESSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "abs": "abs(x)",
        "sqrt": "sqrt(x)",
        "rsqrt": "1 / sqrt(x)",
        "reciprocal": "1 / x",
        "log": "log(x)",
        "log1p": "log1p(x)",
        "log2": "log(x) / log(2)",
        "log10": "log(x) / log(10)",
        "exp2": "2 ** x",
        "expm1": "expm1(x)",
        "erf": "erf(x)",
        "erfc": "erfc(x)",
        "neg": "-x",
        "tan": "sin(x) / cos(x)",
        "sinh": "(exp(x) - exp(-x)) / 2",
        "cosh": "(exp(x) + exp(-x)) / 2",
        "tanhshrink": "x - tanh(x)",
    }
)
"""Functions that a spec has no name for, as expressions."""

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
"""Functions without parameters that a spec has a name for."""


def _function(function: str | Mapping[str, Any]) -> Callable[..., Rows]:
    def apply(build: Builder, x: Rows, *, inplace: bool = False) -> Rows:
        return build.function(x, function)

    return apply


def add(build: Builder, x: Any, y: Any, *, alpha: float = 1) -> Rows:
    """Add tensors, or a constant."""
    if not isinstance(x, Rows):
        return build.scale_shift(y, None if alpha == 1 else of_rows(alpha, y), of_rows(x, y))
    if isinstance(y, Rows):
        return build.merge([x, y if alpha == 1 else mul(build, y, alpha)], "sum")
    return build.scale_shift(x, None, of_rows(y, x) * alpha)


def sub(build: Builder, x: Any, y: Any, *, alpha: float = 1) -> Rows:
    """Subtract; minus a tensor is plus its negative, which has the same bits."""
    return add(build, x, y, alpha=-alpha)


def rsub(build: Builder, x: Any, y: Any, *, alpha: float = 1) -> Rows:
    """Subtract the other way round."""
    return sub(build, y, x, alpha=alpha)


def mul(build: Builder, x: Any, y: Any) -> Rows:
    """Multiply tensors, or by a constant."""
    if isinstance(x, Rows) and isinstance(y, Rows):
        return build.merge([x, y], "multiply")
    rows, constant = (x, y) if isinstance(x, Rows) else (y, x)
    return build.scale_shift(rows, of_rows(constant, rows), None)


def div(build: Builder, x: Any, y: Any, *, rounding_mode: str | None = None) -> Rows:
    """Divide; by a tensor is times its reciprocal."""
    if rounding_mode is not None:
        raise RefusedError(f"rounds by {rounding_mode!r}, which no layer does")
    if isinstance(y, Rows):
        if is_number(x):
            return build.function(y, {"expression": f"{text(x)} / x"})
        return mul(build, x, build.function(y, {"expression": "1 / x"}))
    if is_number(y):
        return build.function(x, {"expression": f"x / {text(y)}"})
    return build.scale_shift(x, 1 / of_rows(y, x), None)


def power(build: Builder, x: Any, exponent: Any) -> Rows:
    """Raise to a constant power, or a constant to a power."""
    if isinstance(x, Rows) and is_number(exponent):
        same: str | Mapping[str, Any] = {"expression": f"x ** {text(exponent)}"}
        return build.function(x, "square" if number_of(exponent) == 2 else same)
    if isinstance(exponent, Rows) and is_number(x):
        return build.function(exponent, {"expression": f"{text(x)} ** x"})
    raise RefusedError("raises to a power that is no number; `exp(y * log(x))` is what could replace it")


def maximum(build: Builder, x: Any, y: Any) -> Rows:
    """Return the larger of two, one of them perhaps constant."""
    if isinstance(x, Rows) and isinstance(y, Rows):
        return build.merge([x, y], "max")
    rows, constant = (x, y) if isinstance(x, Rows) else (y, x)
    return build.clip(rows, of_rows(constant, rows), None)


def minimum(build: Builder, x: Any, y: Any) -> Rows:
    """Return the smaller of two, as minus the larger of both negatives."""
    if isinstance(x, Rows) and isinstance(y, Rows):
        return _negative(build, build.merge([_negative(build, x), _negative(build, y)], "max"))
    rows, constant = (x, y) if isinstance(x, Rows) else (y, x)
    return build.clip(rows, None, of_rows(constant, rows))


def clamp(build: Builder, x: Rows, min: Any = None, max: Any = None) -> Rows:  # noqa: A002 - torch's words
    """Bound by constants."""
    if isinstance(min, Rows) or isinstance(max, Rows):
        raise RefusedError("has bounds that depend on the rows; `torch.maximum` and `torch.minimum` could replace it")
    if min is not None and max is not None and (of_rows(min, x) > of_rows(max, x)).any():
        raise RefusedError("has a lower bound above the upper one")
    return build.clip(x, *(None if bound is None else of_rows(bound, x) for bound in (min, max)))


def leaky_relu(build: Builder, x: Rows, negative_slope: float = 0.01, inplace: bool = False) -> Rows:
    """Apply `leaky_relu`."""
    return build.function(x, {"name": "leaky_relu", "negative_slope": negative_slope})


def prelu(build: Builder, x: Rows, weight: Any) -> Rows:
    """Apply one learned slope, or one for each channel, which is `relu(x) + slope * min(x, 0)`."""
    slopes = np.asarray(weight.detach())
    if slopes.size == 1:
        return build.function(x, {"name": "prelu", "slope": float(slopes.ravel()[0])})
    below = build.scale_shift(build.clip(x, None, of_rows(0, x)), of_rows(channels(slopes, x), x), None)
    return build.merge([build.function(x, "relu"), below], "sum")


def rrelu(
    build: Builder,
    x: Rows,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Rows:
    """Apply the mean slope, as inference does."""
    refuse_training(training=training)
    return leaky_relu(build, x, (lower + upper) / 2)


def elu(build: Builder, x: Rows, alpha: float = 1.0, scale: float = 1, input_scale: float = 1, **_: Any) -> Rows:
    """Apply `elu`."""
    if scale != 1 or input_scale != 1:
        raise RefusedError("scales what it returns; `scale * elu(x)` is what could replace it")
    return build.function(x, {"name": "elu", "alpha": alpha})


def celu(build: Builder, x: Rows, alpha: float = 1.0, inplace: bool = False) -> Rows:
    """Apply `celu`."""
    return build.function(x, {"name": "celu", "alpha": alpha})


def gelu(build: Builder, x: Rows, approximate: str = "none") -> Rows:
    """Apply `gelu`, or its approximation by `tanh`."""
    return build.function(x, "gelu" if approximate == "none" else "gelu_tanh")


def softplus(build: Builder, x: Rows, beta: float = 1.0, threshold: float = 20.0) -> Rows:
    """Apply `softplus`, which in PyTorch is x itself above a threshold."""
    if threshold >= _EXACT_SOFTPLUS:
        return build.function(x, {"name": "softplus", "beta": beta})
    inside = "x" if beta == 1 else f"{text(beta)} * x"
    smooth = "softplus(x)" if beta == 1 else f"softplus({inside}) / {text(beta)}"
    return build.function(x, {"expression": f"where({inside} > {text(threshold)}, x, {smooth})"})


def hardtanh(
    build: Builder,
    x: Rows,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Rows:
    """Apply `hard_tanh`."""
    return build.function(x, {"name": "hard_tanh", "min_value": min_val, "max_value": max_val})


def hardshrink(build: Builder, x: Rows, lambd: float = 0.5) -> Rows:
    """Return x where it is further than lambda from 0, else 0."""
    return build.function(x, {"expression": f"where(abs(x) > {text(lambd)}, x, 0)"})


def softshrink(build: Builder, x: Rows, lambd: float = 0.5) -> Rows:
    """Bring x nearer to 0 by lambda."""
    edge = text(lambd)
    return build.function(x, {"expression": f"where(x > {edge}, x - {edge}, where(x < -{edge}, x + {edge}, 0))"})


def threshold(build: Builder, x: Rows, threshold: float, value: float, inplace: bool = False) -> Rows:
    """Return x above a threshold, else a value."""
    return build.function(x, {"expression": f"where(x > {text(threshold)}, x, {text(value)})"})


def dropout(build: Builder, x: Rows, p: float = 0.5, training: bool = False, inplace: bool = False) -> Rows:
    """Return x, as inference does."""
    refuse_training(training=training)
    return x


def refuse_training(*, training: bool) -> None:
    """Refuse what computes something else, or by chance, while a module is trained."""
    if training:
        raise RefusedError("is computed as in training; call `.eval()` first, and pass `self.training` on")


def channels(numbers: Any, x: Rows) -> Any:
    """Return a number for each channel, the first axis of a row, in a shape that goes with a row."""
    if not x.shape or x.shape[0] != len(numbers):
        raise RefusedError(f"is made for {len(numbers)} channels and gets rows of shape {list(x.shape)}")
    return np.asarray(numbers).reshape(-1, *[1] * (len(x.shape) - 1))


def refuse_choice(*_: Any, **__: Any) -> NoReturn:
    """Refuse conditions on what a module computes."""
    raise RefusedError(
        "chooses by what was computed, which no layer does; `torch.clamp`, `torch.maximum` or an activation is what "
        "could replace it"
    )


def _negative(build: Builder, x: Rows) -> Rows:
    return build.function(x, {"expression": "-x"})


ELEMENTWISE: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **{name: _function(function) for name, function in NAMES.items()},
        **{name: _function({"expression": expression}) for name, expression in EXPRESSIONS.items()},
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
        "clamp_max": lambda build, x, max: clamp(build, x, None, max),  # noqa: A006 - torch's word
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
        **dict.fromkeys(("where", "gt", "ge", "lt", "le", "eq", "ne", "masked_fill", "bool"), refuse_choice),
    }
)
"""What each operation does, by its name in torch."""
