"""The array type of the core, and what several modules need for arrays."""

from dataclasses import dataclass
from math import isnan
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
"""Any shape, float32 or float64."""


def frozen(array: Array) -> Array:
    """Return a contiguous, read-only view of an array, or of a copy where it is not contiguous."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A view of each of some contiguous rows.

    Attributes:
        shape: The shape of the view of a row.
        strides: The distance between neighbours, in bytes: between rows first, then along each axis of the shape.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, rows: Array) -> Array:
        """Return the view of rows that have the same number of values each, `(rows, *shape)`."""
        return np.ndarray((len(rows), *self.shape), rows.dtype, rows, strides=self.strides)


_ZEROS: Final = {code: np.zeros((), code) for code in "fd"}
"""A zero of each dtype, as an array: numpy converts a Python number at each call."""


def canonicalize(array: Array) -> None:
    """Replace -0 by 0 and every NaN by the same NaN, in place.

    Which of two equal numbers a minimum or maximum keeps depends on their position in a vector instruction.
    """
    np.add(array, _ZEROS[array.dtype.char], array)
    canonicalize_nan(array)


def canonicalize_nan(array: Array) -> None:
    """Replace every NaN by the same NaN, in place."""
    flat = array.reshape(-1)
    square = flat.dot(flat)  # NaN only where a value is: no square is negative, so that no infinities cancel out
    if isnan(square):
        array[np.isnan(array)] = np.nan
