"""The inputs of a request, as one array in the network's own dtype."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from forwardpass.errors import Fault, InvalidFieldError, NonFiniteInputError, ShapeMismatchError
from forwardpass.tensors import Array, from_tensor

from forwardpass_server.serving.features import Origin, Read, matrix_origin, validate_and_fill_inputs
from forwardpass_server.serving.named import matrix_of_columns, matrix_of_rows

if TYPE_CHECKING:
    from forwardpass.v1.prediction_service_pb2 import PredictRequest, TraceRequest

    from forwardpass_server.registry import LoadedVersion


def read_inputs(request: "PredictRequest | TraceRequest", loaded: "LoadedVersion") -> Read:
    """Return the request's inputs, shape `(rows, inputs)`, in the dtype of the network, and what to warn of.

    Values of another dtype are rounded to nearest, so rows by name and a float64 tensor
    give the same numbers.

    Raises:
        InvalidFieldError: The request has no inputs.
        InvalidTensorError: The tensor contradicts itself.
        DtypeMismatchError: The tensor's dtype is neither float32 nor float64.
        ShapeMismatchError: The tensor is not `(rows, inputs)` or `(inputs,)`, or has no rows.
        FeatureMismatchError: There are unknown or missing features by name, or values of the wrong kind.
        NonFiniteInputError: There is NaN or infinity and the network does not allow it.
        InvalidRequestError: A typed feature refuses a value; `validate_and_fill_inputs` says how.
    """
    given = request.WhichOneof("inputs")
    read = _READERS.get(given or "")
    if read is None:
        raise InvalidFieldError(
            "inputs: neither `tensor` nor `rows` nor `columns` is set; set one of them",
            faults=[Fault(path="inputs", message="set `tensor`, `rows` or `columns`")],
        )
    numbers, origin = read(request, loaded)
    if numbers.dtype != loaded.plan.dtype:
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = numbers.astype(loaded.plan.dtype)
    return check_inputs(numbers, loaded, given, origin)


def check_inputs(numbers: Array, loaded: "LoadedVersion", given: str, origin: Origin | None = None) -> Read:
    """Let inputs pass that the network can be computed with.

    Args:
        numbers: `(rows, inputs)` in the dtype of the network.
        loaded: The network.
        given: The name by which the request has them.
        origin: Where each of them stands, if not just in a matrix of that name.

    Raises:
        NonFiniteInputError: There is NaN or infinity and the network does not allow it.
        InvalidRequestError: A typed feature refuses a value; `validate_and_fill_inputs` says how.
    """
    if loaded.typed is not None:
        return validate_and_fill_inputs(numbers, loaded, origin or matrix_origin(given))
    _check_finite(numbers, loaded, given)
    return Read(numbers)


def _check_finite(numbers: Array, loaded: "LoadedVersion", given: str) -> None:
    """Let inputs pass, shape `(rows, inputs)`, which the request has by the name `given`.

    Raises:
        NonFiniteInputError: There is NaN or infinity and the network does not allow it.
    """
    if not loaded.allow_non_finite and not np.isfinite(numbers).all():
        _refuse_non_finite(numbers, loaded, given)


def _matrix_of_tensor(request: "PredictRequest | TraceRequest", loaded: "LoadedVersion") -> tuple[Array, Origin]:
    return _one_row_as_matrix(from_tensor(request.tensor), loaded), matrix_origin("tensor")


_Reader: TypeAlias = "Callable[[PredictRequest | TraceRequest, LoadedVersion], tuple[Array, Origin]]"

_READERS: Final[Mapping[str, _Reader]] = {
    "tensor": _matrix_of_tensor,
    "rows": lambda request, loaded: matrix_of_rows(request.rows, loaded),
    "columns": lambda request, loaded: matrix_of_columns(request.columns, loaded),
}
"""How each field of `oneof inputs` becomes a matrix."""


def _one_row_as_matrix(numbers: Array, loaded: "LoadedVersion") -> Array:
    matrix = numbers.reshape(1, -1) if numbers.ndim == 1 else numbers
    width = loaded.plan.inputs
    if matrix.ndim != 2 or matrix.shape[1] != width or not matrix.shape[0]:
        actual = list(numbers.shape)
        message = f"has shape {actual}; {loaded.display_name} reads [rows, {width}] with at least one row"
        raise ShapeMismatchError(
            f"tensor: {message}",
            faults=[Fault(path="tensor.shape", message=message)],
            expectedShape=f"[rows, {width}]",
            actualShape=actual,
            network=loaded.name,
            version=loaded.version,
        )
    return matrix


def _refuse_non_finite(numbers: Array, loaded: "LoadedVersion", given: str) -> None:
    places = np.argwhere(~np.isfinite(numbers))
    row, column = map(int, places[0])
    path = f"{given}[{row}][{column}]"
    value = float(numbers[row, column])
    message = (
        f"is {value} as {numbers.dtype.name} (feature {loaded.input_names[column]!r}); {loaded.display_name} "
        "accepts finite numbers only"
    )
    raise NonFiniteInputError(
        f"{path}: {message}",
        faults=[Fault(path=path, message=message)],
        row=row,
        feature=loaded.input_names[column],
        value=value,
        count=len(places),
        network=loaded.name,
        version=loaded.version,
    )
