"""onnxruntime, which computes the rows that a network is compared on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forwardpass.importers.onnx.graph_reader import Graph, GraphInput
from forwardpass.onnx_form import import_package, runner
from forwardpass.tensors import Array


def predictor(model: Any, graph: Graph) -> tuple[str, Callable[[Array], Array]]:
    """Return the name of the runtime, and a function from rows `(rows, inputs)` to outputs `(rows, outputs)` float64.

    Args:
        model: The `ModelProto`.
        graph: The graph that was read, with the names of the outputs.
    """
    onnx = import_package("onnx")
    # Outputs that are no numbers, such as names of classes, are not computed.
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


def _feed(inputs: Sequence[GraphInput], rows: Array) -> dict[str, NDArray[Any]]:
    feed, start = {}, 0
    for one in inputs:
        part = rows[:, start : start + one.width].astype(one.kind)
        feed[one.name] = part.reshape((len(rows), *one.shape) if one.batched else one.shape)
        start += one.width
    return feed


def _outputs(outputs: Sequence[NDArray[Any]], rows: Array) -> Array:
    return np.concatenate([output.reshape(len(rows), -1).astype(np.float64) for output in outputs], axis=1)
