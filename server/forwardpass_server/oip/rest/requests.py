"""The body of `infer` as a request message: JSON, or JSON and behind it binary data.

Binary data is Triton's extension: the header `Inference-Header-Content-Length` says where the JSON ends, and
tensors with `binary_data_size` have their raw contents behind it, one after the other.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from forwardpass.errors import Fault, InvalidTensorError

from forwardpass_server.oip.rest.elements import DTYPES, to_raw
from forwardpass_server.oip.rest.members import fill, member, members, parameters, read_object, refused
from forwardpass_server.oip.rest.pieces import Flat, said
from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest, ModelMetadataResponse

HEADER_LENGTH: Final = "inference-header-content-length"
"""The header with the length of the JSON, in a request and in an answer."""

_LONGEST_AXIS: Final = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How the caller wants the outputs.

    Attributes:
        binary: Whether an output comes as binary data where nothing else is said.
        by_output: Whether the outputs of these names do.
    """

    binary: bool = False
    by_output: Mapping[str, bool] = field(default_factory=dict)

    def wants_binary(self, output: str) -> bool:
        """Say whether an output comes as binary data."""
        return self.by_output.get(output, self.binary)


def header_length(value: str | None, size: int) -> int:
    """Read the header that says where the JSON of a body of `size` bytes ends; without one it is all JSON.

    Raises:
        InvalidFieldError: The value is no length within the body.
    """
    if value is None:
        return size
    if not (value.isascii() and value.isdecimal()) or len(value) > 19 or int(value) > size:
        raise refused(HEADER_LENGTH, f"is {said(value)}; must be the length of the JSON, from 0 to {size}")
    return int(value)


def read_request(body: bytes, length: int, name: str, version: str) -> tuple[ModelInferRequest, Form]:
    """Read a body.

    Members that the protocol does not have are ignored. Parameters that are not about binary data are passed
    on; whoever gets the message refuses those that are none.

    Args:
        body: All of it, not compressed.
        length: How much of it is JSON.
        name: The model's name in the path.
        version: Its version in the path, or empty.

    Raises:
        MalformedRequestError: The body is no JSON object.
        InvalidFieldError: A member is missing or of the wrong kind.
        InvalidTensorError: A tensor contradicts itself, or the binary data does not fit.
        DtypeMismatchError: A datatype is none.
    """
    document = read_object(body[:length])
    request = ModelInferRequest(model_name=name, model_version=version, id=member(document, "id", str, default=""))
    asked = parameters(document)
    binary = _flag(asked, "binary_data_output", "parameters")
    fill(request.parameters, asked, "request")
    behind = _Behind(body, length)
    for index, given in enumerate(members(document, "inputs")):
        _add_input(request, given, behind, f"inputs[{index}]")
    behind.check_end()
    by_output = {}
    for index, given in enumerate(members(document, "outputs", default=[])):
        own = _add_output(request, given, f"outputs[{index}]")
        if own is not None:
            by_output[request.outputs[-1].name] = own
    return request, Form(binary=bool(binary), by_output=by_output)


def read_raw_request(
    body: bytes, name: str, version: str, metadata: ModelMetadataResponse
) -> tuple[ModelInferRequest, Form]:
    """Read a body without any JSON: the raw contents of a model's only input.

    Raises:
        InvalidTensorError: The model has several inputs, or one whose shape the bytes do not tell.
    """
    if len(metadata.inputs) != 1:
        raise _contradiction("body", f"has no JSON, which a model with {len(metadata.inputs)} inputs needs")
    (tensor,) = metadata.inputs
    shape = [*tensor.shape]
    if -1 in shape and tensor.datatype in DTYPES:
        known = DTYPES[tensor.datatype].itemsize * math.prod(length for length in shape if length >= 0)
        shape[shape.index(-1)] = len(body) // known if known else 0
    if -1 in shape:
        raise _contradiction("body", f"has no JSON, which an input of shape {[*tensor.shape]} needs")
    request = ModelInferRequest(model_name=name, model_version=version, raw_input_contents=[body])
    request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
    return request, Form(binary=True)


def expires(request: ModelInferRequest) -> float:
    """Return when a request's parameter `timeout` passes, in seconds of `time.monotonic()`; or infinity.

    Raises:
        InvalidFieldError: It is no number of microseconds.
    """
    if "timeout" not in request.parameters:
        return math.inf
    timeout = request.parameters["timeout"]
    if timeout.WhichOneof("parameter_choice") != "int64_param" or timeout.int64_param < 0:
        raise refused("parameters.timeout", "is no number of microseconds, 0 or more")
    return time.monotonic() + timeout.int64_param / 1e6 if timeout.int64_param else math.inf


class _Behind:
    """The binary data behind the JSON, taken from the front."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body = body
        self._place = start

    def take(self, size: int, path: str) -> bytes:
        left = len(self._body) - self._place
        if not 0 <= size <= left:
            raise _contradiction(path, f"is {said(size)}; {left} bytes are left behind the JSON")
        self._place += size
        return self._body[self._place - size : self._place]

    def check_end(self) -> None:
        if left := len(self._body) - self._place:
            raise _contradiction("body", f"has {left} bytes behind the JSON that belong to no input")


def _add_input(request: ModelInferRequest, given: dict[str, Any], behind: _Behind, path: str) -> None:
    shape = _shape(given, path)
    tensor = request.inputs.add(
        name=member(given, "name", str, path), datatype=member(given, "datatype", str, path), shape=shape
    )
    said_of_it = parameters(given, path)
    size = member(said_of_it, "binary_data_size", int, f"{path}.parameters", default=None)
    said_of_it.pop("binary_data_size", None)
    fill(tensor.parameters, said_of_it, "input", path)
    data = given.get("data")
    if (size is None) == (data is None):
        raise _contradiction(path, "needs `data` or the parameter `binary_data_size`, and only one of them")
    if size is not None:
        raw = behind.take(size, f"{path}.parameters.binary_data_size")
    elif isinstance(data, list | Flat):
        raw = to_raw(data, tensor.datatype, shape, f"{path}.data")
    else:
        raise refused(f"{path}.data", f"is {said(data)}; must be an array")
    request.raw_input_contents.append(raw)


def _add_output(request: ModelInferRequest, given: dict[str, Any], path: str) -> bool | None:
    """Ask for an output; return whether it shall be binary data, if that is said."""
    output = request.outputs.add(name=member(given, "name", str, path))
    asked = parameters(given, path)
    # KServe's clients name it as the request's parameter is named.
    flags = [_flag(asked, name, f"{path}.parameters") for name in ("binary_data", "binary_data_output")]
    binary = next((flag for flag in flags if flag is not None), None)
    fill(output.parameters, asked, "output", path)
    return binary


def _flag(given: dict[str, Any], name: str, path: str) -> bool | None:
    """Take a parameter that is true or false out of others."""
    value: bool | None = member(given, name, bool, path, default=None)
    given.pop(name, None)
    return value


def _shape(given: dict[str, Any], path: str) -> list[int]:
    shape: list[Any] = member(given, "shape", list, path)
    for length in shape:
        if type(length) is not int or not 0 <= length <= _LONGEST_AXIS:
            raise refused(f"{path}.shape", f"has {said(length)}; must have the lengths of the axes, 0 or more")
    return shape


def _contradiction(path: str, message: str) -> InvalidTensorError:
    return InvalidTensorError(f"{path} {message}", faults=[Fault(path=path, message=message)])
