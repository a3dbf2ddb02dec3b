"""Reads fitted scikit-learn models: perceptrons, linear and logistic models, and pipelines that scale before them.

What a model is is told by its class alone, never by what it happens to have: a class that is not in the tables
below may compute anything, so it is refused with its place.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np

from forwardpass.errors import Fault
from forwardpass.importers.errors import UnsupportedModelError
from forwardpass.importers.source import Source
from forwardpass.tensors import Array

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
"""scikit-learn's name of each activation function, and a spec's."""

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

SCALERS: Final = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")

_TREES: Final = frozenset(("Tree", "Forest", "Boost", "XGB", "LGBM"))
_READ: Final = (
    "what is read: MLPClassifier, MLPRegressor, linear and logistic models, and a Pipeline of "
    f"{', '.join(SCALERS)} before one of them"
)
_SCALE_BEFORE: Final = (
    f"is not read: only {', '.join(SCALERS)} can become the mean and scale of a network's inputs; transform the rows "
    "by it before they are sent, and import the steps after it"
)
_NO_PROBABILITIES: Final = "computes no probabilities; LogisticRegression does"
_REFUSALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
            "is a search; import its `best_estimator_`",
        ),
        "RANSACRegressor": "is a search; import its `estimator_`",
        **dict.fromkeys(
            ("LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier"),
            _NO_PROBABILITIES,
        ),
    }
)

_Affine: TypeAlias = tuple[Array | None, Array | None]
"""`(mean, scale)` of `(x - mean) / scale`; None where there is nothing to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Net:
    """What was read of an estimator.

    Attributes:
        affine: What happens before the layers.
        layers: The layers.
        kind: What was read, for people.
        multilabel: Whether each output is a probability of its own.
    """

    affine: _Affine = (None, None)
    layers: tuple[Mapping[str, Any], ...]
    kind: str
    multilabel: bool = False


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """Ends the reading of one step; its fault is noted."""


def read(model: Any) -> Source:
    """Read a fitted model.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
    """
    import sklearn  # noqa: PLC0415 - whoever has a model has imported it

    net = _Reader().net(model)
    width = int(net.layers[0]["weights"].shape[1])
    classes = () if net.multilabel else tuple(map(str, np.asarray(getattr(model, "classes_", ())).tolist()))
    outputs = classes[1:] if len(classes) == 2 else classes
    if net.multilabel:
        outputs = tuple(f"label_{label}" for label in np.asarray(model.classes_).tolist())
    return Source(
        framework=f"scikit-learn {sklearn.__version__}",
        model=net.kind,
        width=width,
        names=tuple(map(str, getattr(model, "feature_names_in_", ()))),
        mean=net.affine[0],
        scale=net.affine[1],
        layers=net.layers,
        outputs=outputs,
        classes=classes,
        compute=_oracle(model, is_classifier=hasattr(model, "classes_")),
    )


def _oracle(model: Any, *, is_classifier: bool) -> Callable[[Array], Array]:
    def compute(rows: Array) -> Array:
        with warnings.catch_warnings():
            # Columns are in the order that it was fitted on, which is all that a name is for here.
            warnings.filterwarnings("ignore", message=".*does not have valid feature names")
            warnings.filterwarnings("ignore", category=RuntimeWarning)  # of rows far out
            answer = model.predict_proba(rows) if is_classifier else model.predict(rows)
        numbers = np.asarray(answer, dtype=np.float64).reshape(len(rows), -1)
        return numbers[:, 1:] if is_classifier and len(model.classes_) == 2 and numbers.shape[1] == 2 else numbers

    return compute


