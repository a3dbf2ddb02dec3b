"""Reads an ONNX graph into layers, node by node."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault
from forwardpass.importers.graph import PASS
from forwardpass.importers.graph.passes import fuse, without_unread
from forwardpass.importers.input_constraints import Category
from forwardpass.importers.onnx.arrays import BFLOAT16, kind_of, to_array
from forwardpass.importers.onnx.attributes import attributes_of
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.function_bodies import FUNCTIONS, body_of
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.labels import label_of
from forwardpass.importers.onnx.ml_operators import LABELS
from forwardpass.importers.onnx.node_context import NodeContext
from forwardpass.importers.onnx.node_order import dependence, ordered, reads_of
from forwardpass.importers.onnx.operators import MOVING, NOT_READ, OPERATORS, REASONS
from forwardpass.importers.onnx.texts import READERS, TEXT
from forwardpass.importers.onnx.values import Constant, GraphTensor, JoinedRows, Label, Value
from forwardpass.importers.onnx.whole_numbers import WHOLE
from forwardpass.importers.unsupported import UnsupportedError, unsupported_parts

_MAX_FAULTS: Final = 10
_FLOAT32_BITS: Final = 24
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""The errors of a node with too few inputs, or attributes of another type or length than its operator."""

_SAY_AXIS: Final = "--rows-axis {0} (rows_axis={0})"
_DOMAINS: Final[Mapping[str, str]] = {"ai.onnx": ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphInput:
    """One input of the graph.

    Attributes:
        name: The name in the graph.
        group: The group of inputs in the network.
        kind: The element type.
        shape: The shape of one row.
        row_axis: The axis of the rows, or None where the whole tensor is of one row.
        fixed_rows: The size of that axis in the file, or None where it is open.
    """

    name: str
    group: str
    kind: str
    shape: tuple[int, ...]
    row_axis: int | None
    fixed_rows: int | None = None

    @property
    def width(self) -> int:
        """The number of inputs of the network that it takes."""
        return math.prod(self.shape)


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
    return _GraphReader(model, rows_axis=rows_axis, outputs=outputs).graph()


class _GraphReader:
    """Reads one graph and collects every fault."""

    def __init__(self, model: Any, *, rows_axis: int | None, outputs: Sequence[str]) -> None:
        self._proto = model.graph
        self._rows_axis = rows_axis
        self._notes: list[str] = []
        self._versions = {_DOMAINS.get(known.domain, known.domain): known.version for known in model.opset_import}
        self._own = {(function.domain, function.name) for function in model.functions}
        self._graph = OnnxGraphBuilder()
        self._faults: list[Fault] = []
        self._values: dict[str, Value | None] = {}
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._nodes = ordered(model.graph.node)
        self._products = {
            node.input[0]: node
            for node in model.graph.node
            if node.op_type in {"MatMul", "Gemm"} and len(node.input) > 1
        }
        self._wanted = [output for output in model.graph.output if not outputs or output.name in outputs]

    def graph(self) -> Graph:
        """Read the whole graph."""
        inputs = self._inputs()
        self._check()
        self._leave_out({one.name for one in inputs})
        used = self._used_tensors()
        for place, node in self._nodes:
            if used.intersection(node.output):
                self._node(f"graph.node[{place}]", node, used, self._versions)
        self._check()
        outputs = list(self._outputs())
        self._check()
        dtype = self._dtype(inputs)
        self._check()
        names = {name for name, *_ in outputs}
        layers = fuse(without_unread(self._graph.layers, names), names)
        self._check_read(inputs, layers)
        starts = dict(zip((one.group for one in inputs), np.cumsum([0, *(one.width for one in inputs)]), strict=False))
        return Graph(
            inputs=tuple(inputs),
            layers=tuple(layers),
            output_layers=tuple(name for name, *_ in outputs),
            tensors=tuple(tensor for _, tensor, _ in outputs),
            row_axes=tuple(value.row_axis for *_, value in outputs),
            outputs=self._named(outputs),
            classes=self._classes(sum(value.size for *_, value in outputs)),
            dtype=dtype,
            values={int(starts[group]) + place: numbers for (group, place), numbers in self._graph.values.items()},
            missing=self._graph.missing,
            categories=self._graph.texts.by_column({group: int(start) for group, start in starts.items()}),
            notes=tuple(self._notes),
        )

    def _leave_out(self, inputs: set[str]) -> None:
        """Leave out the outputs that are random or the same for all rows, where there are others."""
        if len(self._wanted) < 2:
            return
        found = dependence(self._nodes, inputs)
        right = found.on_inputs - found.on_chance
        kept = [output for output in self._wanted if output.name in right]
        if not kept:
            return
        for output in self._wanted:
            if output not in kept:
                why = "is random" if output.name in found.on_chance else "is the same for all rows"
                self._notes.append(f"the output {output.name!r} {why}, and is left out")
        self._wanted = kept

    def _classes(self, width: int) -> tuple[str, ...]:
        """Return the labels of the classes, where there is one for each output."""
        classes = self._graph.classes
        if not classes or width == len(classes) or (width == 1 and len(classes) == 2):
            return classes
        self._notes.append(f"the place of the largest of {len(classes)} numbers is left out; the numbers are there")
        return ()

    def _named(self, outputs: Sequence[tuple[str, str, GraphTensor]]) -> tuple[str, ...]:
        """Return the name of each output, after the tensors of the graph."""
        labels = {tensor: label_of(tensor) for _, tensor, _ in outputs}
        self._notes.extend(
            f"the output {tensor!r} is called {label!r}" for tensor, label in labels.items() if tensor != label
        )
        names = [
            labels[tensor] if value.size == 1 else f"{labels[tensor]}_{place}"
            for _, tensor, value in outputs
            for place in range(value.size)
        ]
        return tuple(names) if len(set(names)) == len(names) else ()

    def _fault(self, path: str, message: str) -> None:
        self._faults.append(Fault(path=path, message=message))
        if len(self._faults) >= _MAX_FAULTS:
            self._check()

    def _check(self) -> None:
        if self._faults:
            raise unsupported_parts(self._faults)

    def _check_read(self, inputs: Sequence[GraphInput], layers: Sequence[Mapping[str, Any]]) -> None:
        """Add a fault for each input that no layer reads."""
        read = {source for layer in layers for source in layer["from"]}
        for one in inputs:
            if one.group not in read:
                self._fault(f"graph.input ({one.name})", "is read by nothing; leave it out of the graph")
        self._check()

    def _inputs(self) -> list[GraphInput]:
        declared = [one for one in self._proto.input if one.name not in self._initializers]
        if not declared:
            self._fault("graph.input", "is empty; a network reads something")
        inputs = []
        for place, one in enumerate(declared):
            try:
                inputs.append(self._input(one, alone=len(declared) == 1))
            except UnsupportedError as error:
                self._fault(f"graph.input[{place}] ({one.name})", str(error))
        self._check_rows(inputs)
        return inputs

    def _check_rows(self, inputs: Sequence[GraphInput]) -> None:
        """Add a fault where the inputs have different numbers of rows."""
        sizes = sorted({one.fixed_rows for one in inputs if one.fixed_rows})
        if len({one.row_axis for one in inputs}) > 1:
            alone = next(one.name for one in inputs if one.row_axis is None)
            self._fault(
                "graph.input",
                f"have an axis of rows, but for {alone!r} with its fixed shape; if its first axis is that of the rows "
                f"too, say so by {_SAY_AXIS.format(0)}, and else make it an initializer",
            )
        elif len(sizes) > 1:
            self._fault("graph.input", f"have different numbers of rows, {', '.join(map(str, sizes))}")

    def _input(self, declared: Any, *, alone: bool) -> GraphInput:
        if declared.type.WhichOneof("value") != "tensor_type":
            raise UnsupportedError("is no tensor")
        tensor = declared.type.tensor_type
        if not tensor.HasField("shape"):
            raise UnsupportedError("has no shape; export the model with the shapes of its inputs")
        kind = kind_of(tensor.elem_type)
        # Some exporters write -1 for any number.
        sizes = [
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value != -1 else None for dim in tensor.shape.dim
        ]
        if len(sizes) == 2 and sizes[1] is None:
            sizes[1] = self._columns(declared.name)
        rows = self._rows_axis if self._rows_axis is not None or not sizes or sizes[0] is not None else 0
        if rows is not None and rows >= len(sizes):
            raise UnsupportedError(f"has {len(sizes)} axes, and none numbered {rows}, which should be that of the rows")
        unknown = [axis for axis, size in enumerate(sizes) if size is None and axis != rows]
        if unknown:
            raise UnsupportedError(_open_axes(unknown, beside_rows=rows is not None and sizes[rows] is None))
        shape = [size for axis, size in enumerate(sizes) if axis != rows]
        fixed = tuple(int(size) for size in shape if size is not None)
        width = math.prod(fixed)
        if width < 1:
            raise UnsupportedError(f"has the shape {sizes}, of no elements")
        self._graph.budget.claim_elements(width)
        group = "inputs" if alone else self._graph.free_name(declared.name)
        self._graph.add_inputs(width, group)
        index = np.arange(width).reshape(fixed if rows is None else (*fixed[:rows], 1, *fixed[rows:]))
        self._values[declared.name] = GraphTensor(sources=(group,), index=index, row_axis=rows, kind=kind)
        fixed_rows = None if rows is None else sizes[rows]
        if fixed_rows is not None:
            self._graph.fixed_rows = fixed_rows
        return GraphInput(
            name=declared.name,
            group=group,
            kind=kind,
            shape=fixed,
            row_axis=rows,
            fixed_rows=fixed_rows,
        )

    def _columns(self, name: str) -> int | None:
        """Return the width that the product which reads an input has weights for, or None."""
        node = self._products.get(name)
        weights = None if node is None else self._initializers.get(node.input[1])
        if node is None or weights is None or len(weights.dims) != 2:
            return None
        turned = {attribute.name: attribute.i for attribute in node.attribute}
        return None if turned.get("transA") else int(weights.dims[1 if turned.get("transB") else 0])

    def _used_tensors(self) -> set[str]:
        """Return every tensor that an output depends on."""
        used = {output.name for output in self._wanted}
        for _, node in reversed(self._nodes):
            if used.intersection(node.output):
                used.update(reads_of(node))
        return used

    def _node(self, place: str, node: Any, used: set[str], versions: Mapping[str, int]) -> None:
        path = f"{place} ({node.name or node.op_type})"
        for name in node.output:
            if name and name in self._values:
                self._fault(path, f"{node.op_type} makes {name!r}, which was there before")
        try:
            inputs = [self._find(name) if name else None for name in node.input]
            results = self._results(path, node, inputs, used, versions)
        except _Unknown:
            results = None
        except UnsupportedError as error:
            self._fault(path, f"{node.op_type} {error}")
            results = None
        except _MALFORMED as error:
            self._fault(path, f"{node.op_type} is not as its operator must be: {error!r}")
            results = None
        made = results if isinstance(results, tuple) else (results,)
        self._values.update(dict.fromkeys(node.output))
        for name, value in zip(node.output, made, strict=False):
            self._values[name] = replace(value, name=name) if isinstance(value, GraphTensor) else value

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
        used = {output.name for output in branch.output}
        for _, inner in reversed(nodes):
            if used.intersection(inner.output):
                used.update(reads_of(inner))
        for place, inner in nodes:
            if used.intersection(inner.output):
                self._node(f"{path}.{name}.node[{place}]", inner, used, versions)
        return tuple(self._find(output.name) for output in branch.output)

    def _find(self, name: str) -> Value:
        """Return a tensor that an earlier node or initializer defines."""
        if name in self._values:
            value = self._values[name]
            if value is None:
                raise _Unknown
            return value
        if name not in self._initializers:
            later = " before it is made: the graph has a cycle"
            raise UnsupportedError(f"reads {name!r}{later if name in self._makers else ', which nothing makes'}")
        try:
            value = Constant(array=to_array(self._initializers[name]))
            self._graph.bfloat16 |= self._initializers[name].data_type == BFLOAT16
        except UnsupportedError as error:
            raise UnsupportedError(f"reads the initializer {name!r}, which {error}") from None
        self._graph.budget.allow_constant(value.array.size)
        self._values[name] = value
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

    def _outputs(self) -> Iterator[tuple[str, str, GraphTensor]]:
        """Yield the layer, the name and the tensor of each output."""
        values = [(output.name, self._values.get(output.name)) for output in self._wanted]
        labels = [value for _, value in values if isinstance(value, Label)]
        scores = [(name, value) for name, value in values if isinstance(value, GraphTensor)]
        for label in labels:
            self._graph.classes = label.labels
            # The numbers that a label is chosen by may be an output after another node, such as a Normalizer.
            if not any(score.size == label.scores.size for _, score in scores):
                scores.append((label.tensor, label.scores))
        for name, value in values:
            if isinstance(value, Constant):
                self._fault(f"graph.output ({name})", "is the same for all rows; leave it out")
            if isinstance(value, JoinedRows):
                self._fault(f"graph.output ({name})", "has its rows along one axis with others")
        taken: set[str] = set()
        for name, value in scores:
            if value.kind == TEXT:
                self._fault(f"graph.output ({name})", "is of texts; a network's outputs are numbers")
                continue
            try:
                yield self._output(name, value, taken), self._tensor(name), value
            except UnsupportedError as error:
                self._fault(f"graph.output ({name})", str(error))

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

    def _dtype(self, inputs: Sequence[GraphInput]) -> str:
        bits = self._graph.whole_bits
        widest = max(bits, *(WHOLE.get(one.kind, 0) for one in inputs))
        whole = {"float32" if widest <= _FLOAT32_BITS else "float64"}
        kinds = self._graph.kinds or {one.kind for one in inputs} & {"float32", "float64"} or whole
        if len(kinds) > 1:
            self._fault("graph", "computes in float32 and float64; a network has one dtype, export the model in one")
        dtype = "float64" if kinds == {"float64"} else "float32"
        if dtype == "float32" and bits > _FLOAT32_BITS:
            self._fault(
                "graph",
                f"computes in float32, and with whole numbers of {bits} bits, of which float32 holds "
                f"{_FLOAT32_BITS}; cast them to float32 before they are computed with",
            )
        if dtype == "float64" and self._graph.narrowed:
            self._fault("graph", "computes in float64 what was cast to float32 before; leave the cast out")
        return dtype


def _open_axes(axes: Sequence[int], *, beside_rows: bool) -> str:
    """Return why open axes that are not that of the rows cannot be read, and what to do."""
    found = f"has axes of no fixed size, {list(axes)}"
    if len(axes) == 1 and not beside_rows:
        return f"{found}; if this is the axis of the rows, say so by {_SAY_AXIS.format(axes[0])}"
    found += ", beside that of the rows" if beside_rows else ""
    return (
        f"{found}; give each of them but that of the rows its size, by "
        "onnx.tools.update_model_dims.update_inputs_outputs_dims"
    )


class _Unknown(Exception):  # noqa: N818 - it never leaves this module
    """A node reads the output of a rejected node, which has the fault."""
