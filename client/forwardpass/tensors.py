"""numpy arrays as `forwardpass.v1.Tensor` messages and back: the only code that knows the byte layout."""

import math
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from forwardpass.errors import DtypeMismatchError, Fault, InvalidTensorError
from forwardpass.v1.tensor_pb2 import (
    DATA_TYPE_FLOAT32,
    DATA_TYPE_FLOAT64,
    DATA_TYPE_UNSPECIFIED,
    DataType,
    Tensor,
)

Array: TypeAlias = npt.NDArray[np.floating[Any]]
"""Any shape, float32 or float64."""

DTYPES: Final[dict[int, np.dtype[Any]]] = {
    DATA_TYPE_FLOAT32: np.dtype("<f4"),
    DATA_TYPE_FLOAT64: np.dtype("<f8"),
}
"""The little-endian number format of each value of the enum `DataType`."""

DATA_TYPES: Final[dict[str, DataType]] = {"float32": DATA_TYPE_FLOAT32, "float64": DATA_TYPE_FLOAT64}
"""The value of the enum `DataType` for each dtype's name."""

_MOST_AXES: Final = 32
_MOST_ELEMENTS: Final = 2**56


def to_tensor(array: npt.ArrayLike) -> Tensor:
    """Pack an array of any shape; float32 stays float32, every other number becomes float64."""
    numbers = np.asarray(array)
    if numbers.dtype != np.float32:
        numbers = numbers.astype(np.float64, copy=False)
    return Tensor(
        dtype=DATA_TYPES[numbers.dtype.name],
        shape=numbers.shape,
        data=numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes(),
    )


def from_tensor(tensor: Tensor, *, path: str = "tensor") -> Array:
    """Unpack a message as an array of its shape, without copying `data`; the array is read-only.

    Args:
        tensor: The message. `values` without a shape are one row, `(len(values),)`.
        path: What to call the tensor in an error.

    Raises:
        DtypeMismatchError: `dtype` is not float32 or float64.
        InvalidTensorError: Both `data` and `values` are set, an axis is negative, there are more than
            an array can have, or the number of bytes or values is not what the shape asks for.
    """
    if tensor.data and tensor.values:
        raise _invalid(path, "both `data` and `values` are set; set one of them")
    if tensor.dtype not in DTYPES and (tensor.data or tensor.dtype != DATA_TYPE_UNSPECIFIED):
        raise DtypeMismatchError(
            f"{path}: dtype is {tensor.dtype}; needed is DATA_TYPE_FLOAT32 or DATA_TYPE_FLOAT64",
            faults=[Fault(path=f"{path}.dtype", message="must be DATA_TYPE_FLOAT32 or DATA_TYPE_FLOAT64")],
            actualDtype=tensor.dtype,
        )
    dtype = DTYPES.get(tensor.dtype, DTYPES[DATA_TYPE_FLOAT64])
    shape = tuple(tensor.shape)
    if any(length < 0 for length in shape):
        raise _invalid(f"{path}.shape", f"is {list(shape)}; no axis can be negative")
    # numpy has arrays of 32 axes (64 since 2.0), and of fewer elements than an address has room for, even if one is 0.
    if len(shape) > _MOST_AXES or math.prod(max(length, 1) for length in shape) > _MOST_ELEMENTS:
        raise _invalid(f"{path}.shape", f"is {list(shape[:_MOST_AXES])}; that is beyond what an array can have")
    if tensor.values:
        shape = shape or (len(tensor.values),)
        if len(tensor.values) != math.prod(shape):
            raise _invalid(path, f"has {len(tensor.values)} values; shape {list(shape)} needs {math.prod(shape)}")
        with np.errstate(over="ignore"):
            return np.array(tensor.values, dtype=np.float64).astype(dtype).reshape(shape)
    if not shape:
        raise _invalid(path, "is empty; set `data` with `dtype` and `shape`, or `values`")
    needed = math.prod(shape) * dtype.itemsize
    if len(tensor.data) != needed:
        raise _invalid(
            path,
            f"has {len(tensor.data)} bytes of data; shape {list(shape)} of {dtype.name} needs {needed}",
        )
    return np.frombuffer(tensor.data, dtype=dtype).reshape(shape)


def _invalid(path: str, message: str) -> InvalidTensorError:
    return InvalidTensorError(f"{path}: {message}", faults=[Fault(path=path, message=message)])
