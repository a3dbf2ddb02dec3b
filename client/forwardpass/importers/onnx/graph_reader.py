"""Reads an ONNX graph into layers: its inputs, then its nodes, then its outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph.passes import fuse, without_unread
from forwardpass.importers.input_constraints import Category
from forwardpass.importers.onnx.faults import Faults
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.graph_inputs import GraphInput, InputReader
from forwardpass.importers.onnx.graph_outputs import OutputReader
from forwardpass.importers.onnx.node_interpreter import NodeInterpreter
from forwardpass.importers.onnx.node_order import ordered
from forwardpass.importers.onnx.whole_numbers import WHOLE, check_shifts

_FLOAT32_BITS: Final = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A graph as layers.

    Attributes:
        inputs: The inputs.
        layers: The layers in the form that `spec.parse` reads.
        output_layers: The layers that are outputs.
        tensors: The names of these outputs in the graph.
        row_axes: The axis of the rows of each, or None.
        outputs: A name for each output.
        classes: A label for each class, or empty.
        dtype: The dtype that it computes in.
        values: The allowed numbers of some inputs, by their column.
        missing: Whether inputs may be missing.
        categories: The texts of some inputs, by their column.
        notes: A sentence for each thing that was left out or renamed.
    """

    inputs: tuple[GraphInput, ...]
    layers: tuple[Mapping[str, Any], ...]
    output_layers: tuple[str, ...]
    tensors: tuple[str, ...]
    row_axes: tuple[int | None, ...]
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    dtype: str
    values: Mapping[int, Sequence[float]]
    missing: bool
    categories: Mapping[int, Category]
    notes: tuple[str, ...]


def read_graph(model: Any, *, rows_axis: int | None = None, outputs: Sequence[str] = ()) -> Graph:
    """Read the graph of a `ModelProto`.

    Args:
        model: The model.
        rows_axis: The axis of the inputs that is that of the rows, open or of a fixed size; when left out, the first
            axis of an input where it is open, and none of an input with a fixed shape.
        outputs: The names of the outputs that the network has; all of them when left out.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
    """
    graph, faults = OnnxGraphBuilder(), Faults()
    inputs = InputReader(model.graph, graph, faults, rows_axis=rows_axis).read()
    faults.check()
    declared = [one for one, _ in inputs]
    nodes = ordered(model.graph.node)
    writer = OutputReader(model.graph, graph, faults, names=outputs)
    wanted = writer.wanted(nodes, {one.name for one in declared})
    interpreter = NodeInterpreter(model, graph, faults)
    interpreter.values.update({one.name: values for one, values in inputs})
    interpreter.follow(nodes, wanted)
    faults.check()
    check_shifts(graph, faults)
    found = list(writer.read(interpreter.values))
    faults.check()
    dtype = _dtype(graph, declared, faults)
    faults.check()
    names = {output.layer for output in found}
    layers = fuse(without_unread(graph.layers, names), names)
    _check_read(declared, layers, faults)
    starts = dict(
        zip((one.group for one in declared), np.cumsum([0, *(one.width for one in declared)]).tolist(), strict=False)
    )
    return Graph(
        inputs=tuple(declared),
        layers=tuple(layers),
        output_layers=tuple(output.layer for output in found),
        tensors=tuple(output.tensor for output in found),
        row_axes=tuple(output.value.row_axis for output in found),
        outputs=writer.named(found),
        classes=writer.classes(sum(output.value.size for output in found)),
        dtype=dtype,
        values={starts[group] + place: numbers for (group, place), numbers in graph.values.items()},
        missing=graph.missing,
        categories=graph.texts.by_column(starts),
        notes=tuple(writer.notes),
    )


def _check_read(inputs: Sequence[GraphInput], layers: Sequence[Mapping[str, Any]], faults: Faults) -> None:
    """Add a fault for each input that no layer reads."""
    read = {source for layer in layers for source in layer["from"]}
    for one in inputs:
        if one.group not in read:
            faults.add(f"graph.input ({one.name})", "is read by nothing; leave it out of the graph")
    faults.check()


def _dtype(graph: OnnxGraphBuilder, inputs: Sequence[GraphInput], faults: Faults) -> str:
    """Return the dtype that a graph computes in."""
    bits = graph.whole_bits
    widest = max(bits, *(WHOLE.get(one.kind, 0) for one in inputs))
    whole = {"float32" if widest <= _FLOAT32_BITS else "float64"}
    kinds = graph.kinds or {one.kind for one in inputs} & {"float32", "float64"} or whole
    if len(kinds) > 1:
        faults.add("graph", "computes in float32 and float64; a network has one dtype, export the model in one")
    dtype = "float64" if kinds == {"float64"} else "float32"
    if dtype == "float32" and bits > _FLOAT32_BITS:
        faults.add(
            "graph",
            f"computes in float32, and with whole numbers of {bits} bits, of which float32 holds "
            f"{_FLOAT32_BITS}; cast them to float32 before they are computed with",
        )
    if dtype == "float64" and graph.narrowed:
        faults.add("graph", "computes in float64 what was cast to float32 before; leave the cast out")
    return dtype
