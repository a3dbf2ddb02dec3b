"""Transformers of missing values."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform


def _impute(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Fill in missing values, as `SimpleImputer` does, which drops columns that had no value at all."""
    step.check_fitted("statistics_")
    statistics = np.asarray(step.model.statistics_)
    if statistics.dtype == object and all(isinstance(text, str) for text in statistics):
        return _fill(step, values, list(map(str, statistics)))
    missing = _missing_number(step)
    try:
        statistics = statistics.astype(np.float64)
    except (TypeError, ValueError):
        step.reject("stands in for missing texts among numbers; let one impute the texts, and one the numbers")
    step.reader.inputs.allow_missing(values, missing)
    # A column without a statistic is dropped; the strategy "constant" gives every column one.
    known = np.flatnonzero(~np.isnan(statistics))
    if not len(known):
        step.reject("leaves out every column, since none had a value; fit it with keep_empty_features=True")
    chosen = values if len(known) == values.size else values.take(known)
    filled = step.graph.add_layer(step.name, chosen, kind="impute", values=statistics[known], **_given(missing))
    if not step.model.add_indicator or not len(step.model.indicator_.features_):
        return filled
    return step.graph.concatenate([filled, _indicate(step, values, step.model.indicator_, missing)])


def _fill(step: PipelineStep, values: TensorRef, texts: list[str]) -> TensorRef:
    """Note the texts that fill in missing ones; the features of the network do this, not a layer."""
    is_nothing = step.model.missing_values is None or step.model.missing_values != step.model.missing_values
    if step.model.add_indicator or not is_nothing or not step.reader.inputs.fill_missing(values, texts):
        step.reject("stands in for texts; that is read of inputs, where NaN or None is missing, without add_indicator")
    return values


def _flag(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted("features_")
    missing = _missing_number(step)
    step.reader.inputs.allow_missing(values, missing)
    if not len(step.model.features_):
        step.reject("has no column, since none lacked a value; leave it out")
    return _indicate(step, values, step.model, missing)


def _indicate(step: PipelineStep, values: TensorRef, indicator: Any, missing: float) -> TensorRef:
    """Return 1 where a value is missing, else 0."""
    columns = np.asarray(indicator.features_)
    is_missing: dict[str, Any] = {"expression": "where(x == x, 0, 1)"}
    if not np.isnan(missing):
        is_missing = {"expression": "where(x == missing, 1, 0)", "parameters": {"missing": missing}}
    whole, places = step.graph.all_nodes(values)
    name, indices = f"{step.name}_missing", places[columns]
    return step.graph.add_layer(name, whole, len(columns), kind="take", indices=indices, activation=is_missing)


def _missing_number(step: PipelineStep) -> float:
    missing = step.model.missing_values
    if isinstance(missing, str) or not isinstance(missing, int | float | np.number):
        step.reject(f"takes {missing!r} for missing, which is no number; use missing_values=numpy.nan")
    return float(missing)


def _given(missing: float) -> dict[str, Any]:
    return {} if np.isnan(missing) else {"missing": missing}


IMPUTERS: Final[Mapping[str, Transform]] = MappingProxyType({"SimpleImputer": _impute, "MissingIndicator": _flag})
"""By class name."""
