"""From a checked spec to what the core computes, and the proof of the spec's own examples."""

from types import MappingProxyType
from typing import Final

import numpy as np
from forwardpass.errors import ExampleFailedError, Fault, UnsupportedGraphError
from forwardpass.spec import NetworkSpec

from forwardpass_server.core import Dense, Plan, forward
from forwardpass_server.registry.state import LayerSummary, Served, Summary

TOLERANCE: Final = MappingProxyType({"float64": 1e-9, "float32": 1e-4})
"""Where an example says no tolerance: the largest accepted difference, times max(1, |expected|)."""


def compile_plan(spec: NetworkSpec) -> Plan:
    """Make a plan that shares the spec's arrays.

    Raises:
        UnsupportedGraphError: The layers are not a plain chain.
    """
    before = "inputs"
    for index, layer in enumerate(spec.layers):
        if layer.from_ != (before,):
            path = f"spec.layers[{index}].from"
            message = f"reads {', '.join(layer.from_)}; this version of the server computes plain chains only, where each layer reads the one before"
            raise UnsupportedGraphError(
                f"layer {layer.name!r} {message}", faults=[Fault(path=path, message=message)], layer=layer.name
            )
        before = layer.name
    return Plan(
        dtype=np.dtype(spec.dtype),
        mean=spec.inputs.mean,
        scale=spec.inputs.scale,
        layers=tuple(
            Dense(
                name=layer.name,
                weights=layer.weights,
                bias=layer.bias,
                activation=layer.activation.name,
                parameters=layer.activation.parameters,
            )
            for layer in spec.layers
        ),
    )


def check_examples(spec: NetworkSpec, plan: Plan) -> None:
    """Compute every example.

    Raises:
        ExampleFailedError: One or more differ by more than their tolerance; `faults` has each output that does.
    """
    if not spec.examples:
        return
    expected = np.array([example.outputs for example in spec.examples], dtype=np.float64)
    with np.errstate(over="ignore"):
        inputs = np.array([example.inputs for example in spec.examples], dtype=np.float64).astype(plan.dtype)
    actual = forward(plan, inputs).astype(np.float64)
    tolerance = TOLERANCE[spec.dtype] * np.maximum(1.0, np.abs(expected))
    for row, example in enumerate(spec.examples):
        if example.tolerance is not None:
            tolerance[row] = example.tolerance
    # The comparison is this way round so that NaN fails.
    failed = np.argwhere(~(np.abs(actual - expected) <= tolerance)).tolist()
    if not failed:
        return
    faults = [
        Fault(
            path=f"spec.examples[{row}].outputs[{column}]",
            message=f"expected {expected[row, column]:.17g}, computed {actual[row, column]:.17g}; "
            f"the difference is {abs(actual[row, column] - expected[row, column]):.3g}, "
            f"the tolerance {tolerance[row, column]:.3g}",
        )
        for row, column in failed
    ]
    row, column = failed[0]
    raise ExampleFailedError(
        f"{len({row for row, _ in failed})} of the spec's {len(spec.examples)} examples do not hold; "
        "correct the weights, or the examples",
        faults=faults,
        example=row,
        expected=f"{expected[row, column]:.17g}",
        actual=f"{actual[row, column]:.17g}",
    )


def summarize(spec: NetworkSpec) -> Summary:
    """Keep what a spec says besides numbers and examples."""
    return Summary(
        dtype=spec.dtype,
        inputs=spec.inputs,
        layers=tuple(
            LayerSummary(name=layer.name, activation=layer.activation, nodes=layer.nodes) for layer in spec.layers
        ),
        outputs=spec.outputs,
        classes=spec.classes,
        description=spec.description,
        metadata=spec.metadata,
        tags=spec.tags,
        parameter_count=spec.parameter_count,
    )


def serve(name: str, version: int, digest: str, spec: NetworkSpec, plan: Plan) -> Served:
    """Put together what a call needs."""
    return Served(
        name=name,
        version=version,
        digest=digest,
        plan=plan,
        input_names=spec.inputs.names,
        feature_index={feature: index for index, feature in enumerate(spec.inputs.names)},
        output_names=spec.outputs,
        classes=spec.classes,
        nodes=tuple(layer.nodes for layer in spec.layers),
        allow_non_finite=spec.allow_non_finite_inputs,
    )
