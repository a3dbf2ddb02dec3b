"""The protocol's datatypes: their formats, and the conversion of elements to a network's numbers.

An integer must be exact in the network's dtype, else it is rejected. FP16, BF16, FP32 and FP64 are rounded to nearest,
as fractions are everywhere in this server.
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
        name: Its name in requests.
        raw: The dtype of its elements in raw contents, little-endian.
        contents: Its field of `InferTensorContents`, or empty if it has none.
        widen: Converts raw elements to numbers, if numpy has no dtype for them.
    """

    name: str
    raw: "np.dtype[Any]"
    contents: str
    widen: Callable[[Any], Any] | None = None


def _of_halves(elements: "np.ndarray[Any, np.dtype[np.uint16]]") -> Any:
    """Return BF16 numbers, which are the upper halves of FP32 numbers, as FP32."""
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
"""The length before each BYTES element in raw contents."""

DATATYPE_NAMES: Final[Mapping[str, str]] = {"float32": "FP32", "float64": "FP64"}
"""The datatype of each dtype of networks."""


def datatype_of(name: str, tensor: str) -> Datatype:
    """Return a datatype by its name.

    Raises:
        DtypeMismatchError: There is no datatype of numbers with this name.
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
        InvalidTensorError: The number of bytes is not that of `count` elements.
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
        InvalidTensorError: The contents are in the field of another datatype, their number is not `count`, or the
            datatype cannot hold one of them.
    """
    if not datatype.contents:
        raise invalid(tensor, f"input '{tensor}' is {datatype.name}, which is sent in raw_input_contents only")
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
"""The dtypes of fields that several datatypes share."""


def raw_texts(texts: Iterable[bytes]) -> bytes:
    """Return the raw contents of BYTES elements, each of which follows its length in four bytes."""
    return b"".join(part for text in texts for part in (TEXT_LENGTH.pack(len(text)), text))


def to_dtype(elements: Any, dtype: "np.dtype[Any]", tensor: str) -> Array:
    """Return elements as numbers for a network of a dtype: float64 unchanged, all others in that dtype.

    Raises:
        InvalidTensorError: The dtype cannot hold an integer exactly.
    """
    if elements.dtype == np.float64:  # rounded where all forms of inputs are
        return cast("Array", elements)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers: Array = elements.astype(dtype, copy=False)
        if elements.dtype.kind in "iu" and elements.dtype.itemsize * 8 > np.finfo(dtype).nmant:
            # The largest elements may be rounded up to a number that their own dtype cannot hold; the machine decides
            # what such a number is cast to.
            same = numbers < 2.0 ** (elements.dtype.itemsize * 8 - (elements.dtype.kind == "i"))
            same &= np.where(same, numbers, 0).astype(elements.dtype) == elements
            if not same.all():
                value = elements[~same][0]
                raise invalid(
                    tensor, f"input '{tensor}' has the element {value}, which {dtype.name} cannot hold exactly"
                )
    return numbers


def invalid(tensor: str, message: str) -> InvalidTensorError:
    """Return the error of a tensor's contents."""
    return InvalidTensorError(message, faults=[Fault(path=f"inputs[{tensor!r}]", message=message)], input=tensor)
