"""Predict, Trace and PredictMany: how their requests are decoded, and what encodes the responses."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from forwardpass.errors import Fault, InvalidFieldError, LayerNotFoundError, MalformedRequestError
from forwardpass.tensors import DTYPES
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse, TraceRequest, TraceResponse
from google.protobuf.message import DecodeError

from forwardpass_server.memory import Nesting, check_field_count, nesting_of
from forwardpass_server.serving.encode.classifications import row_bytes
from forwardpass_server.serving.encode.percentiles import percentile_bytes
from forwardpass_server.serving.encode.predict import PredictEncoder, TraceEncoder
from forwardpass_server.serving.inputs import CheckedInputs, InputWarnings, read_inputs
from forwardpass_server.serving.requests import Method, OutputOptions, TraceOptions

if TYPE_CHECKING:
    import numpy as np

    from forwardpass_server.registry import LoadedVersion, Snapshot, VersionState

Request = TypeVar("Request", PredictRequest, TraceRequest)

_NESTINGS: Final[Mapping[type[PredictRequest | TraceRequest], Nesting]] = {
    message: nesting_of(message.DESCRIPTOR) for message in (PredictRequest, TraceRequest)
}


@dataclass(frozen=True, slots=True)
class _Inference(Generic[Request]):
    """The common part of both: a network, and a tensor or rows by name."""

    message: Request
    response: ClassVar[type[PredictResponse | TraceResponse]]

    @property
    def min_revision(self) -> int:
        return self.message.min_revision

    @property
    def wants_profile(self) -> bool:
        return False

    def find(self, snapshot: "Snapshot") -> "VersionState":
        return snapshot.resolve(self.message.network, self.message.version)

    def inputs(self, loaded: "LoadedVersion") -> CheckedInputs:
        return read_inputs(self.message, loaded)

    def encode_warnings(self, warnings: InputWarnings) -> bytes:
        return self.response(warnings=warnings.first, warning_count=warnings.count).SerializeToString()

    def tensor_data(self) -> "tuple[bytes, np.dtype[Any]] | None":
        tensor = self.message.tensor  # empty when the inputs are rows by name
        # Whether an integer is held exactly depends on the numbers, so such a request is read each time.
        return (tensor.data, DTYPES[tensor.dtype]) if tensor.data and not tensor.exact_integers else None

    def with_tensor_data(self, data: bytes) -> Request:
        other = type(self.message).FromString(self.message.SerializeToString())
        other.tensor.data = data
        return other


class PredictInference(_Inference[PredictRequest]):
    """A request for the outputs of a network."""

    response = PredictResponse

    def output_options(self, loaded: "LoadedVersion") -> OutputOptions:
        """Return what the response shows."""
        top = _top_k(self.message.top_k, loaded)
        return OutputOptions(None, PredictEncoder(top), row_bytes(loaded, top))


class TraceInference(_Inference[TraceRequest]):
    """A request for the outputs of a network, and the values of its layers."""

    response = TraceResponse

    @property
    def wants_profile(self) -> bool:
        """Whether the response compares values with the version's profile."""
        return self.message.percentiles

    def output_options(self, loaded: "LoadedVersion") -> OutputOptions:
        """Return what the response shows.

        Raises:
            LayerNotFoundError: The network has no layer of a name.
        """
        known = [layer.name for layer in loaded.plan.layers]
        for index, name in enumerate(self.message.layers):
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
        trace = TraceOptions(layers=frozenset(self.message.layers), contributions=self.message.contributions)
        top = _top_k(self.message.top_k, loaded)
        size = row_bytes(loaded, top) + percentile_bytes(loaded, self.message.layers)
        return OutputOptions(trace, TraceEncoder(top, loaded.profile), size)


def _top_k(top_k: int, loaded: "LoadedVersion") -> int:
    """Return how many of the most probable classes the response shows of each row."""
    if top_k < 0 or (top_k and not loaded.classes):
        message = (
            "must not be below 0"
            if top_k < 0
            else f"is {top_k}, but {loaded.display_name} has no classes; leave it out"
        )
        raise InvalidFieldError(f"top_k: {message}", faults=[Fault(path="top_k", message=message)], field="top_k")
    return min(top_k, len(loaded.classes))


def _parse(message: type[Request], data: bytes, method: str) -> Request:
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


PREDICT: Final = Method(name="Predict", decode=lambda data: PredictInference(_parse(PredictRequest, data, "Predict")))
TRACE: Final = Method(name="Trace", decode=lambda data: TraceInference(_parse(TraceRequest, data, "Trace")))
PREDICT_MANY: Final = Method(name="PredictMany")
"""Several Predict requests in one; `predict_many` splits them."""
