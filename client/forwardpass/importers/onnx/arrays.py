"""Reads the tensors of a file into arrays, after their declared sizes were checked."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS

Array: TypeAlias = NDArray[Any]
"""An array of numbers, indices or objects."""

KINDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "float32",
        2: "uint8",
        3: "int8",
        4: "uint16",
        5: "int16",
        6: "int32",
        7: "int64",
        8: "str",
        9: "bool",
        10: "float16",
        11: "float64",
        12: "uint32",
        13: "uint64",
    }
)
"""The numpy name of each supported element type, by its number in `TensorProto.DataType`."""

_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {"float32": "float_data", "float64": "double_data", "int64": "int64_data", "uint32": "uint64_data"}
    | {"uint64": "uint64_data"}
)
"""The field with the numbers of each element type; the other types are in `int32_data`."""


BFLOAT16: Final = 16
"""The number of the element type whose numbers are the upper halves of those of float32."""


def kind_of(number: int) -> str:
    """Return the name of an element type.

    Raises:
        UnsupportedError: It is not supported.
    """
    if number not in KINDS:
        raise UnsupportedError(
            f"has the element type {number}, which is not supported; supported are {', '.join(KINDS.values())}"
        )
    return KINDS[number]


def to_array(tensor: Any) -> Array:
    """Return a `TensorProto` as an array; one of bfloat16 as float32, which has all of its numbers.

    Raises:
        UnsupportedError: It is too large, its type is not read, or its bytes are more or fewer than its shape needs.
    """
    is_short = tensor.data_type == BFLOAT16
    kind = "uint16" if is_short else kind_of(tensor.data_type)
    array = _read(tensor, kind)
    return (array.astype(np.uint32) << 16).view(np.float32) if is_short else array


def _read(tensor: Any, kind: str) -> Array:
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape):
        raise UnsupportedError(f"has the shape {list(shape)[:8]}, which is invalid")
    count = math.prod(shape)
    if count > DEFAULT_LIMITS.max_parameters:
        raise UnsupportedError(f"has {count:,} elements; at most {DEFAULT_LIMITS.max_parameters:,} are allowed")
    if tensor.data_location == 1:
        raise UnsupportedError(
            "has its numbers in another file; give the model as the path of its file, beside which they are"
        )
    if tensor.HasField("segment"):
        raise UnsupportedError("is a part of a tensor; save the model with whole tensors")
    if kind == "str":
        return _checked(np.array([text.decode() for text in tensor.string_data], dtype=str), shape, count)
    if tensor.HasField("raw_data"):
        expected = count * np.dtype(kind).itemsize
        if len(tensor.raw_data) != expected:
            raise UnsupportedError(
                f"has {len(tensor.raw_data):,} bytes; the shape {list(shape)} of {kind} needs {expected:,}"
            )
        return np.frombuffer(tensor.raw_data, np.dtype(kind).newbyteorder("<")).astype(kind).reshape(shape)
    numbers = getattr(tensor, _FIELDS.get(kind, "int32_data"))
    if kind == "float16":
        return _checked(np.array(numbers, np.uint16), shape, count).view(np.float16)
    return _checked(np.array(numbers), shape, count).astype(kind)


def _checked(array: Array, shape: tuple[int, ...], count: int) -> Array:
    if array.size != count:
        raise UnsupportedError(f"has {array.size:,} elements; the shape {list(shape)} needs {count:,}")
    return array.reshape(shape)
