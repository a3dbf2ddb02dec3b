"""From a checked spec to what the core computes, and the proof of the spec's own examples."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from forwardpass.differences import TOLERANCE
from forwardpass.errors import ExampleFailedError, Fault
from forwardpass.numerics import Numerics
from forwardpass.spec import Activation, NetworkSpec, expressions
from forwardpass.spec import network as spec_values
from forwardpass.spec.network import DENSE
from forwardpass.tensors import Array

from forwardpass_server.core import Dense, Elementwise, Layer, Operation, Plan, forward, validate_and_fill
from forwardpass_server.registry.features import typed_features
from forwardpass_server.registry.state import LayerSummary, LoadedVersion, Summary

MAX_FAULTS: Final = 100
"""How many examples that do not hold are listed one by one."""


def compile_plan(spec: NetworkSpec, numerics: Numerics = "exact") -> Plan:
    """Make a plan. It shares no memory with the spec, whose arrays may be parts of a whole file.

    Args:
        spec: The spec.
        numerics: How to compute it where the spec does not say.
    """
    return Plan(
        dtype=np.dtype(spec.dtype),
        mean=None if spec.inputs.mean is None else spec.inputs.mean.copy(),
        scale=None if spec.inputs.scale is None else spec.inputs.scale.copy(),
        layers=tuple(_compile_layer(layer, spec.dtype) for layer in spec.layers),
        groups={group.name: group.width for group in spec.inputs.groups},
        output_layers=spec.output_layers,
        output_scale=_unless([fact.scale for fact in spec.output_metadata], 1, spec.dtype),
        output_shift=_unless([fact.shift for fact in spec.output_metadata], 0, spec.dtype),
        fast=(spec.numerics or numerics) == "fast",
    )


def _unless(numbers: list[float], nothing: float, dtype: str) -> Array | None:
    """Return numbers as an array, or None where all of them change nothing."""
    return None if all(number == nothing for number in numbers) else np.array(numbers, dtype)


def _compile_layer(layer: spec_values.Layer, dtype: str) -> Layer:
    shared: dict[str, Any] = {
        "name": layer.name,
        "activation": layer.activation.name,
        "parameters": layer.activation.parameters if layer.activation.name else {},
        "expression": _own_function(layer.activation, dtype),
        "from_": layer.from_,
        "merge": layer.merge,
    }
    if layer.kind == DENSE:
        weights, mask = layer.weights, layer.arrays.get("mask")
        if mask is not None:
            weights = weights * mask
        elif 1 in weights.shape:  # Dense copies the weights as it turns them round, but for those that look the same
            weights = weights.copy()
        return Dense(weights=weights, bias=layer.bias.copy(), **shared)
    arrays = {key: array.copy() for key, array in layer.arrays.items()}
    arguments = {**arrays, **layer.settings}
    return Operation(kind=layer.kind, arguments=arguments, inputs=layer.inputs, outputs=layer.outputs, **shared)


def _own_function(activation: Activation, dtype: str) -> Elementwise | None:
    """Make the function that an expression says, or None where the spec names one."""
    if not activation.expression:
        return None
    tree = expressions.parse(activation.expression, activation.parameters)
    return Elementwise(expressions.fold(tree, activation.parameters, dtype), np.dtype(dtype))


def check_examples(spec: NetworkSpec, plan: Plan) -> None:
    """Compute every example.

    A difference is accepted up to the example's tolerance, or without one up to `TOLERANCE`
    times `max(1, |expected|)`.

    Raises:
        ExampleFailedError: One or more do not hold; `faults` has each, with its worst output.
    """
    if not spec.examples:
        return
    given = np.array([example.inputs for example in spec.examples], dtype=np.float64)
    expected = np.array([example.outputs for example in spec.examples], dtype=np.float64)
    tolerance = TOLERANCE[spec.dtype] * np.maximum(1.0, np.abs(expected))
    for row, example in enumerate(spec.examples):
        if example.tolerance is not None:
            tolerance[row] = example.tolerance
    with np.errstate(all="ignore"):
        inputs, refused = _settled(spec, given.astype(plan.dtype))
        actual = forward(plan, inputs).astype(np.float64)
        excess = np.abs(actual - expected) - tolerance
    # Nothing is worse than NaN, or than an input that a prediction would refuse.
    excess[np.isnan(excess)] = np.inf
    excess[refused] = np.inf
    worst = excess.argmax(axis=1)
    failed = np.flatnonzero(excess.max(axis=1) > 0).tolist()
    if not failed:
        return
    faults = []
    for row in failed[:MAX_FAULTS]:
        column = worst[row]
        found, wanted, accepted = actual[row, column], expected[row, column], tolerance[row, column]
        message = f"expected {wanted:.17g}, computed {found:.17g}, tolerance {accepted:.3g}"
        if np.isinf(inputs[row]).any():
            message += f"; an input is too large for {spec.dtype}"
        faults.append(Fault(path=f"spec.examples[{row}].outputs[{column}]", message=message))
    if len(failed) > MAX_FAULTS:
        more = f"{len(failed) - MAX_FAULTS} more examples that do not hold are not listed"
        faults.append(Fault(path="spec.examples", message=more))
    first, column = failed[0], worst[failed[0]]
    raise ExampleFailedError(
        f"{len(failed)} of the spec's {len(spec.examples)} examples do not hold; correct the weights, or the examples",
        faults=faults,
        example=first,
        output=spec.outputs[column],
        expected=f"{expected[first, column]:.17g}",
        actual=f"{actual[first, column]:.17g}",
        tolerance=f"{tolerance[first, column]:.17g}",
        failedCount=len(failed),
    )


def _settled(spec: NetworkSpec, inputs: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the inputs to compute with, `(examples, inputs)`, and which rows a prediction would refuse."""
    typed = typed_features(spec)
    if typed is None:
        allowed = np.isfinite(inputs) | spec.allow_non_finite_inputs
        return inputs, np.logical_not(allowed.all(axis=1))
    refused = np.zeros(len(inputs), bool)
    filled, violations = validate_and_fill(typed.rules, inputs)
    if violations is not None:
        refused[violations.refusals[:, 0]] = True
    return filled, refused


