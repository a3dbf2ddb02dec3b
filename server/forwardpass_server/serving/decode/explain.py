"""Explain: how its requests are decoded, and what encodes the responses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from forwardpass.attribution import METHOD_NAMES, SCALE_NAMES, STANDARD_BASELINES
from forwardpass.errors import Fault, InvalidFieldError, InvalidRequestError, NonFiniteInputError, ShapeMismatchError
from forwardpass.spec.feature_kinds import NAN
from forwardpass.v1.attribution_pb2 import (
    ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS,
    ATTRIBUTION_SCALE_OUTPUTS,
    STANDARD_BASELINE_ZEROS,
)
from forwardpass.v1.prediction_service_pb2 import ExplainRequest, ExplainResponse

from forwardpass_server.core import attribution
from forwardpass_server.serving.decode.inference import Inference, check_layers, parse
from forwardpass_server.serving.encode.classifications import row_bytes
from forwardpass_server.serving.encode.explain import ExplainEncoder, category_bytes
from forwardpass_server.serving.explanations import ExplainOptions
from forwardpass_server.serving.inputs import read_inputs
from forwardpass_server.serving.requests import Method, OutputOptions

if TYPE_CHECKING:
    from forwardpass.tensors import Array
    from forwardpass.v1.attribution_pb2 import Baseline

    from forwardpass_server.registry import LoadedVersion

INTEGRATED_GRADIENTS: Final = "integrated_gradients"
LAYER_CONDUCTANCE: Final = "layer_conductance"

_HAS_EFFECT: Final[Mapping[str, Callable[[attribution.Method], bool]]] = {
    "baseline": lambda method: method.uses_baselines,
    "layers": lambda method: method.chooses_steps,
    "tolerance": lambda method: method.chooses_steps,
    "max_steps": lambda method: method.chooses_steps,
    "samples": lambda method: method.is_sampled(MANY),
    "seed": lambda method: method.is_sampled(MANY),
}
"""Whether a field has an effect on a method, which otherwise rejects it."""

_ENDS: Final[Mapping[str, tuple[int, int]]] = {
    "max_steps": (attribution.MIN_STEPS, 1_000_000),
    "samples": (2, 1_000_000),
    "seed": (0, 2**63 - 1),
}
"""The least and the largest number of each field."""

MANY: Final = 2**31
"""More features than any network has."""

_BASELINE_NAMES: Final = {number: name for name, number in STANDARD_BASELINES.items()}


class ExplainInference(Inference[ExplainRequest]):
    """A request for the shares of the inputs in the outputs of a network."""

    response = ExplainResponse

    def output_options(self, loaded: "LoadedVersion") -> OutputOptions:
        """Return what the response shows; the errors are those of `explain_options`."""
        options = explain_options(self.message, loaded)
        encoder = ExplainEncoder(
            options=options,
            method=self.message.method or ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS,
            scale=self.message.scale or ATTRIBUTION_SCALE_OUTPUTS,
        )
        return OutputOptions(options, encoder, row_bytes(loaded, 0) + category_bytes(loaded))

    def tensor_data(self) -> "tuple[bytes, np.dtype[Any]] | None":
        """Return None if the baseline has rows: read, they can be much larger than the request, so it is not kept."""
        return None if self.message.baseline.WhichOneof("inputs") not in {None, "standard"} else super().tensor_data()


def explain_options(request: ExplainRequest, loaded: "LoadedVersion") -> ExplainOptions:
    """Return what a request wants explained, and how.

    Raises:
        InvalidFieldError: The method or scale is unknown, a number is out of its range, a field has no effect on the
            method, or the network has no such output or no logits.
        LayerNotFoundError: The network has no layer of a name.
        InvalidRequestError: The rows of the baseline are not what the network reads.
    """
    method = _named("method", METHOD_NAMES, request.method or ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS)
    _check_effects(request, method)
    check_layers(request.layers, loaded)
    if request.layers and method == INTEGRATED_GRADIENTS:
        method = LAYER_CONDUCTANCE  # has the same shares of the inputs
    tolerance = request.tolerance if request.HasField("tolerance") else attribution.DEFAULT_TOLERANCE
    if not (isfinite(tolerance) and tolerance > 0):
        raise invalid("tolerance", f"is {tolerance:g}; must be a finite number above 0")
    return ExplainOptions(
        method=method,
        outputs=_outputs(request.outputs, loaded),
        logits=_wants_logits(request, loaded),
        baseline=_baseline(request.baseline, loaded) if attribution.METHODS[method].uses_baselines else None,
        layers=_layers(request.layers, loaded) if method == LAYER_CONDUCTANCE else (),
        tolerance=tolerance,
        max_steps=_number(request, "max_steps", attribution.DEFAULT_MAX_STEPS),
        samples=_number(request, "samples", attribution.DEFAULT_SAMPLES),
        seed=_number(request, "seed", 0),
    )


def invalid(name: str, message: str, path: str = "") -> InvalidFieldError:
    """Return the error of a field, or of a part of it at `path`."""
    path = path or name
    return InvalidFieldError(f"{path}: {message}", faults=[Fault(path=path, message=message)], field=name)


def _named(field: str, names: Mapping[int, str], number: int) -> str:
    """Return the name of a value of an enum."""
    name = names.get(number)
    if name is None:
        raise invalid(field, f"is {number}, which stands for nothing; known are {', '.join(names.values())}")
    return name


def _check_effects(request: ExplainRequest, method: str) -> None:
    """Reject fields that have no effect on the method."""
    given = [field.name for field, _ in request.ListFields()]
    for name in given:
        has_effect = _HAS_EFFECT.get(name)
        if has_effect is not None and not has_effect(attribution.METHODS[method]):
            others = ", ".join(other for other, facts in attribution.METHODS.items() if has_effect(facts))
            raise invalid(name, f"has no effect on the method {method}, only on {others}; leave it out")


def _number(request: ExplainRequest, name: str, default: int) -> int:
    value: int = getattr(request, name) if request.HasField(name) else default
    low, high = _ENDS[name]
    if not low <= value <= high:
        raise invalid(name, f"is {value}; must be from {low:,} to {high:,}")
    return value


def _outputs(names: Sequence[str], loaded: "LoadedVersion") -> tuple[int, ...]:
    """Return the indices of the outputs to explain; none for the chosen class of each row."""
    by_name = {name: column for column, name in enumerate(loaded.output_names)}
    if not names:
        return () if loaded.classes and len(by_name) > 1 else tuple(by_name.values())
    by_class = {label: column for column, label in enumerate(loaded.output_classes)}
    chosen: dict[int, None] = {}
    for index, name in enumerate(names):
        path = f"outputs[{index}]"
        found = {columns[name] for columns in (by_name, by_class) if name in columns}
        if not found:
            raise invalid("outputs", f"is {name!r}; {_why_unknown(name, loaded)}", path)
        if len(found) > 1:
            other = loaded.output_names[by_class[name]]
            what = f"is {name!r}, which is the name of an output and the class of another one, {other!r}"
            raise invalid("outputs", f"{what}; {_remedy(by_name[name], by_class[name], loaded)}", path)
        column = found.pop()
        if column in chosen:
            raise invalid("outputs", f"is {name!r} once more; name each output once", path)
        chosen[column] = None
    return tuple(chosen)


def _why_unknown(name: str, loaded: "LoadedVersion") -> str:
    """Say why a name stands for no output."""
    if name in loaded.classes:
        first, second = loaded.classes
        remedy = f"explain {second!r}: the shares of {first!r} are the same with the other sign"
        return f"the single output is the probability of {second!r}; {remedy}"
    what = "output or class" if loaded.classes else "output"
    known = list(dict.fromkeys([*loaded.output_names[:10], *loaded.output_classes[:10]]))
    near = get_close_matches(name, [*loaded.output_names, *loaded.output_classes], n=1)
    more = " ..." if loaded.plan.outputs > 10 else ""
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, known))}{more}"
    return f"{loaded.display_name} has no such {what}; {hint}"


def _remedy(named: int, classed: int, loaded: "LoadedVersion") -> str:
    """Say which names tell an output from another one, whose class has the name of the first."""
    label, name = loaded.output_classes[named], loaded.output_names[classed]
    if label in loaded.output_names or name in loaded.classes:
        return "register the network with another name for the output"
    return f"say {label!r} for the output of that name, {name!r} for the other"


def _layers(names: Sequence[str], loaded: "LoadedVersion") -> tuple[str, ...]:
    """Return the layers whose nodes get shares, in the network's order; all if none is named."""
    return tuple(layer.name for layer in loaded.plan.layers if not names or layer.name in names)


