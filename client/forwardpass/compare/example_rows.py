"""Rows for a network without given rows: its examples, and random rows that it can read."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.parity import random_rows
from forwardpass.models import FeatureInfo
from forwardpass.spec import Feature, NetworkSpec
from forwardpass.tensors import Array

RANDOM_ROWS: Final = 500


def rows_of(*specs: NetworkSpec) -> Iterator[Any]:
    """Yield the examples of networks and random rows of each, the same on each call.

    Features with names are passed by name, since another network may have its features or categories in
    another order.
    """
    for spec in specs:
        examples = np.array([example.inputs for example in spec.examples], dtype=np.float64)
        examples = examples.reshape(-1, spec.inputs.width)
        random = random_rows(spec, examples)[:RANDOM_ROWS]
        for column, feature in enumerate(spec.inputs.features):
            random[:, column] = _FITTING[feature.kind](feature, random[:, column])
        for rows in (examples, random):
            if len(rows):
                yield named_rows(spec.inputs.features, rows) if spec.inputs.features else rows


def named_rows(features: Sequence[Feature | FeatureInfo], rows: Array) -> list[dict[str, object]]:
    """Return rows `(rows, inputs)` by feature name, with categories as texts and missing values as None."""
    return [
        {feature.name: _value(feature, number) for feature, number in zip(features, row, strict=True)}
        for row in rows.tolist()
    ]


def _value(feature: Feature | FeatureInfo, number: float) -> object:
    if feature.kind == "number" and feature.missing == "refuse":
        return number
    if math.isnan(number):
        return None
    return feature.categories[int(number)] if feature.kind == "category" else number


def _in_range(feature: Feature, numbers: Array) -> Array:
    low = -np.inf if feature.low is None else feature.low
    return np.clip(numbers, low, np.inf if feature.high is None else feature.high)


_FITTING: Final[Mapping[str, Callable[[Feature, Array], Any]]] = MappingProxyType(
    {
        "number": _in_range,
        "boolean": lambda _, numbers: numbers > 0.5,
        "category": lambda feature, numbers: (
            np.floor(np.abs(numbers) * len(feature.categories)) % len(feature.categories)
        ),
    }
)
"""Converts random numbers to values of a feature, by its kind."""