class _Reader:
    """Reads one model and notes every fault of it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def net(self, model: Any) -> _Net:
        """Read the whole model.

        Raises:
            UnsupportedModelError: Something in it cannot be expressed.
        """
        net = self._estimator(model, "model")
        if net is None or self._faults:
            one = len(self._faults) == 1
            raise UnsupportedModelError(
                "the model cannot become a network: "
                + (str(self._faults[0]) if one else f"{len(self._faults)} of its parts cannot be expressed"),
                faults=self._faults,
            )
        return net

    def _estimator(self, model: Any, path: str) -> _Net | None:
        try:
            kind = self._kind(model, path)
            if kind == "Pipeline":
                return self._pipeline(model, path)
            if kind == "TransformedTargetRegressor":
                return self._transformed(model, path)
            if kind in {"MLPClassifier", "MLPRegressor"}:
                return self._perceptron(model, path)
            if kind in REGRESSORS or kind in CLASSIFIERS:
                return self._linear(model, path, kind)
            self._refuse(path, kind, _refusal(kind))
        except _Refused:
            return None

    def _kind(self, model: Any, path: str) -> str:
        """Return the name of scikit-learn's class, if it is just that."""
        kind = type(model)
        if not kind.__module__.startswith("sklearn."):
            trees = kind.__module__.partition(".")[0] in {"xgboost", "lightgbm", "catboost"}
            own = "is no class of scikit-learn's own, and may compute anything"
            self._refuse(
                path, f"{kind.__module__}.{kind.__name__}", _refusal(kind.__name__) if trees else f"{own}; {_READ}"
            )
        return kind.__name__

    def _pipeline(self, model: Any, path: str) -> _Net | None:
        affine: _Affine = (None, None)
        kinds = []
        for index, (name, step) in enumerate(model.steps[:-1]):
            if step is None or step == "passthrough":
                continue
            try:
                place = f"{path}.steps[{index}] ({name})"
                affine = _after(affine, self._scaler(step, place))
                kinds.append(type(step).__name__)
            except _Refused:
                continue
        name, last = model.steps[-1]
        net = self._estimator(last, f"{path}.steps[{len(model.steps) - 1}] ({name})")
        if net is None:
            return None
        return replace(net, affine=_after(affine, net.affine), kind=f"Pipeline({', '.join([*kinds, net.kind])})")

    def _scaler(self, step: Any, path: str) -> _Affine:
        kind = self._kind(step, path)
        if kind not in SCALERS:
            self._refuse(path, kind, _SCALE_BEFORE)
        if getattr(step, "clip", False):
            self._refuse(path, kind, "clips what is out of range, which a mean and a scale cannot do; use clip=False")
        if not hasattr(step, "n_features_in_"):
            self._refuse(path, kind, "is not fitted; fit it first")
        if kind == "StandardScaler":
            return step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None
        if kind == "RobustScaler":
            return step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None
        if kind == "MaxAbsScaler":
            return None, step.scale_
        return -step.min_ / step.scale_, 1 / step.scale_  # it computes x * scale_ + min_

    def _transformed(self, model: Any, path: str) -> _Net | None:
        if not hasattr(model, "regressor_"):
            self._refuse(path, "TransformedTargetRegressor", "is not fitted; fit it first")
        net = self._estimator(model.regressor_, f"{path}.regressor_")
        place = f"{path}.transformer_"
        mean, scale = self._scaler(model.transformer_, place)
        if net is None:
            return None
        width = len(net.layers[-1]["bias"])
        back = {
            "name": "target",
            "weights": np.diag(np.ones(width) if scale is None else scale),
            "bias": np.zeros(width) if mean is None else mean,
            "activation": "identity",
        }
        kind = f"TransformedTargetRegressor({net.kind}, {type(model.transformer_).__name__})"
        return replace(net, layers=(*net.layers, back), kind=kind)

    def _perceptron(self, model: Any, path: str) -> _Net:
        kind = type(model).__name__
        if not hasattr(model, "coefs_"):
            self._refuse(path, kind, "is not fitted; fit it first")
        if kind == "MLPClassifier" and len(model.classes_) < 2:
            self._refuse(path, kind, "was fitted on rows of one class only; fit it on rows of two or more")
        functions = [model.activation] * (model.n_layers_ - 2) + [model.out_activation_]
        names = [f"hidden_{index}" for index in range(len(functions) - 1)] + ["output"]
        layers = tuple(
            {"name": name, "weights": weights.T, "bias": bias, "activation": FUNCTIONS[function]}
            for name, weights, bias, function in zip(names, model.coefs_, model.intercepts_, functions, strict=True)
        )
        multilabel = kind == "MLPClassifier" and model.out_activation_ == "logistic" and model.n_outputs_ > 1
        return _Net(layers=layers, kind=kind, multilabel=multilabel)

    def _linear(self, model: Any, path: str, kind: str) -> _Net:
        if not hasattr(model, "coef_"):
            self._refuse(path, kind, "is not fitted; fit it first")
        weights = model.coef_.toarray() if hasattr(model.coef_, "toarray") else np.asarray(model.coef_)
        weights = np.atleast_2d(weights)
        bias = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64).ravel(), len(weights)).copy()
        function = self._probability(model, path, kind, len(weights)) if kind in CLASSIFIERS else _inverse_link(model)
        layer = {"name": "output", "weights": weights, "bias": bias, "activation": function}
        return _Net(layers=(layer,), kind=kind)

    def _probability(self, model: Any, path: str, kind: str, outputs: int) -> str:
        """Return the function that makes a linear classifier's probabilities."""
        strategy, several = getattr(model, "multi_class", "auto"), outputs > 1
        if kind == "SGDClassifier" and model.loss != "log_loss":
            self._refuse(path, f"{kind}(loss={model.loss!r})", f'{_NO_PROBABILITIES}, and so does loss="log_loss"')
        one_by_one = strategy == "ovr" or getattr(model, "solver", "") == "liblinear" or kind == "SGDClassifier"
        if several and one_by_one:
            self._refuse(
                path, kind, "divides the classes' single probabilities by their sum; fit LogisticRegression by 'lbfgs'"
            )
        if strategy == "multinomial" and not several:
            self._refuse(path, f"{kind}(multi_class='multinomial')", "of two classes; fit it without `multi_class`")
        return "softmax" if several else "sigmoid"

    def _refuse(self, path: str, kind: str, why: str) -> NoReturn:
        self._faults.append(Fault(path=path, message=f"{kind} {why}"))
        raise _Refused


def _refusal(kind: str) -> str:
    if any(word in kind for word in _TREES):
        return "is made of trees, which are no layers of a network; an MLP is what could replace it"
    return _REFUSALS.get(kind, f"is not read; {_READ}")


def _inverse_link(model: Any) -> str:
    """Return the function that makes a linear regressor's prediction."""
    kind = type(model).__name__
    if kind == "TweedieRegressor":
        return "exp" if model.link == "log" or (model.link == "auto" and model.power > 0) else "identity"
    return "exp" if kind in {"PoissonRegressor", "GammaRegressor"} else "identity"


def _after(first: _Affine, second: _Affine) -> _Affine:
    """Return what two scalings come to, one after the other."""
    (mean, scale), (more, times) = first, second
    moved = more if more is None or scale is None else more * scale
    return _both(np.add, mean, moved), _both(np.multiply, scale, times)


def _both(join: Callable[[Array, Array], Array], one: Array | None, other: Array | None) -> Array | None:
    if one is None or other is None:
        return other if one is None else one
    return join(one, other)
