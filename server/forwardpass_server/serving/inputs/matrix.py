"""The inputs of a Predict, Trace or Explain as one matrix, whatever form they have in the request."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from forwardpass.errors import (
    Fault,
    FeatureMismatchError,
    InvalidFieldError,
    InvalidRequestError,
    InvalidTensorError,
    ShapeMismatchError,
)
from forwardpass.tensors import Array, from_tensor

from forwardpass_server.serving.inputs.by_name import matrix_of_columns, matrix_of_rows
from forwardpass_server.serving.inputs.checks import (
    INFINITE,
    MISSING,
    CheckedInputs,
    Origin,
    Rejection,
    matrix_origin,
    rejection,
    validate_and_fill_inputs,
)

if TYPE_CHECKING:
    from forwardpass.v1.attribution_pb2 import Baseline
    from forwardpass.v1.prediction_service_pb2 import ExplainRequest, PredictRequest, TraceRequest

    from forwardpass_server.registry import LoadedVersion

    WithInputs: TypeAlias = PredictRequest | TraceRequest | ExplainRequest | Baseline


def read_inputs(request: "WithInputs", loaded: "LoadedVersion") -> CheckedInputs:
    """Return the request's inputs, shape `(rows, inputs)`, in the dtype of the network, and the warnings about them.

    Raises:
        InvalidFieldError: The request has no inputs.
        InvalidTensorError: The tensor contradicts itself, or has an integer that the network cannot hold exactly.
        DtypeMismatchError: The tensor's dtype is neither float32 nor float64.
        ShapeMismatchError: The tensor does not have the network's inputs in each row, or has no rows.
        FeatureMismatchError: There are unknown or missing features by name, or values of the wrong kind, or an integer
            that the network cannot hold exactly.
        InvalidRequestError: A value is rejected; `check_inputs` says why.
    """
    given = request.WhichOneof("inputs")
    read = _READERS.get(given or "")
    if read is None:
        raise InvalidFieldError(
            "inputs: neither `tensor` nor `rows` nor `columns` is set; set one of them",
            faults=[Fault(path="inputs", message="set `tensor`, `rows` or `columns`")],
        )
    numbers, origin = read(request, loaded)
    if getattr(request, given).exact_integers:
        _check_integers(numbers, loaded, origin, InvalidTensorError if given == "tensor" else FeatureMismatchError)
    return check_inputs(numbers, loaded, origin)


def check_inputs(numbers: Array, loaded: "LoadedVersion", origin: Origin) -> CheckedInputs:
    """Return inputs as the network computes them.

    Numbers of another dtype are rounded to the nearest of the network's, so a row has the same bits in every form.
    A number that would become infinite is rejected: rounding keeps the size of a number.

    Args:
        numbers: `(rows, inputs)`, float32 or float64; NaN where a value is missing.
        loaded: The network.
        origin: Where they came from.

    Raises:
        MissingValueError: There is NaN, the network does not allow it, and its feature has no fill value.
        NonFiniteInputError: There is infinity and the network does not allow it, or a number is too large for the dtype
            of the network.
        InvalidRequestError: A typed feature rejects a value; `validate_and_fill_inputs` says how.
    """
    rounded = numbers
    if numbers.dtype != loaded.plan.dtype:
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = numbers.astype(loaded.plan.dtype)
        if loaded.allow_non_finite and overflows(numbers, rounded):
            places = np.argwhere(np.isinf(rounded) & np.isfinite(numbers))
            raise rejection(INFINITE, numbers, places, loaded, origin)
    if loaded.typed is not None:
        return validate_and_fill_inputs(rounded, loaded, origin, numbers)
    if not loaded.allow_non_finite and not np.isfinite(rounded).all():
        missing = np.isnan(rounded)
        kind, places = (MISSING, missing) if missing.any() else (INFINITE, np.isinf(rounded))
        raise rejection(kind, numbers, np.argwhere(places), loaded, origin)
    return CheckedInputs(rounded)


def overflows(numbers: Array, rounded: Array) -> bool:
    """Return whether rounding has made a finite number infinite."""
    infinite = np.isinf(rounded)
    return bool(infinite.any()) and not np.array_equal(infinite, np.isinf(numbers))


def _check_integers(numbers: Array, loaded: "LoadedVersion", origin: Origin, error: type[InvalidRequestError]) -> None:
    """Reject whole numbers that the network's dtype cannot hold exactly."""
    dtype = loaded.plan.dtype
    with np.errstate(over="ignore", invalid="ignore"):
        lost = (np.floor(numbers) == numbers) & (numbers.astype(dtype) != numbers)
    if lost.any():
        remedy = "pass a float to round it, or register the network with dtype float64"
        words = f"an integer that {dtype.name} cannot hold exactly; {remedy}"
        kind = Rejection(error, lambda _, value, __: f"is {value:.0f}, {words}")
        raise rejection(kind, numbers, np.argwhere(lost), loaded, origin)


def _matrix_of_tensor(request: "WithInputs", loaded: "LoadedVersion") -> tuple[Array, Origin]:
    return _as_matrix(from_tensor(request.tensor), loaded), matrix_origin("tensor")


_Reader: TypeAlias = "Callable[[WithInputs, LoadedVersion], tuple[Array, Origin]]"

_READERS: Final[Mapping[str, _Reader]] = {
    "tensor": _matrix_of_tensor,
    "rows": lambda request, loaded: matrix_of_rows(request.rows, loaded),
    "columns": lambda request, loaded: matrix_of_columns(request.columns, loaded),
}
"""How each field of `oneof inputs` becomes a matrix."""


def _as_matrix(numbers: Array, loaded: "LoadedVersion") -> Array:
    """Return `(rows, inputs)`: one axis is one row, or the rows of a network with one input."""
    width = loaded.plan.inputs
    matrix = numbers.reshape((-1, 1) if width == 1 else (1, -1)) if numbers.ndim == 1 else numbers
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
