"""Versions that are computed beside others: which rows are drawn for it, and what is counted.

Each row is drawn by itself, with the share as its chance, so that no pattern in the traffic can deceive the counts.
What is drawn is the distance from one drawn row to the next, which has the geometric distribution: rows that are
passed over cost nothing.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
from forwardpass.errors import Fault, InvalidFieldError

if TYPE_CHECKING:
    from forwardpass_server.registry.state import Summary, VersionState
    from forwardpass_server.registry.store import ShadowRow

_BLOCK: Final = 1024
_FURTHEST: Final = 2**40
"""More rows than this are never passed over; a server would need years for them."""

_NONE: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowFigures:
    """What was counted of a shadow at a moment; all but the last two count rows.

    Attributes:
        rows: Those that were answered.
        sampled: Those of them that were drawn.
        compared: Those drawn that were computed.
        dropped: Those drawn for which there was no time.
        failed: Those drawn that could not be computed.
        beyond: Compared ones with an output that differs by more than the tolerance allows.
        relabeled: Compared ones with another label.
        worst_absolute: The largest difference of two numbers.
        failure: Why rows could last not be computed; empty when all could.
    """

    rows: int = 0
    sampled: int = 0
    compared: int = 0
    dropped: int = 0
    failed: int = 0
    beyond: int = 0
    relabeled: int = 0
    worst_absolute: float = 0.0
    failure: str = ""


class ShadowStatistics:
    """Draws rows and counts what becomes of them. May be used by several threads."""

    def __init__(self, share: float, seed: int) -> None:
        """Begin with nothing counted.

        Args:
            share: The chance of each row to be drawn.
            seed: Rows are drawn the same way each time.
        """
        self._share = share
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._figures = ShadowFigures()
        self._rows = 0
        # Which rows are drawn next, counted from the first one ever; never empty.
        self._places = self._ahead(-1)
        self._first = int(self._places[0])

    def draw(self, rows: int) -> npt.NDArray[np.int64]:
        """Count rows that were answered; return the places of those that are drawn, ascending."""
        with self._lock:
            start, end = self._rows, self._rows + rows
            self._rows = end
            if self._first >= end:
                return _NONE
            blocks = [self._places]
            while (last := int(blocks[-1][-1])) < end:
                blocks.append(self._ahead(last))
            places = np.concatenate(blocks)
            count = int(np.searchsorted(places, end))
            self._places, self._first = places[count:], int(places[count])
            self._figures = replace(self._figures, sampled=self._figures.sampled + count)
            return places[:count] - start

    def _ahead(self, last: int) -> npt.NDArray[np.int64]:
        """Draw the places after one; always as many, so that which rows are drawn does not depend on the batches."""
        distances = self._random.geometric(self._share, size=_BLOCK)
        places: npt.NDArray[np.int64] = last + np.cumsum(np.minimum(distances, _FURTHEST))
        return places

    def dropped(self, rows: int) -> None:
        """Count drawn rows for which there was no time."""
        with self._lock:
            self._figures = replace(self._figures, dropped=self._figures.dropped + rows)

    def failed(self, rows: int, failure: str) -> None:
        """Count drawn rows that could not be computed, and why."""
        with self._lock:
            self._figures = replace(self._figures, failed=self._figures.failed + rows, failure=failure)

    def compared(self, rows: int, *, beyond: int, relabeled: int, worst: float) -> None:
        """Count drawn rows that were computed: how many differ too much, how many have another label, the worst."""
        with self._lock:
            figures = self._figures
            self._figures = replace(
                figures,
                compared=figures.compared + rows,
                beyond=figures.beyond + beyond,
                relabeled=figures.relabeled + relabeled,
                worst_absolute=max(figures.worst_absolute, worst),
            )

    def figures(self) -> ShadowFigures:
        """Return the figures of this moment."""
        with self._lock:
            return replace(self._figures, rows=self._rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadowing:
    """A version beside the one that it is compared with now.

    Attributes:
        row: What was set.
        live: The version that answers.
        version: The one that is computed beside it.
        statistics: What counts; anew when the shadow is set anew, or its alias names another version. Rows of before
            are counted where they belong, however late.
    """

    row: "ShadowRow"
    live: "VersionState"
    version: "VersionState"
    statistics: ShadowStatistics = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find what counts."""
        row = self.row
        key = (row.set_time, row.share, row.tolerance, self.live.number)
        seed = crc32(f"{self.live.network}/{row.of}/{self.version.number}".encode())
        statistics = self.version.runtime.shadowing(row.of, key, lambda: ShadowStatistics(row.share, seed))
        object.__setattr__(self, "statistics", statistics)


def check_share(share: float) -> None:
    """Refuse a share that is none.

    Raises:
        InvalidFieldError: It is not above 0 and up to 1.
    """
    if not 0 < share <= 1:
        raise _invalid("share", f"is {share}; needed is a share of the rows, above 0 and up to 1")


def check_comparable(live: "Summary", shadow: "Summary", number: int) -> None:
    """Refuse a shadow that does not read and answer what the version answers that it is compared with.

    Raises:
        InvalidFieldError: Their inputs, categories or outputs have other names, or another order.
    """
    for what, ours, theirs in (
        ("inputs", live.inputs.names, shadow.inputs.names),
        ("categories", _categories(live), _categories(shadow)),
        ("outputs", live.outputs, shadow.outputs),
    ):
        if ours != theirs:
            raise _invalid(
                "version",
                f"is {number}, whose {what} are {_listed(theirs)}; needed are those of the version that it is compared "
                f"with, {_listed(ours)}",
            )


def _categories(summary: "Summary") -> tuple[str, ...]:
    return tuple(f"{feature.name}={category}" for feature in summary.inputs.features for category in feature.categories)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _invalid(field: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{field}: {message}", faults=[Fault(path=field, message=message)], field=field)
