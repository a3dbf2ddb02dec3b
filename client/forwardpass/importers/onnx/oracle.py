"""What onnxruntime computes of the same rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from forwardpass.importers.onnx.files import imported
from forwardpass.importers.onnx.graph import Graph, Input
from forwardpass.tensors import Array


def oracle(model: Any, graph: Graph) -> Callable[[Array], Array]:
    """Return what computes rows `(rows, inputs)` by the model itself, `(rows, outputs)` float64.

    Args:
        model: The `ModelProto`.
        graph: What was read of it; says which tensors are outputs.
    """
    onnx, onnxruntime = imported("onnx"), imported("onnxruntime")
    # What is left out of the outputs, as the names of classes, is not computed.
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {value.name: value for value in (*model.graph.output, *model.graph.value_info)}
    del copy.graph.output[:]
    copy.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in graph.tensors)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def compute(rows: Array) -> Array:
        batches = [rows] if graph.inputs[0].batched else [rows[place : place + 1] for place in range(len(rows))]
        answers = [_outputs(session.run(list(graph.tensors), _feed(graph.inputs, part)), part) for part in batches]
        return np.concatenate(answers)

    return compute


def _feed(inputs: Sequence[Input], rows: Array) -> dict[str, Array]:
    feed, start = {}, 0
    for one in inputs:
        part = rows[:, start : start + one.width].astype(one.kind)
        feed[one.name] = part.reshape((len(rows), *one.shape) if one.batched else one.shape)
        start += one.width
    return feed


def _outputs(answers: Sequence[Array], rows: Array) -> Array:
    return np.concatenate([answer.reshape(len(rows), -1).astype(np.float64) for answer in answers], axis=1)
