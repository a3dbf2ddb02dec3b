"""A plain pass through a spec's layers, by the formulas as textbooks have them.

It shares no line with the server's core, so that the two prove one another: an import compares the framework with
this, and the server computes the spec's examples, which are the framework's numbers.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array


def compute(spec: NetworkSpec, rows: Array) -> Array:
    """Compute a chain whose functions are in `FUNCTIONS`.

    Args:
        spec: The network.
        rows: `(rows, inputs)`; rounded to the network's dtype.

    Returns:
        `(rows, outputs)` in the network's dtype.
    """
    values = rows.astype(spec.dtype)
    with np.errstate(all="ignore"):
        if spec.inputs.mean is not None:
            values = values - spec.inputs.mean
        if spec.inputs.scale is not None:
            values = values / spec.inputs.scale
        for layer in spec.layers:
            values = FUNCTIONS[layer.activation.name](values @ layer.weights.T + layer.bias)
    return values


def _softmax(z: Array) -> Array:
    powers: Array = np.exp(z - z.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


FUNCTIONS: Final[Mapping[str, Callable[[Array], Array]]] = MappingProxyType(
    {
        "identity": lambda z: z,
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "softmax": _softmax,
        "exp": np.exp,
    }
)
"""The functions that importers make use of, each of pre-activations `(rows, nodes)`."""
