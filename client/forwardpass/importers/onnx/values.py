"""The values along the edges of an ONNX graph.

A tensor that depends on the inputs is a reference to the nodes of layers. Operators that only move elements (reshape,
slice, transpose, concatenate) change its index, and add no layer.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.pending_functions import PendingFunction


class _Rows:
    """The number of rows, which a graph may put into a shape but not compute with."""

    def __repr__(self) -> str:
        return "rows"


ROWS: Final = _Rows()
"""The size of the axis of the rows in a shape."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Constant:
    """A tensor that is the same for all rows.

    Attributes:
        array: An array of any shape and dtype; of objects where `ROWS` is in it.
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
        pending: The function of each element that is not computed yet, or None.
        name: The name in the graph, or empty.
    """

    row_axis: int | None
    kind: str
    pending: PendingFunction | None = None
    name: str = ""

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


Value: TypeAlias = Constant | GraphTensor | Label
