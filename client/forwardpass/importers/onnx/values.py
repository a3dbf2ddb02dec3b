"""What tensors along the edges of an ONNX graph.

A tensor that depends on the inputs is kept as the places of its elements among the nodes of layers. Whatever only
moves elements (reshaping, slicing, transposing, concatenating) moves places, and no layer is made for it.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.pending_functions import PendingFunction


class _Rows:
    """The number of rows of a batch, which a graph may read but not compute with."""

    def __repr__(self) -> str:
        return "rows"


ROWS: Final = _Rows()
"""Stands for the number of rows where a graph reads a shape."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Constant:
    """A tensor that is the same for all rows.

    Attributes:
        array: Any shape and dtype; of objects where `ROWS` is among its numbers.
    """

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's."""
        return self.array.shape

    @property
    def kind(self) -> str:
        """The array's dtype by its name."""
        return str(self.array.dtype)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GraphTensor(TensorRef):
    """A tensor that depends on the inputs; its index has the shape of the tensor, with 1 for the axis of the rows.

    Attributes:
        row_axis: The axis of the rows, or None where the tensor is all of one row.
        kind: The element type in the file, as numpy calls it.
        pending: The function of each element that is not computed yet, or None.
        name: The name in the graph, or empty.
    """

    row_axis: int | None
    kind: str
    pending: PendingFunction | None = None
    name: str = ""

    def same_columns(self, other: "GraphTensor") -> bool:
        """Say whether each element is the same node's as the other tensor's in its place."""
        return (
            self.sources == other.sources
            and self.row_axis == other.row_axis
            and np.array_equal(self.index, other.index)
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Label:
    """The name of the largest of several scores, which a network does not compute but its readers do.

    Attributes:
        scores: The scores, one for each class.
        labels: The classes' names.
        tensor: What the graph calls the scores.
    """

    scores: GraphTensor
    labels: tuple[str, ...]
    tensor: str


Value: TypeAlias = Constant | GraphTensor | Label
