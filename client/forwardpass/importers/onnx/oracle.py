"""What onnxruntime computes of the same rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forwardpass.exporters.onnx.writing import groups_of
from forwardpass.importers.onnx.files import imported
from forwardpass.importers.onnx.graph import Graph, Input
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """What computes a model.

    Attributes:
        name: Of the program, with its version.
        run: Returns the model's outputs in their order, of its inputs by name.
    """

    name: str
    run: Callable[[Mapping[str, NDArray[Any]]], Sequence[NDArray[Any]]]


def runner(model: Any) -> Runner:
    """Return onnxruntime with a `ModelProto`, or where it has no form of an operator for float64, onnx's own numpy.

    Raises:
        Refused: One of the two packages is not installed.
        Exception: The model is not valid.
    """
    onnxruntime = imported("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        evaluator = imported("onnx.reference").ReferenceEvaluator(model)
        return Runner(
            name=f"onnx {imported('onnx').__version__}", run=lambda feed: list(evaluator.run(None, dict(feed)))
        )
    return Runner(name=f"onnxruntime {onnxruntime.__version__}", run=lambda feed: list(session.run(None, dict(feed))))


def oracle(model: Any, graph: Graph) -> tuple[str, Callable[[Array], Array]]:
    """Return what computes rows `(rows, inputs)` by the model itself, `(rows, outputs)` float64, and its name.

    Args:
        model: The `ModelProto`.
        graph: What was read of it; says which tensors are outputs.
    """
    onnx = imported("onnx")
    # What is left out of the outputs, as the names of classes, is not computed.
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {value.name: value for value in (*model.graph.output, *model.graph.value_info)}
    del copy.graph.output[:]
    copy.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in graph.tensors)
    found = runner(copy)

    def compute(rows: Array) -> Array:
        batches = [rows] if graph.inputs[0].batched else [rows[place : place + 1] for place in range(len(rows))]
        return np.concatenate([_outputs(found.run(_feed(graph.inputs, part)), part) for part in batches])

    return found.name, compute


def computed_by(found: Runner, network: NetworkSpec, rows: Array) -> Array:
    """Compute rows `(rows, inputs)` by a model that was exported of a network: `(rows, outputs)` float64."""
    groups = groups_of(network)
    ends = np.cumsum([width for _, width in groups])
    parts = np.split(rows.astype(network.dtype), ends[:-1], axis=1)
    return _outputs(found.run({name: part for (name, _), part in zip(groups, parts, strict=True)}), rows)


def _feed(inputs: Sequence[Input], rows: Array) -> dict[str, NDArray[Any]]:
    feed, start = {}, 0
    for one in inputs:
        part = rows[:, start : start + one.width].astype(one.kind)
        feed[one.name] = part.reshape((len(rows), *one.shape) if one.batched else one.shape)
        start += one.width
    return feed


def _outputs(answers: Sequence[NDArray[Any]], rows: Array) -> Array:
    return np.concatenate([answer.reshape(len(rows), -1).astype(np.float64) for answer in answers], axis=1)
