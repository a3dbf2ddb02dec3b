"""The requested outputs of a ModelInfer request, and the encoder of their responses.

`outputs` is all outputs, `label` the class of each row, `LAYER.pre_activation` and `LAYER.activation` the values of a
layer in a trace, the name of an output this output alone, and `attributions` the shares of the inputs. With the
parameter `classification`, an output becomes its largest elements as `VALUE:INDEX:LABEL`. If a network has two classes
and one output, the probability of the second class, `outputs` then has both probabilities.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from forwardpass.errors import Fault, InvalidFieldError, PermissionDeniedError

from forwardpass_server.core import Trace
from forwardpass_server.oip.attributions import ATTRIBUTIONS, read_explain_options
from forwardpass_server.oip.datatypes import DATATYPE_NAMES, raw_texts
from forwardpass_server.oip.parameters import check_parameters
from forwardpass_server.oip.request_id import id_field
from forwardpass_server.oip.v2.inference_pb2 import InferParameter, ModelInferResponse
from forwardpass_server.serving import Computation, Computed, OutputOptions, TraceOptions
from forwardpass_server.serving.encode.classifications import classify
from forwardpass_server.serving.encode.wire import data_of, field
from forwardpass_server.serving.explanations import Explanation

if TYPE_CHECKING:
    from forwardpass.tensors import Array

    from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest
    from forwardpass_server.registry import LoadedVersion
    from forwardpass_server.serving import RawRequest

OUTPUTS: Final = "outputs"
LABEL: Final = "label"
LAYER_PARTS: Final = ("pre_activation", "activation")

PREDICT: Final = "predict"
"""What MLServer's models call their output. That of a classifier is the class there, not numbers as `outputs` here."""
_GENERIC: Final = re.compile(r"outputs?(_{0,2}|-)0?", re.IGNORECASE)
"""Names that models of other servers give to their only output: `output-0`, `OUTPUT__0`."""

