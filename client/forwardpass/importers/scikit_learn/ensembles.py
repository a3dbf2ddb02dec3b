"""Classifiers and regressors that combine those of others, and probabilities that are divided by their sum."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.importers.unsupported import UnsupportedError

_IS_ZERO: Final = {"expression": "where(x == 0, 1, 0)"}
_RECIPROCAL: Final = {"expression": "1 / x"}
_RECIPROCAL_OR_ONE: Final = {"expression": "where(x == 0, 1, 1 / x)"}


def normalized(step: PipelineStep, values: TensorRef, *, uniform: bool = True) -> TensorRef:
    """Divide the probabilities of classes by their sum.

    Args:
        step: The step that does so.
        values: The probability of each class.
        uniform: Whether all become equal where all are zero; else they stay zero.
    """
    if uniform:
        # 1 is added to each where all are zero, and an exact zero elsewhere.
        nothing = _of_sum(step, "is_zero", values, _IS_ZERO)
        values = step.graph.add_layer("or_equal", [values, nothing], merge="sum", **PASS)
    share = _of_sum(step, "one_by_sum", values, _RECIPROCAL if uniform else _RECIPROCAL_OR_ONE)
    return step.graph.add_layer("output", [values, share], merge="multiply", **PASS)


def _of_sum(step: PipelineStep, name: str, values: TensorRef, activation: Mapping[str, str]) -> TensorRef:
    """Return a function of the sum of all values, once for each value."""
    windows = [list(range(values.size))]
    total = step.graph.add_layer(f"{name}_total", values, 1, kind="pool", windows=windows, reduce="sum")
    found = step.graph.add_layer(name, total, **PASS, activation=activation)
    return found.take(np.zeros(values.size, np.int64))


def _voting(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Average outputs by weights, as `VotingClassifier` and `VotingRegressor` do."""
    step.check_fitted("estimators_")
    if getattr(step.model, "voting", "soft") != "soft":
        step.reject("counts votes, which are no probabilities; fit it with voting='soft'")
    parts = _outputs_of(step, "estimators_", step.model.estimators_, values)
    weights = getattr(step.model, "_weights_not_none", None)
    return average(step, parts, np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64))


def _one_vs_rest(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Divide the probability of each class against the rest by their sum, as `OneVsRestClassifier` does."""
    step.check_fitted("estimators_")
    parts = _outputs_of(step, "estimators_", step.model.estimators_, values)
    if len(parts) == 1:
        return parts[0]
    together = step.graph.add_layer("each", parts, sum(part.size for part in parts), merge="concatenate", **PASS)
    return together if step.model.multilabel_ else normalized(step, together, uniform=False)


def _scores_vs_rest(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Return the score of each class against the rest."""
    step.check_fitted("estimators_")
    return step.graph.concatenate(_outputs_of(step, "estimators_", step.model.estimators_, values, scores=True))


def _bagging(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Average models that read some of the columns each, as `BaggingClassifier` and `BaggingRegressor` do."""
    return _bag(step, values, step.reader.estimate)


def _bag_of_scores(step: PipelineStep, values: TensorRef) -> TensorRef:
    return _bag(step, values, step.reader.decide)


def _bag(step: PipelineStep, values: TensorRef, read: Callable[[Any, str, TensorRef], TensorRef]) -> TensorRef:
    step.check_fitted("estimators_features_")
    step.reader.inputs.mark_shared(values)
    model, parts = step.model, []
    for index, (part, columns) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True)):
        path = f"{step.path}.estimators_[{index}]"
        if hasattr(model, "classes_") and len(part.classes_) != len(model.classes_):
            step.reject(f"has a part that was fitted without rows of every class ({path}); fit it with larger samples")
        with suppress(UnsupportedError):
            parts.append(read(part, path, values.take(columns)))
    if len(parts) < len(model.estimators_):
        raise UnsupportedError
    return average(step, parts, np.ones(len(parts)))


def _stacking(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Give the outputs of models to a last one, as `StackingClassifier` and `StackingRegressor` do."""
    return _stack(step, values, step.reader.estimate)


def _stack_of_scores(step: PipelineStep, values: TensorRef) -> TensorRef:
    return _stack(step, values, step.reader.decide)


def _stack(step: PipelineStep, values: TensorRef, last: Callable[[Any, str, TensorRef], TensorRef]) -> TensorRef:
    step.check_fitted("final_estimator_")
    model, parts = step.model, []
    step.reader.inputs.mark_shared(values)
    for index, (part, method) in enumerate(zip(model.estimators_, model.stack_method_, strict=True)):
        if method == "predict" and hasattr(model, "classes_"):
            step.reject("stacks classes, which are no numbers; fit it with stack_method='predict_proba'")
        read = step.reader.decide if method == "decision_function" else step.reader.estimate
        with suppress(UnsupportedError):
            parts.append(read(part, f"{step.path}.estimators_[{index}]", values))
    if len(parts) < len(model.estimators_):
        raise UnsupportedError
    together = step.graph.concatenate([*parts, values] if model.passthrough else parts)
    return last(model.final_estimator_, f"{step.path}.final_estimator_", together)


def _several_targets(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted("estimators_")
    parts = _outputs_of(step, "estimators_", step.model.estimators_, values)
    return step.graph.add_layer("output", step.graph.concatenate(parts), **PASS)


def _chain(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Give each model the columns and the outputs of those before it, as `RegressorChain` does."""
    step.check_fitted("estimators_")
    step.reader.inputs.mark_shared(values)
    known = [values]
    for index, part in enumerate(step.model.estimators_):
        read = step.graph.concatenate(known)
        known.append(step.reader.estimate(part, f"{step.path}.estimators_[{index}]", read))
    ordered = step.graph.concatenate(known[1:]).take(np.argsort(step.model.order_))
    return step.graph.materialize(ordered, "output")


def _outputs_of(
    step: PipelineStep, attribute: str, models: Sequence[Any], values: TensorRef, *, scores: bool = False
) -> list[TensorRef]:
    """Return the outputs of estimators that read the same values; all are read, so that every fault is reported."""
    step.reader.inputs.mark_shared(values)
    read = step.reader.decide if scores else step.reader.estimate
    outputs = []
    for index, model in enumerate(models):
        with suppress(UnsupportedError):
            outputs.append(read(model, f"{step.path}.{attribute}[{index}]", values))
    if len(outputs) < len(models):
        raise UnsupportedError
    return outputs


def average(step: PipelineStep, parts: Sequence[TensorRef], weights: Any) -> TensorRef:
    """Average outputs by weights, which need not sum to 1."""
    shares = weights / weights.sum()
    weighted = [
        step.graph.add_layer("share", part, kind="scale_shift", scale=np.full(part.size, share))
        for part, share in zip(parts, shares, strict=True)
    ]
    return weighted[0] if len(weighted) == 1 else step.graph.add_layer("output", weighted, merge="sum", **PASS)


ENSEMBLES: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        **dict.fromkeys(("BaggingClassifier", "BaggingRegressor"), _bagging),
        **dict.fromkeys(("StackingClassifier", "StackingRegressor"), _stacking),
        "MultiOutputRegressor": _several_targets,
        "RegressorChain": _chain,
        "OneVsRestClassifier": _one_vs_rest,
        "VotingClassifier": _voting,
        "VotingRegressor": _voting,
    }
)
"""By class name."""

ENSEMBLE_SCORERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        "BaggingClassifier": _bag_of_scores,
        "StackingClassifier": _stack_of_scores,
        "OneVsRestClassifier": _scores_vs_rest,
    }
)
"""Classifiers whose scores (`decision_function`) are made of those of others, by class."""
