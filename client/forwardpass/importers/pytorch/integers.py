"""Integers that a traced module computes: categories, which only lookups read, and the number of rows."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class IntegerRef(TensorRef):
    """A tensor that the module converts to integers; only operations that look up categories may read it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BooleanRef(TensorRef):
    """A tensor of truth values: 1 and 0."""


@dataclass(frozen=True, slots=True)
class RowCount:
    """The number of rows, or a multiple of it, which a module may put into a shape but not compute with.

    Attributes:
        factor: By what the number is multiplied.
    """

    factor: int = 1

    def __repr__(self) -> str:
        """Return `rows`."""
        return "rows" if self.factor == 1 else f"{self.factor} * rows"


@dataclass(frozen=True, slots=True)
class RowPlaces:
    """The places 0, step, 2 * step and so on, one for each row, where a traced graph has bags begin.

    Attributes:
        step: The size of a bag.
    """

    step: int


ROW_COUNT: Final = RowCount()
"""The size of the axis of the rows in a shape."""


def adds_a_whole_number(*operands: Any) -> bool:
    """Return whether operands are a tensor that is converted to integers, and whole numbers that are constant."""
    if len(operands) != 2 or not any(isinstance(part, IntegerRef) for part in operands):
        return False
    (constant,) = [part for part in operands if not isinstance(part, IntegerRef)] or [None]
    if constant is None or isinstance(constant, TensorRef | RowCount):
        return False
    numbers = np.asarray(constant.detach().cpu() if hasattr(constant, "detach") else constant)
    return numbers.dtype.kind in "iu"
