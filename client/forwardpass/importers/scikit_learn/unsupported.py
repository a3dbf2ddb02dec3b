"""Reasons why classes are not supported, with alternatives."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_TREES: Final = frozenset(("Tree", "Forest", "Boost", "XGB", "LGBM"))
_NO_PROBABILITIES: Final = "computes no probabilities; LogisticRegression and CalibratedClassifierCV do"
_BEFORE: Final = "transform the rows by it before they are sent, and import the steps after it"

ESTIMATORS: Final = (
    "supported are MLPClassifier, MLPRegressor, linear, kernel and naive Bayes models, ensembles of these, and a "
    "Pipeline before them"
)

_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier"),
            _NO_PROBABILITIES,
        ),
        "AdaBoostClassifier": "counts the classes that its estimators choose; use VotingClassifier(voting='soft')",
        "AdaBoostRegressor": "takes the median of its estimators, which sorts them; use a BaggingRegressor",
        **dict.fromkeys(
            ("SVC", "NuSVC"),
            "has scores, which a CalibratedClassifierCV around it makes probabilities of; for more than two classes, "
            "put a OneVsRestClassifier between them",
        ),
    }
)


def without_log_loss(loss: str) -> str:
    """Return the reason for a loss without probabilities."""
    return f'with loss={loss!r} {_NO_PROBABILITIES}, and so does loss="log_loss"'


def of_estimator(kind: str) -> str:
    """Return why a class is not supported as an estimator."""
    if kind not in _REASONS and any(word in kind for word in _TREES):
        return "is made of trees, which are no layers of a network; use an MLP instead"
    return _REASONS.get(kind, f"is not supported; {ESTIMATORS}")


def of_target(known: str) -> str:
    """Return why a class is not supported as a transformer of the target.

    Args:
        known: The supported classes.
    """
    return (
        f"has no inverse that is supported; those of {known} are; or import the model's `regressor_`, and transform "
        "its outputs back where they arrive"
    )


def of_transformer(kind: str, known: str) -> str:
    """Return why a class is not supported as a transformer.

    Args:
        kind: The class.
        known: The supported classes.
    """
    return _REASONS.get(kind, f"is not supported: only {known} are; {_BEFORE}")
