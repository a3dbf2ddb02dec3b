"""Transformers that mix columns: products and projections."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.drafts import PASS, Values
from forwardpass.importers.scikit_learn.step import Step, Transform


def _powers(step: Step, values: Values) -> Values:
    """Multiply columns with one another and themselves, as `PolynomialFeatures` does: one factor after the other."""
    step.check_fitted("powers_")
    powers = step.model.powers_
    degree = int(powers.sum(axis=1).max())
    # A product of fewer factors than the longest has ones for the rest.
    one = step.draft.layer(
        f"{step.name}_one", values.take([0]), kind="scale_shift", scale=np.zeros(1), shift=np.ones(1)
    )
    padded = step.draft.join([values, one])
    places = np.full((len(powers), max(degree, 1)), values.width)
    for row, exponents in enumerate(powers):
        read = np.repeat(np.arange(values.width), exponents)
        places[row, : len(read)] = read
    factors = [padded.take(column) for column in places.T]
    if len(factors) == 1:
        return factors[0]
    return step.draft.layer(step.name, factors, merge="multiply", **PASS)


def _principal(step: Step, values: Values) -> Values:
    """Project onto the components, as `PCA` does."""
    step.check_fitted("components_")
    centred = step.draft.layer(f"{step.name}_mean", values, kind="scale_shift", shift=-step.model.mean_)
    weights = step.model.components_
    if step.model.whiten:
        spread = np.sqrt(step.model.explained_variance_)
        # As scikit-learn does: a component of no variance is left as it is.
        weights = weights / np.maximum(spread, np.finfo(spread.dtype).eps)[:, None]
    return step.draft.layer(step.name, centred, len(weights), weights=weights)


def _singular(step: Step, values: Values) -> Values:
    step.check_fitted("components_")
    return step.draft.layer(step.name, values, len(step.model.components_), weights=step.model.components_)


MIXERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {"PolynomialFeatures": _powers, "PCA": _principal, "TruncatedSVD": _singular}
)
"""By class."""
