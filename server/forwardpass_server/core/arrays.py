"""The array type of the core, and two functions that several modules need."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
"""Any shape, float32 or float64."""


def frozen(array: Array) -> Array:
    """Return a contiguous, read-only view of an array, or of a copy where it is not contiguous."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def canonicalize(array: Array) -> None:
    """Replace -0 by 0 and every NaN by the same NaN, in place.

    Which of two equal numbers a minimum or maximum keeps depends on their position in a vector instruction.
    """
    array += 0.0
    is_nan = np.isnan(array)
    if is_nan.any():
        array[is_nan] = np.nan
