"""The responses of Predict and Trace: what was computed, as serialized messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from forwardpass.merges import MERGES
from forwardpass.numerics import NUMERICS, Numerics
from forwardpass.spec.forms.messages import activation_message
from forwardpass.v1.prediction_service_pb2 import PredictResponse, TraceResponse
from forwardpass.v1.trace_pb2 import LayerTrace

from forwardpass_server.serving.encode.classifications import classify
from forwardpass_server.serving.encode.percentiles import encode_percentiles
from forwardpass_server.serving.encode.wire import data_of, field, tensor_field

if TYPE_CHECKING:
    from forwardpass.profiles import Profile
    from forwardpass.tensors import Array

    from forwardpass_server import core
    from forwardpass_server.registry import LoadedVersion
    from forwardpass_server.serving.requests import Computed, RawRequest

_RESPONSE: Final = {name: at.number for name, at in TraceResponse.DESCRIPTOR.fields_by_name.items()}
_LAYER: Final = {name: at.number for name, at in LayerTrace.DESCRIPTOR.fields_by_name.items()}

# The constant bytes around the numbers of traces, by everything that they depend on: a cache like those of `lru_cache`.
_SMALL: Final = 16 * 1024
_MAX_SMALL: Final = 1024
_small: dict[tuple[object, ...], tuple[bytes, ...]] = {}


@dataclass(frozen=True, slots=True)
class PredictEncoder:
    """Encodes predictions.

    Attributes:
        top: How many of the most probable classes are shown of each row.
    """

    top: int

    def __call__(
        self,
        loaded: "LoadedVersion",
        computed: "Computed",
        requests: "Sequence[RawRequest]",
        counts: Sequence[int],
        revision: int,
    ) -> list[bytes]:
        """Serialize a `PredictResponse` for each request."""
        del requests
        return encode_predictions(loaded, cast("Array", computed), counts, revision, self.top)


@dataclass(frozen=True, slots=True)
class TraceEncoder:
    """Encodes traces.

    Attributes:
        top: How many of the most probable classes are shown of each row.
        profile: The profile that values are compared with, or None.
    """

    top: int
    profile: "Profile | None" = None

    def __call__(
        self,
        loaded: "LoadedVersion",
        computed: "Computed",
        requests: "Sequence[RawRequest]",
        counts: Sequence[int],
        revision: int,
    ) -> list[bytes]:
        """Serialize a `TraceResponse` for each request."""
        del requests
        traced = cast("core.Trace", computed)
        responses = encode_traces(loaded, traced, counts, revision, self.top)
        if self.profile is None:
            return responses
        fields = encode_percentiles(self.profile, traced, counts)
        return [response + field for response, field in zip(responses, fields, strict=True)]


def encode_predictions(
    loaded: "LoadedVersion", outputs: "Array", counts: Sequence[int], revision: int, top: int = 0
) -> list[bytes]:
    """Serialize a `PredictResponse` for each request of a batch.

    Args:
        loaded: The version that computed the outputs.
        outputs: `(rows, outputs)`, the rows of all requests.
        counts: How many of the rows are each request's.
        revision: The registry's revision at which the version was found.
        top: How many of the most probable classes are listed of each row.
    """
    tail = _tail(PredictResponse, loaded.name, loaded.version, loaded.digest, loaded.output_names, loaded.numerics)
    tail += _revision(revision)
    data = data_of(outputs)
    width = outputs.shape[1]
    size = width * outputs.itemsize
    if len(counts) == len(outputs) and not loaded.classes:  # the usual batch: a row each
        head = tensor_field(_RESPONSE["outputs"], outputs.dtype, (1, width))
        return [head + data[start : start + size] + tail for start in range(0, len(data), size)]
    labels = _classifications(loaded, outputs, top)
    return [
        b"".join(
            (
                tensor_field(_RESPONSE["outputs"], outputs.dtype, (end - start, width)),
                data[start * size : end * size],
                tail,
                *labels[start:end],
            )
        )
        for start, end in _spans(counts)
    ]


def encode_traces(
    loaded: "LoadedVersion", traced: "core.Trace", counts: Sequence[int], revision: int, top: int = 0
) -> list[bytes]:
    """Serialize a `TraceResponse` for each request of a batch; the arguments are as for `encode_predictions`."""
    arrays = [traced.outputs, traced.inputs]
    for layer in traced.layers:
        arrays += _numbers(layer).values()
    slots = [(data_of(array), array[:1].nbytes) for array in arrays]
    labels = _classifications(loaded, traced.outputs, top)
    around = {count: _around(loaded, traced, count) for count in set(counts)}
    responses = []
    for start, end in _spans(counts):
        constant = around[end - start]
        numbers = [data[start * size : end * size] for data, size in slots]
        pieces = chain.from_iterable(zip(constant, numbers, strict=False))
        responses.append(b"".join((*pieces, constant[-1], _revision(revision), *labels[start:end])))
    return responses


def _spans(counts: Sequence[int]) -> "pairwise[tuple[int, int]]":
    """Return where each request's rows start and end."""
    return pairwise(accumulate(counts, initial=0))


