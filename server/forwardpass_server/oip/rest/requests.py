"""Decode the HTTP body of `infer` into a `ModelInferRequest`: JSON, followed by tensors that are sent as binary data.

Binary data is Triton's extension. The header `Inference-Header-Content-Length` has the length of the JSON; after it
come the raw contents of each input that has the parameter `binary_data_size`, in the order of the inputs.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from forwardpass.errors import Fault, InvalidTensorError

from forwardpass_server.oip.rest.chunked_json import FlatArray, shown
from forwardpass_server.oip.rest.json_fields import (
    field_error,
    field_value,
    objects,
    parameters,
    read_object,
    set_parameters,
)
from forwardpass_server.oip.rest.tensor_data import DTYPES, to_raw
from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest, ModelMetadataResponse

HEADER_LENGTH: Final = "inference-header-content-length"
"""The header with the length of the JSON in bytes, in requests and responses."""

_LONGEST_AXIS: Final = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputForm:
    """The outputs of a response that are sent as binary data.

    Attributes:
        binary: Whether outputs are, unless `by_output` says otherwise.
        by_output: Whether the output of a name is.
    """

    binary: bool = False
    by_output: Mapping[str, bool] = field(default_factory=dict)

    def is_binary(self, output: str) -> bool:
        """Return whether an output is sent as binary data."""
        return self.by_output.get(output, self.binary)


def header_length(value: str | None, size: int) -> int:
    """Return the length of the JSON in a body.

    Args:
        value: The value of the header `HEADER_LENGTH`, or None if the body is JSON only.
        size: Bytes of the body.

    Raises:
        InvalidFieldError: The value is not an integer from 0 to `size`.
    """
    if value is None:
        return size
    if not (value.isascii() and value.isdecimal()) or len(value) > 19 or int(value) > size:
        raise field_error(HEADER_LENGTH, f"is {shown(value)}; must be the length of the JSON, from 0 to {size}")
    return int(value)


def decode_request(body: bytes, length: int, name: str, version: str) -> tuple[ModelInferRequest, OutputForm]:
    """Decode a body.

    Fields that the protocol does not define are ignored. Parameters about binary data are used here; all others are
    passed on in the message.

    Args:
        body: The whole body, decompressed.
        length: Bytes of JSON at its beginning.
        name: The model's name in the path.
        version: The version in the path, or empty.

    Raises:
        MalformedRequestError: The JSON is not an object.
        InvalidFieldError: A field is missing or has a value of the wrong type.
        InvalidTensorError: The data of a tensor do not fit its shape, or the binary data do not fit the inputs.
        DtypeMismatchError: A datatype is unknown.
    """
    document = read_object(body[:length])
    request = ModelInferRequest(model_name=name, model_version=version, id=field_value(document, "id", str, default=""))
    given = parameters(document)
    binary = _pop_flag(given, "binary_data_output", "parameters")
    set_parameters(request.parameters, given, "request")
    binary_data = _BinaryData(body, length)
    for index, tensor in enumerate(objects(document, "inputs")):
        _add_input(request, tensor, binary_data, f"inputs[{index}]")
    binary_data.check_end()
    by_output = {}
    for index, output in enumerate(objects(document, "outputs", default=[])):
        own = _add_output(request, output, f"outputs[{index}]")
        if own is not None:
            by_output[request.outputs[-1].name] = own
    return request, OutputForm(binary=bool(binary), by_output=by_output)


def decode_raw_request(
    body: bytes, name: str, version: str, metadata: ModelMetadataResponse
) -> tuple[ModelInferRequest, OutputForm]:
    """Decode a body without JSON: the raw contents of a model's only input.

    Raises:
        InvalidTensorError: The model has several inputs, or the bytes do not determine the shape of its input.
    """
    if len(metadata.inputs) != 1:
        raise _tensor_error("body", f"has no JSON, which a model with {len(metadata.inputs)} inputs needs")
    (tensor,) = metadata.inputs
    shape = [*tensor.shape]
    if -1 in shape and tensor.datatype in DTYPES:
        known = DTYPES[tensor.datatype].itemsize * math.prod(length for length in shape if length >= 0)
        shape[shape.index(-1)] = len(body) // known if known else 0
    if -1 in shape:
        raise _tensor_error("body", f"has no JSON, which an input of shape {[*tensor.shape]} needs")
    request = ModelInferRequest(model_name=name, model_version=version, raw_input_contents=[body])
    request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
    return request, OutputForm(binary=True)


def expires(request: ModelInferRequest) -> float:
    """Return when a request's parameter `timeout` expires, in seconds of `time.monotonic()`, or infinity.

    Raises:
        InvalidFieldError: The parameter is not a number of microseconds.
    """
    if "timeout" not in request.parameters:
        return math.inf
    timeout = request.parameters["timeout"]
    if timeout.WhichOneof("parameter_choice") != "int64_param" or timeout.int64_param < 0:
        raise field_error("parameters.timeout", "must be a number of microseconds, 0 or more")
    return time.monotonic() + timeout.int64_param / 1e6 if timeout.int64_param else math.inf


class _BinaryData:
    """The binary data after the JSON of a body, which the inputs take one after the other."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body = body
        self._place = start

    def take(self, size: int, path: str) -> bytes:
        left = len(self._body) - self._place
        if not 0 <= size <= left:
            raise _tensor_error(path, f"is {shown(size)}; {left} bytes are left after the JSON")
        self._place += size
        return self._body[self._place - size : self._place]

    def check_end(self) -> None:
        if left := len(self._body) - self._place:
            raise _tensor_error("body", f"has {left} bytes after the JSON that belong to no input")


