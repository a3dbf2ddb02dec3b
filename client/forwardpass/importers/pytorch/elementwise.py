"""Elementwise operations: sums, products, and functions of one element.

A number or a constant tensor becomes a layer's scale, shift or bound, or a constant in its expression; a tensor that
depends on the rows becomes a merge.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.pytorch.constants import is_number, number_of, of_rows, text
from forwardpass.importers.unsupported import UnsupportedError

_EXACT_SOFTPLUS: Final = 45.0
"""From here on, `log(1 + exp(x))` equals `x` in float64."""

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
"""Functions without an activation name, as expressions."""

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


def add(graph: LayerOperations, x: Any, y: Any, *, alpha: float = 1) -> TensorRef:
    """Add tensors, or a constant."""
    if not isinstance(x, TensorRef):
        return graph.scale_shift(y, None if alpha == 1 else of_rows(alpha, y), of_rows(x, y))
    if isinstance(y, TensorRef):
        return graph.merge([x, y if alpha == 1 else mul(graph, y, alpha)], "sum")
    return graph.scale_shift(x, None, of_rows(y, x) * alpha)


def sub(graph: LayerOperations, x: Any, y: Any, *, alpha: float = 1) -> TensorRef:
    """Subtract, by adding the negative, which gives the same bits."""
    return add(graph, x, y, alpha=-alpha)


def rsub(graph: LayerOperations, x: Any, y: Any, *, alpha: float = 1) -> TensorRef:
    """Subtract the other way round."""
    return sub(graph, y, x, alpha=alpha)


def mul(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
    """Multiply tensors, or by a constant."""
    if isinstance(x, TensorRef) and isinstance(y, TensorRef):
        return graph.merge([x, y], "multiply")
    rows, constant = (x, y) if isinstance(x, TensorRef) else (y, x)
    return graph.scale_shift(rows, of_rows(constant, rows), None)


def div(graph: LayerOperations, x: Any, y: Any, *, rounding_mode: str | None = None) -> TensorRef:
    """Divide; a division by a tensor is a product with its reciprocal."""
    if rounding_mode is not None:
        raise UnsupportedError(f"rounds by {rounding_mode!r}, which no layer does")
    if isinstance(y, TensorRef):
        if is_number(x):
            return graph.activation(y, {"expression": f"{text(x)} / x"})
        return mul(graph, x, graph.activation(y, {"expression": "1 / x"}))
    if is_number(y):
        return graph.activation(x, {"expression": f"x / {text(y)}"})
    return graph.scale_shift(x, 1 / of_rows(y, x), None)


def power(graph: LayerOperations, x: Any, exponent: Any) -> TensorRef:
    """Raise to a constant power, or a constant to a power."""
    if isinstance(x, TensorRef) and is_number(exponent):
        same: str | Mapping[str, Any] = {"expression": f"x ** {text(exponent)}"}
        return graph.activation(x, "square" if number_of(exponent) == 2 else same)
    if isinstance(exponent, TensorRef) and is_number(x):
        return graph.activation(exponent, {"expression": f"{text(x)} ** x"})
    raise UnsupportedError("raises to a power that is no number; use `exp(y * log(x))` instead")


def maximum(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
    """Return the larger of two tensors, or of a tensor and a constant."""
    if isinstance(x, TensorRef) and isinstance(y, TensorRef):
        return graph.merge([x, y], "max")
    rows, constant = (x, y) if isinstance(x, TensorRef) else (y, x)
    return graph.clip(rows, of_rows(constant, rows), None)


def minimum(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
    """Return the smaller of two, as the negative maximum of the negatives."""
    if isinstance(x, TensorRef) and isinstance(y, TensorRef):
        return _negative(graph, graph.merge([_negative(graph, x), _negative(graph, y)], "max"))
    rows, constant = (x, y) if isinstance(x, TensorRef) else (y, x)
    return graph.clip(rows, None, of_rows(constant, rows))


def clamp(graph: LayerOperations, x: TensorRef, min: Any = None, max: Any = None) -> TensorRef:  # noqa: A002 - torch's words
    """Bound by constants."""
    if isinstance(min, TensorRef) or isinstance(max, TensorRef):
        raise UnsupportedError("has bounds that depend on the rows; use `torch.maximum` and `torch.minimum` instead")
    if min is not None and max is not None and (of_rows(min, x) > of_rows(max, x)).any():
        raise UnsupportedError("has a lower bound above the upper one")
    return graph.clip(x, *(None if bound is None else of_rows(bound, x) for bound in (min, max)))


def leaky_relu(graph: LayerOperations, x: TensorRef, negative_slope: float = 0.01, inplace: bool = False) -> TensorRef:
    """Apply `leaky_relu`."""
    return graph.activation(x, {"name": "leaky_relu", "negative_slope": negative_slope})


def prelu(graph: LayerOperations, x: TensorRef, weight: Any) -> TensorRef:
    """Apply one learned slope, or one for each channel, which is `relu(x) + slope * min(x, 0)`."""
    slopes = np.asarray(weight.detach())
    if slopes.size == 1:
        return graph.activation(x, {"name": "prelu", "slope": float(slopes.ravel()[0])})
    below = graph.scale_shift(graph.clip(x, None, of_rows(0, x)), of_rows(channels(slopes, x), x), None)
    return graph.merge([graph.activation(x, "relu"), below], "sum")


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
    return graph.activation(x, {"expression": f"where(abs(x) > {text(lambd)}, x, 0)"})


def softshrink(graph: LayerOperations, x: TensorRef, lambd: float = 0.5) -> TensorRef:
    """Move x towards 0 by lambda."""
    edge = text(lambd)
    return graph.activation(x, {"expression": f"where(x > {edge}, x - {edge}, where(x < -{edge}, x + {edge}, 0))"})


def threshold(graph: LayerOperations, x: TensorRef, threshold: float, value: float, inplace: bool = False) -> TensorRef:
    """Return x above a threshold, else a value."""
    return graph.activation(x, {"expression": f"where(x > {text(threshold)}, x, {text(value)})"})


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


def reject_choice(*_: Any, **__: Any) -> NoReturn:
    """Reject conditions on computed numbers."""
    raise UnsupportedError(
        "chooses by what was computed, which no layer does; use `torch.clamp`, `torch.maximum` or an activation instead"
    )


def _negative(graph: LayerOperations, x: TensorRef) -> TensorRef:
    return graph.activation(x, {"expression": "-x"})


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
        **dict.fromkeys(("where", "gt", "ge", "lt", "le", "eq", "ne", "masked_fill", "bool"), reject_choice),
    }
)
"""The function for each operation, by its name in torch."""
