"""The data of a tensor: from JSON to raw contents, and back."""

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from forwardpass.errors import DtypeMismatchError, Fault, InvalidTensorError
from forwardpass.tensors import MAX_AXES

from forwardpass_server.oip.datatypes import DATATYPES, TEXT_LENGTH, raw_texts
from forwardpass_server.oip.rest.chunked_json import FlatArray, flatten, shown

DTYPES: Final = {name: known.raw for name, known in DATATYPES.items() if known.widen is None} | {"BOOL": np.dtype("?")}
"""The numpy dtype of each datatype of numbers that JSON can hold; BF16 is sent as binary data only."""
BYTES: Final = "BYTES"
"""The datatype of strings; in raw contents each follows its length, in four bytes."""

_ACCEPTED: Final[dict[str, tuple[set[type], str]]] = {
    "b": ({bool}, "true and false"),
    "u": ({int}, "integers"),
    "i": ({int}, "integers"),
    "f": ({int, float}, "numbers"),
}
"""The JSON types that each kind of dtype accepts, and their names in errors."""
_STEP: Final = 8192
"""Elements that are converted at a time."""


def to_raw(data: "list[Any] | FlatArray", datatype: str, shape: list[int], path: str) -> bytes:
    """Return the raw contents of a tensor: row-major, little-endian.

    Args:
        data: The elements, flat or nested as the shape.
        datatype: The name of the protocol's datatype.
        shape: The length of each axis.
        path: The path of the data in the request, for errors.

    Raises:
        InvalidTensorError: The elements do not fit the shape, are nested as another shape, or one of them is not a
            value of the datatype.
        DtypeMismatchError: JSON cannot hold the datatype, or it is unknown.
    """
    if datatype != BYTES and datatype not in DTYPES:
        message = f"is {shown(datatype)}; JSON may have {', '.join(DTYPES)} and {BYTES}"
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
    """Return the elements of raw contents, which this server made, as JSON values."""
    return [*_lengths_and_strings(raw)] if datatype == BYTES else np.frombuffer(raw, DTYPES[datatype]).tolist()


def _numbers(values: list[Any], datatype: str, path: str) -> bytes:
    dtype = DTYPES[datatype]
    accepted, words = _ACCEPTED[dtype.kind]
    kinds = set(map(type, values))
    if strange := kinds - accepted:
        found = next(value for value in values if type(value) in strange)
        raise _invalid(path, f"has {shown(found)}; {datatype} needs {words}")
    if dtype.kind in "ui":
        bounds = np.iinfo(dtype)
        for value in (min(values), max(values)):
            if not bounds.min <= value <= bounds.max:
                raise _invalid(path, f"has {shown(value)}; {datatype} has {bounds.min} to {bounds.max}")
    try:
        wide = np.array(values, np.float64) if dtype.kind == "f" else np.array(values, dtype)
    except OverflowError:
        beyond = max(values, key=abs)
        raise _invalid(path, f"has the integer {shown(beyond)}; that is beyond {datatype}") from None
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = wide.astype(dtype, copy=False)
    if dtype.kind == "f" and (lost := np.isinf(numbers) & np.isfinite(wide)).any():
        raise _invalid(path, f"has {wide[lost][0]:g}; that is beyond {datatype}")
    if dtype.kind == "f" and int in kinds:
        _check_integers(values, dtype, path, datatype)
    return numbers.tobytes()


def _check_integers(values: list[Any], dtype: "np.dtype[Any]", path: str, datatype: str) -> None:
    """Reject integers that a floating-point datatype would round; only fractions may be rounded.

    Raises:
        InvalidTensorError: The datatype cannot hold an integer exactly.
    """
    exact = 2 ** (np.finfo(dtype).nmant + 1)
    for value in values:
        if type(value) is int and not -exact <= value <= exact and int(dtype.type(value)) != value:
            raise _invalid(path, f"has the integer {shown(value)}, which {datatype} cannot hold exactly")


def _strings(values: list[Any], datatype: str, path: str) -> bytes:
    if strange := set(map(type, values)) - {str}:
        found = next(value for value in values if type(value) in strange)
        raise _invalid(path, f"has {shown(found)}; {datatype} needs strings")
    try:
        encoded = [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise _invalid(path, f"has a string that is not valid Unicode: {error.reason}") from None
    return raw_texts(encoded)


def _lengths_and_strings(raw: bytes) -> Iterator[str]:
    place = 0
    while place < len(raw):
        (length,) = TEXT_LENGTH.unpack_from(raw, place)
        place += TEXT_LENGTH.size + length
        yield raw[place - length : place].decode()


def _invalid(path: str, message: str) -> InvalidTensorError:
    return InvalidTensorError(f"{path} {message}", faults=[Fault(path=path, message=message)])
