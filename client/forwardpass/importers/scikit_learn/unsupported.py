"""What is said of classes that are not read, and what could replace them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_TREES: Final = frozenset(("Tree", "Forest", "Boost", "XGB", "LGBM"))
_NO_PROBABILITIES: Final = "computes no probabilities; LogisticRegression does"
_BEFORE: Final = "transform the rows by it before they are sent, and import the steps after it"

ESTIMATORS: Final = "what is read: MLPClassifier, MLPRegressor, linear and logistic models, and a Pipeline before them"

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
        "FunctionTransformer": f"calls a function of Python, which may compute anything; {_BEFORE}",
        "PowerTransformer": f"has another function for each column; {_BEFORE}",
    }
)


def without_log_loss(loss: str) -> str:
    """Say that a classifier of this loss has no probabilities, and what has."""
    return f'with loss={loss!r} {_NO_PROBABILITIES}, and so does loss="log_loss"'


def of_estimator(kind: str) -> str:
    """Say why a class is not read as an estimator."""
    if any(word in kind for word in _TREES):
        return "is made of trees, which are no layers of a network; an MLP is what could replace it"
    return _REFUSALS.get(kind, f"is not read; {ESTIMATORS}")


def of_transformer(kind: str, known: str) -> str:
    """Say why a class is not read as a transformer.

    Args:
        kind: The class.
        known: The classes that are.
    """
    return _REFUSALS.get(kind, f"is not read: only {known} are; {_BEFORE}")
