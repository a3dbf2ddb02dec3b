"""ModelInfer: a method like Predict and Trace, whose requests share batches with theirs."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from forwardpass.errors import (
    Fault,
    InvalidFieldError,
    MalformedRequestError,
    NetworkNotFoundError,
    NotFoundError,
    VersionOutOfServiceError,
)
from google.protobuf.message import DecodeError

from forwardpass_server.memory import check_field_count, nesting_of
from forwardpass_server.oip.attributions import BASELINE
from forwardpass_server.oip.datatypes import DATATYPES
from forwardpass_server.oip.inputs import INPUTS, read_inputs
from forwardpass_server.oip.outputs import output_options
from forwardpass_server.oip.parameters import check_parameters
from forwardpass_server.oip.request_id import request_id_of, strip_request_id
from forwardpass_server.oip.v2.inference_pb2 import InferParameter, ModelInferRequest, ModelInferResponse
from forwardpass_server.serving import Method, OutputOptions
from forwardpass_server.serving.inputs import CheckedInputs, InputWarnings

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from forwardpass_server.registry import LoadedVersion, Snapshot, VersionState


_NESTING: Final = nesting_of(ModelInferRequest.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class ModelInferInference:
    """A `ModelInferRequest` that was decoded.

    Attributes:
        message: The request.
        own_id: The id, or None if it is in its usual place, from where it is copied.
        layer_access: Whether the caller may see the values inside networks.
    """

    message: ModelInferRequest
    own_id: str | None
    layer_access: bool

    @property
    def network(self) -> str:
        """The name of the model, as the request has it."""
        return self.message.model_name

    @property
    def min_revision(self) -> int:
        """Return 0, since the protocol has no revisions."""
        return 0

    @property
    def wants_profile(self) -> bool:
        """Return False, since the protocol has no profiles."""
        return False

    def find(self, snapshot: "Snapshot") -> "VersionState":
        """Return the version that the request names; the error is in Triton's words."""
        return find(snapshot, self.message.model_name, self.message.model_version)

    def inputs(self, loaded: "LoadedVersion") -> CheckedInputs:
        """Return the inputs, shape `(rows, inputs)`, in the dtype of the network, and the warnings about them."""
        check_parameters(self.message.parameters, "request")
        return read_inputs(self.message, loaded)

    def encode_warnings(self, warnings: InputWarnings) -> bytes:
        """Serialize warnings as the parameters `warnings`, a text with a line for each, and `warning_count`."""
        lines = "\n".join(f"row {warning.row}: {warning.message}" for warning in warnings.first)
        parameters = {
            "warnings": InferParameter(string_param=lines),
            "warning_count": InferParameter(int64_param=warnings.count),
        }
        return ModelInferResponse(parameters=parameters).SerializeToString(deterministic=True)

    def output_options(self, loaded: "LoadedVersion") -> OutputOptions:
        """Return the outputs that the response shows."""
        return output_options(self.message, loaded, self.own_id, layer_access=self.layer_access)

    def tensor_data(self) -> "tuple[bytes, np.dtype[Any]] | None":
        """Return the raw contents and dtype of the only tensor, or None if it is not `inputs` as FP32 or FP64."""
        message = self.message
        if BASELINE in message.parameters:  # read, its rows can be much larger than the request, so it is not kept
            return None
        if len(message.inputs) != 1 or len(message.raw_input_contents) != 1:
            return None
        tensor = message.inputs[0]
        if tensor.name != INPUTS or tensor.datatype not in {"FP32", "FP64"}:
            return None
        return message.raw_input_contents[0], DATATYPES[tensor.datatype].raw

    def with_tensor_data(self, data: bytes) -> ModelInferRequest:
        """Return the request with other raw contents, and without an id that is copied from the bytes."""
        other = ModelInferRequest.FromString(self.message.SerializeToString())
        other.raw_input_contents[0] = data
        if self.own_id is None:
            other.ClearField("id")
        return other


def decode(data: bytes, *, layer_access: bool = False) -> ModelInferInference:
    """Decode a request.

    Args:
        data: The serialized request.
        layer_access: Whether the caller may see the values inside networks.

    Raises:
        MalformedRequestError: The bytes are not a valid `ModelInferRequest`.
        InvalidFieldError: The request names no model.
        QuotaExceededError: The request has too many fields.
    """
    check_field_count(data, _NESTING)
    try:
        message = ModelInferRequest.FromString(data)
    except DecodeError:
        raise MalformedRequestError("the request is not a valid ModelInferRequest", method="ModelInfer") from None
    if not message.model_name:
        what = "model_name is empty; name a model"
        raise InvalidFieldError(what, faults=[Fault(path="model_name", message=what)])
    return ModelInferInference(message, None if message.id == request_id_of(data) else message.id, layer_access)


def find(snapshot: "Snapshot", name: str, version: str) -> "VersionState":
    """Return a version by number or alias.

    Raises:
        NotFoundError: There is no such network or version; the sentence is Triton's, which clients look for.
        VersionOutOfServiceError: The version is out of service; the sentence is Triton's too.
    """
    try:
        return snapshot.resolve(name, version)
    except VersionOutOfServiceError as error:
        error.message = f"Request for unknown model: '{name}' version {error.facts['version']} is not at ready state"
        raise
    except NotFoundError as error:
        raise _unknown(error, name, version) from None


def all_of(snapshot: "Snapshot", name: str) -> "Iterable[VersionState]":
    """Return every version of a network.

    Raises:
        NotFoundError: There is no such network; the sentence is Triton's.
    """
    try:
        return snapshot.network(name).versions.values()
    except NotFoundError as error:
        raise _unknown(error, name) from None


def _unknown(error: NotFoundError, name: str, version: str = "") -> NotFoundError:
    """Give an error Triton's sentence."""
    which = f"'{name}'" if isinstance(error, NetworkNotFoundError) else f"'{name}' version {version}"
    error.message = f"Request for unknown model: {which} is not found"
    return error


INFER: Final = Method(
    name="ModelInfer",
    decode=decode,
    strip_request_id=strip_request_id,
    with_layer_access=Method(
        name="ModelInfer", decode=partial(decode, layer_access=True), strip_request_id=strip_request_id
    ),
)
