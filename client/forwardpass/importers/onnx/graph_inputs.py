"""The inputs of an ONNX graph: their shapes for one row, and the axis of the rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import kind_of
from forwardpass.importers.onnx.faults import Faults
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.values import GraphTensor
from forwardpass.importers.unsupported import UnsupportedError

_SAY_AXIS: Final = "--rows-axis {0} (rows_axis={0})"


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


class InputReader:
    """Declares the inputs of a graph to its builder.

    Args:
        proto: The graph.
        graph: The builder.
        faults: The faults of the graph.
        rows_axis: The axis of the inputs that is that of the rows, None where the file says so.
    """

    def __init__(self, proto: Any, graph: OnnxGraphBuilder, faults: Faults, *, rows_axis: int | None) -> None:
        self._graph = graph
        self._faults = faults
        self._rows_axis = rows_axis
        self._initializers: Mapping[str, Any] = {tensor.name: tensor for tensor in proto.initializer}
        self._declared = [one for one in proto.input if one.name not in self._initializers]
        self._products = {
            node.input[0]: node for node in proto.node if node.op_type in {"MatMul", "Gemm"} and len(node.input) > 1
        }

    def read(self) -> list[tuple[GraphInput, GraphTensor]]:
        """Return each input and its tensor; what is wrong with an input is a fault."""
        if not self._declared:
            self._faults.add("graph.input", "is empty; a network reads something")
        inputs = []
        for place, one in enumerate(self._declared):
            try:
                inputs.append(self._input(one, alone=len(self._declared) == 1))
            except UnsupportedError as error:
                self._faults.add(f"graph.input[{place}] ({one.name})", str(error))
        self._check_rows([one for one, _ in inputs])
        return inputs

    def _check_rows(self, inputs: Sequence[GraphInput]) -> None:
        """Add a fault where the inputs have different numbers of rows."""
        sizes = sorted({one.fixed_rows for one in inputs if one.fixed_rows})
        if len({one.row_axis for one in inputs}) > 1:
            alone = next(one.name for one in inputs if one.row_axis is None)
            self._faults.add(
                "graph.input",
                f"have an axis of rows, but for {alone!r} with its fixed shape; if its first axis is that of the rows "
                f"too, say so by {_SAY_AXIS.format(0)}, and else make it an initializer",
            )
        elif len(sizes) > 1:
            self._faults.add("graph.input", f"have different numbers of rows, {', '.join(map(str, sizes))}")

    def _input(self, declared: Any, *, alone: bool) -> tuple[GraphInput, GraphTensor]:
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
        values = GraphTensor(sources=(group,), index=index, row_axis=rows, kind=kind)
        fixed_rows = None if rows is None else sizes[rows]
        if fixed_rows is not None:
            self._graph.fixed_rows = fixed_rows
        one = GraphInput(name=declared.name, group=group, kind=kind, shape=fixed, row_axis=rows, fixed_rows=fixed_rows)
        return one, values

    def _columns(self, name: str) -> int | None:
        """Return the width that the product which reads an input has weights for, or None."""
        node = self._products.get(name)
        weights = None if node is None else self._initializers.get(node.input[1])
        if node is None or weights is None or len(weights.dims) != 2:
            return None
        turned = {attribute.name: attribute.i for attribute in node.attribute}
        return None if turned.get("transA") else int(weights.dims[1 if turned.get("transB") else 0])


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
