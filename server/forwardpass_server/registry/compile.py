"""Compilation of a spec to a plan, and verification of the spec's examples."""

from collections.abc import Callable
from math import inf
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from forwardpass.differences import TOLERANCE
from forwardpass.errors import DeadlineExceededError, ExampleFailedError, Fault, QuotaExceededError
from forwardpass.numerics import Numerics
from forwardpass.spec import Activation, NetworkSpec, expressions
from forwardpass.spec import network as spec_values
from forwardpass.spec.fields.formula import OPERANDS, fold_formula
from forwardpass.spec.network import DENSE, ELEMENTWISE
from forwardpass.tensors import Array

from forwardpass_server.core import Dense, Elementwise, Layer, Operation, Plan, forward_steps, validate_and_fill
from forwardpass_server.registry.typed_features import typed_features

STEP_FLOPS: Final = 100_000_000
"""Floating-point operations between two looks at whether an example is still wanted: some milliseconds."""
MAX_FAULTS: Final = 100
"""The number of failed examples that an error lists."""


def compile_plan(spec: NetworkSpec, numerics: Numerics = "exact") -> Plan:
    """Compile a plan. It shares no memory with the spec, whose arrays may be views of a whole file.

    Args:
        spec: The spec.
        numerics: How to compute it if the spec does not say.
    """
    return Plan(
        dtype=np.dtype(spec.dtype),
        mean=None if spec.inputs.mean is None else spec.inputs.mean.copy(),
        scale=None if spec.inputs.scale is None else spec.inputs.scale.copy(),
        layers=tuple(_compile_layer(layer, spec.dtype) for layer in spec.layers),
        groups={group.name: group.width for group in spec.inputs.groups},
        output_layers=spec.output_layers,
        output_scale=_array_unless([fact.scale for fact in spec.output_metadata], 1, spec.dtype),
        output_shift=_array_unless([fact.shift for fact in spec.output_metadata], 0, spec.dtype),
        fast=(spec.numerics or numerics) == "fast",
    )


def _array_unless(numbers: list[float], neutral: float, dtype: str) -> Array | None:
    """Return numbers as an array, or None if all of them are neutral."""
    return None if all(number == neutral for number in numbers) else np.array(numbers, dtype)


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
        elif 1 in weights.shape:  # Dense transposes the weights, which copies them unless one side is 1
            weights = weights.copy()
        return Dense(weights=weights, bias=layer.bias.copy(), **shared)
    arrays = {key: array.copy() for key, array in layer.arrays.items()}
    arguments = {**arrays, **(_formula(layer, dtype) if layer.kind == ELEMENTWISE else layer.settings)}
    return Operation(kind=layer.kind, arguments=arguments, inputs=layer.inputs, outputs=layer.outputs, **shared)


def _formula(layer: spec_values.Layer, dtype: str) -> dict[str, Any]:
    """Compile the expression of an elementwise layer."""
    parts = layer.inputs // layer.outputs
    tree = fold_formula(str(layer.settings["expression"]), dtype)
    return {"formula": Elementwise(tree, np.dtype(dtype), OPERANDS[:parts]), "parts": parts}


def _own_function(activation: Activation, dtype: str) -> Elementwise | None:
    """Compile the function of an expression; None if the spec names a built-in function."""
    if not activation.expression:
        return None
    tree = expressions.parse(activation.expression, activation.parameters)
    return Elementwise(expressions.fold(tree, activation.parameters, dtype), np.dtype(dtype))


def check_examples(
    spec: NetworkSpec, plan: Plan, *, max_gflop: float = inf, is_wanted: Callable[[], bool] = lambda: True
) -> None:
    """Compute every example and compare its outputs.

    Differences up to the example's tolerance are accepted; without one, up to `TOLERANCE` times `max(1, |expected|)`.

    Args:
        spec: The spec.
        plan: Its plan.
        max_gflop: The most arithmetic that the examples may need, in 1e9 floating-point operations.
        is_wanted: Called between steps of some milliseconds; where it returns False, the rest is not computed.

    Raises:
        ExampleFailedError: Examples do not hold; `faults` has each of them, with its worst output.
        QuotaExceededError: The examples need too much arithmetic.
        DeadlineExceededError: The examples are not wanted any more.
    """
    if not spec.examples:
        return
    gflop = len(spec.examples) * plan.flops_per_row / 1e9
    if gflop > max_gflop:
        raise QuotaExceededError(
            f"the spec's {len(spec.examples)} examples need {gflop:,.0f} billion floating-point operations; the "
            f"server's limit is {max_gflop:,g} (setting `max_gflop_per_call`); give fewer examples",
            quotaValue=gflop,
            quotaLimit=max_gflop,
            setting="max_gflop_per_call",
        )
    given = np.array([example.inputs for example in spec.examples], dtype=np.float64)
    expected = np.array([example.outputs for example in spec.examples], dtype=np.float64)
    tolerance = TOLERANCE[spec.dtype] * np.maximum(1.0, np.abs(expected))
    for row, example in enumerate(spec.examples):
        if example.tolerance is not None:
            tolerance[row] = example.tolerance
    with np.errstate(all="ignore"):
        inputs, rejected = _validate_and_fill(spec, given.astype(plan.dtype))
        actual = _compute(plan, inputs, is_wanted).astype(np.float64)
        excess = np.abs(actual - expected) - tolerance
    # NaN is the worst, and so is an input that a prediction would reject.
    excess[np.isnan(excess)] = np.inf
    excess[rejected] = np.inf
    worst = excess.argmax(axis=1)
    failed = np.flatnonzero(excess.max(axis=1) > 0).tolist()
    if not failed:
        return
    faults = []
    for row in failed[:MAX_FAULTS]:
        column = worst[row]
        found, required, accepted = actual[row, column], expected[row, column], tolerance[row, column]
        message = f"expected {required:.17g}, computed {found:.17g}, tolerance {accepted:.3g}"
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


def _compute(plan: Plan, inputs: Array, is_wanted: Callable[[], bool]) -> Array:
    """Return the outputs, `(examples, outputs)`."""
    outputs = np.empty((len(inputs), plan.outputs), dtype=plan.dtype)
    for _ in forward_steps(plan, inputs, outputs, max(STEP_FLOPS // max(plan.flops_per_row, 1), 1)):
        if not is_wanted():
            raise DeadlineExceededError("the caller stopped waiting while the examples were computed")
    return outputs


def _validate_and_fill(spec: NetworkSpec, inputs: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the inputs to compute with, `(examples, inputs)`, and a mask of rows that a prediction would reject."""
    typed = typed_features(spec)
    if typed is None:
        allowed = np.isfinite(inputs) | spec.allow_non_finite_inputs
        return inputs, np.logical_not(allowed.all(axis=1))
    rejected = np.zeros(len(inputs), bool)
    filled, violations = validate_and_fill(typed.rules, inputs)
    if violations is not None:
        rejected[violations.rejected[:, 0]] = True
    return filled, rejected