def _add_input(request: ModelInferRequest, document: dict[str, Any], binary_data: _BinaryData, path: str) -> None:
    shape = _shape(document, path)
    tensor = request.inputs.add(
        name=field_value(document, "name", str, path),
        datatype=field_value(document, "datatype", str, path),
        shape=shape,
    )
    given = parameters(document, path)
    size = field_value(given, "binary_data_size", int, f"{path}.parameters", default=None)
    given.pop("binary_data_size", None)
    set_parameters(tensor.parameters, given, "input", path)
    data = document.get("data")
    if (size is None) == (data is None):
        raise _tensor_error(path, "must have either `data` or the parameter `binary_data_size`")
    if size is not None:
        raw = binary_data.take(size, f"{path}.parameters.binary_data_size")
    elif isinstance(data, list | FlatArray):
        raw = to_raw(data, tensor.datatype, shape, f"{path}.data")
    else:
        raise field_error(f"{path}.data", f"is {shown(data)}; must be an array")
    request.raw_input_contents.append(raw)


def _add_output(request: ModelInferRequest, document: dict[str, Any], path: str) -> bool | None:
    """Add a requested output; return whether it is to be sent as binary data, or None if it does not say."""
    output = request.outputs.add(name=field_value(document, "name", str, path))
    given = parameters(document, path)
    # KServe's clients give an output the parameter that Triton has for the whole request.
    flags = [_pop_flag(given, name, f"{path}.parameters") for name in ("binary_data", "binary_data_output")]
    set_parameters(output.parameters, given, "output", path)
    return next((flag for flag in flags if flag is not None), None)


def _pop_flag(given: dict[str, Any], name: str, path: str) -> bool | None:
    """Remove a parameter that is true or false, and return it."""
    value: bool | None = field_value(given, name, bool, path, default=None)
    given.pop(name, None)
    return value


def _shape(document: dict[str, Any], path: str) -> list[int]:
    shape: list[Any] = field_value(document, "shape", list, path)
    for length in shape:
        if type(length) is not int or not 0 <= length <= _LONGEST_AXIS:
            raise field_error(f"{path}.shape", f"has {shown(length)}; each length must be an integer of 0 or more")
    return shape


def _tensor_error(path: str, message: str) -> InvalidTensorError:
    return InvalidTensorError(f"{path} {message}", faults=[Fault(path=path, message=message)])