def _classifications(loaded: "LoadedVersion", outputs: "Array", top: int) -> list[bytes]:
    """Serialize the classification of each row as a field of a response; return none without classes."""
    return [
        PredictResponse(classifications=[classification]).SerializeToString()
        for classification in classify(loaded, outputs, top)
    ]


@lru_cache(maxsize=1024)
def _tail(
    message: type[PredictResponse | TraceResponse],
    name: str,
    version: int,
    digest: str,
    output_names: tuple[str, ...],
    numerics: Numerics,
) -> bytes:
    """Serialize the fields that all responses of a version have in common; the messages number them differently."""
    return message(
        network=name, version=version, digest=digest, output_names=output_names, numerics=NUMERICS[numerics]
    ).SerializeToString()


@lru_cache(maxsize=16)
def _revision(revision: int) -> bytes:
    """Serialize the field `revision`, which has the same number in both messages."""
    return PredictResponse(revision=revision).SerializeToString()


def _around(loaded: "LoadedVersion", traced: "core.Trace", count: int) -> tuple[bytes, ...]:
    """Return `_around_slots`, cached where it is small."""
    layers = tuple([layer.name for layer in traced.layers])
    key = (
        loaded.name,
        loaded.version,
        loaded.digest,
        loaded.numerics,
        layers,
        all(layer.contributions is None for layer in traced.layers),
        count,
    )
    known = _small.get(key)
    if known is None:
        known = _around_slots(loaded, traced, count)
        if sum(map(len, known)) <= _SMALL:
            if len(_small) >= _MAX_SMALL:
                _small.clear()
            _small[key] = known
    return known


def _around_slots(loaded: "LoadedVersion", traced: "core.Trace", count: int) -> tuple[bytes, ...]:
    """Return the constant bytes around the numbers of a trace of `count` rows.

    The numbers are the outputs, the inputs, and of each layer those of `_numbers`. The last bytes follow them all.
    """

    def tensor(number: int, array: "Array") -> bytes:
        return tensor_field(number, array.dtype, (count, *array.shape[1:]))

    tail = _tail(TraceResponse, loaded.name, loaded.version, loaded.digest, loaded.output_names, loaded.numerics)
    names = TraceResponse(input_names=loaded.input_names).SerializeToString()
    constant = [
        tensor(_RESPONSE["outputs"], traced.outputs),
        tail + tensor(_RESPONSE["inputs"], traced.inputs),
    ]
    before = names
    for layer in traced.layers:
        fields = _layer_fields(loaded, layer)
        arrays = _numbers(layer)
        pieces = [tensor(_LAYER[name], array) for name, array in arrays.items()]
        numbers = sum(array[:1].nbytes for array in arrays.values()) * count
        length = len(fields.first) + sum(map(len, pieces)) + numbers + len(fields.last)
        pieces[0] = before + field(_RESPONSE["layers"], length) + fields.first + pieces[0]
        constant += pieces
        before = fields.last
    return (*constant, before)


def _numbers(layer: "core.LayerTrace") -> dict[str, "Array"]:
    """Return the arrays of a layer that have a row for each row of the request, by the names of their fields."""
    arrays = {"pre_activation": layer.pre_activation, "activation": layer.activation}
    if layer.merged is not None:
        arrays["merged"] = layer.merged
    if layer.contributions is not None:
        arrays["contributions"] = layer.contributions
    return arrays


class _LayerFields(NamedTuple):
    """The constant fields of a traced layer: those before its numbers, and those after them."""

    first: bytes
    last: bytes


def _layer_fields(loaded: "LoadedVersion", layer: "core.LayerTrace") -> _LayerFields:
    place = next(place for place, other in enumerate(loaded.plan.layers) if other.name == layer.name)
    computed = loaded.plan.layers[place]
    function = activation_message(loaded.activations[place])
    first = LayerTrace(name=layer.name, nodes=loaded.nodes[place], function=function).SerializeToString()
    bias = b""
    if layer.bias is not None:
        bias = tensor_field(_LAYER["bias"], layer.bias.dtype, layer.bias.shape) + data_of(layer.bias)
    last = LayerTrace(inputs=loaded.reads(computed), merge=MERGES[computed.merge], kind=loaded.kinds[place])
    getattr(last, "from").extend(computed.from_)  # a word of Python's own
    return _LayerFields(first, bias + last.SerializeToString())
