"""Naive Bayes classifiers: the logarithm of each class's likelihood, and the softmax of these."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.tensors import Array


def _probabilities(step: PipelineStep, values: TensorRef, weights: Array, bias: Array) -> TensorRef:
    """Return the probabilities of classes; of two classes, that of the second."""
    if len(weights) == 2:
        return step.graph.add_layer(
            "output", values, 1, weights=weights[1:] - weights[:1], bias=bias[1:] - bias[:1], activation="sigmoid"
        )
    return step.graph.add_layer("output", values, len(weights), weights=weights, bias=bias, activation="softmax")


def _gaussian(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Multiply normal densities of the columns, as `GaussianNB` does."""
    step.check_fitted("theta_")
    if not (step.model.class_prior_ > 0).all():
        step.reject("has a class whose prior probability is 0, which it never predicts; leave that class out")
    means, spreads = step.model.theta_, np.sqrt(step.model.var_)
    classes, columns = means.shape
    step.reader.inputs.mark_shared(values)
    squares = step.graph.add_layer(
        "squares",
        values.take(np.tile(np.arange(columns), classes)),
        kind="scale_shift",
        scale=(1 / spreads).ravel(),
        shift=(-means / spreads).ravel(),
        activation="square",
    )
    windows = np.arange(classes * columns).reshape(classes, columns)
    distances = step.graph.add_layer("distances", squares, classes, kind="pool", windows=windows, reduce="sum")
    bias = np.log(step.model.class_prior_) - 0.5 * np.log(2 * np.pi * step.model.var_).sum(axis=1)
    if classes == 2:
        return _probabilities(step, distances, -0.5 * np.eye(2), bias)
    return step.graph.add_layer(
        "output", distances, kind="scale_shift", scale=np.full(classes, -0.5), shift=bias, activation="softmax"
    )


def _counts(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Weight counts by the logarithms of their probabilities, as `MultinomialNB` and `ComplementNB` do."""
    step.check_fitted("feature_log_prob_")
    model = step.model
    prior = np.zeros(len(model.classes_)) if step.kind == "ComplementNB" else model.class_log_prior_
    return _probabilities(step, values, model.feature_log_prob_, prior)


def _flags(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Weight what is there and what is not, as `BernoulliNB` does."""
    step.check_fitted("feature_log_prob_")
    model = step.model
    if model.binarize is not None:
        above = {"expression": "where(x > threshold, 1, 0)", "parameters": {"threshold": float(model.binarize)}}
        values = step.graph.add_layer("flags", values, **PASS, activation=above)
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    bias = model.class_log_prior_ + absent.sum(axis=1)
    return _probabilities(step, values, model.feature_log_prob_ - absent, bias)


NAIVE_BAYES: Final[Mapping[str, Transform]] = MappingProxyType(
    {"GaussianNB": _gaussian, **dict.fromkeys(("MultinomialNB", "ComplementNB"), _counts), "BernoulliNB": _flags}
)
"""The last step of a pipeline, by class."""
