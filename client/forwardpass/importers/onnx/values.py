"""The values along the edges of an ONNX graph.

A tensor that depends on the inputs is a reference to the nodes of layers. Operators that only move elements (reshape,
slice, transpose, concatenate) change its index, and add no layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.onnx.arrays import Array


class _Rows:
    """The number of rows, which a graph may put into a shape but not compute with."""

    def __repr__(self) -> str:
        return "rows"


ROWS: Final = _Rows()
"""The size of the axis of the rows in a shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowMultiple:
    """The size of an axis of the rows and others as one, a multiple of the number of rows.

    Attributes:
        factor: The size of the other axes, 2 or more.
    """

    factor: int

    def __repr__(self) -> str:
        return f"{self.factor} rows"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Constant:
    """A tensor that is the same for all rows.

    Attributes:
        array: An array of any shape and dtype; of objects where `ROWS` or a multiple of it is in it.
    """

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.array.shape

    @property
    def kind(self) -> str:
        """The name of the dtype."""
        return str(self.array.dtype)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GraphTensor(TensorRef):
    """A tensor that depends on the inputs; its index has the shape of the tensor, with 1 for the axis of the rows.

    Attributes:
        row_axis: The axis of the rows, or None where the tensor is all of one row.
        kind: The element type in the file, as numpy calls it.
    """

    row_axis: int | None
    kind: str

    def same_columns(self, other: "GraphTensor") -> bool:
        """Return whether both tensors refer to the same node at each place."""
        return (
            self.sources == other.sources
            and self.row_axis == other.row_axis
            and np.array_equal(self.index, other.index)
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Label:
    """The name of the class with the largest score, which clients compute from the scores.

    Attributes:
        scores: The scores, one for each class.
        labels: The names of the classes.
        tensor: The name of the scores in the graph.
    """

    scores: GraphTensor
    labels: tuple[str, ...]
    tensor: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class JoinedRows:
    """A tensor whose rows are one axis with others, as after a Reshape to `(-1, size)`; few operators read it.

    Attributes:
        tensor: The tensor with these axes apart.
        start: The first of the axes that are one.
        count: The number of these axes.
    """

    tensor: GraphTensor
    start: int
    count: int

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.tensor.shape) - self.count + 1

    def apart(self, axis: int) -> list[int]:
        """Return the axes of `tensor` that an axis is made of."""
        if axis == self.start:
            return list(range(axis, axis + self.count))
        return [axis if axis < self.start else axis + self.count - 1]

    def transposed(self, order: Sequence[int]) -> "JoinedRows":
        """Return the tensor with its axes in another order."""
        axes = [each for axis in order for each in self.apart(axis)]
        tensor = self.tensor
        rows = None if tensor.row_axis is None else axes.index(tensor.row_axis)
        turned = replace(tensor, index=tensor.index.transpose(axes), row_axis=rows)
        return JoinedRows(tensor=turned, start=list(order).index(self.start), count=self.count)


Value: TypeAlias = Constant | GraphTensor | Label | JoinedRows
