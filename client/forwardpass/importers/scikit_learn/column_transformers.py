"""Transformers that select columns, and those that concatenate the columns of other transformers."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.importers.unsupported import UnsupportedError

SELECTORS: Final = (
    *("VarianceThreshold", "SelectKBest", "SelectPercentile", "SelectFpr", "SelectFdr", "SelectFwe"),
    *("GenericUnivariateSelect", "SelectFromModel", "SequentialFeatureSelector", "RFE", "RFECV"),
)
"""Classes that select columns."""


def is_identity(model: Any) -> bool:
    """Return whether a transformer is `passthrough`, or the `FunctionTransformer` of None that may replace it."""
    kind = type(model)
    is_none = kind.__name__ == "FunctionTransformer" and kind.__module__.startswith("sklearn.") and model.func is None
    return model is None or _is(model, "passthrough") or is_none


def _select(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted()
    return values.take(step.model.get_support(indices=True))


def _columns(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Transform the columns of each transformer and concatenate the results, as `ColumnTransformer` does."""
    step.check_fitted("transformers_")
    parts = [(name, model, _chosen(step, name, columns)) for name, model, columns in step.model.transformers_]
    parts = [(name, model, places) for name, model, places in parts if len(places) and not _is(model, "drop")]
    counts = np.bincount([place for *_, places in parts for place in places], minlength=values.size)
    return _beside(step, values, parts, counts, step.model.transformer_weights)


def _union(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Transform all columns by each transformer and concatenate the results, as `FeatureUnion` does."""
    every = np.arange(values.size)
    parts = [(name, model, every) for name, model in step.model.transformer_list if not _is(model, "drop")]
    counts = np.full(values.size, len(parts))
    return _beside(step, values, parts, counts, step.model.transformer_weights)


def _beside(
    step: PipelineStep,
    values: TensorRef,
    parts: list[tuple[str, Any, Indices]],
    counts: Indices,
    weights: Mapping[str, float] | None,
) -> TensorRef:
    """Concatenate the results of transformers; all are read, so that every fault is reported."""
    step.reader.inputs.mark_shared(values.take(np.flatnonzero(counts > 1)))
    results = list(_results(step, values, parts, weights or {}))
    if len(results) < len(parts):
        raise UnsupportedError
    if not results:
        step.reject("leaves no column; give it one")
    return step.graph.concatenate(results)


def _results(
    step: PipelineStep, values: TensorRef, parts: list[tuple[str, Any, Indices]], weights: Mapping[str, float]
) -> Iterator[TensorRef]:
    for name, model, places in parts:
        try:
            chosen = values.take(places)
            if not is_identity(model):
                hint = f"{step.name}_{name}" if step.name else name
                chosen = step.reader.transform(model, f"{step.path}.{name}", hint, chosen)
            if name in weights:
                factor = np.full(chosen.size, float(weights[name]))
                chosen = step.graph.add_layer(f"{name}_weight", chosen, kind="scale_shift", scale=factor)
            yield chosen
        except UnsupportedError:
            continue


def _chosen(step: PipelineStep, name: str, columns: Any) -> Indices:
    """Return the columns that a transformer of a `ColumnTransformer` reads."""
    # The fitted indices: names, slices, masks and functions are resolved already.
    found = getattr(step.model, "_transformer_to_input_indices", {}).get(name, columns)
    return np.asarray(found, dtype=np.int64).reshape(-1)


def _is(model: Any, word: str) -> bool:
    return isinstance(model, str) and model == word


CHOICES: Final[Mapping[str, Transform]] = MappingProxyType(
    {"ColumnTransformer": _columns, "FeatureUnion": _union, **dict.fromkeys(SELECTORS, _select)}
)
"""By class name."""
