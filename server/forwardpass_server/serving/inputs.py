"""The inputs of a request, as one array in the network's own dtype."""

from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
from forwardpass.errors import (
    Fault,
    FeatureMismatchError,
    InvalidFieldError,
    NonFiniteInputError,
    ShapeMismatchError,
)
from forwardpass.tensors import Array, from_tensor

if TYPE_CHECKING:
    from forwardpass.v1.prediction_service_pb2 import PredictRequest, TraceRequest
    from forwardpass.v1.tensor_pb2 import Rows
    from google.protobuf.struct_pb2 import Struct

    from forwardpass_server.registry import Served

_COMPARED: Final = 100
"""How many features a name that is none is compared with, and by how many of its characters."""
_MOST_HINTS: Final = 8
"""How many names of one request are compared: a caller's typing errors must stay cheap."""


def read_inputs(request: "PredictRequest | TraceRequest", served: "Served") -> Array:
    """Return the request's inputs, shape `(rows, inputs)`, in the dtype of the network.

    Values of another dtype are rounded to nearest, so rows by name and a float64 tensor
    give the same numbers.

    Raises:
        InvalidFieldError: The request has no inputs.
        InvalidTensorError: The tensor contradicts itself.
        DtypeMismatchError: The tensor's dtype is neither float32 nor float64.
        ShapeMismatchError: The tensor is not `(rows, inputs)` or `(inputs,)`, or has no rows.
        FeatureMismatchError: A named row has unknown, missing or non-numeric features.
        NonFiniteInputError: There is NaN or infinity and the network does not allow it.
    """
    given = request.WhichOneof("inputs")
    if given == "tensor":
        numbers = _one_row_as_matrix(from_tensor(request.tensor), served)
    elif given == "rows":
        numbers = _matrix_of_rows(request.rows, served)
    else:
        raise InvalidFieldError(
            "inputs: neither `tensor` nor `rows` is set; set one of them",
            faults=[Fault(path="inputs", message="set `tensor` or `rows`")],
        )
    if numbers.dtype != served.plan.dtype:
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = numbers.astype(served.plan.dtype)
    check_finite(numbers, served, given)
    return numbers


def check_finite(numbers: Array, served: "Served", given: str) -> None:
    """Let inputs pass, shape `(rows, inputs)`, which the request has by the name `given`.

    Raises:
        NonFiniteInputError: There is NaN or infinity and the network does not allow it.
    """
    if not served.allow_non_finite and not np.isfinite(numbers).all():
        _refuse_non_finite(numbers, served, given)


def _one_row_as_matrix(numbers: Array, served: "Served") -> Array:
    matrix = numbers.reshape(1, -1) if numbers.ndim == 1 else numbers
    width = served.plan.inputs
    if matrix.ndim != 2 or matrix.shape[1] != width or not matrix.shape[0]:
        actual = list(numbers.shape)
        message = f"has shape {actual}; {served.title} reads [rows, {width}] with at least one row"
        raise ShapeMismatchError(
            f"tensor: {message}",
            faults=[Fault(path="tensor.shape", message=message)],
            expectedShape=f"[rows, {width}]",
            actualShape=actual,
            network=served.name,
            version=served.version,
        )
    return matrix


def _matrix_of_rows(rows: "Rows", served: "Served") -> Array:
    if not rows.rows:
        raise ShapeMismatchError(
            f"rows: there are none; {served.title} needs at least one",
            faults=[Fault(path="rows", message="needs at least one row")],
            expectedShape=f"[rows, {served.plan.inputs}]",
            actualShape=[0, served.plan.inputs],
            network=served.name,
            version=served.version,
        )
    matrix = np.empty((len(rows.rows), served.plan.inputs), dtype=np.float64)
    faults: list[Fault] = []
    for index, row in enumerate(rows.rows):
        found = _fill(matrix[index], row, served, f"rows[{index}]", _MOST_HINTS - len(faults))
        faults += found
        if len(faults) >= 100:
            break
    if faults:
        raise FeatureMismatchError(
            f"rows: {len(faults)} of the features given or missing do not fit {served.title}",
            faults=faults,
            network=served.name,
            version=served.version,
            features=", ".join(served.input_names),
        )
    return matrix


def _fill(out: Array, row: "Struct", served: "Served", path: str, hints: int) -> list[Fault]:
    """Write one row's numbers into `out`, shape `(inputs,)`; return what does not fit, with so many hints."""
    faults: list[Fault] = []
    fields = row.fields
    for name, value in fields.items():
        position = served.feature_index.get(name)
        if position is None:
            hint = _hint(name, served.input_names) if len(faults) < hints else ""
            faults.append(Fault(path=f"{path}.{name}", message=f"the network has no such feature{hint}"))
            continue
        kind = value.WhichOneof("kind")
        if kind == "number_value":
            out[position] = value.number_value
        elif kind == "bool_value":
            out[position] = value.bool_value
        else:
            said = "nothing" if kind in {None, "null_value"} else f"a {kind.removesuffix('_value')}"
            faults.append(Fault(path=f"{path}.{name}", message=f"is {said}; a number is needed"))
    if len(fields) < len(served.feature_index) or faults:
        faults += [
            Fault(path=f"{path}.{name}", message="is missing; every feature is needed")
            for name in served.input_names
            if name not in fields
        ]
    return faults


def _hint(name: str, names: tuple[str, ...]) -> str:
    """Say what may have been meant, looking at some of many names."""
    some = names if len(names) <= _COMPARED else islice((other for other in names if other[0] == name[:1]), _COMPARED)
    near = get_close_matches(name[:_COMPARED], some, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {_some(names)}"


def _some(names: tuple[str, ...], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more


def _refuse_non_finite(numbers: Array, served: "Served", given: str) -> None:
    places = np.argwhere(~np.isfinite(numbers))
    row, column = map(int, places[0])
    path = f"{given}[{row}][{column}]"
    value = float(numbers[row, column])
    message = (
        f"is {value} as {numbers.dtype.name} (feature {served.input_names[column]!r}); {served.title} "
        "accepts finite numbers only"
    )
    raise NonFiniteInputError(
        f"{path}: {message}",
        faults=[Fault(path=path, message=message)],
        row=row,
        feature=served.input_names[column],
        value=value,
        count=len(places),
        network=served.name,
        version=served.version,
    )
