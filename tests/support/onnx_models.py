"""ONNX models as exporters write them, small and with random numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from forwardpass import spec
from forwardpass.importers.onnx.graph_reader import Graph
from onnx import TensorProto, helper, numpy_helper

ML = "ai.onnx.ml"
FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> Any:
    """One node; the names of tensors are separated by spaces."""
    return helper.make_node(op, inputs.split(), outputs.split(), domain=domain, **attributes)


def ml(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """One node of ai.onnx.ml."""
    return node(op, inputs, outputs, ML, **attributes)


def numbers(name: str, *shape: int, dtype: str = "float32") -> Any:
    """An initializer of random numbers, which follow from its name and shape alone, whatever tests ran before."""
    random = np.random.default_rng([*name.encode(), *shape])
    return constant(name, random.normal(size=shape).astype(dtype))


def constant(name: str, array: Any) -> Any:
    """An initializer."""
    return numpy_helper.from_array(np.asarray(array), name)


def tensor(name: str, *shape: int | str, kind: int = FLOAT) -> Any:
    """An input or output; one without a shape is an output of any."""
    return helper.make_tensor_value_info(name, kind, list(shape) or None)


def model(
    nodes: Sequence[Any], *initializers: Any, inputs: Sequence[Any], outputs: Sequence[Any], opset: int = 17
) -> Any:
    """A `ModelProto`."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 3)]
    made = helper.make_model(graph, opset_imports=opsets, producer_name="test")
    made.ir_version = 8
    return made


def graph_document(graph: Graph, **fields: Any) -> dict[str, Any]:
    """The document of the network that a reader has made of a model's graph, with further fields."""
    alone = len(graph.inputs) == 1
    return {
        "format": spec.FORMAT,
        "dtype": graph.dtype,
        "inputs": sum(one.width for one in graph.inputs),
        "input_groups": [] if alone else [{"name": one.group, "width": one.width} for one in graph.inputs],
        "layers": list(graph.layers),
        "output_layers": list(graph.output_layers),
        **fields,
    }
