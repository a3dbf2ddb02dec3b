"""scikit-learn's models, fitted on its bundled sets."""

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest
from sklearn.impute import MissingIndicator, SimpleImputer
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
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC, LinearSVR

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
    "LogisticRegression by grid search": (
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}),
        CANCER,
    ),
    "SGDClassifier, log_loss, 3 classes": (
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", alpha=0.1, random_state=0)),
        WINE,
    ),
    "OneVsRestClassifier, 3 classes": (
        OneVsRestClassifier(make_pipeline(StandardScaler(), LogisticRegression())),
        WINE,
    ),
    "OneVsRestClassifier, multilabel": (
        make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())),
        LABELS,
    ),
    "CalibratedClassifierCV of LinearSVC, 2 classes": (
        CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC(random_state=0)), cv=3),
        CANCER,
    ),
    "CalibratedClassifierCV of RidgeClassifier, 3 classes": (
        make_pipeline(StandardScaler(), CalibratedClassifierCV(RidgeClassifier(), cv=3)),
        WINE,
    ),
    "CalibratedClassifierCV of MLPClassifier, 3 classes": (
        make_pipeline(StandardScaler(), CalibratedClassifierCV(mlp(MLPClassifier), cv=2, ensemble=False)),
        IRIS,
    ),
    "VotingClassifier, soft, 3 classes": (
        VotingClassifier(
            [
                ("mlp", make_pipeline(StandardScaler(), mlp(MLPClassifier))),
                ("linear", make_pipeline(MinMaxScaler(), LogisticRegression())),
            ],
            voting="soft",
            weights=[2, 1],
        ),
        WINE,
    ),
    "VotingClassifier, soft, 2 classes": (
        make_pipeline(
            StandardScaler(),
            VotingClassifier([("lda", LinearDiscriminantAnalysis()), ("mlp", mlp(MLPClassifier))], voting="soft"),
        ),
        CANCER,
    ),
    "VotingRegressor": (
        VotingRegressor([("ridge", Ridge()), ("mlp", make_pipeline(StandardScaler(), mlp(MLPRegressor)))]),
        DIABETES,
    ),
    "FunctionTransformer, log1p": (make_pipeline(FunctionTransformer(np.log1p), Ridge()), IRIS),
    "target by log and exp": (TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), COUNTS),
}


def missing(data: Data, share: float = 0.1) -> Data:
    """The same rows, some of whose values are missing."""
    x = np.array(data.x, dtype=np.float64)
    x[np.random.default_rng(0).random(x.shape) < share] = np.nan
    return Data(x, data.y)


def mixed() -> Data:
    """Columns by name: numbers of which some are missing, and three kinds of categories as numbers."""
    frame = datasets.load_diabetes(scaled=False, as_frame=True)
    columns = frame.data[["age", "bmi", "bp", "s1", "sex"]].copy()
    columns["decade"] = columns.age // 10
    columns["size"] = np.digitize(columns.bmi, [20.0, 25.0, 30.0])
    columns.loc[::7, "bp"] = np.nan
    columns.loc[::5, "s1"] = np.nan
    return Data(columns, frame.target)


def texts() -> Data:
    """The same with texts for categories, some of them missing."""
    data = mixed()
    frame = data.x.assign(
        sex=data.x.sex.map({1.0: "female", 2.0: "male"}).astype(object),
        size=pd.Series(np.array(["thin", "usual", "stout", "fat"], dtype=object)[data.x["size"]]),
        decade=data.x.decade.map("{:.0f}0s".format).astype(object),
    )
    frame["size"] = frame["size"].astype(object)
    frame.loc[::9, "size"] = np.nan
    return Data(frame, data.y)


MIXED, TEXTS = mixed(), texts()
GROUPED = Data(np.round(WINE.x[:, :6]), WINE.y)
"""Whole numbers, which are categories for some."""

by_name = ColumnTransformer(
    [
        (
            "measured",
            make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
            ["bp", "s1"],
        ),
        ("known", StandardScaler(), ["age", "bmi"]),
        ("kinds", OneHotEncoder(drop="if_binary", handle_unknown="ignore"), ["sex", "decade"]),
        ("sizes", OrdinalEncoder(), ["size"]),
    ]
)
by_text = ColumnTransformer(
    [
        ("known", StandardScaler(), ["age", "bmi"]),
        ("measured", SimpleImputer(), ["bp", "s1"]),
        (
            "sizes",
            make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first")),
            ["size"],
        ),
        ("decades", OneHotEncoder(handle_unknown="ignore"), ["decade"]),
        ("sexes", OrdinalEncoder(), ["sex"]),
    ]
)
by_place = ColumnTransformer(
    [
        ("scaled", StandardScaler(), slice(2, 5)),
        ("twice", make_pipeline(MinMaxScaler(clip=True), FunctionTransformer()), [2, 9]),
        ("left", "drop", [5]),
        ("kinds", OneHotEncoder(), [1]),
    ],
    remainder="passthrough",
    transformer_weights={"scaled": 0.5},
)

