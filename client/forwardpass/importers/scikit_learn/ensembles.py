"""Classifiers and regressors that combine those of others, and probabilities that are divided by their sum."""

from collections.abc import Mapping, Sequence
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
    ones = np.ones((values.size, values.size))
    if uniform:
        # 1 is added to each where all are zero, and an exact zero elsewhere.
        nothing = step.graph.add_layer("is_zero", values, values.size, weights=ones, activation=_IS_ZERO)
        values = step.graph.add_layer("or_equal", [values, nothing], merge="sum", **PASS)
    reciprocal = _RECIPROCAL if uniform else _RECIPROCAL_OR_ONE
    share = step.graph.add_layer("one_by_sum", values, values.size, weights=ones, activation=reciprocal)
    return step.graph.add_layer("output", [values, share], merge="multiply", **PASS)


def _voting(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Average outputs by weights, as `VotingClassifier` and `VotingRegressor` do."""
    step.check_fitted("estimators_")
    if getattr(step.model, "voting", "soft") != "soft":
        step.reject("counts votes, which are no probabilities; fit it with voting='soft'")
    parts = _outputs_of(step, "estimators_", step.model.estimators_, values)
    weights = getattr(step.model, "_weights_not_none", None)
    return _average(step, parts, np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64))


def _one_vs_rest(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Divide the probability of each class against the rest by their sum, as `OneVsRestClassifier` does."""
    step.check_fitted("estimators_")
    parts = _outputs_of(step, "estimators_", step.model.estimators_, values)
    if len(parts) == 1:
        return parts[0]
    together = step.graph.add_layer("each", parts, sum(part.size for part in parts), merge="concatenate", **PASS)
    return together if step.model.multilabel_ else normalized(step, together, uniform=False)


def _calibrated(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Average classifiers whose scores a sigmoid turns into probabilities, as `CalibratedClassifierCV` does.

    Source of the formula: J. Platt, Probabilistic outputs for support vector machines, 1999.
    """
    step.check_fitted("calibrated_classifiers_")
    step.reader.inputs.mark_shared(values)
    classifiers = step.model.calibrated_classifiers_
    parts = []
    for index, classifier in enumerate(classifiers):
        path = f"{step.path}.calibrated_classifiers_[{index}]"
        if classifier.method != "sigmoid":
            step.reject(f"with method={classifier.method!r} is not supported; fit it with method='sigmoid'")
        if len(classifier.estimator.classes_) != len(classifier.classes):
            step.reject(f"has a part that was fitted without rows of every class ({path}); fit it with fewer folds")
        with suppress(UnsupportedError):
            scores = step.reader.decide(classifier.estimator, f"{path}.estimator", values)
            parts.append(_sigmoids(step, scores, classifier.calibrators))
    if len(parts) < len(classifiers):
        raise UnsupportedError
    return _average(step, parts, np.ones(len(parts)))


def _sigmoids(step: PipelineStep, scores: TensorRef, calibrators: Sequence[Any]) -> TensorRef:
    slopes = np.array([-calibrator.a_ for calibrator in calibrators], dtype=np.float64)
    shifts = np.array([-calibrator.b_ for calibrator in calibrators], dtype=np.float64)
    probabilities = step.graph.add_layer(
        "calibrated", scores, kind="scale_shift", scale=slopes, shift=shifts, activation="sigmoid"
    )
    return probabilities if len(calibrators) == 1 else normalized(step, probabilities)


def _bagging(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Average models that read some of the columns each, as `BaggingClassifier` and `BaggingRegressor` do."""
    step.check_fitted("estimators_features_")
    step.reader.inputs.mark_shared(values)
    model, parts = step.model, []
    for index, (part, columns) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True)):
        path = f"{step.path}.estimators_[{index}]"
        if hasattr(model, "classes_") and len(part.classes_) != len(model.classes_):
            step.reject(f"has a part that was fitted without rows of every class ({path}); fit it with larger samples")
        with suppress(UnsupportedError):
            parts.append(step.reader.estimate(part, path, values.take(columns)))
    if len(parts) < len(model.estimators_):
        raise UnsupportedError
    return _average(step, parts, np.ones(len(parts)))


def _stacking(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Give the outputs of models to a last one, as `StackingClassifier` and `StackingRegressor` do."""
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
    return step.reader.estimate(model.final_estimator_, f"{step.path}.final_estimator_", together)


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


def _outputs_of(step: PipelineStep, attribute: str, models: Sequence[Any], values: TensorRef) -> list[TensorRef]:
    """Return the outputs of estimators that read the same values; all are read, so that every fault is reported."""
    step.reader.inputs.mark_shared(values)
    outputs = []
    for index, model in enumerate(models):
        with suppress(UnsupportedError):
            outputs.append(step.reader.estimate(model, f"{step.path}.{attribute}[{index}]", values))
    if len(outputs) < len(models):
        raise UnsupportedError
    return outputs


def _average(step: PipelineStep, parts: Sequence[TensorRef], weights: Any) -> TensorRef:
    shares = weights / weights.sum()
    weighted = [
        step.graph.add_layer("share", part, kind="scale_shift", scale=np.full(part.size, share))
        for part, share in zip(parts, shares, strict=True)
    ]
    return weighted[0] if len(weighted) == 1 else step.graph.add_layer("output", weighted, merge="sum", **PASS)


ENSEMBLES: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        "CalibratedClassifierCV": _calibrated,
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
