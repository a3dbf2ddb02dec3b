"""The common part of requests of PredictionService: which network, and which rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from forwardpass.errors import Fault, InvalidFieldError, LayerNotFoundError, MalformedRequestError
from forwardpass.tensors import DTYPES
from forwardpass.v1.prediction_service_pb2 import (
    ExplainRequest,
    ExplainResponse,
    PredictRequest,
    PredictResponse,
    TraceRequest,
    TraceResponse,
)
from google.protobuf.message import DecodeError

from forwardpass_server.memory import Nesting, check_field_count, nesting_of
from forwardpass_server.serving.inputs import CheckedInputs, InputWarnings, read_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from forwardpass_server.registry import LoadedVersion, Snapshot, VersionState

Request = TypeVar("Request", PredictRequest, TraceRequest, ExplainRequest)

_NESTINGS: Final[Mapping[type[PredictRequest | TraceRequest | ExplainRequest], Nesting]] = {
    message: nesting_of(message.DESCRIPTOR) for message in (PredictRequest, TraceRequest, ExplainRequest)
}


@dataclass(frozen=True, slots=True)
class Inference(Generic[Request]):
    """Base class of requests that name a network, and have a tensor or rows by name.

    Attributes:
        message: The message that was decoded.
        response: The class of the response.
    """

    message: Request
    response: ClassVar[type[PredictResponse | TraceResponse | ExplainResponse]]

    @property
    def network(self) -> str:
        """The name of the network, as the request has it."""
        return self.message.network

    @property
    def min_revision(self) -> int:
        """The lowest revision of the registry at which the version may be found."""
        return self.message.min_revision

    @property
    def wants_profile(self) -> bool:
        """Whether the response compares values with the version's profile."""
        return False

    def find(self, snapshot: "Snapshot") -> "VersionState":
        """Return the version that the request names."""
        return snapshot.resolve(self.message.network, self.message.version)

    def inputs(self, loaded: "LoadedVersion") -> CheckedInputs:
        """Return the inputs, shape `(rows, inputs)`, in the dtype of the network, and the warnings about them."""
        return read_inputs(self.message, loaded)

    def encode_warnings(self, warnings: InputWarnings) -> bytes:
        """Serialize the fields of a response that have warnings."""
        return self.response(warnings=warnings.first, warning_count=warnings.count).SerializeToString()

    def tensor_data(self) -> "tuple[bytes, np.dtype[Any]] | None":
        """Return the data of the tensor and their dtype; None where the inputs are no such bytes, or whole numbers."""
        tensor = self.message.tensor  # empty when the inputs are rows by name
        data = tensor.data  # a copy
        # Whether an integer is held exactly depends on the numbers, so such a request is read each time.
        return (data, DTYPES[tensor.dtype]) if data and not tensor.exact_integers else None

    def with_tensor_data(self, data: bytes) -> Request:
        """Return the message with other data in its tensor."""
        other = type(self.message).FromString(self.message.SerializeToString())
        other.tensor.data = data
        return other


def parse(message: type[Request], data: bytes, method: str) -> Request:
    """Parse a request.

    Raises:
        MalformedRequestError: The bytes are not a valid message.
        InvalidFieldError: It names no network.
    """
    check_field_count(data, _NESTINGS[message])
    try:
        request = message.FromString(data)
    except DecodeError:
        raise MalformedRequestError(f"the request is not a valid {method}Request", method=method) from None
    if not request.network:
        raise InvalidFieldError(
            "network: is empty; name a network",
            faults=[Fault(path="network", message="is empty; name a network")],
        )
    return request


def check_layers(names: "Iterable[str]", loaded: "LoadedVersion") -> None:
    """Check that a network has the layers of some names.

    Raises:
        LayerNotFoundError: It has no layer of a name.
    """
    known = [layer.name for layer in loaded.plan.layers]
    for index, name in enumerate(names):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise LayerNotFoundError(
                f"{loaded.display_name} has no layer {name!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known[:10])}"),
                resourceType="layer",
                resourceName=name,
                nearest=", ".join(near),
                path=f"layers[{index}]",
            )