_TRANSFORMED: dict[str, tuple[Any, Data]] = {
    "columns by name, imputed, scaled, encoded, MLPRegressor": (make_pipeline(by_name, mlp(MLPRegressor)), MIXED),
    "columns of texts, some missing or unknown": (make_pipeline(by_text, mlp(MLPRegressor)), TEXTS),
    "columns by place, weighted, the rest as it is": (make_pipeline(by_place, Ridge()), DIABETES),
    "scaled after columns were put together": (
        make_pipeline(
            ColumnTransformer([("kinds", OneHotEncoder(), [1])], remainder="passthrough"), RobustScaler(), Ridge()
        ),
        DIABETES,
    ),
    "OneHotEncoder, unknown ignored": (
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        GROUPED,
    ),
    "OneHotEncoder, first dropped": (make_pipeline(OneHotEncoder(drop="first"), LogisticRegression()), GROUPED),
    "OrdinalEncoder, unknown is -1": (
        make_pipeline(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), mlp(MLPClassifier)),
        GROUPED,
    ),
    "OrdinalEncoder, then OneHotEncoder": (
        make_pipeline(OrdinalEncoder(), OneHotEncoder(), LogisticRegression()),
        GROUPED,
    ),
    "SimpleImputer, mean, with indicators": (
        make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), mlp(MLPClassifier)),
        missing(CANCER),
    ),
    "SimpleImputer, most frequent": (
        make_pipeline(StandardScaler(), SimpleImputer(strategy="most_frequent"), mlp(MLPRegressor)),
        missing(DIABETES),
    ),
    "SimpleImputer, constant": (
        make_pipeline(SimpleImputer(strategy="constant", fill_value=-1), LogisticRegression(max_iter=10)),
        missing(IRIS),
    ),
    "SimpleImputer of -1, MissingIndicator": (
        make_pipeline(
            FeatureUnion(
                [("filled", SimpleImputer(missing_values=-1)), ("flags", MissingIndicator(missing_values=-1))]
            ),
            mlp(MLPClassifier),
        ),
        Data(np.nan_to_num(missing(IRIS).x, nan=-1), IRIS.y),
    ),
    "KBinsDiscretizer, one-hot": (
        make_pipeline(KBinsDiscretizer(4, strategy="uniform"), LogisticRegression()),
        WINE,
    ),
    "KBinsDiscretizer, ordinal, Binarizer": (
        make_pipeline(KBinsDiscretizer(4, strategy="uniform", encode="ordinal"), Binarizer(threshold=1), Ridge()),
        DIABETES,
    ),
    "MinMaxScaler that clips": (make_pipeline(MinMaxScaler((-1, 2), clip=True), mlp(MLPRegressor)), DIABETES),
    "PolynomialFeatures, degree 3": (make_pipeline(StandardScaler(), PolynomialFeatures(3), Ridge()), IRIS),
    "PolynomialFeatures, products only": (
        make_pipeline(PolynomialFeatures(interaction_only=True, include_bias=False), StandardScaler(), Ridge()),
        DIABETES,
    ),
    "FeatureUnion of PCA, TruncatedSVD and columns": (
        make_pipeline(
            StandardScaler(),
            FeatureUnion(
                [
                    ("main", PCA(3, whiten=True)),
                    ("others", TruncatedSVD(2)),
                    ("best", SelectKBest(k=2)),
                    ("all", "passthrough"),
                ],
                transformer_weights={"main": 2.0},
            ),
            LogisticRegression(),
        ),
        CANCER,
    ),
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


_ROUNDED = {"KBinsDiscretizer, one-hot": 0.1}
"""Where a row's value is the edge of a bin, float32 may round it to the other side."""

CASES: Cases = {
    name: Case(
        make=partial(fitted, model, data),
        predict=predicted,
        rows=data.x,
        rounded=_ROUNDED.get(name, 1e-3),
    )
    for name, (model, data) in (_MODELS | _TRANSFORMED).items()
}
