"""Constraints on a network's inputs, by the parts of a model: their standardization, and the values of a row."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, TensorRef
from forwardpass.tensors import Array

NO_CATEGORY: Final = "(no category)"
"""Stands for any text outside the categories of an input."""
_STRETCH = 10.0
"""The factor of every other random row, which reaches where activations saturate."""
_MISSING_SHARE = 0.2
"""The share of random rows that lack a value which may be missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """Known properties of an input of texts.

    Attributes:
        categories: The texts; a row has the index of one of them.
        unknown: The fill value of other texts, `nan` or `refuse`.
        missing: The fill value of a missing text: a category, `nan` or `refuse`.
    """

    categories: tuple[str, ...]
    unknown: str
    missing: str


class InputConstraints:
    """The constraints on each input, which the parts of a model add one by one.

    Attributes:
        mean: `(width,)` float64, subtracted from the inputs.
        scale: `(width,)` float64, divides the inputs then.
        categories: The inputs that are texts, by column.
    """

    def __init__(self, groups: Mapping[str, int]) -> None:
        """Start with the number of inputs in each group; most models have the group `inputs` alone."""
        width = sum(groups.values())
        starts = np.cumsum([0, *groups.values()])
        self._places = {
            name: np.arange(start, start + groups[name]) for name, start in zip(groups, starts[:-1], strict=True)
        }
        self.mean: Array = np.zeros(width)
        self.scale: Array = np.ones(width)
        self._shared = np.zeros(width, dtype=bool)
        self._integers = np.zeros(width, dtype=bool)
        self._minima: Array = np.full(width, -np.inf)
        self._categories: dict[int, Array] = {}
        self._fills: dict[int, str] = {}
        self.categories: dict[int, Category] = {}
        self._missing: dict[int, float] = {}

    @property
    def is_plain(self) -> bool:
        """Whether every input takes any number."""
        is_bounded = np.isfinite(self._minima).any()
        return not (self._categories or self._missing or self._integers.any() or is_bounded)

    def mark_shared(self, values: TensorRef) -> None:
        """Note values that several parts read, so that none of these parts may standardize the inputs for all."""
        if (columns := self._columns(values)) is not None:
            self._shared[columns] = True

    def standardize(self, values: TensorRef, mean: Array | None, scale: Array | None) -> bool:
        """Standardize the inputs by `(x - mean) / scale` before the first layer, and say whether that is possible.

        It is possible where the values are inputs, each once, and nothing else reads them.
        """
        columns = self._columns(values)
        if columns is None or self._shared[columns].any() or len(np.unique(columns)) < len(columns):
            return False
        if mean is not None:
            self.mean[columns] += mean * self.scale[columns]
        if scale is not None:
            self.scale[columns] *= scale
        return True

    def restrict(self, values: TensorRef, place: int, categories: Array) -> None:
        """Restrict an input to the given values, where the value is an input."""
        if (columns := self._columns(values)) is not None:
            column = int(columns[place])
            raw = categories * self.scale[column] + self.mean[column]
            known = self._categories.get(column, raw)
            both = known[np.isin(known, raw)]
            self._categories[column] = both if len(both) else raw

    def fill_missing(self, values: TensorRef, texts: Sequence[str]) -> bool:
        """Note the text that fills in each missing value, and say whether the values are inputs."""
        if (columns := self._columns(values)) is None:
            return False
        self._fills.update(zip(columns.tolist(), texts, strict=True))
        return True

    def categorize(self, values: TensorRef, place: int, texts: Sequence[str], unknown: str) -> Array | None:
        """Note the texts of an input; return the index of each, or None where that is impossible.

        It is possible where the value is an input. Where another part has other texts for it and both accept any text,
        the input may have all of these.

        Args:
            values: The values that the part reads.
            place: The place of the value among these.
            texts: The texts of that value.
            unknown: The fill value of other texts, `nan` or `refuse`.
        """
        if (columns := self._columns(values)) is None:
            return None
        column = int(columns[place])
        before = self.categories.get(column)
        categories = tuple(dict.fromkeys((*(before.categories if before else ()), *texts)))
        missing = self._fills.get(column, unknown)
        category = Category(
            categories=categories, unknown=unknown, missing=missing if missing in categories else unknown
        )
        if before is not None and before != category and "refuse" in {before.unknown, unknown}:
            return None
        self.categories[column] = category
        self._categories[column] = np.arange(float(len(categories)))
        if category.missing == "nan":
            self._missing[column] = np.nan
        return np.array([float(categories.index(text)) for text in texts])

    def feature_documents(self) -> tuple[Mapping[str, Any], ...]:
        """Return the fields of each input in a spec but for name, mean and scale; empty where all are plain numbers."""
        typed = {column: {"missing": "nan"} for column, number in self._missing.items() if np.isnan(number)}
        for column, category in self.categories.items():
            typed[column] = {"kind": "category", **asdict(category)}
        return tuple(typed.get(column, {}) for column in range(len(self.mean))) if typed else ()

    def allow_missing(self, values: TensorRef, missing: float) -> None:
        """Note the number that marks a missing value, where the values are inputs."""
        for column in () if (columns := self._columns(values)) is None else columns.tolist():
            self._missing[column] = missing

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """Return random rows that the model can read, `(count, width)` float64."""
        rows = generator.normal(size=(count, len(self.mean)))
        rows[1::2] *= _STRETCH
        rows = rows * self.scale + self.mean
        bounded = np.isfinite(self._minima)
        rows[:, bounded] = self._minima[bounded] + np.abs(rows[:, bounded] - self._minima[bounded])
        rows[:, self._integers] = np.round(rows[:, self._integers])
        for column, categories in self._categories.items():
            rows[:, column] = generator.choice(categories, size=count)
        for column, missing in self._missing.items():
            rows[generator.random(count) < _MISSING_SHARE, column] = missing
        return rows

    def mark_integers(self, values: TensorRef) -> None:
        """Note that inputs are integers."""
        if (columns := self._columns(values)) is not None:
            self._integers[columns] = True

    def bound_below(self, values: TensorRef, minimum: float) -> None:
        """Note that inputs are above a number, before they are standardized."""
        if (columns := self._columns(values)) is not None:
            raw = minimum * self.scale[columns] + self.mean[columns]
            self._minima[columns] = np.maximum(self._minima[columns], raw)

    def _columns(self, values: TensorRef) -> Indices | None:
        """Return the columns of values among the inputs, or None where some are no inputs."""
        if not all(source in self._places for source in values.sources):
            return None
        columns: Indices = np.concatenate([self._places[source] for source in values.sources])[values.index.ravel()]
        return columns


def with_texts(rows: Array, categories: Mapping[int, Category]) -> Any:
    """Replace the indices of categories by their texts; the rows become objects where there are any.

    Args:
        rows: `(rows, inputs)`.
        categories: The columns of texts.
    """
    if not categories:
        return rows
    table = rows.astype(object)
    for column, category in categories.items():
        texts = np.array([*category.categories, NO_CATEGORY], dtype=object)
        table[:, column] = texts[np.where(np.isnan(rows[:, column]), -1, rows[:, column]).astype(int)]
    return table
