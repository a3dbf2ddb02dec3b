"""The sizes of the numbers that layers and functions add up, to which their rounding errors are relative."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.reference.formulas import FORMULAS
from forwardpass.spec import Layer
from forwardpass.tensors import Array

_MULTIPLIED: Final = frozenset({"weights", "bias", "scale", "shift"})
"""The arrays of layers that are multiplied or added."""
_SHORT_SUM: Final = 64
"""The terms that are added up, in several lanes, by an error that does not grow with their number."""


def sizes_of_sums(layer: Layer, read: Array, sums: Array) -> Any:
    """Return the size of what each pre-activation was added up from, of the shape of the sums.

    Args:
        layer: The layer.
        read: `(rows, inputs)`, what it reads.
        sums: `(rows, outputs)`, its pre-activations.
    """
    if (special := _SPECIAL.get(layer.kind)) is not None:
        return special(read, sums, **layer.arrays, **layer.settings)
    arrays = {name: np.abs(array) if name in _MULTIPLIED else array for name, array in layer.arrays.items()}
    added = FORMULAS[layer.kind](np.abs(read), **arrays, **layer.settings)
    growth = max(1.0, (arrays["weights"].shape[1] / _SHORT_SUM) ** 0.5) if "weights" in arrays else 1.0
    # A NaN comes from categories and the like, which are not added up.
    return np.fmax(added * growth, np.abs(sums))


def _batch_norm(x: Array, _: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    deviation = np.sqrt(variance + epsilon)
    sizes: Array = np.abs(gamma) * (np.abs(x) + np.abs(mean)) / deviation + np.abs(beta)
    return sizes


def _layer_norm(x: Array, sums: Array, gamma: Array, beta: Array, epsilon: float, groups: int = 1) -> Array:
    """Count the variance as the mean of squares less the square of the mean, as some frameworks compute it."""
    wide = x.reshape(len(x), groups, -1)
    variance = wide.var(axis=2, keepdims=True) + epsilon
    from_mean = np.abs(wide).max(axis=2, keepdims=True) / np.sqrt(variance)
    from_variance = (wide * wide).mean(axis=2, keepdims=True) / variance
    each = [np.broadcast_to(part, wide.shape).reshape(x.shape) for part in (from_mean, from_variance)]
    sizes: Array = each[0] * np.abs(gamma) + np.abs(sums - beta) * each[1] + np.abs(beta)
    return sizes


def _group_sparsemax(x: Array, sums: Array, groups: int) -> Array:
    largest = np.abs(x).reshape(len(x), groups, -1).max(axis=2)
    sizes: Array = np.fmax(np.repeat(largest, x.shape[1] // groups, axis=1), np.abs(sums))
    return sizes


_SPECIAL: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "batch_norm": _batch_norm,
        "layer_norm": _layer_norm,
        "group_softmax": lambda _, sums, **__: np.abs(sums),
        "group_sparsemax": _group_sparsemax,
    }
)


def size_of_value(function: str, z: Any, values: Array) -> Any:
    """Return the size of what each value of a function was added up from; 0 where the function is exact.

    Args:
        function: The name of an activation, or of a function or operator in an expression.
        z: What the function was applied to.
        values: What it returned.
    """
    if function in EXACT:
        return np.zeros_like(values)
    least = _LEAST.get(function)
    return np.abs(values) if least is None else np.fmax(np.abs(values), least(z))


EXACT: Final = frozenset({"identity", "relu", "relu6", "hard_tanh", "step"})
"""Functions whose values are not rounded."""
_LEAST: Final[Mapping[str, Callable[[Array], Any]]] = MappingProxyType(
    {
        **dict.fromkeys(("elu", "selu", "celu", "softplus", "log_sigmoid", "sin", "cos", "sigmoid"), lambda _: 1.0),
        "tanh": lambda _: 2.0,  # 2 * sigmoid(2 * z) - 1
        **dict.fromkeys(("gelu", "gelu_tanh", "mish", "silu"), np.abs),
        **dict.fromkeys(("log_softmax", "sparsemax"), lambda z: np.abs(z).max(axis=1, keepdims=True)),
    }
)
"""The size of the parts that cancel in the usual formula, for pre-activations z."""
