"""What flows along the edges of an ONNX graph.

A tensor that depends on the inputs is kept as the places of its elements among the nodes of layers. Whatever only
moves elements (reshaping, slicing, transposing, concatenating) moves places, and no layer is made for it.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.functions import Function


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
class Flow:
    """A tensor that depends on the inputs.

    Attributes:
        sources: The layers or groups of inputs whose nodes, side by side, are its elements; each once.
        index: The tensor's shape, intp: which node each element is. The batch's axis has the size 1.
        rows: Which axis is the batch's, or None where the tensor is all of one row.
        kind: The elements' type in the file, as numpy calls it.
        function: What is still to be computed of each element, or None.
        name: What the graph calls it, or empty.
    """

    sources: tuple[str, ...]
    index: Array
    rows: int | None
    kind: str
    function: Function | None = None
    name: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape, with 1 for the rows."""
        return self.index.shape

    @property
    def columns(self) -> Array:
        """The places of a row's elements, one after the other."""
        return self.index.ravel()

    def same_columns(self, other: "Flow") -> bool:
        """Say whether each element is the same node's as the other tensor's in its place."""
        return self.sources == other.sources and self.rows == other.rows and np.array_equal(self.index, other.index)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Label:
    """The name of the largest of several scores, which a network does not compute but its readers do.

    Attributes:
        scores: The scores, one for each class.
        labels: The classes' names.
        tensor: What the graph calls the scores.
    """

    scores: Flow
    labels: tuple[str, ...]
    tensor: str


Value: TypeAlias = Constant | Flow | Label
