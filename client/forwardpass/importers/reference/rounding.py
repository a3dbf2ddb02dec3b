"""The difference that rounding alone can make to each output of a row.

A row is computed in float64 several times. Each time, every sum and every function is off by its error bound with a
random sign; the bound is the unit roundoff times the sizes of the numbers that were added up. This is the running
error analysis of Higham, "Accuracy and Stability of Numerical Algorithms" (2002), section 3.3, with the random signs
of Monte Carlo arithmetic (Parker, 1997): the worst case of all signs is orders of magnitude above any error that
occurs. The largest distance of the disturbed outputs from the undisturbed ones is the bound of an output. It grows
with the numbers that flow through the network, so that rows far out and outputs that nearly cancel have larger
bounds. Where an error decides about a step, the bound is the height of the step.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from forwardpass.differences import differences
from forwardpass.importers.progress import Progress, Step
from forwardpass.importers.reference.walk import compute, rows_at_once, walk
from forwardpass.spec import Activation, NetworkSpec, expressions
from forwardpass.tensors import Array

_SAMPLES: Final = 8
_AT_ONCE: Final = 2
"""Samples that are computed together, after which rows with large enough bounds are left."""
_UNITS: Final = 8.0
"""The bound of the error of one sum or function, in unit roundoffs; those of frameworks are below 1 nearly always."""
_SIGNIFICANT: Final = 2.0**24
"""Whole numbers below are the same in every dtype, and sums and functions of few of them are exact."""


class Enough(Protocol):
    """Decides which rows need no larger bounds."""

    def __call__(self, places: NDArray[np.intp], exact: Array, bounds: Array) -> NDArray[np.bool_]:
        """Return for each row whether its bounds are large enough.

        Args:
            places: `(rows,)`, the places of the rows among all rows.
            exact: `(rows, outputs)` float64, their outputs.
            bounds: `(rows, outputs)` float64, their bounds as far as they are known. They only grow.
        """


def rounding_bounds(
    spec: NetworkSpec, rows: Array, enough: Enough | None = None, progress: Progress | None = None
) -> tuple[Array, Array]:
    """Return the outputs in float64, and how far from them rounding in the network's dtype may lead.

    Args:
        spec: The network.
        rows: `(rows, inputs)`, in numbers of the network's dtype.
        enough: Says for which rows smaller bounds do, which take less time; all bounds are whole without it.
        progress: Receives how many rows have their bounds.

    Returns:
        Two arrays `(rows, outputs)` float64.
    """
    wide = replace(spec, dtype="float64")
    rows = rows.astype(np.float64)
    exact = compute(wide, rows)
    error = one_error(spec.dtype)
    bounds = error * row_sizes(spec, exact)
    random = np.random.default_rng(0)
    size = max(1, rows_at_once(spec) // (_AT_ONCE + 1))
    for part in Step(name="bound the rounding", rows=len(rows), progress=progress).parts(size):
        places = np.arange(len(rows))[part]
        for _ in range(0, _SAMPLES, _AT_ONCE):
            if enough is not None:
                places = places[~enough(places, exact[places], bounds[places])]
            if len(places):
                bounds[places] = np.maximum(bounds[places], _moved(wide, rows[places], error, random))
    return exact, bounds


def one_error(dtype: str) -> float:
    """Return the largest error of one sum or function in a dtype, relative to the sizes of what it adds up."""
    return _UNITS * float(np.finfo(dtype).eps) / 2


def _moved(spec: NetworkSpec, rows: Array, error: float, random: np.random.Generator) -> Array:
    """Return how far the outputs of some samples are from those of the rows, the largest of each output."""
    computed = walk(spec, np.tile(rows, (_AT_ONCE + 1, 1)), _Rounding(rows=len(rows), error=error, random=random))
    samples = computed.reshape(_AT_ONCE + 1, len(rows), -1)
    # Where both are NaN they agree; where one is, rounding decides whether there is a number.
    moved: Array = np.stack([differences(sample, samples[0]) for sample in samples[1:]]).max(axis=0)
    return moved


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rounding:
    """Puts all rows but those of the first sample off by errors of random signs.

    Attributes:
        rows: The number of rows of a sample.
        error: The error of a number of size 1.
        random: Draws the signs.
    """

    rows: int
    error: float
    random: np.random.Generator

    def __call__(self, values: Array, sizes: Any) -> Array:
        off = values.copy()
        for start in range(self.rows, len(values), self.rows):
            sample = off[start : start + self.rows]
            own = sizes if len(sizes) == self.rows else sizes[start : start + self.rows]
            exact = (sample == np.rint(sample)) & (np.abs(sample) < _SIGNIFICANT) | ~np.isfinite(sample)
            errors = own * self._signs(sample.shape)
            np.add(sample, errors, out=sample, where=~exact)
        return off

    def _signs(self, shape: tuple[int, ...]) -> Array:
        """Return the error of a number of size 1, with random signs."""
        count = prod(shape)
        bits = np.unpackbits(np.frombuffer(self.random.bytes(-(-count // 8)), np.uint8), count=count)
        signs: Array = np.array([-self.error, self.error])[bits].reshape(shape)
        return signs


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


_PROBABILITIES: Final = frozenset({"softmax", "sparsemax", "sigmoid"})
