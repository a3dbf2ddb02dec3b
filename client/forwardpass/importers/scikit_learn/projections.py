"""Transformers that mix columns: products and projections."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform


def _powers(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Multiply columns with one another and themselves, factor by factor, as `PolynomialFeatures` does."""
    step.check_fitted("powers_")
    powers = step.model.powers_
    degree = int(powers.sum(axis=1).max())
    # Shorter products are padded with ones.
    one = step.graph.add_layer(
        f"{step.name}_one", values.take([0]), kind="scale_shift", scale=np.zeros(1), shift=np.ones(1)
    )
    padded = step.graph.concatenate([values, one])
    places = np.full((len(powers), max(degree, 1)), values.size)
    for row, exponents in enumerate(powers):
        read = np.repeat(np.arange(values.size), exponents)
        places[row, : len(read)] = read
    factors = [padded.take(column) for column in places.T]
    if len(factors) == 1:
        return factors[0]
    return step.graph.add_layer(step.name, factors, merge="multiply", **PASS)


def _principal(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Project onto the components, as `PCA` does."""
    step.check_fitted("components_")
    centred = step.graph.add_layer(f"{step.name}_mean", values, kind="scale_shift", shift=-step.model.mean_)
    weights = step.model.components_
    if step.model.whiten:
        spread = np.sqrt(step.model.explained_variance_)
        # As scikit-learn does; a component without variance stays as it is.
        weights = weights / np.maximum(spread, np.finfo(spread.dtype).eps)[:, None]
    return step.graph.add_layer(step.name, centred, len(weights), weights=weights)


def _singular(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted("components_")
    return step.graph.add_layer(step.name, values, len(step.model.components_), weights=step.model.components_)


MIXERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {"PolynomialFeatures": _powers, "PCA": _principal, "TruncatedSVD": _singular}
)
"""By class name."""
