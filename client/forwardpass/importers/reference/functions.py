"""The activation functions as docs/reference/activations.md writes them, and a network's own expressions."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass.importers.reference.formulas import project_onto_simplex
from forwardpass.importers.reference.magnitudes import size_of_value
from forwardpass.spec import Activation, expressions
from forwardpass.spec.fields.formula import OPERANDS, fold_formula
from forwardpass.tensors import Array

Disturb: TypeAlias = Callable[[Array, Any], Array]
"""Puts values off by errors relative to the given sizes."""


def function_of(activation: Activation, dtype: str, disturb: Disturb | None = None) -> Callable[[Array], Any]:
    """Return an activation function of pre-activations `(rows, nodes)`.

    Args:
        activation: The activation.
        dtype: The dtype of the network.
        disturb: Puts the result of each operation of an expression off.
    """
    if not activation.expression:
        function = FUNCTIONS[activation.name]
        return lambda z: function(z, **activation.parameters)
    tree = expressions.fold(
        expressions.parse(activation.expression, activation.parameters), activation.parameters, dtype
    )
    return lambda z: np.broadcast_to(evaluate(tree, disturb, x=z), z.shape).astype(z.dtype)


def evaluate(tree: Any, disturb: Disturb | None = None, **values: Array) -> Any:
    """Compute a folded expression of variables, arrays of one shape and dtype; put each result off if need be."""
    if isinstance(tree, str):
        return values[tree]
    if not isinstance(tree, tuple):
        return tree if isinstance(tree, bool) else values["x"].dtype.type(tree)
    name, *parts = tree
    operands = [evaluate(part, disturb, **values) for part in parts]
    found = _OPERATIONS[name](*operands)
    if disturb is None or name in _CHOOSING or np.shape(found) != values["x"].shape or found.dtype == bool:
        return found
    return disturb(found, size_of_value(name, operands[0], found))


def formula_of(expression: str, dtype: str, disturb: Disturb | None = None) -> Callable[..., Any]:
    """Return the function of the parts of an elementwise layer, arrays of one shape."""
    tree = fold_formula(expression, dtype)
    return lambda *values: evaluate(tree, disturb, **dict(zip(OPERANDS, values, strict=False)))


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[np.float64])(np.asarray(x, np.float64))


def _erfc(x: Any) -> Any:
    return np.vectorize(math.erfc, otypes=[np.float64])(np.asarray(x, np.float64))


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _softplus(z: Any, beta: float = 1.0) -> Any:
    return np.logaddexp(0, beta * z) / beta


def _elu(z: Any, alpha: float = 1.0) -> Any:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def _celu(z: Any, alpha: float = 1.0) -> Any:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha))


def _gelu(z: Any) -> Any:
    return z * _erfc(-z / math.sqrt(2)) / 2


def _gelu_tanh(z: Any) -> Any:
    wide = z.astype(np.float64)
    return wide * _sigmoid(2 * math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3))


def _relu6(z: Any) -> Any:
    return np.clip(z, 0, 6)


def _softmax(z: Any) -> Any:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _log_softmax(z: Any) -> Any:
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _leaky(z: Any, negative_slope: float) -> Any:
    return np.where(z > 0, z, negative_slope * z)


def _prelu(z: Any, slope: float) -> Any:
    return np.where(z > 0, z, slope * z)


def _hard_tanh(z: Any, min_value: float, max_value: float) -> Any:
    return np.clip(z, min_value, max_value)


_SELU_ALPHA: Final = 1.6732632423543772848170429916717
_SELU_SCALE: Final = 1.0507009873554804934193349852946

_PLAIN: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "identity": lambda z: z,
        "relu": lambda z: np.maximum(z, 0),
        "leaky_relu": _leaky,
        "prelu": _prelu,
        "relu6": _relu6,
        "elu": _elu,
        "selu": lambda z: _SELU_SCALE * _elu(z, _SELU_ALPHA),
        "celu": _celu,
        "gelu": _gelu,
        "gelu_tanh": _gelu_tanh,
        "silu": lambda z: z * _sigmoid(z),
        "mish": lambda z: z * np.tanh(_softplus(z)),
        "softplus": _softplus,
        "softsign": lambda z: z / (1 + np.abs(z)),
        "tanh": np.tanh,
        "sigmoid": _sigmoid,
        "hard_sigmoid": lambda z: _relu6(z + 3) / 6,
        "hard_tanh": _hard_tanh,
        "hard_swish": lambda z: z * (_relu6(z + 3) / 6),
        "log_sigmoid": lambda z: -_softplus(-z),
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "sparsemax": project_onto_simplex,
        "exp": np.exp,
        "sin": np.sin,
        "cos": np.cos,
        "gaussian": lambda z: np.exp(-(z.astype(np.float64) ** 2)),
        "step": lambda z, threshold: z >= threshold,
        "square": lambda z: z * z,
    }
)


def _in_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda z, **parameters: np.asarray(function(z, **parameters)).astype(z.dtype)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {name: _in_dtype(function) for name, function in _PLAIN.items()}
)
"""The function of each activation, called with pre-activations and parameters; it keeps the dtype."""

_OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "or": np.logical_or,
        "and": np.logical_and,
        "not": np.logical_not,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "==": np.equal,
        "!=": np.not_equal,
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "**": np.power,
        "neg": np.negative,
        "where": np.where,
        "min": np.minimum,
        "max": np.maximum,
        "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
        "abs": np.abs,
        "sqrt": np.sqrt,
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "floor": np.floor,
        "ceil": np.ceil,
        "round": np.round,
        "mod": np.mod,
        "erf": _erf,
        "erfc": _erfc,
        "relu": FUNCTIONS["relu"],
        "sigmoid": FUNCTIONS["sigmoid"],
        "softplus": FUNCTIONS["softplus"],
    }
)

_CHOOSING: Final = frozenset({"neg", "where", "min", "max", "clip", "abs", "relu"})
"""Operations whose results are not rounded."""
