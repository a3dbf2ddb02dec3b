"""The inputs of a ModelInfer request as one array in the network's dtype.

A request has one of two forms: one tensor `inputs` of shape `[rows, width]`, or a tensor for each feature, with the
feature's name and shape `[rows]` or `[rows, 1]`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np
from forwardpass.errors import Fault, InvalidFieldError, ShapeMismatchError
from forwardpass.spec.feature_kinds import REFUSE

from forwardpass_server.oip.categories import BYTES, categories_of, read_categories, texts_of
from forwardpass_server.oip.datatypes import datatype_of, from_contents, from_raw, invalid, to_dtype
from forwardpass_server.oip.parameters import check_parameters
from forwardpass_server.serving.inputs import CheckedInputs, Origin, check_inputs, check_omitted, matrix_origin

if TYPE_CHECKING:
    from forwardpass.tensors import Array

    from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest
    from forwardpass_server.registry import LoadedVersion

INPUTS: Final = "inputs"
"""The name of the tensor of all inputs."""

_GENERIC: Final = re.compile(r"(inputs?|predict)(_{0,2}|-)[0-9]*", re.IGNORECASE)
"""Names that models of other servers give to their only input, and that say nothing of it: `input-0`, `predict`."""


def read_inputs(request: "ModelInferRequest", loaded: "LoadedVersion") -> CheckedInputs:
    """Return the request's inputs, shape `(rows, inputs)`, in the dtype of the network, and the warnings about them.

    Raises:
        InvalidFieldError: An input is unknown, missing or given twice, or has a parameter that is rejected.
        DtypeMismatchError: A datatype is unknown, or is BYTES for an input that is no category.
        ShapeMismatchError: A shape does not fit the network, or there are no rows.
        InvalidTensorError: Contents are missing, given in both forms, or of the wrong size, or an integer in them
            would lose its value.
        NonFiniteInputError: There is NaN or infinity and the network does not allow it.
    """
    names = [tensor.name for tensor in request.inputs]
    _check_contents(request)
    if len(names) == 1 and is_whole(names[0], loaded):
        return check_inputs(_read(request, 0, loaded, loaded.plan.inputs), loaded, matrix_origin(INPUTS))
    _check_names(names, loaded)
    columns = [_read(request, index, loaded, 1) for index in range(len(names))]
    rows = {len(column) for column in columns}
    if len(rows) > 1:
        shapes = ", ".join(f"'{name}' has {len(column)}" for name, column in zip(names, columns, strict=True))
        raise _wrong_shape(f"all inputs must have the same number of rows; {shapes}", names[0], loaded)
    check_omitted(len(columns[0]) * (loaded.plan.inputs - len(names)), loaded)
    numbers = np.full((len(columns[0]), loaded.plan.inputs), np.nan, dtype=np.result_type(*columns))
    for name, column in zip(names, columns, strict=True):
        numbers[:, loaded.feature_index[name]] = column[:, 0]
    return check_inputs(numbers, loaded, _origin(request, loaded))


def _origin(request: "ModelInferRequest", loaded: "LoadedVersion") -> Origin:
    """Return the origin of the values of a request that has a tensor for each feature."""
    names = loaded.input_names
    place = {tensor.name: index for index, tensor in enumerate(request.inputs)}
    known: dict[int, list[str]] = {}

    def text(row: int, column: int) -> str | None:
        index = place.get(names[column])
        if index is None or request.inputs[index].datatype != BYTES:
            return None
        if index not in known:  # decoded once for all faults
            known[index] = texts_of(request, index)
        return known[index][row]

    return Origin(path=lambda row, column: f"inputs[{names[column]!r}][{row}]", text=text)


def _check_contents(request: "ModelInferRequest") -> None:
    raw = len(request.raw_input_contents)
    if not raw:
        return
    for tensor in request.inputs:
        if tensor.HasField("contents"):
            raise invalid(
                tensor.name,
                f"contents field must not be specified when using raw_input_contents for '{tensor.name}' "
                f"for model '{request.model_name}'",
            )
    if raw != len(request.inputs):
        what = f"expected raw_input_contents for {len(request.inputs)} inputs, got {raw}"
        raise InvalidFieldError(what, faults=[Fault(path="raw_input_contents", message=what)])


def is_whole(name: str, loaded: "LoadedVersion") -> bool:
    """Return whether a request's only input is the tensor of all inputs: `inputs`, or a name that says nothing.

    Such a name is not accepted for a network of one input, since it may be meant as the name of another feature.
    """
    if name in loaded.feature_index and name != INPUTS:
        return False
    return name == INPUTS or (loaded.plan.inputs > 1 and _GENERIC.fullmatch(name) is not None)


def _check_names(names: Sequence[str], loaded: "LoadedVersion") -> None:
    """Check that each feature is given once, and that none is missing but those with a fill value."""
    known = loaded.feature_index
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise _wrong_input(f"input '{twice}' is given more than once for model '{loaded.name}'")
    for name in names:
        if name not in known:
            raise _wrong_input(f"unexpected inference input '{name}' for model '{loaded.name}'; {_read_by(loaded)}")
    missing = [name for name in loaded.input_names if name not in set(names) and _is_needed(name, loaded)]
    if missing or not names:
        given, absent = (", ".join(f"'{name}'" for name in some[:20]) for some in (names, missing))
        mismatch = f"expected {len(known)} inputs but got {len(names)} inputs for model '{loaded.name}'"
        raise _wrong_input(f"{mismatch}. Got input(s) [{given}], but missing required input(s) [{absent}]")


def _is_needed(name: str, loaded: "LoadedVersion") -> bool:
    """Return whether an input has no fill value."""
    return loaded.typed is None or loaded.typed.features[loaded.feature_index[name]].missing == REFUSE


def _read_by(loaded: "LoadedVersion") -> str:
    some = ", ".join(f"'{name}'" for name in loaded.input_names[:8])
    return f"it reads '{INPUTS}', or each of {some}{' ...' if len(loaded.input_names) > 8 else ''}"


def _read(request: "ModelInferRequest", index: int, loaded: "LoadedVersion", width: int) -> "Array":
    """Return one input, shape `(rows, width)`, in the network's dtype or float64."""
    tensor = request.inputs[index]
    check_parameters(tensor.parameters, "input", f"inputs[{tensor.name!r}]", f"input '{tensor.name}'")
    categories = categories_of(tensor.name, loaded) if tensor.datatype == BYTES else None
    datatype = None if categories else datatype_of(tensor.datatype, tensor.name)
    shape = tuple(tensor.shape[:3])
    if (shape[1:] != (width,) and len(shape) != 1) or len(tensor.shape) > 2 or min(shape, default=0) < 0:
        raise _unexpected(list(tensor.shape[:8]), tensor.name, width, loaded)
    count = prod(shape)
    if len(shape) == 1 and width > 1 and count != width:  # one row without the axis of rows
        raise _unexpected(list(shape), tensor.name, width, loaded)
    if not count:
        raise _wrong_shape(f"input '{tensor.name}' has no rows; model '{loaded.name}' needs one", tensor.name, loaded)
    if datatype is None:
        elements = read_categories(request, index, count, categories or {})
    elif request.raw_input_contents:
        elements = from_raw(request.raw_input_contents[index], datatype, count, tensor.name)
    else:
        elements = from_contents(tensor.contents, datatype, count, tensor.name)
    return to_dtype(elements, loaded.plan.dtype, tensor.name).reshape(-1, width)


def _unexpected(shape: list[int], name: str, width: int, loaded: "LoadedVersion") -> ShapeMismatchError:
    what = f"unexpected shape for input '{name}' for model '{loaded.name}'. Expected [-1,{width}], got "
    return _wrong_shape(f"{what}[{','.join(map(str, shape))}]", name, loaded)


def _wrong_shape(message: str, name: str, loaded: "LoadedVersion") -> ShapeMismatchError:
    return ShapeMismatchError(
        message,
        faults=[Fault(path=f"inputs[{name!r}].shape", message=message)],
        network=loaded.name,
        version=loaded.version,
    )


def _wrong_input(message: str) -> InvalidFieldError:
    return InvalidFieldError(message, faults=[Fault(path="inputs", message=message)])
