"""The elements of a tensor: as JSON says them, and as raw contents."""

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from forwardpass.errors import DtypeMismatchError, Fault, InvalidTensorError
from forwardpass.tensors import MAX_AXES

from forwardpass_server.oip.datatypes import DATATYPES, TEXT_LENGTH, raw_texts
from forwardpass_server.oip.rest.pieces import Flat, flatten, said

DTYPES: Final = {name: known.raw for name, known in DATATYPES.items() if known.widen is None} | {"BOOL": np.dtype("?")}
"""The number format of each datatype that JSON can say; BF16 travels as binary data only."""
BYTES: Final = "BYTES"
"""The datatype of strings: in raw contents each has its length before it, in four bytes."""

_ACCEPTED: Final[dict[str, tuple[set[type], str]]] = {
    "b": ({bool}, "true and false"),
    "u": ({int}, "integers"),
    "i": ({int}, "integers"),
    "f": ({int, float}, "numbers"),
}
"""What JSON may say for each kind of number format."""
_STEP: Final = 8192
"""Elements that are converted at one go."""


def to_raw(data: "list[Any] | Flat", datatype: str, shape: list[int], path: str) -> bytes:
    """Return a tensor's elements as raw contents: row-major, little-endian.

    Args:
        data: The elements, flat or nested as the shape says.
        datatype: Of the protocol.
        shape: The length of each axis.
        path: What to call the data in an error.

    Raises:
        InvalidTensorError: There are more or fewer elements than the shape needs, they are nested in another
            way, or one of them is no value of the datatype.
        DtypeMismatchError: JSON has no such datatype.
    """
    if datatype != BYTES and datatype not in DTYPES:
        message = f"is {said(datatype)}; as JSON there are {', '.join(DTYPES)} and {BYTES}"
        place = f"{path.removesuffix('.data')}.datatype"
        raise DtypeMismatchError(f"{place} {message}", faults=[Fault(path=place, message=message)], datatype=datatype)
    flat = flatten(data)
    if flat.shape is None:
        raise _invalid(path, "is ragged: arrays at the same depth must have the same length")
    if len(shape) > MAX_AXES:
        raise _invalid(path, f"has a shape of {len(shape)} axes; a tensor can have {MAX_AXES}")
    if len(flat.values) != (needed := math.prod(shape)):
        raise _invalid(path, f"has {len(flat.values)} elements; shape {shape} needs {needed}")
    if flat.values and len(flat.shape) > 1 and flat.shape != tuple(shape):
        raise _invalid(path, f"is nested as shape {list(flat.shape)}; the tensor's shape is {shape}")
    convert = _strings if datatype == BYTES else _numbers
    return b"".join(
        convert(flat.values[start : start + _STEP], datatype, path) for start in range(0, len(flat.values), _STEP)
    )


def from_raw(raw: bytes, datatype: str) -> list[Any]:
    """Return the elements of raw contents that the server itself has made, as `json` writes them."""
    return [*_lengths_and_strings(raw)] if datatype == BYTES else np.frombuffer(raw, DTYPES[datatype]).tolist()


def _numbers(values: list[Any], datatype: str, path: str) -> bytes:
    dtype = DTYPES[datatype]
    accepted, words = _ACCEPTED[dtype.kind]
    kinds = set(map(type, values))
    if strange := kinds - accepted:
        found = next(value for value in values if type(value) in strange)
        raise _invalid(path, f"has {said(found)}; {datatype} needs {words}")
    if dtype.kind in "ui":
        bounds = np.iinfo(dtype)
        for value in (min(values), max(values)):
            if not bounds.min <= value <= bounds.max:
                raise _invalid(path, f"has {said(value)}; {datatype} has {bounds.min} to {bounds.max}")
    try:
        wide = np.array(values, np.float64) if dtype.kind == "f" else np.array(values, dtype)
    except OverflowError:
        beyond = max(values, key=abs)
        raise _invalid(path, f"has the integer {said(beyond)}; that is beyond {datatype}") from None
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = wide.astype(dtype, copy=False)
    if dtype.kind == "f" and (lost := np.isinf(numbers) & np.isfinite(wide)).any():
        raise _invalid(path, f"has {wide[lost][0]:g}; that is beyond {datatype}")
    if dtype.kind == "f" and int in kinds:
        _check_integers(values, dtype, path, datatype)
    return numbers.tobytes()


def _check_integers(values: list[Any], dtype: "np.dtype[Any]", path: str, datatype: str) -> None:
    """Reject an integer that a datatype of floating-point numbers would round; fractions are rounded everywhere.

    Raises:
        InvalidTensorError: There is one.
    """
    exact = 2 ** (np.finfo(dtype).nmant + 1)
    for value in values:
        if type(value) is int and not -exact <= value <= exact and int(dtype.type(value)) != value:
            raise _invalid(path, f"has the integer {said(value)}, which {datatype} cannot hold exactly")


def _strings(values: list[Any], datatype: str, path: str) -> bytes:
    if strange := set(map(type, values)) - {str}:
        found = next(value for value in values if type(value) in strange)
        raise _invalid(path, f"has {said(found)}; {datatype} needs strings")
    try:
        encoded = [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise _invalid(path, f"has a string that is no text: {error.reason}") from None
    return raw_texts(encoded)


def _lengths_and_strings(raw: bytes) -> Iterator[str]:
    place = 0
    while place < len(raw):
        (length,) = TEXT_LENGTH.unpack_from(raw, place)
        place += TEXT_LENGTH.size + length
        yield raw[place - length : place].decode()


def _invalid(path: str, message: str) -> InvalidTensorError:
    return InvalidTensorError(f"{path} {message}", faults=[Fault(path=path, message=message)])
