"""Compares the predictions of two versions chunk by chunk, in bounded memory."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from forwardpass.chunks import row_values
from forwardpass.compare.values import OutputDifference, Relabeled, WorstRow
from forwardpass.differences import beyond, differences
from forwardpass.models import Prediction, VersionInfo
from forwardpass.rows import Row
from forwardpass.tensors import Array


class Comparer:
    """Comparer of the predictions of two versions, which takes one chunk of rows at a time.

    Args:
        one: The first version.
        other: The second one.
        tolerance: A difference is accepted up to this much times `max(1, |number of the first version|)`.
        worst: The number of worst rows to keep.

    Attributes:
        rows: The number of compared rows.
        rows_beyond: The number of rows with a difference beyond the tolerance.
        rows_relabeled: The number of rows with another label.
    """

    def __init__(self, one: VersionInfo, other: VersionInfo, *, tolerance: float, worst: int = 5) -> None:
        self._names = common_outputs(one, other)
        self._columns = [_columns(version, self._names) for version in (one, other)]
        self._inputs = [feature.name for feature in one.features] or [f"input_{n}" for n in range(one.inputs)]
        self._tolerance = tolerance
        self._keep = worst
        self.rows = self.rows_beyond = self.rows_relabeled = 0
        self._absolute = np.zeros(len(self._names))
        self._relative = np.zeros(len(self._names))
        self._beyond = np.zeros(len(self._names), dtype=np.int64)
        self._relabeled: Counter[tuple[str, str]] = Counter()
        # A heap with the least difference first; ranks are unique, since rows have no order.
        self._worst: list[tuple[bool, float, int, WorstRow]] = []
        self._rank = count(0, -1)

    def add(self, chunk: Row, one: Prediction, other: Prediction) -> None:
        """Add a chunk of rows and the predictions of both versions.

        Args:
            chunk: The rows as the caller gave them.
            one: The prediction of the first version.
            other: The prediction of the second version.
        """
        ours, theirs = (said.outputs[:, columns] for said, columns in zip((one, other), self._columns, strict=True))
        apart = differences(ours, theirs)
        too_far = beyond(apart, ours, self._tolerance)
        with np.errstate(all="ignore"):
            relative = apart / np.maximum(np.abs(ours), np.abs(theirs))
        relative[apart == 0.0] = 0.0
        relative[np.isnan(relative)] = np.inf
        self._absolute = np.maximum(self._absolute, apart.max(axis=0))
        self._relative = np.maximum(self._relative, relative.max(axis=0))
        self._beyond += too_far.sum(axis=0)
        # Where only one of the versions is a classifier, there are no labels to compare.
        labels = [*zip(one.labels, other.labels, strict=True)] if one.labels and other.labels else []
        renamed = np.array([a != b for a, b in labels] or [False] * len(ours))
        self._relabeled.update(pair for pair in labels if len(set(pair)) == 2)
        self.rows_relabeled += int(renamed.sum())
        self.rows_beyond += int(too_far.any(axis=1).sum())
        disagree = np.flatnonzero(renamed | too_far.any(axis=1))
        # Rows with another label first, as in the result; a chunk cannot add more rows than are kept.
        order = np.lexsort((-apart.max(axis=1)[disagree], ~renamed[disagree]))
        for row in disagree[order[: self._keep]].tolist():
            self._note(chunk, row, one, other, apart[row], labels[row] if labels else ())
        self.rows += len(ours)

    def outputs(self) -> tuple[OutputDifference, ...]:
        """Return the differences of each output that both versions have."""
        figures = zip(self._names, self._absolute.tolist(), self._relative.tolist(), self._beyond.tolist(), strict=True)
        return tuple(
            OutputDifference(name=name, absolute=absolute, relative=relative, beyond=rows)
            for name, absolute, relative, rows in figures
        )

    def relabeled(self) -> tuple[Relabeled, ...]:
        """Return the changes of labels, the most frequent first."""
        return tuple(Relabeled(first=a, second=b, rows=rows) for (a, b), rows in self._relabeled.most_common())

    def worst(self) -> tuple[WorstRow, ...]:
        """Return the rows that differ most, those with another label first."""
        return tuple(row for *_, row in sorted(self._worst, reverse=True))

    def _note(
        self, chunk: Row, row: int, one: Prediction, other: Prediction, apart: Array, labels: tuple[str, ...]
    ) -> None:
        """Keep a row of a chunk if it differs more than a kept one."""
        badness = (len(set(labels)) == 2, float(apart.max()))
        if len(self._worst) == self._keep and badness <= self._worst[0][:2]:
            return
        worst = WorstRow(
            row=self.rows + row,
            output=self._names[int(apart.argmax())],
            absolute=badness[1],
            inputs=_inputs(chunk, row, self._inputs),
            first=self._named(one, row, 0),
            second=self._named(other, row, 1),
            labels=labels,
        )
        heapq.heappush(self._worst, (*badness, next(self._rank), worst))
        if len(self._worst) > self._keep:
            heapq.heappop(self._worst)

    def _named(self, said: Prediction, row: int, side: int) -> dict[str, float]:
        return dict(zip(self._names, said.outputs[row, self._columns[side]].tolist(), strict=True))


def common_outputs(one: VersionInfo, other: VersionInfo) -> tuple[str, ...]:
    """Return the outputs that two versions have in common, by their names in the first.

    Outputs match by name, or by place where no name matches and both have the same number.
    """
    named = tuple(name for name in one.output_names if name in other.output_names)
    if not named and len(one.output_names) == len(other.output_names):
        return one.output_names
    return named


def _columns(version: VersionInfo, names: Sequence[str]) -> list[int]:
    places = {name: place for place, name in enumerate(version.output_names)}
    return [places.get(name, place) for place, name in enumerate(names)]


def _inputs(chunk: Row, row: int, names: Sequence[str]) -> Mapping[str, object]:
    """Return a row of a chunk by the names of the inputs."""
    values = row_values(chunk, row)
    return values if isinstance(values, Mapping) else dict(zip(names, values, strict=False))
