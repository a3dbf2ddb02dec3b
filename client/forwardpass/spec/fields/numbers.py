"""Read numbers, vectors and matrices: numpy checks all of them at once, and Python one by one only to find a fault.

A matrix or vector may be lists, arrays, or a mapping of node names to rows. The result is read-only and has the
network's dtype. It shares memory with the argument where that is read-only, aligned and of that dtype already; else it
is a copy.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from forwardpass.spec.faults import found
from forwardpass.spec.fields.base import MAX_SHOWN, Problem, refuse
from forwardpass.tensors import Array

_NUMBERS: Final = frozenset({int, float})
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A placeholder in a document for a tensor whose faults are reported already.

    Attributes:
        shape: The shape that the tensor declares, or None where it declares none that can be read.
    """

    shape: tuple[int, ...] | None = None


def number_fault(value: object, dtype: npt.DTypeLike) -> str | None:
    """Return why a value is not a finite number of a dtype, or None."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return f"is {found(value)}; must be a number"
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        beyond = ", or beyond the largest float64" if isinstance(value, float) and math.isinf(value) else ""
        return f"is {found(value)}{beyond}; must be a finite number"
    # Half a step above the largest float32 is where rounding turns to infinity.
    if np.dtype(dtype).itemsize == 4 and _overflows(number):
        return f"is {found(value)}; a number in float32 is at most {_FLOAT32_MAX:g}"
    return None


def matrix(value: object, dtype: npt.DTypeLike) -> Array:
    """Read a matrix, `(outputs, inputs)`.

    Args:
        value: Rows in a list or by node name, or an array of two axes.
        dtype: float32 or float64; numbers are rounded to the nearest.

    Raises:
        ValidationError: A number, row or shape is wrong; the locations are within the field.
    """
    if isinstance(value, Unreadable):
        return np.empty((0, 0), dtype)
    if isinstance(value, np.ndarray):
        return _from_array(value, dtype, axes=2)
    if isinstance(value, Mapping):
        labels: Sequence[str | int] = [key if isinstance(key, str) else found(key) for key in value]
        rows = list(value.values())
    elif isinstance(value, list | tuple):
        labels, rows = range(len(value)), list(value)
    else:
        refuse([((), f"is {found(value)}; must be a list of rows, one for each node, or rows by node name")])
    if not rows:
        refuse(
            [
                (
                    (),
                    f"is {'an empty object' if isinstance(value, Mapping) else 'empty'}; needs a row for each node",
                )
            ]
        )
    numbers = _stack(rows)
    if numbers is None:
        problems = _row_problems(rows, labels, dtype)
        if problems:
            refuse(problems)
        numbers = np.array([[float(element) for element in row] for row in rows], np.float64)
    return _fit(numbers, numbers, dtype, lambda place: (labels[place[0]], place[1]))


def vector(value: object, dtype: npt.DTypeLike) -> Array:
    """Read a vector, `(length,)`; otherwise like `matrix`."""
    if isinstance(value, Unreadable):
        return np.empty(0, dtype)
    if isinstance(value, np.ndarray):
        return _from_array(value, dtype, axes=1)
    if not isinstance(value, list | tuple):
        refuse([((), f"is {found(value)}; must be a list of numbers")])
    if not value:
        refuse([((), "is empty; needs at least one number")])
    numbers = _stack([value])
    if numbers is None:
        problems = _element_problems((), value, dtype)
        if problems:
            refuse(problems)
        numbers = np.array([[float(element) for element in value]], np.float64)
    return _fit(numbers[0], numbers[0], dtype, lambda place: (place[0],))


def example_inputs(value: object) -> object:
    """Return the inputs of an example as a row; a number alone is the row of a network with one input."""
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return [value] if is_number else value


def rounded(number: float, dtype: str) -> float:
    """Return a number rounded to a dtype."""
    return float(np.dtype(dtype).type(number))


def common_length(rows: Iterable[object]) -> int | None:
    """Return the most frequent length of the rows, or None where no row has a length."""
    lengths = Counter(
        row.shape[0] if isinstance(row, np.ndarray) else len(row)
        for row in rows
        if isinstance(row, list | tuple) or (isinstance(row, np.ndarray) and row.ndim == 1)
    )
    return max(lengths, key=lambda length: lengths[length]) if lengths else None


def _stack(rows: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """Make an array from rows without a fault at full speed; return None for all others."""
    if all(isinstance(row, np.ndarray) and row.ndim == 1 and row.dtype.kind in "iuf" for row in rows):
        return np.stack(rows).astype(np.float64) if len({row.shape for row in rows}) == 1 and rows[0].size else None
    kinds: set[type] = set()
    for row in rows:
        if not isinstance(row, list | tuple):
            return None
        kinds.update(map(type, row))
    if not kinds <= _NUMBERS or not rows[0] or len(set(map(len, rows))) != 1:
        return None
    try:
        return np.array(rows, dtype=np.float64)
    except OverflowError:
        return None


def _row_problems(rows: Sequence[object], labels: Sequence[str | int], dtype: npt.DTypeLike) -> list[Problem]:
    problems: list[Problem] = []
    needed = common_length(rows)
    for label, row in zip(labels, rows, strict=True):
        if not isinstance(row, list | tuple) and not (isinstance(row, np.ndarray) and row.ndim == 1):
            problems.append(((label,), f"is {found(row)}; must be a list of numbers"))
            continue
        if len(row) != needed:
            problems.append(((label,), f"has {len(row)} weights; most rows have {needed}, and all need as many"))
        elif not needed:
            problems.append(((label,), "is empty; needs a weight for each input"))
        problems += _element_problems((label,), row, dtype)
    return problems


def _element_problems(place: tuple[str | int, ...], row: Iterable[object], dtype: npt.DTypeLike) -> list[Problem]:
    faults = ((index, number_fault(element, dtype)) for index, element in enumerate(row))
    return [((*place, index), fault) for index, fault in faults if fault is not None]


def _from_array(value: npt.NDArray[Any], dtype: npt.DTypeLike, *, axes: int) -> Array:
    if value.dtype.kind not in "iuf":
        refuse([((), f"is {found(value)}; must have numbers, best of dtype float32 or float64")])
    if value.ndim != axes:
        form = "two axes, (outputs, inputs)" if axes == 2 else "one axis"
        refuse([((), f"is {found(value)}; must have {form}")])
    if value.size == 0:
        refuse([((), f"is {found(value)}; must not be empty")])
    with np.errstate(over="ignore", invalid="ignore"):
        numbers: Array = np.require(np.asarray(value), dtype=dtype, requirements=["C", "A"])
    if value.flags.writeable and np.may_share_memory(numbers, value):
        numbers = numbers.copy()
    return _fit(numbers, value, dtype, tuple)


def _fit(numbers: Array, source: npt.NDArray[Any], dtype: npt.DTypeLike, place: Any) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = numbers.astype(dtype, copy=False)
    finite = np.isfinite(numbers)
    if not finite.all():
        places = np.argwhere(~finite)
        problems = [
            (place(tuple(map(int, index))), number_fault(source[tuple(index)], dtype) or "is not finite")
            for index in places[:MAX_SHOWN]
        ]
        more = len(places) - len(problems)
        refuse([*problems, *([((), f"has {more} more numbers that are not finite")] if more else [])])
    numbers.flags.writeable = False
    return numbers


def _overflows(number: float) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isinf(np.float32(number)))
