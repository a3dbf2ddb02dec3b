"""A spec as a `ModelProto` of standard operators.

Every array of the spec is an initializer `LAYER/ARRAY`, and the canonical JSON of all else is in the model's
metadata, so that an import can restore the spec.
"""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.onnx_form.activations import add_activation
from forwardpass.onnx_form.graph_writer import GraphWriter
from forwardpass.onnx_form.layers import add_layer
from forwardpass.onnx_form.optional_packages import import_package
from forwardpass.spec import NetworkSpec, to_document
from forwardpass.tensors import Array

METADATA: Final = "forwardpass.spec"
"""The key of the canonical JSON in a model's metadata."""

OPSET: Final = 17
IR_VERSION: Final = 8
"""The oldest versions with all written operators; onnxruntime 1.12 and newer compute them."""

_ROWS: Final = "rows"
_MERGES: Final[Mapping[str, str]] = MappingProxyType({"sum": "Add", "mean": "Add", "multiply": "Mul", "max": "Max"})
"""The operator that merges two values, by merge."""


def write(spec: NetworkSpec) -> Any:
    """Write a spec as a `ModelProto`; equal specs give equal models.

    The model has an input for each group of inputs, or one, `inputs`, and an output for each output layer.
    """
    onnx: Any = import_package("onnx")
    graph = GraphWriter(onnx, spec.dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    groups = groups_of(spec)
    values = _inputs(graph, spec, groups)
    for layer in spec.layers:
        graph.enter(layer.name)
        read = _merged(graph, [values[name] for name in layer.from_], layer.merge)
        add_activation(graph, layer.activation, add_layer(graph, layer, read), layer.outputs, layer.name)
        values[layer.name] = layer.name
    outputs = _outputs(graph, spec)
    proto = onnx.helper.make_graph(
        graph.nodes,
        "network",
        [onnx.helper.make_tensor_value_info(name, kind, [_ROWS, width]) for name, width in groups],
        [onnx.helper.make_tensor_value_info(name, kind, [_ROWS, width]) for name, width in outputs],
        graph.initializers,
    )
    model = onnx.helper.make_model(
        proto, opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="forwardpass"
    )
    model.ir_version = IR_VERSION
    text = json.dumps(to_document(spec, numbers=False), sort_keys=True, separators=(",", ":"), allow_nan=False)
    onnx.helper.set_model_props(model, {METADATA: text})
    return model


def groups_of(spec: NetworkSpec) -> list[tuple[str, int]]:
    """Return the inputs of the model with their widths."""
    return [(group.name, group.width) for group in spec.inputs.groups] or [("inputs", spec.inputs.width)]


def _inputs(graph: GraphWriter, spec: NetworkSpec, groups: Sequence[tuple[str, int]]) -> dict[str, str]:
    """Fill in and standardize each group of inputs, and concatenate them where a layer reads all."""
    values, start, missing = {}, 0, fill_values(spec)
    for name, width in groups:
        graph.enter(name)
        value, part = name, slice(start, start + width)
        if not np.isnan(missing[part]).all():
            value = graph.add("Where", graph.add("IsNaN", value), graph.keep(f"{name}/missing", missing[part]), value)
        if spec.inputs.mean is not None:
            value = graph.add("Sub", value, graph.keep(f"{name}/mean", spec.inputs.mean[part]))
        if spec.inputs.scale is not None:
            value = graph.add("Div", value, graph.keep(f"{name}/scale", spec.inputs.scale[part]))
        values[name] = value
        start += width
    if spec.inputs.groups and any("inputs" in layer.from_ for layer in spec.layers):
        graph.enter("inputs")
        values["inputs"] = graph.add("Concat", *values.values(), axis=1)
    return values


def fill_values(spec: NetworkSpec) -> Array:
    """Return the fill value of each input, `(inputs,)` in the spec's dtype, and NaN where nothing does."""
    found = [feature.fill_value(feature.missing) for feature in spec.inputs.features] or [None] * spec.inputs.width
    return np.array([np.nan if number is None else number for number in found], spec.dtype)


def _outputs(graph: GraphWriter, spec: NetworkSpec) -> list[tuple[str, int]]:
    """Return the outputs of the model with their widths, in the units of the network's outputs."""
    widths = {layer.name: layer.outputs for layer in spec.layers}
    outputs, start = [], 0
    for name in spec.output_layers:
        facts = spec.output_metadata[start : start + widths[name]]
        scale = np.array([fact.scale for fact in facts], spec.dtype)
        shift = np.array([fact.shift for fact in facts], spec.dtype)
        value = name
        graph.enter(f"{name}/output")
        if (scale != 1).any():
            value = graph.add("Mul", value, graph.keep(f"{name}/output_scale", scale))
        if (shift != 0).any():
            value = graph.add("Add", value, graph.keep(f"{name}/output_shift", shift))
        outputs.append((value, widths[name]))
        start += widths[name]
    return outputs


def _merged(graph: GraphWriter, values: Sequence[str], merge: str | None) -> str:
    if merge is None:
        return values[0]
    if merge == "concatenate":
        return graph.add("Concat", *values, axis=1)
    whole = reduce(lambda one, other: graph.add(_MERGES[merge], one, other), values)
    return graph.add("Div", whole, graph.number(float(len(values)))) if merge == "mean" else whole
