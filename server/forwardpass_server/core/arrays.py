"""The one array type of the core, and what is done to it in several places."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
"""Any shape, float32 or float64."""


def frozen(array: Array) -> Array:
    """Return an array as a contiguous view that cannot be written."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def canonicalize(array: Array) -> None:
    """Make -0 and 0 one, and all NaN one: which of two is kept depends on their place in a vector instruction."""
    array += 0.0
    lost = np.isnan(array)
    if lost.any():
        array[lost] = np.nan
