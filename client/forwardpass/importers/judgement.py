"""The judgement of a network's numbers and a framework's: which differences rounding explains, and which not."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forwardpass.differences import differences
from forwardpass.importers.progress import Progress
from forwardpass.importers.reference import one_error, rounding_bounds, row_sizes
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array

_EDGE: Final = 0.999
"""The share of the largest number of a dtype from which on a number may become infinite by rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The differences of two computations of the same rows.

    Attributes:
        difference: `(rows, outputs)` float64, the absolute differences.
        relative: `(rows, outputs)` float64, the differences relative to the numbers of the framework, and where they
            are accepted, to the size of the row's outputs if that is larger.
        refused: `(rows, outputs)`, whether the numbers differ by more than the tolerance and rounding.
        rounded_rows: The number of rows with a number that differs by more than the tolerance, and all by rounding.
    """

    difference: Array
    relative: Array
    refused: NDArray[np.bool_]
    rounded_rows: int


def judge(
    spec: NetworkSpec, rows: Array, ours: Array, theirs: Array, tolerance: float, progress: Progress | None = None
) -> Judgement:
    """Compare two computations of a network, in the network's dtype.

    A difference up to the tolerance, relative to the number of the framework, is accepted. Where it is larger, a
    pass of the network in float64 judges: the framework must be as near to it as rounding explains, and the network
    as near, or nearer than the framework.

    Args:
        spec: The network.
        rows: `(rows, inputs)` float64.
        ours: `(rows, outputs)` float64, computed by the reference.
        theirs: `(rows, outputs)` float64, computed by the framework.
        tolerance: The accepted relative difference; 0 accepts no difference at all.
        progress: Receives how many of the doubtful rows are judged.
    """
    difference = differences(ours, theirs)
    relative = difference / _sizes(theirs, spec.dtype)
    refused = ~(relative <= tolerance)
    doubtful = np.flatnonzero(refused.any(axis=1))
    if len(doubtful):
        # A tolerance below the error of one sum also counts relative to the numbers that were added up.
        strictness = min(1.0, tolerance / one_error(spec.dtype))

        def explained(places: NDArray[np.intp], exact: Array, bounds: Array) -> NDArray[np.bool_]:
            own, other = ours[doubtful[places]], theirs[doubtful[places]]
            is_nearer = differences(own, exact) <= differences(other, exact)
            is_right = is_nearer | _near(own, exact, strictness * bounds, spec.dtype)
            return np.asarray(is_right & _near(other, exact, strictness * bounds, spec.dtype))

        def enough(places: NDArray[np.intp], exact: Array, bounds: Array) -> NDArray[np.bool_]:
            return np.asarray((explained(places, exact, bounds) | ~refused[doubtful[places]]).all(axis=1))

        exact, bounds = rounding_bounds(spec, rows[doubtful], enough, progress)
        refused[doubtful] &= ~explained(np.arange(len(doubtful)), exact, bounds)
    floor = np.where(refused, 0.0, row_sizes(spec, theirs))
    return Judgement(
        difference=difference,
        relative=np.where(difference == 0, 0.0, difference / np.maximum(_sizes(theirs, spec.dtype), floor)),
        refused=refused,
        rounded_rows=len(doubtful) - int(refused.any(axis=1).sum()),
    )


def example_tolerances(spec: NetworkSpec, rows: Array, theirs: Array, tolerance: float) -> Array:
    """Return how far each of a server's numbers may be from the framework's, `(rows, outputs)` float64."""
    if not len(rows):
        return np.zeros(theirs.shape)
    _, bounds = rounding_bounds(spec, rows)
    accepted: Array = np.maximum(tolerance * _sizes(theirs, spec.dtype), 2 * np.where(np.isfinite(bounds), bounds, 0.0))
    return accepted


def _near(numbers: Array, exact: Array, bounds: Array, dtype: str) -> NDArray[np.bool_]:
    """Return which numbers are within the bounds; one beyond the dtype is infinite in it."""
    largest = float(np.finfo(dtype).max) * _EDGE
    overflowed = np.isinf(numbers) & (np.abs(exact) + bounds >= largest) & (np.sign(numbers) == np.sign(exact))
    near: NDArray[np.bool_] = (differences(numbers, exact) <= bounds) | overflowed
    return near


def _sizes(theirs: Array, dtype: str) -> Array:
    """Return the size of each number; below the least, numbers of the dtype have no digits to compare."""
    size = np.abs(np.where(np.isfinite(theirs), theirs, 0.0))
    sizes: Array = np.maximum(size, float(np.finfo(dtype).tiny / np.finfo(dtype).eps))
    return sizes
