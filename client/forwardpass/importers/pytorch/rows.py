"""What a tensor in a traced module is for one row: numbers of one source, in a shape.

The first axis of every tensor is that of the rows and is never followed; all others are an array of indices into a
layer's nodes or a group's inputs. Views, slices, transposes and splits are numpy's own on that array, and cost no
layer until something reads the numbers in their new order.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Indices: TypeAlias = npt.NDArray[np.integer[Any]]
"""Places among the numbers of a source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Numbers that a layer or the inputs have, one array of them for each row.

    Attributes:
        source: The layer, the group of inputs, or `inputs`.
        width: How many numbers the source has.
        index: Which of them each number is; its shape is the tensor's without the axis of the rows.
        whole: Whether the model cuts off what is behind the decimal point, so that only categories may be read.
    """

    source: str
    width: int
    index: Indices
    whole: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.index.shape

    @property
    def size(self) -> int:
        """How many numbers one row has."""
        return int(self.index.size)

    @property
    def is_source(self) -> bool:
        """Whether the numbers are all of the source, in its order."""
        return self.size == self.width and bool((self.index.ravel() == np.arange(self.width)).all())

    @property
    def is_permutation(self) -> bool:
        """Whether the numbers are all of the source, each once, in any order."""
        return self.size == self.width and bool((np.sort(self.index, axis=None) == np.arange(self.width)).all())

    def moved(self, index: Indices) -> "Rows":
        """Return the same numbers otherwise arranged."""
        return Rows(source=self.source, width=self.width, index=index, whole=self.whole)


def all_of(source: str, shape: tuple[int, ...]) -> Rows:
    """Return all numbers of a source, in a shape."""
    width = int(np.prod(shape, dtype=int))
    return Rows(source=source, width=width, index=np.arange(width).reshape(shape))


class Batch:
    """The number of rows, where a module asks for it: nobody knows it, and only a shape may have it."""

    def __repr__(self) -> str:
        return "rows"


BATCH = Batch()
