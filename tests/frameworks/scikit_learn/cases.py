"""scikit-learn's models, fitted on its bundled sets."""

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    MultiTaskLasso,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVR

from tests.frameworks.cases import Case, Cases


@dataclass(frozen=True)
class Data:
    """Rows and targets."""

    x: Any
    y: Any


def bundled(name: str, **options: Any) -> Data:
    return Data(*getattr(datasets, f"load_{name}")(return_X_y=True, **options))


IRIS, CANCER, WINE, DIGITS = map(bundled, ("iris", "breast_cancer", "wine", "digits"))
DIABETES, LINNERUD = bundled("diabetes", scaled=False), bundled("linnerud")
COUNTS = Data(IRIS.x, np.round(IRIS.x.sum(axis=1)))
LABELS = Data(WINE.x, np.stack([WINE.y == 0, WINE.y < 2, WINE.x[:, 0] > 13], axis=1).astype(int))


def mlp(kind: type, **options: Any) -> Any:
    return kind(max_iter=20, random_state=0, **{"hidden_layer_sizes": (16, 8), **options})


def scaled_target(scaler: Any, target: Any) -> Any:
    return TransformedTargetRegressor(make_pipeline(scaler, mlp(MLPRegressor)), transformer=target)


_MODELS: dict[str, tuple[Any, Data]] = {
    "MLPClassifier, 3 classes": (mlp(MLPClassifier), IRIS),
    "MLPClassifier, 2 classes": (make_pipeline(StandardScaler(), mlp(MLPClassifier)), CANCER),
    "MLPClassifier, 10 classes": (make_pipeline(MinMaxScaler(), mlp(MLPClassifier, activation="tanh")), DIGITS),
    "MLPClassifier, multilabel": (make_pipeline(RobustScaler(), mlp(MLPClassifier, activation="logistic")), LABELS),
    "MLPClassifier, identity, no hidden layer": (
        mlp(MLPClassifier, activation="identity", hidden_layer_sizes=()),
        IRIS,
    ),
    "MLPRegressor": (make_pipeline(StandardScaler(), mlp(MLPRegressor)), DIABETES),
    "MLPRegressor, 3 outputs": (make_pipeline(MaxAbsScaler(), mlp(MLPRegressor, activation="tanh")), LINNERUD),
    "MLPRegressor, target scaled": (scaled_target(MinMaxScaler((-1, 2)), StandardScaler()), DIABETES),
    "MLPRegressor, 3 targets scaled": (scaled_target(StandardScaler(), MinMaxScaler()), LINNERUD),
    "three scalers": (
        make_pipeline(MinMaxScaler((-3, 1)), "passthrough", StandardScaler(), RobustScaler(), mlp(MLPRegressor)),
        DIABETES,
    ),
    "a pipeline in a pipeline": (
        make_pipeline(
            StandardScaler(with_std=False), make_pipeline(RobustScaler(with_centering=False), mlp(MLPRegressor))
        ),
        DIABETES,
    ),
    "LogisticRegression, 2 classes": (make_pipeline(StandardScaler(), LogisticRegression()), CANCER),
    "LogisticRegression, 3 classes": (make_pipeline(StandardScaler(), LogisticRegression()), WINE),
    "LogisticRegression, liblinear, 2 classes": (LogisticRegression(solver="liblinear"), CANCER),
    "LinearDiscriminantAnalysis, 2 classes": (LinearDiscriminantAnalysis(), CANCER),
    "LinearDiscriminantAnalysis, 3 classes": (LinearDiscriminantAnalysis(), IRIS),
    "SGDClassifier, log_loss": (
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
        CANCER,
    ),
    "LinearRegression": (LinearRegression(), DIABETES),
    "LinearRegression, 3 outputs": (LinearRegression(), LINNERUD),
    "LinearRegression, no intercept": (LinearRegression(fit_intercept=False), DIABETES),
    "Ridge": (make_pipeline(StandardScaler(), Ridge()), DIABETES),
    "Lasso": (Lasso(), DIABETES),
    "ElasticNet": (ElasticNet(), DIABETES),
    "MultiTaskLasso": (MultiTaskLasso(), LINNERUD),
    "BayesianRidge": (BayesianRidge(), DIABETES),
    "HuberRegressor": (make_pipeline(StandardScaler(), HuberRegressor()), DIABETES),
    "SGDRegressor": (make_pipeline(StandardScaler(), SGDRegressor(random_state=0)), DIABETES),
    "LinearSVR": (make_pipeline(StandardScaler(), LinearSVR(random_state=0)), DIABETES),
    "PoissonRegressor": (PoissonRegressor(), COUNTS),
    "GammaRegressor": (GammaRegressor(), COUNTS),
    "TweedieRegressor, power 0": (TweedieRegressor(power=0), COUNTS),
    "TweedieRegressor, power 1.5": (TweedieRegressor(power=1.5), COUNTS),
}


def fitted(model: Any, data: Data) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return model.fit(data.x, data.y)


def predicted(model: Any, rows: Any) -> Any:
    """What scikit-learn says, as a network has it."""
    if not hasattr(model, "classes_"):
        return model.predict(rows).reshape(len(rows), -1)
    probabilities = model.predict_proba(rows)
    # The network's only output is then the probability of the second class.
    return probabilities[:, 1:] if len(model.classes_) == probabilities.shape[1] == 2 else probabilities


CASES: Cases = {
    name: Case(make=partial(fitted, model, data), predict=predicted, rows=data.x)
    for name, (model, data) in _MODELS.items()
}
