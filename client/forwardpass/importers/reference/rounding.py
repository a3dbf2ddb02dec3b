"""The difference that rounding alone can make to each output of a row.

A row is computed in float64 several times. Each time, every sum and every function is off by its error bound with a
random sign; the bound is the unit roundoff times the sizes of the numbers that were added up. This is the running
error analysis of Higham, "Accuracy and Stability of Numerical Algorithms" (2002), section 3.3, with the random signs
of Monte Carlo arithmetic (Parker, 1997): the worst case of all signs is orders of magnitude above any error that
occurs. The largest distance of the disturbed outputs from the undisturbed ones is the bound of an output. It grows
with the numbers that flow through the network, so that rows far out and outputs that nearly cancel have larger
bounds. Where an error decides about a step, the bound is the height of the step.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from forwardpass.importers.reference.walk import walk
from forwardpass.spec import Activation, NetworkSpec, expressions
from forwardpass.tensors import Array

_SAMPLES: Final = 8
_UNITS: Final = 8.0
"""The bound of the error of one sum or function, in unit roundoffs; those of frameworks are below 1 nearly always."""
_MAX_NUMBERS: Final = 8_000_000
"""Numbers of one layer in all samples, which bounds the memory."""
_SIGNIFICANT: Final = 2.0**24
"""Whole numbers below are the same in every dtype, and sums and functions of few of them are exact."""


def rounding_bounds(spec: NetworkSpec, rows: Array) -> tuple[Array, Array]:
    """Return the outputs in float64, and how far from them rounding in the network's dtype may lead.

    Args:
        spec: The network.
        rows: `(rows, inputs)`, in numbers of the network's dtype.

    Returns:
        Two arrays `(rows, outputs)` float64.
    """
    wide = replace(spec, dtype="float64")
    error = one_error(spec.dtype)
    widest = max([spec.inputs.width, *(max(layer.inputs, layer.outputs) for layer in spec.layers)])
    step = max(1, _MAX_NUMBERS // (widest * (_SAMPLES + 1)))
    parts = [_bounds(wide, rows[start : start + step].astype(np.float64), error) for start in range(0, len(rows), step)]
    exact = np.concatenate([outputs for outputs, _ in parts])
    bounds = np.concatenate([bound for _, bound in parts])
    return exact, np.maximum(bounds, error * row_sizes(spec, exact))


def one_error(dtype: str) -> float:
    """Return the largest error of one sum or function in a dtype, relative to the sizes of what it adds up."""
    return _UNITS * float(np.finfo(dtype).eps) / 2


def _bounds(spec: NetworkSpec, rows: Array, error: float) -> tuple[Array, Array]:
    computed = walk(spec, np.tile(rows, (_SAMPLES + 1, 1)), _Rounding(rows=len(rows), error=error))
    samples = computed.reshape(_SAMPLES + 1, len(rows), -1)
    exact = samples[0]
    with np.errstate(all="ignore"):
        apart = np.abs(samples - exact)
    apart[(samples == exact) | (np.isnan(samples) & np.isnan(exact))] = 0.0
    apart[np.isnan(apart)] = np.inf  # rounding decides whether there is a number
    return exact, apart.max(axis=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rounding:
    """Puts all rows but those of the first sample off by errors of random signs.

    Attributes:
        rows: The number of rows of a sample.
        error: The error of a number of size 1.
    """

    rows: int
    error: float
    _random: Any = field(default_factory=lambda: np.random.default_rng(0))

    def __call__(self, values: Array, sizes: Any) -> Array:
        exact = (values == np.round(values)) & (np.abs(values) < _SIGNIFICANT) | ~np.isfinite(values)
        signs = self._random.integers(0, 2, values.shape, dtype=np.int8) * 2.0 - 1.0
        signs[: self.rows] = 0.0
        if len(np.atleast_1d(sizes)) == self.rows != len(values):
            sizes = np.tile(sizes, (len(values) // self.rows, 1))
        off: Array = np.where(exact, values, values + signs * (self.error * sizes))
        return off


def row_sizes(spec: NetworkSpec, outputs: Array) -> Array:
    """Return the size of the numbers of a row that each output may be computed from, as one probability from another.

    That is the largest output of the same layer. Outputs that are smaller in all rows have units of their own; the
    probabilities of a softmax or sigmoid have one unit, and come from numbers as large as 1.
    """
    sizes = np.abs(np.where(np.isfinite(outputs), outputs, 0.0))
    layers = {layer.name: layer for layer in spec.layers}
    start = 0
    for name in spec.output_layers:
        own = sizes[:, start : start + layers[name].outputs]
        if _outermost(layers[name].activation) in _PROBABILITIES:
            own[:] = 1.0
        else:
            own[:] = np.minimum(own.max(axis=1, keepdims=True), own.max(axis=0))
        start += layers[name].outputs
    return sizes


def _outermost(activation: Activation) -> str:
    """Return the name of an activation, or of the function that an expression applies last."""
    if not activation.expression:
        return activation.name
    return getattr(expressions.parse(activation.expression, activation.parameters), "function", "")


_PROBABILITIES: Final = frozenset({"softmax", "sigmoid"})
