"""The JSON form: read a text, and write one for people.

`to_document` returns the canonical document, without the fields that have their default. So a field that is added to
the format later does not change the digests of networks that are registered already.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from forwardpass.spec.activations import ACTIVATIONS
from forwardpass.spec.checks.outline import INPUTS
from forwardpass.spec.faults import Faults
from forwardpass.spec.feature_kinds import REFUSE
from forwardpass.spec.fields.document import FORMAT
from forwardpass.spec.forms.json_text import read_json
from forwardpass.spec.layers import own_settings
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import (
    DENSE,
    Activation,
    Example,
    Feature,
    Inputs,
    Layer,
    NetworkSpec,
    Output,
    default_names,
    default_outputs,
)
from forwardpass.spec.parsing import read
from forwardpass.tensors import Array


def from_json(text: str | bytes, *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Read a spec from a JSON text, UTF-8 when it is bytes.

    Raises:
        InvalidNetworkError: The text is not JSON or not a valid spec; `faults` has every fault.
    """
    faults = Faults()
    document = read_json(text, limits=limits, faults=faults)
    if document is None:
        faults.check()
    return read(document, limits=limits, faults=faults)


def to_json(spec: NetworkSpec) -> str:
    """Write a spec as JSON: one line for each row of numbers, a line break at the end.

    Reading it again gives an equal spec, float32 numbers being written with as few digits as
    tell them apart.
    """
    return _pretty(to_document(spec), "") + "\n"


def to_document(spec: NetworkSpec, *, numbers: bool = True) -> dict[str, Any]:
    """Return the canonical document, which `parse` reads.

    Args:
        spec: The spec.
        numbers: Whether to include weights and biases, as lists; else layers lack them.
    """
    before = (INPUTS, *(layer.name for layer in spec.layers))
    document = {
        "format": FORMAT,
        "dtype": spec.dtype,
        "inputs": _inputs(spec.inputs),
        "input_groups": [{"name": group.name, "width": group.width} for group in spec.inputs.groups],
        "layers": [_layer(layer, before[index], numbers=numbers) for index, layer in enumerate(spec.layers)],
        "output_layers": [] if spec.output_layers == (spec.layers[-1].name,) else list(spec.output_layers),
        "outputs": _outputs(spec),
        "classes": list(spec.classes),
        "threshold": _threshold(spec.thresholds),
        "description": spec.description,
        "metadata": dict(spec.metadata),
        "tags": list(spec.tags),
        "examples": list(map(_example, spec.examples)),
        "allow_non_finite_inputs": spec.allow_non_finite_inputs,
        "numerics": spec.numerics,
    }
    if document["threshold"] == 0:  # not the default, unlike other zeros
        return {**_given(document), "threshold": 0.0}
    return _given(document)


def _inputs(inputs: Inputs) -> int | list[dict[str, Any]]:
    if not inputs.features:
        return inputs.width
    return list(map(_feature, inputs.features))


def _feature(feature: Feature) -> dict[str, Any]:
    document = _given(
        {
            "name": feature.name,
            "kind": None if feature.kind == "number" else feature.kind,
            "mean": feature.mean,
            "scale": None if feature.scale == 1 else feature.scale,
            "unit": feature.unit,
            "description": feature.description,
            "range": [feature.low, feature.high] if feature.has_range else None,
            "out_of_range": None if feature.out_of_range == "warn" else feature.out_of_range,
            "categories": list(feature.categories),
            "unknown": None if feature.unknown == REFUSE else feature.unknown,
        }
    )
    if feature.missing != REFUSE:  # 0 and false are not the default here
        boolean = feature.kind == "boolean" and not isinstance(feature.missing, str)
        document["missing"] = bool(feature.missing) if boolean else feature.missing
    return document


def _outputs(spec: NetworkSpec) -> list[str | dict[str, Any]]:
    if not spec.output_metadata:
        return [] if spec.outputs == default_outputs(spec.layers, spec.output_layers) else list(spec.outputs)
    named = zip(spec.outputs, spec.output_metadata, strict=True)
    return [name if fact == Output() else {"name": name, **_fact(fact)} for name, fact in named]


def _fact(fact: Output) -> dict[str, Any]:
    scale = {} if fact.scale == 1 else {"scale": fact.scale}  # 0 is not the default here
    return {**_given({"unit": fact.unit, "description": fact.description}), **scale, **_given({"shift": fact.shift})}


def _threshold(thresholds: tuple[float, ...]) -> float | list[float] | None:
    return thresholds[0] if len(set(thresholds)) == 1 else list(thresholds) or None


def _layer(layer: Layer, before: str, *, numbers: bool) -> dict[str, Any]:
    return _given(
        {
            "name": layer.name,
            "kind": None if layer.kind == DENSE else layer.kind,
            **{key: _numbers(array) for key, array in layer.arrays.items() if numbers},
            "activation": _activation(layer.activation),
            "nodes": [] if layer.nodes == default_names(layer.name, layer.outputs) else list(layer.nodes),
            "from": [] if layer.from_ == (before,) else list(layer.from_),
            "merge": layer.merge,
        }
    ) | own_settings(layer.kind, layer.settings)


def _activation(activation: Activation) -> str | dict[str, Any]:
    if activation.expression:
        return _given({"expression": activation.expression, "parameters": dict(activation.parameters)})
    known = ACTIVATIONS[activation.name].parameters
    given = {key: value for key, value in activation.parameters.items() if value != known[key].default}
    return {"name": activation.name, **given} if given else activation.name


def _example(example: Example) -> dict[str, Any]:
    row: dict[str, Any] = {"inputs": list(example.inputs), "outputs": list(example.outputs)}
    return row if example.tolerance is None else {**row, "tolerance": example.tolerance}


def _given(document: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the defaults: None, False, 0, empty texts and lists."""
    return {key: value for key, value in document.items() if value}


def _numbers(array: Array) -> Any:
    """Return an array as lists of floats; float32 numbers become the decimals with the fewest digits."""
    if array.dtype == np.float32:
        short = np.array([float(str(number)) for number in array.ravel()])
        if np.array_equal(short.astype(np.float32), array.ravel()):
            return short.reshape(array.shape).tolist()
    return array.tolist()


def _pretty(value: object, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, dict) and any(isinstance(part, dict | list) for part in value.values()):
        parts = [f"{json.dumps(key)}: {_pretty(part, inner)}" for key, part in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        return "[\n" + ",\n".join(inner + _pretty(part, inner) for part in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
