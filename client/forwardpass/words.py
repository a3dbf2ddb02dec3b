"""What a caller's values are called in messages, and which of them are numbers."""

from typing import Any, SupportsFloat

import numpy as np


def read_number(value: Any) -> float | None:
    """Return a value as a float, or None when it is no number that fits."""
    if isinstance(value, np.generic | np.ndarray) and (value.ndim or value.dtype.kind not in "biuf"):
        return None
    if not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        return None


def refusal(value: Any) -> str:
    """Say why a value is no number that can be sent."""
    if isinstance(value, list | tuple | np.ndarray) and np.ndim(value):
        return f"is {found(value)}; one number is needed (for several rows pass a list of dicts)"
    if isinstance(value, int):
        return "is beyond the range of float64"
    return f"is {found(value)}; a number is needed"


def found(value: Any) -> str:
    """Describe a value in a few words."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return f"a {type(value).__name__}"
