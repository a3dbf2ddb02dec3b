"""One node of a graph, with the inputs that it reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.values import Constant, GraphTensor, JoinedRows, Label, RowMultiple, Value
from forwardpass.importers.unsupported import UnsupportedError

FLOATS = frozenset({"float32", "float64"})
"""The element types that networks compute in."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NodeContext:
    """A node while its reader runs.

    Attributes:
        op: The operator's name.
        version: The version of its operator set.
        hint: The preferred name of its layers.
        inputs: The inputs, None for an omitted one.
        reads: The names of the inputs.
        makes: The names of the outputs.
        used: Whether each output is read.
        attributes: The attributes as Python values and arrays.
        graph: The builder of the layers.
    """

    op: str
    version: int
    hint: str
    inputs: tuple[Value | None, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    used: tuple[bool, ...]
    attributes: Mapping[str, Any]
    graph: OnnxGraphBuilder

    def has(self, place: int) -> bool:
        """Return whether an input is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def value(self, place: int) -> Constant | GraphTensor:
        """Return an input that is a tensor."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if value is None:
            raise UnsupportedError(f"lacks its input {place}")
        if isinstance(value, Label):
            raise UnsupportedError(
                f"computes with labels, {self.reads[place]!r}; a network's response has them beside its numbers"
            )
        if isinstance(value, JoinedRows):
            raise UnsupportedError(
                f"reads {self.reads[place]!r}, whose rows are one axis with others; only Reshape, Transpose, and Gemm "
                "and MatMul by constant weights read such a tensor"
            )
        return value

    def joined_rows(self, place: int) -> JoinedRows | None:
        """Return an input whose rows are one axis with others, or None where it is another value."""
        value = self.inputs[place] if place < len(self.inputs) else None
        return value if isinstance(value, JoinedRows) else None

    def tensor(self, place: int) -> GraphTensor:
        """Return an input that depends on the graph's inputs."""
        value = self.value(place)
        if isinstance(value, Constant):
            raise UnsupportedError(f"reads a constant, {self.reads[place]!r}, where a network's values are needed")
        return value

    def float_tensor(self, place: int) -> GraphTensor:
        """Return an input of float32 or float64 that depends on the graph's inputs."""
        tensor = self.tensor(place)
        if tensor.kind not in FLOATS:
            raise UnsupportedError(
                f"computes in {tensor.kind}; networks compute in float32 or float64, cast to one of them"
            )
        return tensor

    def constant(self, place: int) -> Array:
        """Return an input that is constant."""
        value = self.value(place)
        if isinstance(value, GraphTensor):
            raise UnsupportedError(
                f"reads {self.reads[place]!r}, which depends on the inputs; only a constant can stand there"
            )
        return numbers_of(value)

    def sizes(self, place: int) -> list[Any]:
        """Return an input of integers, with `ROWS` where a shape has the number of rows."""
        sizes = self.shape(place)
        if multiple := next((size for size in sizes if isinstance(size, RowMultiple)), None):
            raise UnsupportedError(f"has the size of {multiple}; only Reshape reads a multiple of the rows")
        return sizes

    def shape(self, place: int) -> list[Any]:
        """Return an input of integers, with `ROWS` or a `RowMultiple` where a shape has the number of rows."""
        value = self.value(place)
        if isinstance(value, GraphTensor):
            raise UnsupportedError(f"has a shape or place, {self.reads[place]!r}, that depends on the inputs' numbers")
        return value.array.ravel().tolist()

    def integers(self, name: str, place: int) -> list[Any] | None:
        """Return integers that are an attribute in older operator sets and an input in newer ones."""
        if name in self.attributes:
            return [int(number) for number in np.atleast_1d(self.attributes[name])]
        return self.sizes(place) if self.has(place) else None

    def number(self, name: str, default: float) -> float:
        """Return a float attribute, which is a float32 in every operator."""
        return float(np.float32(self.attributes.get(name, default)))

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        return int(self.attributes.get(name, default))

    def axis(self, default: int, rank: int) -> int:
        """Return the attribute `axis` as a non-negative number."""
        return front(self.integer("axis", default), rank)


Result: TypeAlias = Value | tuple[Value | None, ...]
"""The outputs of a node: one, or several with None for those that are not read."""

NodeReader: TypeAlias = Callable[[NodeContext], Result]


def front(axis: int, rank: int) -> int:
    """Return an axis as a non-negative number."""
    if not -rank <= axis < rank:
        raise UnsupportedError(f"has the axis {axis}, of a tensor of {rank} axes")
    return axis % rank


def not_rows(tensor: Constant | GraphTensor, axis: int) -> int:
    """Return an axis; reject that of the rows."""
    if isinstance(tensor, GraphTensor) and axis == tensor.row_axis:
        raise UnsupportedError("works along the axis of the rows; a network computes each row by itself")
    return axis
