"""Numbers of any Python or numpy type as float64, without losing their value.

An integer keeps its value or is rejected, and so does any other exact number (`decimal.Decimal`,
`fractions.Fraction`) from 2**53 on. Smaller numbers with a fraction are rounded to the nearest float64, as Python
rounds `0.1`. A number that would become infinite is rejected. None and pandas' NA and NaT are missing values, and
become NaN.

The network rounds float64 to its own dtype. An integer that float32 cannot hold is marked, so that the server rejects
it where the network is float32.
"""

import math
from typing import Any, Final, NamedTuple, SupportsFloat

import numpy as np
import numpy.typing as npt

from forwardpass.value_names import describe, shorten_integer

MAX_FLOAT32_INTEGER: Final = 2**24
"""float32 holds every integer up to this size, and float64 with it."""

_MAX_FLOAT64_INTEGER: Final = 2**53
_MISSING: Final = frozenset({"NAType", "NaTType"})
"""The classes of pandas' missing values, by name, since pandas may not be installed."""


class Float64(NamedTuple):
    """Numbers as float64.

    Attributes:
        values: In the shape of the numbers that were read.
        exact_integers: Whether there is an integer that float32 cannot hold.
    """

    values: npt.NDArray[np.float64]
    exact_integers: bool


class NoNumberError(ValueError):
    """A value is no number, or would lose its value; `place` is its index, if one value is at fault."""

    def __init__(self, message: str, place: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


def is_missing(value: object) -> bool:
    """Return whether a value stands for a missing one: None, or pandas' NA or NaT."""
    return value is None or type(value).__name__ in _MISSING


def read_number(value: Any) -> float:
    """Return one number as a float.

    Raises:
        NoNumberError: The value is no number, or would lose its value.
    """
    if isinstance(value, float):
        return float(value)
    if isinstance(value, np.generic | np.ndarray):
        if value.ndim or value.dtype.kind not in "biuf":
            raise NoNumberError(_no_number(value))
        value = value if value.dtype.kind == "f" else value.item()
    if not isinstance(value, SupportsFloat):
        raise NoNumberError(_no_number(value))
    try:
        number = float(value)
    except OverflowError:
        raise NoNumberError(_loses(value, math.inf)) from None
    except (TypeError, ValueError, RuntimeError):
        raise NoNumberError(_no_number(value)) from None
    is_rounded = not isinstance(value, np.floating) or math.isinf(number)
    if is_rounded and abs(number) >= _MAX_FLOAT64_INTEGER and number != value:
        raise NoNumberError(_loses(value, number))
    return number


def needs_float64(value: object, number: float) -> bool:
    """Return whether a value that was read as a number is an integer that float32 cannot hold."""
    if isinstance(value, float | np.floating) or abs(number) <= MAX_FLOAT32_INTEGER:
        return False
    with np.errstate(over="ignore"):
        return float(np.float32(number)) != number and not math.isinf(number)


def as_array(value: Any) -> npt.NDArray[Any]:
    """Return an array of numpy, PyTorch or another library, or lists of numbers, as an array of numpy.

    An array of PyTorch may have gradients, be on another device, or be of bfloat16, which numpy does not read.

    Raises:
        NoNumberError: numpy cannot read it; the cause is numpy's error.
    """
    try:
        return np.asarray(value)
    except Exception as error:  # noqa: BLE001 - an array of another library may raise anything
        failed = error
    if hasattr(value, "detach"):
        try:
            here = value.detach().cpu()
            return np.asarray(here.float() if str(here.dtype) == "torch.bfloat16" else here)
        except Exception as error:  # noqa: BLE001 - as above
            failed = error
    raise NoNumberError(f"is {describe(value)} that numpy cannot read: {failed}") from failed


def to_float64(numbers: npt.NDArray[Any]) -> Float64:
    """Return an array of numbers as float64.

    Args:
        numbers: Of any shape. An array of Python objects may have missing values, which become NaN.

    Raises:
        NoNumberError: The array is not of numbers, or one of them would lose its value.
    """
    kind = numbers.dtype.kind
    if kind in "iu":
        return _of_integers(numbers)
    if kind in "bf" and numbers.dtype.itemsize <= 8:
        return Float64(numbers.astype(np.float64, copy=False), False)
    if kind in "fO":
        return _one_by_one(numbers)
    if kind == "V" and numbers.dtype.type is not np.void:  # bfloat16 and its like, of ml_dtypes
        return Float64(numbers.astype(np.float64), False)
    if kind == "S":
        raise NoNumberError("has bytes; numbers are needed")
    raise NoNumberError(f"has {'text' if kind in 'UT' else f'dtype {numbers.dtype}'}; numbers are needed")


def is_small(numbers: npt.NDArray[np.float64]) -> bool:
    """Return whether every number is so small that float32 holds all integers up to it; False may be a false alarm."""
    if numbers.size <= 1024:  # one call instead of two; of more numbers, the BLAS would start threads
        # No square is larger than their sum, and NaN makes it NaN.
        return bool(np.vdot(numbers, numbers) <= MAX_FLOAT32_INTEGER**2)
    return bool(numbers.max() <= MAX_FLOAT32_INTEGER and numbers.min() >= -MAX_FLOAT32_INTEGER)


def _of_integers(numbers: npt.NDArray[Any]) -> Float64:
    values = numbers.astype(np.float64)
    if is_small(values):
        return Float64(values, False)
    largest = max(abs(int(numbers.max())), abs(int(numbers.min()))) if numbers.size else 0
    if largest > _MAX_FLOAT64_INTEGER:
        # A float64 beyond the largest integer is cast to another number on each kind of machine.
        fits = values < 2.0 ** (numbers.dtype.itemsize * 8 - (numbers.dtype.kind == "i"))
        lost = ~fits | (np.where(fits, values, 0).astype(numbers.dtype) != numbers)
        if lost.any():
            place = tuple(map(int, np.argwhere(lost)[0]))
            raise NoNumberError(_loses(int(numbers[place]), float(values[place])), place)
    return Float64(values, bool((values.astype(np.float32) != values).any()))


def _one_by_one(numbers: npt.NDArray[Any]) -> Float64:
    values, exact_integers = np.empty(numbers.shape, np.float64), False
    for place, value in np.ndenumerate(numbers):
        if is_missing(value):
            values[place] = math.nan
            continue
        try:
            number = read_number(value)
        except NoNumberError as error:
            raise NoNumberError(error.message, place) from None
        values[place] = number
        exact_integers = exact_integers or needs_float64(value, number)
    return Float64(values, exact_integers)


def _no_number(value: object) -> str:
    if isinstance(value, list | tuple | np.ndarray) and np.ndim(value):
        return f"is {describe(value)}; one number is needed (for several rows pass a list of dicts)"
    if isinstance(value, bytes):
        return f"is the bytes {value[:40]!r}; a number or a text is needed: decode them, for example with .decode()"
    return f"is {describe(value)}; a number is needed"


def _loses(value: Any, number: float) -> str:
    written = shorten_integer(value) if isinstance(value, int) else _shorten(value)
    if math.isinf(number):
        return f"is {written}, which is beyond the range of float64"
    return f"is {written}, which float64 cannot hold exactly; pass float(...) of it to round it"


def _shorten(value: object) -> str:
    """Return a number as text, of a long one the beginning."""
    try:
        text = str(value)
    except ValueError:  # Python refuses to write very long integers
        return f"a {type(value).__name__} with very many digits"
    return text if len(text) <= 40 else f"{text[:40]}..."
