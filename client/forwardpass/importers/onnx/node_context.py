"""One node of a graph, as those see it who read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.values import Constant, GraphTensor, Label, Value
from forwardpass.importers.unsupported import UnsupportedError

FLOATS = frozenset({"float32", "float64"})
"""The element types that networks compute with."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NodeContext:
    """A node with what it reads.

    Attributes:
        op: The operator's name.
        version: Of the operator set that it is of.
        hint: What a layer made of it is to be called.
        inputs: Its inputs, None where one is left out.
        reads: What the graph calls them.
        makes: What the graph calls its outputs.
        wanted: Which of those somebody reads.
        attributes: As Python values; tensors as arrays.
        graph: The layers so far.
    """

    op: str
    version: int
    hint: str
    inputs: tuple[Value | None, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    wanted: tuple[bool, ...]
    attributes: Mapping[str, Any]
    graph: OnnxGraphBuilder

    def has(self, place: int) -> bool:
        """Whether an input is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def value(self, place: int) -> Constant | GraphTensor:
        """Return an input that is a tensor."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if value is None:
            raise UnsupportedError(f"lacks its input {place}")
        if isinstance(value, Label):
            raise UnsupportedError(
                f"computes with labels, {self.reads[place]!r}; a network's answer has them beside its numbers"
            )
        return value

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
        """Return an input of whole numbers, with `ROWS` where a shape has the number of rows."""
        value = self.value(place)
        if isinstance(value, GraphTensor):
            raise UnsupportedError(f"has a shape or place, {self.reads[place]!r}, that depends on the inputs' numbers")
        return value.array.ravel().tolist()

    def integers(self, name: str, place: int) -> list[Any] | None:
        """Return whole numbers that older operator sets give as an attribute, and newer ones as an input."""
        if name in self.attributes:
            return [int(number) for number in np.atleast_1d(self.attributes[name])]
        return self.sizes(place) if self.has(place) else None

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number: a float32 in every operator, and by default too."""
        return float(np.float32(self.attributes.get(name, default)))

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is a whole number."""
        return int(self.attributes.get(name, default))

    def axis(self, default: int, rank: int) -> int:
        """Return the attribute `axis`, counted from the front."""
        return front(self.integer("axis", default), rank)


Result: TypeAlias = Value | tuple[Value | None, ...]
"""What a node makes: one tensor, or several, None for those that nobody reads."""

NodeReader: TypeAlias = Callable[[NodeContext], Result]


def front(axis: int, rank: int) -> int:
    """Return an axis counted from the front."""
    if not -rank <= axis < rank:
        raise UnsupportedError(f"has the axis {axis}, of a tensor of {rank} axes")
    return axis % rank


def not_rows(tensor: Constant | GraphTensor, axis: int) -> int:
    """Return an axis that is not the batch's."""
    if isinstance(tensor, GraphTensor) and axis == tensor.row_axis:
        raise UnsupportedError("works along the axis of the rows; a network computes each row by itself")
    return axis
