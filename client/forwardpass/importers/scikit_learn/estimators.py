"""Perceptrons and linear models, whose layers are dense."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.scikit_learn import unsupported
from forwardpass.importers.scikit_learn.ensembles import normalized
from forwardpass.importers.scikit_learn.functions import ELEMENTWISE, apply_function
from forwardpass.importers.scikit_learn.kernels import KERNEL_ESTIMATORS, KERNEL_SCORERS
from forwardpass.importers.scikit_learn.naive_bayes import NAIVE_BAYES
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.importers.scikit_learn.scalers import affine

FUNCTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "identity": "identity",
        "logistic": "sigmoid",
        "tanh": "tanh",
        "relu": "relu",
        "softmax": "softmax",
        "exp": "exp",
    }
)
"""The activation of a spec for each activation name of scikit-learn."""

REGRESSORS: Final = frozenset(
    {
        *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC"),
        *("Lars", "LarsCV", "ElasticNet", "ElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV", "LinearSVR"),
        *("MultiTaskElasticNet", "MultiTaskElasticNetCV", "BayesianRidge", "ARDRegression", "HuberRegressor"),
        *("SGDRegressor", "TheilSenRegressor", "QuantileRegressor", "PassiveAggressiveRegressor"),
        *("OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV"),
        *("PoissonRegressor", "GammaRegressor", "TweedieRegressor"),
    }
)
"""Linear models whose prediction is `coef_ x + intercept_`, or with a logarithmic link the exponential of that."""

CLASSIFIERS: Final = frozenset(
    {"LogisticRegression", "LogisticRegressionCV", "LinearDiscriminantAnalysis", "SGDClassifier"}
)
"""Linear models whose probabilities are the sigmoid or softmax of `coef_ x + intercept_`."""


def _perceptron(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted("coefs_")
    model = step.model
    if step.kind == "MLPClassifier" and len(model.classes_) < 2:
        step.reject("was fitted on rows of one class only; fit it on rows of two or more")
    functions = [model.activation] * (model.n_layers_ - 2) + [model.out_activation_]
    names = [f"hidden_{index}" for index in range(len(functions) - 1)] + ["output"]
    for name, weights, bias, function in zip(names, model.coefs_, model.intercepts_, functions, strict=True):
        activation = FUNCTIONS[function]
        values = step.graph.add_layer(name, values, len(bias), weights=weights.T, bias=bias, activation=activation)
    return values


def _regression(step: PipelineStep, values: TensorRef) -> TensorRef:
    return _linear(step, "output", values, _inverse_link(step.model))


def _least_squares(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Weight the columns less their means, as `PLSRegression` does."""
    step.check_fitted("coef_")
    model = step.model
    centred = step.graph.add_layer("centred", values, kind="scale_shift", shift=-model._x_mean)  # noqa: SLF001 - fitted
    weights, bias = np.atleast_2d(model.coef_), np.ravel(model.intercept_)
    return step.graph.add_layer("output", centred, len(weights), weights=weights, bias=bias)


def _scores(step: PipelineStep, values: TensorRef) -> TensorRef:
    return _linear(step, "scores", values, "identity")


def _classification(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Turn scores into probabilities: by `sigmoid` for two classes, else by `softmax` or each against the rest."""
    step.check_fitted("coef_")
    strategy, several = getattr(step.model, "multi_class", "auto"), len(step.model.classes_) > 2
    if step.kind == "SGDClassifier" and step.model.loss != "log_loss":
        step.reject(unsupported.without_log_loss(step.model.loss))
    if strategy == "multinomial" and not several:
        step.reject("with multi_class='multinomial' is of two classes; fit it without `multi_class`")
    if not several:
        return _linear(step, "output", values, "sigmoid")
    if strategy == "ovr" or getattr(step.model, "solver", "") == "liblinear" or step.kind == "SGDClassifier":
        return normalized(step, _linear(step, "each", values, "sigmoid"))
    return _linear(step, "output", values, "softmax")


def _linear(step: PipelineStep, name: str, values: TensorRef, activation: str) -> TensorRef:
    step.check_fitted("coef_")
    coefficients = step.model.coef_
    weights = np.atleast_2d(coefficients.toarray() if hasattr(coefficients, "toarray") else np.asarray(coefficients))
    bias = np.broadcast_to(np.asarray(step.model.intercept_, dtype=np.float64).ravel(), len(weights)).copy()
    return step.graph.add_layer(name, values, len(weights), weights=weights, bias=bias, activation=activation)


def _inverse_link(model: Any) -> str:
    """Return the function that makes a linear regressor's prediction."""
    kind = type(model).__name__
    if kind == "TweedieRegressor":
        return "exp" if model.link == "log" or (model.link == "auto" and model.power > 0) else "identity"
    return "exp" if kind in {"PoissonRegressor", "GammaRegressor"} else "identity"


def _transformed(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Transform a regressor's outputs back, as `TransformedTargetRegressor` does."""
    step.check_fitted("regressor_")
    values = step.reader.estimate(step.model.regressor_, f"{step.path}.regressor_", values)
    target = step.reader.invertible(step.model.transformer_, f"{step.path}.transformer_")
    if target.kind in ELEMENTWISE:
        return apply_function(target, "inverse_func", values)
    mean, scale = affine(target)
    parts: dict[str, Any] = {key: array for key, array in (("scale", scale), ("shift", mean)) if array is not None}
    return step.graph.add_layer("target", values, kind="scale_shift", **parts)


ESTIMATORS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        **dict.fromkeys(("MLPClassifier", "MLPRegressor"), _perceptron),
        **dict.fromkeys(REGRESSORS, _regression),
        **dict.fromkeys(CLASSIFIERS, _classification),
        **dict.fromkeys(("PLSRegression", "PLSCanonical", "CCA"), _least_squares),
        **NAIVE_BAYES,
        **KERNEL_ESTIMATORS,
        "TransformedTargetRegressor": _transformed,
    }
)
"""The last step of a pipeline, by class."""

SCORERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        **dict.fromkeys(
            CLASSIFIERS
            | {"LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier"},
            _scores,
        ),
        **KERNEL_SCORERS,
    }
)
"""Classifiers by themselves whose scores (`decision_function`) are read, by class."""
