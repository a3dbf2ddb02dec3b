"""Predict, Trace and PredictMany: how their requests are decoded, and what encodes the responses."""

from typing import TYPE_CHECKING, Final

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse, TraceRequest, TraceResponse

from forwardpass_server.serving.decode.inference import Inference, check_layers, parse
from forwardpass_server.serving.encode.classifications import row_bytes
from forwardpass_server.serving.encode.percentiles import percentile_bytes
from forwardpass_server.serving.encode.predict import PredictEncoder, TraceEncoder
from forwardpass_server.serving.requests import Method, OutputOptions, TraceOptions

if TYPE_CHECKING:
    from forwardpass_server.registry import LoadedVersion


class PredictInference(Inference[PredictRequest]):
    """A request for the outputs of a network."""

    response = PredictResponse

    def output_options(self, loaded: "LoadedVersion") -> OutputOptions:
        """Return what the response shows."""
        top = _top_k(self.message.top_k, loaded)
        return OutputOptions(None, PredictEncoder(top), row_bytes(loaded, top))


class TraceInference(Inference[TraceRequest]):
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
        check_layers(self.message.layers, loaded)
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


PREDICT: Final = Method(name="Predict", decode=lambda data: PredictInference(parse(PredictRequest, data, "Predict")))
TRACE: Final = Method(name="Trace", decode=lambda data: TraceInference(parse(TraceRequest, data, "Trace")))
PREDICT_MANY: Final = Method(name="PredictMany", parts=PREDICT)
"""Several Predict requests in one; `predict_many` splits them."""
