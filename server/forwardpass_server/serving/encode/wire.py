"""The parts of responses that are written as bytes, without a message: tensors, and the fields around them.

A response is mostly numbers that numpy already has as bytes; making a message of them only to serialize it
copies them twice more. The encoding: https://protobuf.dev/programming-guides/encoding/
"""

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Final

from forwardpass.tensors import DATA_TYPES
from forwardpass.v1.tensor_pb2 import Tensor

if TYPE_CHECKING:
    import numpy as np
    from forwardpass.tensors import Array

_LENGTH_DELIMITED: Final = 2
_TENSOR_DATA: Final = Tensor.DESCRIPTOR.fields_by_name["data"].number


def varint(number: int) -> bytes:
    """Encode a number that is not negative, seven bits a byte, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number: int, length: int) -> bytes:
    """Return the tag and length that stand before the `length` bytes of a message, string or bytes field."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)


@lru_cache(maxsize=4096)
def tensor_field(number: int, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    """Return a field with a whole `Tensor` but for its data, which has to follow."""
    size = prod(shape) * dtype.itemsize
    head = Tensor(dtype=DATA_TYPES[dtype.name], shape=shape).SerializeToString() + field(_TENSOR_DATA, size)
    return field(number, len(head) + size) + head


def data_of(array: "Array") -> bytes:
    """Return an array's numbers as the data of a tensor: row-major, little-endian."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
