"""Encoders: transformers between values, categories and one-hot columns."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.tensors import Array

_KNOWN: Final[Mapping[str, Any]] = MappingProxyType({"expression": "x - x / x"})
"""Maps the sum of "is this category" and "is any category of the column": 2 to 1, 1 to 0, and 0 to NaN."""


def _one_hot(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Return 1 or 0 for each category, as `OneHotEncoder` does.

    The network returns NaN where the encoder rejects an unknown category.
    """
    step.check_fitted("categories_")
    if step.kind == "OneHotEncoder" and any(
        found is not None for found in getattr(step.model, "infrequent_categories_", ())
    ):
        step.reject("takes infrequent categories together; fit it without min_frequency and max_categories")
    categories = _categories(step, values)
    columns = np.repeat(np.arange(len(categories)), [len(found) for found in categories])
    dropped = _dropped(step, categories)
    if step.model.handle_unknown != "error" or all(found.dtype == object for found in step.model.categories_):
        # Unknown texts are rejected before the first layer.
        return _compared(step, step.name, values, np.concatenate(categories)[~dropped], columns[~dropped])
    for place, found in enumerate(categories):
        step.reader.inputs.restrict(values, place, found)
    every = _compared(step, f"{step.name}_categories", values, np.concatenate(categories), columns)
    same_column = (columns[:, None] == columns[None, :]).astype(np.float64)
    weights = (np.eye(len(columns)) + same_column)[~dropped]
    return step.graph.add_layer(step.name, every, len(weights), weights=weights, activation=_KNOWN)


def _ordinal(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Map each value to its index among its column's categories, as `OrdinalEncoder` does, or to NaN."""
    step.check_fitted("categories_")
    if any(found is not None for found in getattr(step.model, "infrequent_categories_", ())):
        step.reject("takes infrequent categories together; fit it without min_frequency and max_categories")
    categories = _categories(step, values)
    default: dict[str, Any] = {}
    if step.model.handle_unknown == "use_encoded_value":
        if not np.isnan(step.model.unknown_value):
            default = {"default": float(step.model.unknown_value)}
    else:
        for place, found in enumerate(categories):
            step.reader.inputs.restrict(values, place, found)
    # One layer for all columns of the same categories.
    alike: dict[bytes, list[int]] = {}
    for place, found in enumerate(categories):
        alike.setdefault(found.tobytes(), []).append(place)
    parts = []
    for places in alike.values():
        keys = categories[places[0]]
        parts.append(
            step.graph.add_layer(
                step.name,
                values if len(places) == values.size else values.take(places),
                kind="lookup",
                keys=keys,
                values=np.arange(float(len(keys))),
                **default,
            )
        )
    order = np.argsort([place for places in alike.values() for place in places])
    return step.graph.concatenate(parts).take(order)


def _targets(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Map each value to the mean of the target in its category, as `TargetEncoder` does (Micci-Barreca, 2001)."""
    step.check_fitted("encodings_")
    model = step.model
    categories, means = _categories(step, values), np.ravel(model.target_mean_)
    parts = []
    for number, encoding in enumerate(model.encodings_):
        place = number // len(means)
        keys = categories[place]
        if not isinstance(model.categories_[place][0], str):
            step.reader.inputs.restrict(values, place, keys)
        default = float(means[number % len(means)])
        column = values.take([place])
        parts.append(
            step.graph.add_layer(step.name, column, kind="lookup", keys=keys, values=encoding, default=default)
        )
    return step.graph.concatenate(parts)


def _bins(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Return the bin of each value, as `KBinsDiscretizer` does."""
    step.check_fitted("bin_edges_")
    parts = []
    for place, edges in enumerate(step.model.bin_edges_):
        if len(edges) < 3:
            step.reject(f"has a single bin in column {place}; leave that column out")
        name = f"{step.name}_{place}"
        parts.append(step.graph.add_layer(name, values.take([place]), kind="bucketize", boundaries=edges[1:-1]))
    binned = step.graph.concatenate(parts)
    if step.model.encode == "ordinal":
        return binned
    counts = [len(edges) - 1 for edges in step.model.bin_edges_]
    categories = np.concatenate([np.arange(float(count)) for count in counts])
    indices = np.repeat(np.arange(len(counts)), counts)
    return _compared(step, step.name, binned, categories, indices)


def _binary(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted()
    above = {"expression": "where(x > threshold, 1, 0)", "parameters": {"threshold": float(step.model.threshold)}}
    return step.graph.add_layer(step.name, values, kind="scale_shift", activation=above)


def _compared(step: PipelineStep, name: str, values: TensorRef, categories: Array, columns: Indices) -> TensorRef:
    """Add a node for each category that compares it with the value of its column."""
    whole, places = step.graph.all_nodes(values)
    return step.graph.add_layer(
        name, whole, len(categories), kind="one_hot", categories=categories, indices=places[columns]
    )


def _categories(step: PipelineStep, values: TensorRef) -> list[Array]:
    """Return the categories of each column as float64, texts as their indices."""
    return [_category_numbers(step, values, place, list(found)) for place, found in enumerate(step.model.categories_)]


def _category_numbers(step: PipelineStep, values: TensorRef, place: int, categories: list[Any]) -> Array:
    if all(isinstance(category, str) for category in categories):
        unknown = "refuse" if getattr(step.model, "handle_unknown", "ignore") == "error" else "nan"
        found = step.reader.inputs.categorize(values, place, list(map(str, categories)), unknown)
        if found is None:
            step.reject(
                f"reads texts in column {place} that are no inputs, or that another step has other categories for"
            )
        return found
    try:
        numbers = np.asarray(categories).astype(np.float64)
    except (TypeError, ValueError):
        step.reject(f"has categories of several types in column {place}; make all of them texts, or numbers")
    if np.isnan(numbers).any():
        step.reject(f"has NaN as a category of column {place}; put a SimpleImputer before it")
    return numbers


def _dropped(step: PipelineStep, categories: list[Array]) -> Indices:
    """Return for each category of all columns whether `drop` removes it."""
    places = getattr(step.model, "drop_idx_", None)
    flags = [np.zeros(len(found), dtype=bool) for found in categories]
    for flag, place in zip(flags, () if places is None else places, strict=False):
        if place is not None:
            flag[int(place)] = True
    return np.concatenate(flags)


ENCODERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        "OneHotEncoder": _one_hot,
        "OrdinalEncoder": _ordinal,
        "TargetEncoder": _targets,
        "KBinsDiscretizer": _bins,
        "Binarizer": _binary,
    }
)
"""By class name."""