_FIELDS: Final = {name: at.number for name, at in ModelInferResponse.DESCRIPTOR.fields_by_name.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestedOutput:
    """One requested output.

    Attributes:
        name: Its name.
        layer: The name of the layer whose values it shows, or empty for the network's outputs.
        part: The values of the layer, one of `LAYER_PARTS`.
        column: The index of a single output, or None for all.
        top: The number of largest elements to name, or 0 for the numbers themselves.
        is_attributions: Whether it shows the shares of the inputs in the network's outputs.
    """

    name: str
    layer: str = ""
    part: str = ""
    column: int | None = None
    top: int = 0
    is_attributions: bool = False


def output_options(
    request: "ModelInferRequest", loaded: "LoadedVersion", own_id: str | None, *, layer_access: bool
) -> OutputOptions:
    """Return what the response to a request shows.

    Args:
        request: The request.
        loaded: The version.
        own_id: The id of the response, or None if it is copied from each request.
        layer_access: Whether the caller may see the values of layers.

    Raises:
        InvalidFieldError: An output is unknown or requested twice, or has a parameter that is rejected.
        InvalidRequestError: What the caller wants explained is not possible; `read_explain_options` says why.
        PermissionDeniedError: The caller requests the values of a layer or attributions, and may not see them.
    """
    if request.outputs:
        outputs = tuple(_output(tensor, loaded, layer_access=layer_access) for tensor in request.outputs)
        if len({output.name for output in outputs}) < len(outputs):
            raise _wrong("outputs", f"an output is requested twice of model '{loaded.name}'")
    else:
        outputs = standard(loaded)
    computation = _computation(outputs, request, loaded)
    return OutputOptions(computation, ModelInferEncoder(outputs, own_id))


def _computation(
    outputs: "Sequence[RequestedOutput]", request: "ModelInferRequest", loaded: "LoadedVersion"
) -> Computation:
    """Return what is computed besides the network's outputs."""
    layers = frozenset(output.layer for output in outputs if output.layer)
    if not any(output.is_attributions for output in outputs):
        return TraceOptions(layers=layers) if layers else None
    if layers:
        what = f"output '{ATTRIBUTIONS}' of model '{loaded.name}' does not go together with the values of layers"
        raise _wrong(ATTRIBUTIONS, f"{what}; send two requests")
    return read_explain_options(request.parameters, loaded)


def standard(loaded: "LoadedVersion") -> tuple[RequestedOutput, ...]:
    """Return the outputs of a request that names none."""
    names = (OUTPUTS, LABEL) if loaded.classes else (OUTPUTS,)
    return tuple(RequestedOutput(name=name) for name in names)


def _output(
    tensor: "ModelInferRequest.InferRequestedOutputTensor", loaded: "LoadedVersion", *, layer_access: bool
) -> RequestedOutput:
    name = tensor.name
    layer, _, part = name.rpartition(".")
    if part in LAYER_PARTS and not layer_access:  # the same error whether there is such a layer or not
        raise PermissionDeniedError(
            f"output '{name}' of model '{loaded.name}' shows a layer's values; the token lacks the scope 'trace'",
            scope="trace",
        )
    is_attributions = name == ATTRIBUTIONS and name not in loaded.output_names
    if is_attributions and not layer_access:
        what = f"output '{name}' of model '{loaded.name}' shows the shares of the inputs"
        raise PermissionDeniedError(f"{what}; the token lacks the scope 'trace'", scope="trace")
    widths = {known.name: known.outputs for known in loaded.plan.layers}
    if name == OUTPUTS:
        output, width = RequestedOutput(name=name), max(loaded.plan.outputs, len(loaded.classes))
    elif name == LABEL and loaded.classes:
        output, width = RequestedOutput(name=name), 0
    elif is_attributions:
        output, width = RequestedOutput(name=name, is_attributions=True), 0
    elif part in LAYER_PARTS and layer in widths:
        output, width = RequestedOutput(name=name, layer=layer, part=part), widths[layer]
    elif name in loaded.output_names:
        output, width = RequestedOutput(name=name, column=loaded.output_names.index(name)), 1
    elif _GENERIC.fullmatch(name) or (name == PREDICT and not loaded.classes):
        output, width = RequestedOutput(name=name), max(loaded.plan.outputs, len(loaded.classes))
    else:
        what = f"it has '{OUTPUTS}'" + (f", '{LABEL}'" if loaded.classes else "")
        if layer_access:
            layers = ", ".join(f"'{known}.activation'" for known in list(widths)[:4])
            what += f", '{ATTRIBUTIONS}', and of its layers {layers} ..."
        raise _wrong(name, f"unexpected inference output '{name}' for model '{loaded.name}'; {what}")
    return _with_parameters(output, tensor, width)


def _with_parameters(
    output: RequestedOutput, tensor: "ModelInferRequest.InferRequestedOutputTensor", width: int
) -> RequestedOutput:
    check_parameters(tensor.parameters, "output", f"outputs[{output.name!r}]", f"output '{output.name}'")
    top = 0
    if "classification" in tensor.parameters:
        value = tensor.parameters["classification"]
        top = value.int64_param
        if value.WhichOneof("parameter_choice") != "int64_param" or top < 1 or not width:
            what = "a whole number from 1" if width else "an output of numbers"
            raise _wrong(output.name, f"output '{output.name}': the parameter 'classification' needs {what}")
    return replace(output, top=min(top, width))


@dataclass(frozen=True, slots=True)
class ModelInferEncoder:
    """Encodes responses that have the same outputs.

    Attributes:
        outputs: The outputs, in order.
        own_id: The id of the responses, or None if it is copied from each request.
    """

    outputs: tuple[RequestedOutput, ...]
    own_id: str | None

    def __call__(
        self,
        loaded: "LoadedVersion",
        computed: Computed,
        requests: "Sequence[RawRequest]",
        counts: Sequence[int],
        _: int,
    ) -> list[bytes]:
        """Serialize a `ModelInferResponse` for each request."""
        head = _head(loaded.name, loaded.version, loaded.digest, loaded.numerics)
        columns = [_column(output, loaded, computed) for output in self.outputs]
        first = columns[0]
        if len(columns) == 1 and isinstance(first, _Numbers) and len(counts) == len(first.data) // first.size:
            # The usual batch: a row each, and one output.
            size, constant = first.size, first.described(1) + field(_FIELDS["raw_output_contents"], first.size)
            rows = [constant + first.data[start : start + size] for start in range(0, len(first.data), size)]
        else:
            rows = [
                b"".join(
                    (
                        *(column.described(end - start) for column in columns),
                        *chain.from_iterable(column.raw(start, end) for column in columns),
                    )
                )
                for start, end in pairwise(accumulate(counts, initial=0))
            ]
        if self.own_id is not None:
            name = self.own_id.encode()
            head += field(_FIELDS["id"], len(name)) + name
            return [head + row for row in rows]
        return [head + id_field(request.data) + row for request, row in zip(requests, rows, strict=True)]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """An output of numbers: its name and datatype, the bytes of all rows, and the shape and bytes of a row."""

    name: str
    datatype: str
    data: bytes
    shape: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, name: str, numbers: "Array") -> "_Numbers":
        """Return an output of numbers, `(rows, ...)`."""
        return cls(name, DATATYPE_NAMES[numbers.dtype.name], data_of(numbers), numbers.shape[1:], numbers[:1].nbytes)

    def described(self, rows: int) -> bytes:
        return _described(self.name, self.datatype, (rows, *self.shape))

    def raw(self, start: int, end: int) -> tuple[bytes, bytes]:
        data = self.data[start * self.size : end * self.size]
        return field(_FIELDS["raw_output_contents"], len(data)), data


