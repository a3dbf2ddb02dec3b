"""Interprets nodes: each becomes values, by the reader of its operator or by the nodes that it stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import BFLOAT16, to_array
from forwardpass.importers.onnx.attributes import attributes_of
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.faults import Faults
from forwardpass.importers.onnx.function_bodies import FUNCTIONS, body_of
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.ml_operators import LABELS
from forwardpass.importers.onnx.node_context import NodeContext
from forwardpass.importers.onnx.node_order import ordered, reads_of
from forwardpass.importers.onnx.operators import MOVING, NOT_READ, OPERATORS, REASONS
from forwardpass.importers.onnx.texts import READERS, TEXT
from forwardpass.importers.onnx.values import Constant, GraphTensor, Label, Value
from forwardpass.importers.unsupported import UnsupportedError

_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""The errors of a node with too few inputs, or attributes of another type or length than its operator."""

_DOMAINS: Final[Mapping[str, str]] = {"ai.onnx": ""}


class NodeInterpreter:
    """Interprets the nodes of one model, and adds their layers to a builder.

    Args:
        model: The `ModelProto`.
        graph: The builder.
        faults: The faults of the graph.

    Attributes:
        values: The tensors so far by name, None for those of rejected nodes.
    """

    def __init__(self, model: Any, graph: OnnxGraphBuilder, faults: Faults) -> None:
        self.values: dict[str, Value | None] = {}
        self._graph = graph
        self._faults = faults
        self._versions = {_DOMAINS.get(known.domain, known.domain): known.version for known in model.opset_import}
        self._own = {(function.domain, function.name) for function in model.functions}
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._made = {name for node in model.graph.node for name in node.output}

    def follow(self, nodes: Sequence[tuple[int, Any]], outputs: Sequence[str]) -> None:
        """Read the nodes of the graph that outputs depend on, in their order, with their places in the file."""
        used = _used(nodes, outputs)
        for place, node in nodes:
            if used.intersection(node.output):
                self._node(f"graph.node[{place}]", node, used, self._versions)

    def _node(self, place: str, node: Any, used: set[str], versions: Mapping[str, int]) -> None:
        path = f"{place} ({node.name or node.op_type})"
        for name in node.output:
            if name and name in self.values:
                self._faults.add(path, f"{node.op_type} makes {name!r}, which was there before")
        try:
            inputs = [self._find(name) if name else None for name in node.input]
            results = self._results(path, node, inputs, used, versions)
        except _Unknown:
            results = None
        except UnsupportedError as error:
            self._faults.add(path, f"{node.op_type} {error}")
            results = None
        except _MALFORMED as error:
            self._faults.add(path, f"{node.op_type} is not as its operator must be: {error!r}")
            results = None
        made = results if isinstance(results, tuple) else (results,)
        self.values.update(dict.fromkeys(node.output))
        for name, value in zip(node.output, made, strict=False):
            self.values[name] = replace(value, name=name) if isinstance(value, GraphTensor) else value

    def _results(
        self, path: str, node: Any, inputs: Sequence[Value | None], used: set[str], versions: Mapping[str, int]
    ) -> Any:
        """Return the outputs of a node, by its reader or by the nodes that it stands for."""
        if node.op_type == "If" and isinstance(inputs[0] if inputs else None, Constant):
            return self._branch(path, node, inputs[0], versions)
        if node.op_type in FUNCTIONS and _DOMAINS.get(node.domain, node.domain) == "" and "" in versions:
            return self._body(path, node, inputs, used, versions)
        return self._read(node, inputs, used, versions)

    def _body(
        self, path: str, node: Any, inputs: Sequence[Value | None], used: set[str], versions: Mapping[str, int]
    ) -> tuple[Value | None, ...]:
        """Read the nodes of an operator's body."""
        body = body_of(node, versions[""], inputs)
        read = used.intersection(node.output)
        for inner in reversed(body.nodes):
            if read.intersection(inner.output):
                read.update(reads_of(inner))
        for place, inner in enumerate(body.nodes):
            if read.intersection(inner.output):
                self._node(f"{path}.body[{place}]", inner, read, body.versions)
        return tuple(self._find(name) if name in read else None for name in node.output)

    def _branch(self, path: str, node: Any, condition: Any, versions: Mapping[str, int]) -> tuple[Value, ...]:
        """Read the nodes of the branch that a constant condition decides for."""
        name = "then_branch" if bool(np.ravel(numbers_of(condition))[0]) else "else_branch"
        branch = next(attribute.g for attribute in node.attribute if attribute.name == name)
        if twice := next((t.name for t in branch.initializer if t.name in self._initializers), None):
            raise UnsupportedError(f"has a branch with the tensor {twice!r}, which was there before")
        self._initializers.update({tensor.name: tensor for tensor in branch.initializer})
        nodes = ordered(branch.node)
        used = _used(nodes, [output.name for output in branch.output])
        for place, inner in nodes:
            if used.intersection(inner.output):
                self._node(f"{path}.{name}.node[{place}]", inner, used, versions)
        return tuple(self._find(output.name) for output in branch.output)

    def _find(self, name: str) -> Value:
        """Return a tensor that an earlier node or initializer defines."""
        if name in self.values:
            value = self.values[name]
            if value is None:
                raise _Unknown
            return value
        if name not in self._initializers:
            later = " before it is made: the graph has a cycle"
            raise UnsupportedError(f"reads {name!r}{later if name in self._made else ', which nothing makes'}")
        try:
            value = Constant(array=to_array(self._initializers[name]))
            self._graph.bfloat16 |= self._initializers[name].data_type == BFLOAT16
        except UnsupportedError as error:
            raise UnsupportedError(f"reads the initializer {name!r}, which {error}") from None
        self._graph.budget.allow_constant(value.array.size)
        self.values[name] = value
        return value

    def _read(self, node: Any, inputs: Sequence[Value | None], used: set[str], versions: Mapping[str, int]) -> Any:
        domain = _DOMAINS.get(node.domain, node.domain)
        reader = OPERATORS.get((domain, node.op_type))
        if reader is None or domain not in versions:
            own = "is a function of the model's own; put its nodes in its place, by onnx.inliner.inline_local_functions"
            raise UnsupportedError(
                own if (node.domain, node.op_type) in self._own else REASONS.get(node.op_type, NOT_READ)
            )
        if node.op_type in LABELS and isinstance(inputs[0] if inputs else None, Label):
            return inputs[0]
        if node.op_type not in READERS and any(isinstance(one, GraphTensor) and one.kind == TEXT for one in inputs):
            raise UnsupportedError("computes with texts; encode them as numbers before they are sent")
        step = NodeContext(
            op=node.op_type,
            version=versions[domain],
            hint=next((name for name in node.output if name), node.op_type),
            inputs=tuple(inputs),
            reads=tuple(node.input),
            makes=tuple(node.output),
            used=tuple(name in used for name in node.output),
            attributes=attributes_of(node),
            graph=self._graph,
        )
        self._graph.bfloat16 |= any(attribute.t.data_type == BFLOAT16 for attribute in node.attribute)
        self._graph.hint = step.hint
        results = reader(step)
        made = results if isinstance(results, tuple) else (results,)
        if node.op_type not in MOVING:
            for value in (*inputs, *made):
                if isinstance(value, GraphTensor):
                    self._graph.note_kind(value.kind)
        return results


def _used(nodes: Sequence[tuple[int, Any]], outputs: Sequence[str]) -> set[str]:
    """Return every tensor that outputs depend on."""
    used = set(outputs)
    for _, node in reversed(nodes):
        if used.intersection(node.output):
            used.update(reads_of(node))
    return used


class _Unknown(Exception):  # noqa: N818 - it never leaves this module
    """A node reads the output of a rejected node, which has the fault."""
