"""numpy arrays as `forwardpass.v1.Tensor` messages and back: the only code that knows the byte layout."""

import math
from typing import Any, Final, NamedTuple, TypeAlias

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

MAX_AXES: Final = 32
"""How many axes an array can have, as in numpy before 2.0."""
_MAX_ELEMENTS: Final = 2**56


class Packed(NamedTuple):
    """The fields of a `Tensor` before there is a message.

    Attributes:
        dtype: The format of the elements.
        shape: The length of each axis.
        data: The elements, row-major and little-endian.
        exact_integers: Whether a network must hold whole numbers exactly.
    """

    dtype: DataType
    shape: tuple[int, ...]
    data: bytes
    exact_integers: bool = False


_WIRE: Final[dict[np.dtype[Any], DataType]] = {np.dtype("<f4"): DATA_TYPE_FLOAT32, np.dtype("<f8"): DATA_TYPE_FLOAT64}


def pack(array: npt.ArrayLike) -> Packed:
    """Pack an array of any shape; float32 stays float32, every other number becomes float64."""
    numbers = np.asarray(array)
    dtype = _WIRE.get(numbers.dtype)
    if dtype is None:
        dtype = DATA_TYPE_FLOAT32 if numbers.dtype == np.float32 else DATA_TYPE_FLOAT64
        numbers = numbers.astype(DTYPES[dtype])
    return Packed(dtype, numbers.shape, numbers.tobytes())


def to_tensor(array: npt.ArrayLike) -> Tensor:
    """Pack an array as a message; float32 stays float32, every other number becomes float64."""
    return as_tensor(pack(array))


def as_tensor(packed: Packed) -> Tensor:
    """Return a packed array as a message."""
    tensor = Tensor(dtype=packed.dtype, shape=packed.shape, data=packed.data)
    if packed.exact_integers:
        tensor.exact_integers = True
    return tensor


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
    # Each look at a field makes its Python value anew, so each is looked at once.
    data, values, kind, shape = tensor.data, tensor.values, tensor.dtype, tuple(tensor.shape)
    if data and values:
        raise _invalid(path, "both `data` and `values` are set; set one of them")
    dtype = DTYPES.get(kind)
    if dtype is None:
        if data or kind != DATA_TYPE_UNSPECIFIED:
            raise DtypeMismatchError(
                f"{path}: dtype is {kind}; must be DATA_TYPE_FLOAT32 or DATA_TYPE_FLOAT64",
                faults=[Fault(path=f"{path}.dtype", message="must be DATA_TYPE_FLOAT32 or DATA_TYPE_FLOAT64")],
                actualDtype=kind,
            )
        dtype = DTYPES[DATA_TYPE_FLOAT64]
    if shape and min(shape) < 0:
        raise _invalid(f"{path}.shape", f"is {list(shape[:MAX_AXES])}; no axis can be negative")
    if len(shape) > MAX_AXES:
        raise _invalid(f"{path}.shape", f"has {len(shape)} axes; an array can have {MAX_AXES}")
    if values:
        shape = shape or (len(values),)
        if len(values) != math.prod(shape):
            raise _invalid(path, f"has {len(values)} values; shape {list(shape)} needs {math.prod(shape)}")
        return _reshaped(_rounded(np.array(values, dtype=np.float64), dtype, path), shape, path)
    if not shape:
        raise _invalid(path, "is empty; set `data` with `dtype` and `shape`, or `values`")
    needed = math.prod(shape) * dtype.itemsize
    if len(data) != needed:
        raise _invalid(path, f"has {len(data)} bytes of data; shape {list(shape)} of {dtype.name} needs {needed}")
    return _reshaped(np.frombuffer(data, dtype), shape, path)


def _rounded(values: npt.NDArray[np.float64], dtype: np.dtype[Any], path: str) -> Array:
    """Return values in a dtype that has room for them."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded: Array = values.astype(dtype)
    too_large = np.flatnonzero(np.isinf(rounded) & np.isfinite(values))
    if too_large.size:
        place = int(too_large[0])
        raise _invalid(f"{path}.values[{place}]", f"is {values[place]:g}, which {dtype.name} cannot hold")
    return rounded


def _reshaped(numbers: Array, shape: tuple[int, ...], path: str) -> Array:
    """Give numbers, as many as it needs, a shape, if it is one that an array can have."""
    # numpy refuses more elements than an address has room for, even where an axis is 0 and there are none.
    if math.prod(max(length, 1) for length in shape) > _MAX_ELEMENTS:
        raise _invalid(f"{path}.shape", f"is {list(shape)}; that is beyond what an array can have")
    return numbers.reshape(shape)


def _invalid(path: str, message: str) -> InvalidTensorError:
    return InvalidTensorError(f"{path}: {message}", faults=[Fault(path=path, message=message)])
