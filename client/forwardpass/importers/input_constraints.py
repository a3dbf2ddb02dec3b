"""What a model's steps say of the network's inputs: how each is standardized, and which values a row may have."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, TensorRef
from forwardpass.tensors import Array

NO_CATEGORY: Final = "(no category)"
"""Stands for any text that is none of a category's categories."""
_STRETCH = 10.0
"""Every other random row is so many times as far out, where functions saturate."""
_MISSING_SHARE = 0.2
"""How often a random row lacks a value that may be missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """What is known of an input that is a text.

    Attributes:
        categories: Its texts; the input is the index of one.
        unknown: What stands in for other texts, `nan` or `refuse`.
        missing: What stands in where there is none: a category, `nan` or `refuse`.
    """

    categories: tuple[str, ...]
    unknown: str
    missing: str


class InputConstraints:
    """Notes on each input.

    Attributes:
        mean: `(width,)` float64, subtracted from the inputs.
        scale: `(width,)` float64, divides the inputs then.
        categories: The inputs that are texts, by column.
    """

    def __init__(self, groups: Mapping[str, int]) -> None:
        """Make notes of inputs that are read by these names, so many each; mostly `inputs` alone."""
        width = sum(groups.values())
        starts = np.cumsum([0, *groups.values()])
        self._places = {
            name: np.arange(start, start + groups[name]) for name, start in zip(groups, starts[:-1], strict=True)
        }
        self.mean: Array = np.zeros(width)
        self.scale: Array = np.ones(width)
        self._shared = np.zeros(width, dtype=bool)
        self._whole = np.zeros(width, dtype=bool)
        self._categories: dict[int, Array] = {}
        self._fills: dict[int, str] = {}
        self.categories: dict[int, Category] = {}
        self._missing: dict[int, float] = {}

    @property
    def is_plain(self) -> bool:
        """Whether any number will do as any input."""
        return not (self._categories or self._missing or self._whole.any())

    def share(self, values: TensorRef) -> None:
        """Note values that several steps read, each in its own way: none may standardize the inputs for all."""
        if (columns := self._columns(values)) is not None:
            self._shared[columns] = True

    def standardize(self, values: TensorRef, mean: Array | None, scale: Array | None) -> bool:
        """Let the network do `(x - mean) / scale` before the first layer, and say whether it can.

        It can where the values are inputs, each once, that nothing else reads.
        """
        columns = self._columns(values)
        if columns is None or self._shared[columns].any() or len(np.unique(columns)) < len(columns):
            return False
        if mean is not None:
            self.mean[columns] += mean * self.scale[columns]
        if scale is not None:
            self.scale[columns] *= scale
        return True

    def limit(self, values: TensorRef, place: int, categories: Array) -> None:
        """Note the only values that a row may have where the values are inputs."""
        if (columns := self._columns(values)) is not None:
            column = int(columns[place])
            raw = categories * self.scale[column] + self.mean[column]
            known = self._categories.get(column, raw)
            both = known[np.isin(known, raw)]
            self._categories[column] = both if len(both) else raw

    def fill(self, values: TensorRef, texts: Sequence[str]) -> bool:
        """Note the text that stands in where each value is missing, and say whether the values are inputs."""
        if (columns := self._columns(values)) is None:
            return False
        self._fills.update(zip(columns.tolist(), texts, strict=True))
        return True

    def categorize(self, values: TensorRef, place: int, texts: Sequence[str], unknown: str) -> Array | None:
        """Note that a value is one of some texts; return the index of each, or None where that cannot be.

        It can where the value is an input. Where another step has other texts for it, and both know what to do with any
        text, the input may be all of them.

        Args:
            values: What is read.
            place: Which of them.
            texts: The texts.
            unknown: What stands in for others, `nan` or `refuse`.
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

    def documents(self) -> tuple[Mapping[str, Any], ...]:
        """Return what a spec says of each input besides name, mean and scale; nothing where all are plain numbers."""
        typed = {column: {"missing": "nan"} for column, number in self._missing.items() if np.isnan(number)}
        for column, category in self.categories.items():
            typed[column] = {"kind": "category", **asdict(category)}
        return tuple(typed.get(column, {}) for column in range(len(self.mean))) if typed else ()

    def allow_missing(self, values: TensorRef, missing: float) -> None:
        """Note the number that says that a value is missing, where the values are inputs."""
        for column in () if (columns := self._columns(values)) is None else columns.tolist():
            self._missing[column] = missing

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """Return random rows that the model can read, `(count, width)` float64."""
        rows = generator.normal(size=(count, len(self.mean)))
        rows[1::2] *= _STRETCH
        rows = rows * self.scale + self.mean
        rows[:, self._whole] = np.round(rows[:, self._whole])
        for column, categories in self._categories.items():
            rows[:, column] = generator.choice(categories, size=count)
        for column, missing in self._missing.items():
            rows[generator.random(count) < _MISSING_SHARE, column] = missing
        return rows

    def whole(self, values: TensorRef) -> None:
        """Note inputs that are whole numbers."""
        if (columns := self._columns(values)) is not None:
            self._whole[columns] = True

    def _columns(self, values: TensorRef) -> Indices | None:
        """Return which inputs values are, or None where they are something else."""
        if not all(source in self._places for source in values.sources):
            return None
        columns: Indices = np.concatenate([self._places[source] for source in values.sources])[values.index.ravel()]
        return columns


def with_texts(rows: Array, categories: Mapping[int, Category]) -> Any:
    """Return rows with texts in place of their indices, as objects where there are any.

    Args:
        rows: `(rows, inputs)`.
        categories: The columns that are texts.
    """
    if not categories:
        return rows
    table = rows.astype(object)
    for column, category in categories.items():
        texts = np.array([*category.categories, NO_CATEGORY], dtype=object)
        table[:, column] = texts[np.where(np.isnan(rows[:, column]), -1, rows[:, column]).astype(int)]
    return table
