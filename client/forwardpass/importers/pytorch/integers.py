"""Integers that a traced module computes: categories, which only lookups read, and the number of rows."""

from dataclasses import dataclass
from typing import Final

from forwardpass.importers.graph import TensorRef


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class IntegerRef(TensorRef):
    """A tensor that the module converts to integers; only operations that look up categories may read it."""


class RowCount:
    """The number of rows, which a module may put into a shape but not compute with."""

    def __repr__(self) -> str:
        """Return `rows`."""
        return "rows"


ROW_COUNT: Final = RowCount()
"""The first size of the shape of every tensor."""