def summarize(spec: NetworkSpec, numerics: Numerics = "exact") -> Summary:
    """Keep what a spec says besides numbers and examples, and `numerics` where it does not say how to compute."""
    return Summary(
        dtype=spec.dtype,
        inputs=spec.inputs,
        layers=tuple(
            LayerSummary(
                name=layer.name,
                kind=layer.kind,
                activation=layer.activation,
                nodes=layer.nodes,
                from_=layer.from_,
                merge=layer.merge,
            )
            for layer in spec.layers
        ),
        output_layers=spec.output_layers,
        outputs=spec.outputs,
        classes=spec.classes,
        description=spec.description,
        metadata=spec.metadata,
        tags=spec.tags,
        parameter_count=spec.parameter_count,
        numerics=spec.numerics or numerics,
        output_metadata=spec.output_metadata,
        thresholds=spec.thresholds,
    )


def serve(name: str, version: int, digest: str, spec: NetworkSpec, plan: Plan) -> LoadedVersion:
    """Put together what a call needs."""
    return LoadedVersion(
        name=name,
        version=version,
        digest=digest,
        plan=plan,
        input_names=spec.inputs.names,
        feature_index={feature: index for index, feature in enumerate(spec.inputs.names)},
        output_names=spec.outputs,
        classes=spec.classes,
        kinds=tuple(layer.kind for layer in spec.layers),
        nodes=tuple(layer.nodes for layer in spec.layers),
        activations=tuple(layer.activation for layer in spec.layers),
        allow_non_finite=spec.allow_non_finite_inputs,
        numerics="fast" if plan.fast else "exact",
        typed=typed_features(spec),
        thresholds=np.array(spec.thresholds, plan.dtype) if spec.thresholds else None,
    )
