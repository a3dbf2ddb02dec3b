"""The output `attributions` of a ModelInfer: the shares of the inputs, by the parameters `explain_...` of the request.

A parameter has the name of the field of `ExplainRequest` that it stands for, and its value may be a text, since
parameters of a request are texts in some clients.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from forwardpass.attribution import METHODS, SCALES, STANDARD_BASELINES
from forwardpass.errors import ForwardpassError
from forwardpass.tensors import to_tensor
from forwardpass.v1.prediction_service_pb2 import ExplainRequest
from google.protobuf import json_format

from forwardpass_server.oip.parameters import EXPLAIN
from forwardpass_server.serving.decode.explain import explain_options, invalid

if TYPE_CHECKING:
    from forwardpass_server.oip.v2.inference_pb2 import InferParameter
    from forwardpass_server.registry import LoadedVersion
    from forwardpass_server.serving.explanations import ExplainOptions

ATTRIBUTIONS: Final = "attributions"
PREFIX: Final = "explain_"
BASELINE: Final = f"{PREFIX}baseline"


def read_explain_options(parameters: "Mapping[str, InferParameter]", loaded: "LoadedVersion") -> "ExplainOptions":
    """Return what the parameters of a request want explained.

    Raises:
        InvalidFieldError: A parameter has no value that it can have, or no effect on the method.
        LayerNotFoundError: The network has no layer of a name.
        InvalidRequestError: The rows of the baseline are not what the network reads.
    """
    try:
        request = ExplainRequest()
        for name, parameter in parameters.items():
            if name in EXPLAIN:
                field, choice = name.removeprefix(PREFIX), parameter.WhichOneof("parameter_choice")
                _READERS[field](request, field, getattr(parameter, choice or "string_param"))
        return explain_options(request, loaded)
    except ForwardpassError as error:
        error.message = f"output '{ATTRIBUTIONS}': {PREFIX}{error.message}"
        error.faults = tuple(replace(fault, path=f"parameters.{PREFIX}{fault.path}") for fault in error.faults)
        raise


def _read_name(names: Mapping[Any, Any]) -> "Callable[[ExplainRequest, str, object], None]":
    def read(request: ExplainRequest, field: str, value: object) -> None:
        if value not in names:
            raise invalid(field, f"is {value!r:.60}; known are {', '.join(names)}")
        setattr(request, field, names[value])

    return read


def _read_float(request: ExplainRequest, field: str, value: object) -> None:
    try:
        setattr(request, field, float(str(value)))
    except ValueError:
        raise invalid(field, f"is {value!r:.60}; must be a number") from None


def _read_integer(request: ExplainRequest, field: str, value: object) -> None:
    try:
        setattr(request, field, int(str(value)))
    except ValueError:  # protobuf's too, for one of more than 64 bits
        raise invalid(field, f"is {value!r:.60}; must be a whole number of 64 bits") from None


def _read_outputs(request: ExplainRequest, field: str, value: object) -> None:
    names: Any = _loaded(field, value) if isinstance(value, str) and value.startswith("[") else [value]
    if not names or not all(isinstance(name, str) for name in names):
        raise invalid(field, f"is {value!r:.60}; must be the name of an output, or several as a JSON array")
    request.outputs.extend(names)


def _read_baseline(request: ExplainRequest, field: str, value: object) -> None:
    if value in STANDARD_BASELINES:
        request.baseline.standard = STANDARD_BASELINES[value]  # type: ignore[index] # as just tested
        return
    needed = f"{', '.join(STANDARD_BASELINES)}, or a row or several as JSON"
    rows = _loaded(field, value, needed)
    rows = [rows] if isinstance(rows, dict) else rows
    try:
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            json_format.ParseDict({"rows": {"rows": rows}}, request.baseline)
        else:
            request.baseline.tensor.CopyFrom(to_tensor(np.array(rows, np.float64)))
    except (TypeError, ValueError, OverflowError, json_format.ParseError):
        raise invalid(field, f"is {value!r:.60}; must be {needed}") from None


def _loaded(field: str, value: object, needed: str = "JSON") -> Any:
    try:
        return json.loads(value if isinstance(value, str) else "")
    except (ValueError, RecursionError):
        raise invalid(field, f"is {value!r:.60}; must be {needed}") from None


_READERS: "Final[Mapping[str, Callable[[ExplainRequest, str, Any], None]]]" = {
    "method": _read_name(METHODS),
    "outputs": _read_outputs,
    "baseline": _read_baseline,
    "scale": _read_name(SCALES),
    "tolerance": _read_float,
    "max_steps": _read_integer,
    "samples": _read_integer,
    "seed": _read_integer,
}
"""How the value of each parameter becomes a field of the request; the parameter has `PREFIX` before the name."""
