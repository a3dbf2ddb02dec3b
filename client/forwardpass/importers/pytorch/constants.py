"""Numbers and tensors of a module that do not depend on the rows."""

from typing import Any

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.pytorch.integers import RowCount
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array


def array_of(constant: Any) -> Array:
    """Return a tensor or number as an array: floats in their own dtype, others as float64."""
    if isinstance(constant, RowCount):
        raise UnsupportedError("computes with the number of rows, which no row knows")
    found = np.asarray(constant.detach().cpu() if hasattr(constant, "detach") else constant)
    if found.dtype.kind not in "biuf":
        raise UnsupportedError(f"gets {constant!r}, which is no number")
    return found if found.dtype.kind == "f" else found.astype(np.float64)


def of_rows(constant: Any, rows: TensorRef) -> Array:
    """Return a constant in a shape that broadcasts with one row.

    Raises:
        UnsupportedError: It has numbers for several rows.
    """
    found = array_of(constant)
    if found.ndim == len(rows.shape) + 1:
        found = one_row(found, 0)
    if found.ndim > len(rows.shape):
        if found.ndim > len(rows.shape) + 1 or found.shape[0] != 1:
            raise UnsupportedError(
                f"gets a constant of shape {list(found.shape)} with rows of shape {list(rows.shape)}"
            )
        found = found[0]
    return found


def one_row(array: Array, axis: int) -> Array:
    """Return one row of an array whose rows are alike, as a model has that is traced for several; else the array."""
    first = array.take([0], axis)
    return first if array.shape[axis] > 1 and bool((array == first).all()) else array


def is_number(constant: Any) -> bool:
    """Return whether a constant is one number."""
    return not isinstance(constant, TensorRef) and array_of(constant).ndim == 0


def number_of(constant: Any) -> float:
    """Return a constant that is one number."""
    return float(array_of(constant))


def text(constant: Any) -> str:
    """Return a number as the text of an expression."""
    number = number_of(constant)
    if not np.isfinite(number):
        raise UnsupportedError(f"has {number} for a constant; a finite number is needed")
    written = repr(number).removesuffix(".0")
    return f"({written})" if number < 0 else written
