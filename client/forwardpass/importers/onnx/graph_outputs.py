"""The outputs of an ONNX graph: their layers, their names, and the labels of classes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from forwardpass.importers.graph import PASS
from forwardpass.importers.onnx.faults import Faults
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.labels import label_of
from forwardpass.importers.onnx.node_order import dependence
from forwardpass.importers.onnx.texts import TEXT
from forwardpass.importers.onnx.values import Constant, GraphTensor, JoinedRows, Label, Value
from forwardpass.importers.unsupported import UnsupportedError


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphOutput:
    """One output of the graph.

    Attributes:
        layer: Its layer.
        tensor: The name of the tensor with its numbers in the graph.
        value: The tensor.
    """

    layer: str
    tensor: str
    value: GraphTensor


class OutputReader:
    """Makes layers of the outputs of a graph.

    Args:
        proto: The graph.
        graph: The builder.
        faults: The faults of the graph.
        names: The names of the outputs that the network has; all of them when empty.

    Attributes:
        notes: A sentence for each output that was left out or renamed.
    """

    def __init__(self, proto: Any, graph: OnnxGraphBuilder, faults: Faults, *, names: Collection[str]) -> None:
        self.notes: list[str] = []
        self._graph = graph
        self._faults = faults
        self._makers = {name: node for node in proto.node for name in node.output}
        self._wanted = [output.name for output in proto.output if not names or output.name in names]

    def wanted(self, nodes: Sequence[tuple[int, Any]], inputs: set[str]) -> list[str]:
        """Return the outputs of the network; those that are random or the same for all rows are left out of several."""
        if len(self._wanted) < 2:
            return self._wanted
        found = dependence(nodes, inputs)
        kept = [name for name in self._wanted if name in found.on_inputs - found.on_chance]
        if kept:
            for name in self._wanted:
                if name not in kept:
                    why = "is random" if name in found.on_chance else "is the same for all rows"
                    self.notes.append(f"the output {name!r} {why}, and is left out")
            self._wanted = kept
        return self._wanted

    def read(self, found: dict[str, Value | None]) -> Iterator[GraphOutput]:
        """Yield each output, given all tensors of the graph."""
        values = [(name, found.get(name)) for name in self._wanted]
        labels = [value for _, value in values if isinstance(value, Label)]
        scores = [(name, value) for name, value in values if isinstance(value, GraphTensor)]
        for label in labels:
            self._graph.classes = label.labels
            # The numbers that a label is chosen by may be an output after another node, such as a Normalizer.
            if not any(score.size == label.scores.size for _, score in scores):
                scores.append((label.tensor, label.scores))
        for name, value in values:
            if isinstance(value, Constant):
                self._faults.add(f"graph.output ({name})", "is the same for all rows; leave it out")
            if isinstance(value, JoinedRows):
                self._faults.add(f"graph.output ({name})", "has its rows along one axis with others")
        taken: set[str] = set()
        for name, value in scores:
            if value.kind == TEXT:
                self._faults.add(f"graph.output ({name})", "is of texts; a network's outputs are numbers")
                continue
            try:
                layer = self._output(name, value, taken)
                yield GraphOutput(layer=layer, tensor=self._tensor(name), value=value)
            except UnsupportedError as error:
                self._faults.add(f"graph.output ({name})", str(error))

    def classes(self, width: int) -> tuple[str, ...]:
        """Return the labels of the classes, where there is one for each output."""
        classes = self._graph.classes
        if not classes or width == len(classes) or (width == 1 and len(classes) == 2):
            return classes
        self.notes.append(f"the place of the largest of {len(classes)} numbers is left out; the numbers are there")
        return ()

    def named(self, outputs: Sequence[GraphOutput]) -> tuple[str, ...]:
        """Return the name of each output, after the tensors of the graph."""
        labels = {output.tensor: label_of(output.tensor) for output in outputs}
        self.notes.extend(
            f"the output {tensor!r} is called {label!r}" for tensor, label in labels.items() if tensor != label
        )
        names = [
            labels[each.tensor] if each.value.size == 1 else f"{labels[each.tensor]}_{place}"
            for each in outputs
            for place in range(each.value.size)
        ]
        return tuple(names) if len(set(names)) == len(names) else ()

    def _output(self, name: str, value: GraphTensor, taken: set[str]) -> str:
        layer = self._graph.materialize(value, name).sources[0]
        if layer in taken or self._graph.is_input(layer):
            layer = self._graph.layer(name, [self._graph.materialize(value, name)], value.index.size, **PASS)
        taken.add(layer)
        return layer

    def _tensor(self, name: str) -> str:
        """Return the tensor with the numbers of an output; a ZipMap converts them to mappings."""
        maker = self._makers.get(name)
        return str(maker.input[0]) if maker is not None and maker.op_type == "ZipMap" else name
