"""Inputs of texts, which become category features: a network reads the index of each text among the known ones."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.input_constraints import Category, with_texts
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

TEXT: Final = "str"
"""The element type of texts."""

READERS: Final = frozenset(
    {
        *("OneHotEncoder", "LabelEncoder", "ArrayFeatureExtractor", "Concat", "Split", "Slice", "Gather"),
        *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
    }
)
"""The operators that read texts: they look them up, or only move them."""


class KnownTexts:
    """The texts that the nodes of a graph know of each input, by its group and place."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], dict[str, int]] = {}
        self._others: dict[tuple[str, int], bool] = {}

    def note(self, origin: tuple[str, int], texts: Sequence[str], *, others: bool) -> list[float]:
        """Note the texts that a node knows of an input, and return the index of each.

        Args:
            origin: The group of the input and its place there.
            texts: The texts.
            others: Whether the node accepts other texts.

        Raises:
            UnsupportedError: Two nodes know different texts, and one accepts no others.
        """
        places = self._places.setdefault(origin, {})
        before = len(places)
        found = [places.setdefault(text, len(places)) for text in texts]
        both_accept = self._others.setdefault(origin, others) and others
        if before and not both_accept and not (before == len(places) == len(set(found))):
            raise UnsupportedError("knows other texts of an input than a node before it, and one accepts no others")
        self._others[origin] = both_accept
        return [float(place) for place in found]

    def by_column(self, starts: Mapping[str, int]) -> Mapping[int, Category]:
        """Return the categories of each input by its column, for the first column of each group."""
        found = {}
        for (group, place), texts in self._places.items():
            unknown = "nan" if self._others[group, place] else "refuse"
            found[starts[group] + place] = Category(categories=tuple(texts), unknown=unknown, missing=unknown)
        return MappingProxyType(found)


def feature_documents(categories: Mapping[int, Category], kinds: Sequence[str], *, missing: bool) -> Any:
    """Return the fields of each input in a spec but for its name; empty where there are no texts.

    Args:
        categories: The categories by column.
        kinds: The element type of each input.
        missing: Whether numbers may be missing.
    """
    if not categories:
        return ()
    number = {"missing": "nan"} if missing else {}
    return tuple(
        {"kind": "category", **asdict(categories[column])} if column in categories else number
        for column in range(len(kinds))
    )


def texts_of(rows: Array, start: int, categories: Mapping[int, Category]) -> Any:
    """Return columns of indices as texts, from a column on; one that is NaN as a text that no node knows."""
    own = {column - start: known for column, known in categories.items() if 0 <= column - start < rows.shape[1]}
    return with_texts(rows, own).astype(object)


def sample_texts(generator: np.random.Generator, category: Category, count: int) -> Array:
    """Return random indices of texts, and NaN for others where these are accepted."""
    known = np.arange(float(len(category.categories)))
    return generator.choice(known if category.unknown == "refuse" else np.append(known, np.nan), count)
