"""The protocol's datatypes: their sizes on the wire, and how their elements become a network's numbers.

An element is converted where its value survives: whole numbers that the network's dtype holds exactly. FP16, BF16,
FP32 and FP64 are rounded to nearest, as everywhere in this server. Whatever would lose its value in silence is refused.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from forwardpass.errors import DtypeMismatchError, Fault, InvalidTensorError
from forwardpass.tensors import Array

from forwardpass_server.oip.v2.inference_pb2 import InferTensorContents


@dataclass(frozen=True, kw_only=True, slots=True)
class Datatype:
    """A datatype of the protocol.

    Attributes:
        name: As requests say it.
        raw: An element as it stands in raw contents, little-endian.
        contents: The field of `InferTensorContents` for it, or empty where there is none.
        widen: Makes numbers of raw elements, where numpy has no name for the format.
    """

    name: str
    raw: "np.dtype[Any]"
    contents: str
    widen: Callable[[Any], Any] | None = None


def _of_halves(elements: "np.ndarray[Any, np.dtype[np.uint16]]") -> Any:
    """Return what the upper halves of FP32 numbers stand for (BF16)."""
    return (elements.astype("<u4") << 16).view("<f4")


DATATYPES: Final[Mapping[str, Datatype]] = {
    datatype.name: datatype
    for datatype in (
        Datatype(name="BOOL", raw=np.dtype("u1"), contents="bool_contents"),
        Datatype(name="UINT8", raw=np.dtype("u1"), contents="uint_contents"),
        Datatype(name="UINT16", raw=np.dtype("<u2"), contents="uint_contents"),
        Datatype(name="UINT32", raw=np.dtype("<u4"), contents="uint_contents"),
        Datatype(name="UINT64", raw=np.dtype("<u8"), contents="uint64_contents"),
        Datatype(name="INT8", raw=np.dtype("i1"), contents="int_contents"),
        Datatype(name="INT16", raw=np.dtype("<i2"), contents="int_contents"),
        Datatype(name="INT32", raw=np.dtype("<i4"), contents="int_contents"),
        Datatype(name="INT64", raw=np.dtype("<i8"), contents="int64_contents"),
        Datatype(name="FP16", raw=np.dtype("<f2"), contents=""),
        Datatype(name="BF16", raw=np.dtype("<u2"), contents="", widen=_of_halves),
        Datatype(name="FP32", raw=np.dtype("<f4"), contents="fp32_contents"),
        Datatype(name="FP64", raw=np.dtype("<f8"), contents="fp64_contents"),
    )
}

TEXT_LENGTH: Final = struct.Struct("<I")
"""What stands before a BYTES element in raw contents."""

NAMES: Final[Mapping[str, str]] = {"float32": "FP32", "float64": "FP64"}
"""The datatype of each of the networks' dtypes."""


def datatype_of(name: str, tensor: str) -> Datatype:
    """Return a datatype by its name.

    Raises:
        DtypeMismatchError: It is no number's.
    """
    found = DATATYPES.get(name)
    if found is None:
        texts = "texts are for categories alone, each in a tensor of its name"
        what = texts if name == "BYTES" else f"known are {', '.join(DATATYPES)}"
        message = f"inference input '{tensor}' has datatype '{name}'; {what}"
        raise DtypeMismatchError(
            message, faults=[Fault(path=f"inputs[{tensor!r}].datatype", message=message)], actualDtype=name
        )
    return found


def from_raw(data: bytes, datatype: Datatype, count: int, tensor: str) -> Any:
    """Return the elements of raw contents, shape `(count,)`, in the datatype's own format.

    Raises:
        InvalidTensorError: There are not as many bytes as elements need.
    """
    needed = count * datatype.raw.itemsize
    if len(data) != needed:
        raise invalid(tensor, f"input byte size mismatch for input '{tensor}'. Expected {needed}, got {len(data)}")
    elements = np.frombuffer(data, dtype=datatype.raw)
    if datatype.name == "BOOL" and count and elements.max() > 1:
        raise invalid(tensor, f"input '{tensor}' has the byte {elements.max()} as a BOOL; 0 and 1 are allowed")
    return datatype.widen(elements) if datatype.widen else elements


def from_contents(contents: InferTensorContents, datatype: Datatype, count: int, tensor: str) -> Any:
    """Return the elements of typed contents, shape `(count,)`, in the datatype's own format.

    Raises:
        InvalidTensorError: They are in the field of another datatype, too many or too few, or beyond the datatype.
    """
    if not datatype.contents:
        raise invalid(tensor, f"input '{tensor}' is {datatype.name}, which travels in raw_input_contents only")
    others = [field.name for field, _ in contents.ListFields() if field.name != datatype.contents]
    if others:
        raise invalid(tensor, f"input '{tensor}' is {datatype.name}: use {datatype.contents}, not {', '.join(others)}")
    elements = getattr(contents, datatype.contents)
    if len(elements) != count:
        raise invalid(
            tensor, f"unexpected number of elements for input '{tensor}'. Expected {count}, got {len(elements)}"
        )
    wide = np.array(elements, dtype=_WIDE.get(datatype.contents, datatype.raw))
    numbers = wide.astype(datatype.raw)
    if datatype.contents in _WIDE and not np.array_equal(numbers, wide):
        value = wide[numbers != wide][0]
        raise invalid(tensor, f"input '{tensor}' has the element {value}, which {datatype.name} cannot hold")
    return numbers


_WIDE: Final = {"int_contents": np.dtype("<i4"), "uint_contents": np.dtype("<u4")}
"""The formats of fields that serve several datatypes."""


def raw_texts(texts: Iterable[bytes]) -> bytes:
    """Return BYTES elements as raw contents: each with its length before it, in four bytes."""
    return b"".join(part for text in texts for part in (TEXT_LENGTH.pack(len(text)), text))


def to_dtype(elements: Any, dtype: "np.dtype[Any]", tensor: str) -> Array:
    """Return elements as numbers for a network of a dtype: float64 as it is, all others in that dtype.

    Raises:
        InvalidTensorError: The dtype cannot hold an integer exactly.
    """
    if elements.dtype == np.float64:  # rounded where all forms of inputs are
        return cast("Array", elements)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers: Array = elements.astype(dtype, copy=False)
        if elements.dtype.kind in "iu" and elements.dtype.itemsize * 8 > np.finfo(dtype).nmant:
            # Beyond the dtype's digits a number has neighbours. One more than the largest element is none, and what
            # it would be cast to depends on the machine.
            same = numbers < 2.0 ** (elements.dtype.itemsize * 8 - (elements.dtype.kind == "i"))
            same &= np.where(same, numbers, 0).astype(elements.dtype) == elements
            if not same.all():
                value = elements[~same][0]
                raise invalid(
                    tensor, f"input '{tensor}' has the element {value}, which {dtype.name} cannot hold exactly"
                )
    return numbers


def invalid(tensor: str, message: str) -> InvalidTensorError:
    """Make the error of a tensor's contents."""
    return InvalidTensorError(message, faults=[Fault(path=f"inputs[{tensor!r}]", message=message)], input=tensor)