@dataclass(frozen=True, slots=True)
class _Texts:
    """An output of texts: its name, and the elements of each row."""

    name: str
    texts: Sequence[Sequence[bytes]]

    def described(self, rows: int) -> bytes:
        return _described(self.name, "BYTES", (rows, len(self.texts[0])))

    def raw(self, start: int, end: int) -> tuple[bytes, bytes]:
        data = raw_texts(chain.from_iterable(self.texts[start:end]))
        return field(_FIELDS["raw_output_contents"], len(data)), data


def _column(output: RequestedOutput, loaded: "LoadedVersion", computed: Computed) -> _Numbers | _Texts:
    """Return an output of all rows of a batch."""
    outputs = computed if isinstance(computed, np.ndarray) else computed.outputs
    if output.is_attributions and isinstance(computed, Explanation):
        values = computed.attributions.values
        return _Numbers.of(output.name, values[:, 0] if values.shape[1] == 1 else values)
    if output.name == LABEL and not output.layer and output.column is None:
        return _Texts(output.name, [[found.label.encode()] for found in classify(loaded, outputs)])
    numbers = outputs
    if isinstance(computed, Trace) and output.layer:
        numbers = getattr(next(layer for layer in computed.layers if layer.name == output.layer), output.part)
    elif output.column is not None:
        numbers = outputs[:, output.column : output.column + 1]
    if output.top:
        labels = loaded.classes if not output.layer and output.column is None else ()
        if len(labels) > numbers.shape[1]:
            numbers = np.concatenate([1 - numbers, numbers], axis=1)
        return _Texts(output.name, _largest(numbers, output.top, labels))
    return _Numbers.of(output.name, numbers)


def _largest(numbers: "Array", top: int, labels: Sequence[str]) -> list[list[bytes]]:
    """Return the largest elements of each row as texts, in descending order; of equal ones the first comes first."""
    places = np.argsort(-numbers, axis=1, kind="stable")[:, :top]

    def named(value: float, place: int) -> bytes:
        return f"{value:f}:{place}{f':{labels[place]}' if labels else ''}".encode()

    return [
        [named(float(row[place]), place) for place in best] for row, best in zip(numbers, places.tolist(), strict=True)
    ]


@lru_cache(maxsize=4096)
def _head(name: str, version: int, digest: str, numerics: str) -> bytes:
    """Serialize the fields that all responses of a version begin with."""
    parameters: Any = {
        "digest": InferParameter(string_param=digest),
        "numerics": InferParameter(string_param=numerics),
    }
    return ModelInferResponse(model_name=name, model_version=str(version), parameters=parameters).SerializeToString(
        deterministic=True
    )


@lru_cache(maxsize=4096)
def _described(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """Serialize an output without its contents."""
    output = ModelInferResponse.InferOutputTensor(name=name, datatype=datatype, shape=shape)
    return ModelInferResponse(outputs=[output]).SerializeToString()


def _wrong(name: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(message, faults=[Fault(path=f"outputs[{name!r}]", message=message)])