def _wants_logits(request: ExplainRequest, loaded: "LoadedVersion") -> bool:
    if _named("scale", SCALE_NAMES, request.scale or ATTRIBUTION_SCALE_OUTPUTS) == "outputs":
        return False
    if not attribution.has_logits(loaded.plan):
        what = "has outputs that are not of a sigmoid or softmax, so it has no logits; leave the scale out"
        raise invalid("scale", f"is logits; {loaded.display_name} {what}")
    return True


def _baseline(baseline: "Baseline", loaded: "LoadedVersion") -> "Array | str":
    """Return the name or the rows of a baseline; the errors of its rows say that they are of the baseline."""
    if baseline.WhichOneof("inputs") in {None, "standard"}:
        number = baseline.standard or STANDARD_BASELINE_ZEROS
        if number not in _BASELINE_NAMES:
            known = ", ".join(_BASELINE_NAMES.values())
            raise invalid("baseline", f"is {number}, which stands for nothing; known are {known}", "baseline.standard")
        return _BASELINE_NAMES[number]
    try:
        rows = read_inputs(baseline, loaded).matrix
    except InvalidRequestError as error:
        error.message = f"baseline: {error.message}"
        if isinstance(error, ShapeMismatchError):
            error.message += f"; give a row of {loaded.plan.inputs} numbers, several rows, `zeros` or `means`"
        error.faults = tuple(replace(fault, path=f"baseline.{fault.path}") for fault in error.faults)
        raise
    _check_finite(rows, loaded)
    return rows


def _check_finite(rows: "Array", loaded: "LoadedVersion") -> None:
    """Reject numbers that no other number can be compared with, which some networks allow as inputs."""
    accepted = np.isfinite(rows)
    if loaded.typed is not None:  # which encodings read as no category
        accepted |= np.array([NAN in {feature.missing, feature.unknown} for feature in loaded.typed.features])
    if accepted.all():
        return
    row, column = np.argwhere(~accepted)[0].tolist()
    feature, value = loaded.input_names[column], float(rows[row, column])
    message = f"is {value} (feature {feature!r}); a baseline needs finite numbers"
    path = f"baseline[{row}][{column}]"
    raise NonFiniteInputError(
        f"{path}: {message}", faults=[Fault(path=path, message=message)], row=row, feature=feature, value=value
    )


EXPLAIN: Final = Method(name="Explain", decode=lambda data: ExplainInference(parse(ExplainRequest, data, "Explain")))
