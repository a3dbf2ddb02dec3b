"""The progress of an import: which rows were computed and judged, for the log and for the caller."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Is called with a step, for example `compute by PyTorch 2.13.0`, the rows that it has done, and all its rows."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step of a comparison, which goes through rows and says how far it is.

    Attributes:
        name: What is done with the rows.
        rows: The number of rows.
        progress: Receives how far the step is, or None.
    """

    name: str
    rows: int
    progress: Progress | None = None

    def parts(self, size: int) -> Iterator[slice]:
        """Yield the rows in parts, and report each part when the next one is wanted."""
        for start in range(0, self.rows, size):
            yield slice(start, start + size)
            done = min(start + size, self.rows)
            log.debug("%s: %d of %d rows", self.name, done, self.rows)
            if self.progress is not None:
                self.progress(self.name, done, self.rows)
