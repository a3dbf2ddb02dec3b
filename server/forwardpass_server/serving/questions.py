"""The questions of our own protocol: how Predict and Trace are read, and what writes their answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast

from forwardpass.errors import Fault, InvalidFieldError, LayerNotFoundError, MalformedRequestError
from forwardpass.tensors import DTYPES, Array
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse, TraceRequest, TraceResponse
from google.protobuf.message import DecodeError

from forwardpass_server.serving.calls import Computed, Method, OutputOptions, RawRequest, TraceOptions
from forwardpass_server.serving.classes import row_bytes
from forwardpass_server.serving.features import Read, Warnings
from forwardpass_server.serving.inputs import read_inputs
from forwardpass_server.serving.replies import predict_replies, trace_replies

if TYPE_CHECKING:
    import numpy as np

    from forwardpass_server import core
    from forwardpass_server.registry import LoadedVersion, Snapshot, VersionState

Request = TypeVar("Request", PredictRequest, TraceRequest)


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Request]):
    """What both have in common: a network, and a tensor or rows by name."""

    message: Request
    answer: ClassVar[type[PredictResponse | TraceResponse]]

    @property
    def min_revision(self) -> int:
        return self.message.min_revision

    def find(self, snapshot: "Snapshot") -> "VersionState":
        return snapshot.serving(self.message.network, self.message.version)

    def inputs(self, loaded: "LoadedVersion") -> Read:
        return read_inputs(self.message, loaded)

    def warned(self, warnings: Warnings) -> bytes:
        return self.answer(warnings=warnings.first, warning_count=warnings.count).SerializeToString()

    def numbers(self) -> "tuple[bytes, np.dtype[Any]] | None":
        tensor = self.message.tensor  # empty when the inputs are rows by name
        # Whether an integer is held exactly depends on the numbers, so such a request is read each time.
        return (tensor.data, DTYPES[tensor.dtype]) if tensor.data and not tensor.exact_integers else None

    def with_numbers(self, data: bytes) -> Request:
        other = type(self.message).FromString(self.message.SerializeToString())
        other.tensor.data = data
        return other


class _AskedToPredict(_Asked[PredictRequest]):
    answer = PredictResponse

    def wanted(self, loaded: "LoadedVersion") -> OutputOptions:
        top = _top(self.message.top_k, loaded)
        return OutputOptions(None, _WritePredictions(top), row_bytes(loaded, top))


class _AskedToTrace(_Asked[TraceRequest]):
    answer = TraceResponse

    def wanted(self, loaded: "LoadedVersion") -> OutputOptions:
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
        choice = TraceOptions(layers=frozenset(self.message.layers), contributions=self.message.contributions)
        top = _top(self.message.top_k, loaded)
        return OutputOptions(choice, _WriteTraces(top), row_bytes(loaded, top))


@dataclass(frozen=True, slots=True)
class _WritePredictions:
    """Writes predictions, with so many of the most probable classes of each row."""

    top: int

    def __call__(
        self,
        loaded: "LoadedVersion",
        outputs: Computed,
        calls: Sequence[RawRequest],
        counts: Sequence[int],
        revision: int,
    ) -> list[bytes]:
        del calls
        return predict_replies(loaded, cast("Array", outputs), counts, revision, self.top)


@dataclass(frozen=True, slots=True)
class _WriteTraces:
    """Writes traces, with so many of the most probable classes of each row."""

    top: int

    def __call__(
        self,
        loaded: "LoadedVersion",
        traced: Computed,
        calls: Sequence[RawRequest],
        counts: Sequence[int],
        revision: int,
    ) -> list[bytes]:
        del calls
        return trace_replies(loaded, cast("core.Trace", traced), counts, revision, self.top)


def _top(asked: int, loaded: "LoadedVersion") -> int:
    """Return how many of the most probable classes to tell."""
    if asked < 0 or (asked and not loaded.classes):
        message = (
            "must not be below 0"
            if asked < 0
            else f"is {asked}, but {loaded.display_name} has no classes; leave it out"
        )
        raise InvalidFieldError(f"top_k: {message}", faults=[Fault(path="top_k", message=message)], field="top_k")
    return min(asked, len(loaded.classes))


def _parse(message: type[Request], data: bytes, method: str) -> Request:
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


PREDICT: Final = Method(name="Predict", read=lambda data: _AskedToPredict(_parse(PredictRequest, data, "Predict")))
TRACE: Final = Method(name="Trace", read=lambda data: _AskedToTrace(_parse(TraceRequest, data, "Trace")))
PREDICT_MANY: Final = Method(name="PredictMany")
"""Several of `PREDICT` in one request; see `many`."""
