"""Differences between numbers that should be the same, and their tolerance: one rule for everything that compares."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.tensors import Array

TOLERANCE: Final[Mapping[str, float]] = MappingProxyType({"float64": 1e-9, "float32": 1e-4})
"""The default tolerance, by the coarser dtype of the two numbers."""


def differences(one: Array, other: Array) -> npt.NDArray[np.float64]:
    """Return the absolute differences of two arrays of the same shape.

    Equal numbers are 0 apart, infinities and NaN among them; NaN and a number, or infinity and another number, are
    infinitely far apart.
    """
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.abs(a - b)
    apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    apart[np.isnan(apart)] = np.inf
    return apart


def beyond(apart: npt.NDArray[np.float64], one: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """Return which differences exceed `tolerance * max(1, |number|)`, with the number of `one`."""
    size = np.abs(np.where(np.isfinite(one), one, 0.0))
    too_far: npt.NDArray[np.bool_] = apart > tolerance * np.maximum(1.0, size)
    return too_far


def checked_tolerance(tolerance: Any, otherwise: float) -> float:
    """Return a tolerance that is right, or where it is None, the other one.

    Raises:
        InvalidFieldError: It is no finite number from 0.
    """
    if tolerance is None:
        return otherwise
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < np.inf:
        message = f"is {tolerance!r}; must be a finite number, 0 or greater"
        raise InvalidFieldError(
            f"tolerance: {message}", faults=[Fault(path="tolerance", message=message)], field="tolerance"
        )
    return float(tolerance)
