"""References to tensors of a model as nodes of the network's layers.

A tensor is an array of indices into the nodes of the layers that compute it. Operations that only move elements
(reshape, slice, transpose, concatenate) move indices and need no layer.
"""

from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forwardpass.importers.graph.pending_functions import PendingFunction

Indices: TypeAlias = NDArray[Any]
"""Integers that select elements, of any shape."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TensorRef:
    """A tensor that depends on the inputs, for one row.

    Attributes:
        sources: The layers or groups of inputs that compute the elements, each once.
        index: The node of each element, counted over the nodes of all sources side by side. Its shape is the shape of
            the tensor without the axis of the rows.
        pending: The function of each element that is not computed yet, or None.
        name: Its name in the model, for the layer that computes it, or empty.
    """

    sources: tuple[str, ...]
    index: Indices
    pending: PendingFunction | None = None
    name: str = ""

    @property
    def size(self) -> int:
        """The number of elements in one row."""
        return int(self.index.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.index.shape

    @property
    def columns(self) -> Indices:
        """The nodes of the elements in C order, `(size,)`."""
        return self.index.ravel()

    def with_index(self, index: Indices) -> Self:
        """Return elements of the same sources, arranged by another index."""
        return replace(self, index=index)

    def reshape(self, *shape: int) -> Self:
        """Return the same elements in another shape, read in C order."""
        return self.with_index(self.index.reshape(shape))

    def take(self, indices: Any, axis: int = 0) -> Self:
        """Return the elements at some indices of an axis, as `numpy.take` does."""
        return self.with_index(np.take(self.index, indices, axis=axis))


def places_of(shape: tuple[int, ...]) -> Indices:
    """Return the places of the elements of an array in C order, in the shape of the array."""
    return np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
