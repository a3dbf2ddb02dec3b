"""Calibrated classifiers, whose scores become probabilities."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.scikit_learn.ensembles import average, normalized
from forwardpass.importers.scikit_learn.piecewise import add_gains, way_through
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.importers.unsupported import UnsupportedError

_EPS: Final = 1e-12
"""What scikit-learn's `_convert_to_logits` adds to a probability before its logarithm."""


def _calibrated(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Average classifiers whose scores become probabilities, as `CalibratedClassifierCV` does."""
    step.check_fitted("calibrated_classifiers_")
    step.reader.inputs.mark_shared(values)
    classifiers = step.model.calibrated_classifiers_
    parts = []
    for index, classifier in enumerate(classifiers):
        path = f"{step.path}.calibrated_classifiers_[{index}]"
        if len(classifier.estimator.classes_) != len(classifier.classes):
            step.reject(f"has a part that was fitted without rows of every class ({path}); fit it with fewer folds")
        with suppress(UnsupportedError):
            scores = step.reader.decide(classifier.estimator, f"{path}.estimator", values)
            if classifier.method == "temperature":
                are_scores = hasattr(classifier.estimator, "decision_function")
                parts.append(_softened(step, scores, float(classifier.calibrators[0].beta_), are_scores=are_scores))
            else:
                parts.append(_each(step, scores, classifier.calibrators, _METHODS[classifier.method]))
    if len(parts) < len(classifiers):
        raise UnsupportedError
    return average(step, parts, np.ones(len(parts)))


def _each(
    step: PipelineStep,
    scores: TensorRef,
    calibrators: Sequence[Any],
    calibrate: Callable[[PipelineStep, TensorRef, Sequence[Any]], TensorRef],
) -> TensorRef:
    """Calibrate the score of each class by itself, and divide the probabilities by their sum."""
    probabilities = calibrate(step, scores, calibrators)
    return probabilities if len(calibrators) == 1 else normalized(step, probabilities)


def _sigmoids(step: PipelineStep, scores: TensorRef, calibrators: Sequence[Any]) -> TensorRef:
    """Apply a sigmoid to each score (Platt, Probabilistic outputs for support vector machines, 1999)."""
    slopes = np.array([-calibrator.a_ for calibrator in calibrators], dtype=np.float64)
    shifts = np.array([-calibrator.b_ for calibrator in calibrators], dtype=np.float64)
    return step.graph.add_layer(
        "calibrated", scores, kind="scale_shift", scale=slopes, shift=shifts, activation="sigmoid"
    )


def _steps(step: PipelineStep, scores: TensorRef, calibrators: Sequence[Any]) -> TensorRef:
    """Interpolate between the steps of each score (Zadrozny & Elkan, 2002)."""
    parts = []
    for place, calibrator in enumerate(calibrators):
        score, x, y = scores.take([place]), calibrator.X_thresholds_, calibrator.y_thresholds_
        if len(x) == 1:
            parts.append(step.graph.add_layer("calibrated", score, kind="scale_shift", scale=np.zeros(1), shift=y))
            continue
        slopes = (np.diff(y) / np.diff(x))[:, None]
        parts.append(add_gains(step, "calibrated", way_through(step, "calibrated", score, x), [slopes], y[:1]))
    return step.graph.concatenate(parts)


def _softened(step: PipelineStep, scores: TensorRef, beta: float, *, are_scores: bool) -> TensorRef:
    """Divide logits by a temperature (Guo et al., On calibration of modern neural networks, 2017)."""
    if not are_scores:
        logit = "log(x + eps)" if scores.size > 1 else "log(x + eps) - log(1 - x + eps)"
        activation = {"expression": logit, "parameters": {"eps": _EPS}}
        scores = step.graph.add_layer("logits", scores, **PASS, activation=activation)
    elif scores.size == 1:
        beta *= 2  # The score of the other class is its negative.
    function = "sigmoid" if scores.size == 1 else "softmax"
    scale = np.full(scores.size, beta)
    return step.graph.add_layer("calibrated", scores, kind="scale_shift", scale=scale, activation=function)


_METHODS: Final[Mapping[str, Callable[[PipelineStep, TensorRef, Sequence[Any]], TensorRef]]] = MappingProxyType(
    {"sigmoid": _sigmoids, "isotonic": _steps}
)
"""What makes a probability of each class's score, by `method`."""

CALIBRATED: Final[Mapping[str, Transform]] = MappingProxyType({"CalibratedClassifierCV": _calibrated})
"""By class name."""
