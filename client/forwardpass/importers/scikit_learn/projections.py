"""Transformers that mix columns: products and projections."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.tensors import Array


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


def _factors(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Project onto the expected factors, as `FactorAnalysis` does (Barber, 2012, 21.33)."""
    step.check_fitted("components_")
    loadings, noise = step.model.components_, step.model.noise_variance_
    scaled = loadings / noise
    weights = np.linalg.inv(np.eye(len(loadings)) + scaled @ loadings.T) @ scaled
    return _projected(step, values, weights, step.model.mean_)


def _independent(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted("components_")
    return _projected(step, values, step.model.components_, getattr(step.model, "mean_", None))


def _sparse(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Fit the components to each row by a ridge regression, as `SparsePCA` does."""
    step.check_fitted("components_")
    components = step.model.components_
    covariance = components @ components.T + step.model.ridge_alpha * np.eye(len(components))
    return _projected(step, values, np.linalg.solve(covariance, components), step.model.mean_)


def _random(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Project onto directions, some of whose numbers may be kept sparse."""
    step.check_fitted("components_")
    weights = step.model.components_
    return _projected(step, values, weights.toarray() if hasattr(weights, "toarray") else weights, None)


def _discriminants(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted("classes_")
    if step.model.solver == "lsqr":
        step.reject('with solver="lsqr" has no transform; fit it with solver="svd"')
    weights = step.model.scalings_[:, : step.model._max_components].T  # noqa: SLF001 - what it keeps
    return _projected(step, values, weights, step.model.xbar_ if step.model.solver == "svd" else None)


def _projected(step: PipelineStep, values: TensorRef, weights: Array, mean: Array | None) -> TensorRef:
    if mean is not None:
        values = step.graph.add_layer(f"{step.name}_mean", values, kind="scale_shift", shift=-mean)
    return step.graph.add_layer(step.name, values, len(weights), weights=weights)


def _unit(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Divide each row by its norm, as `Normalizer` does; a norm near 0 counts as 1."""
    sizes = {"l1": {"expression": "abs(x)"}, "l2": "square", "max": {"expression": "abs(x)"}}[step.model.norm]
    size = step.graph.add_layer(f"{step.name}_sizes", values, **PASS, activation=sizes)
    norm = "sqrt(x)" if step.model.norm == "l2" else "x"
    inverse = {"expression": f"where({norm} < {float(10 * np.finfo(np.float64).eps)!r}, 1, 1 / {norm})"}
    reduce = "max" if step.model.norm == "max" else "sum"
    windows = [list(range(values.size))]
    total = step.graph.add_layer(f"{step.name}_norm", size, 1, kind="pool", windows=windows, reduce=reduce)
    share = step.graph.add_layer(f"{step.name}_share", total, **PASS, activation=inverse)
    repeated = share.take(np.zeros(values.size, np.int64))
    return step.graph.add_layer(step.name, [values, repeated], merge="multiply", **PASS)


MIXERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        "PolynomialFeatures": _powers,
        **dict.fromkeys(("PCA", "IncrementalPCA"), _principal),
        "TruncatedSVD": _singular,
        "FactorAnalysis": _factors,
        "FastICA": _independent,
        **dict.fromkeys(("SparsePCA", "MiniBatchSparsePCA"), _sparse),
        **dict.fromkeys(
            ("GaussianRandomProjection", "SparseRandomProjection", "NeighborhoodComponentsAnalysis"), _random
        ),
        "LinearDiscriminantAnalysis": _discriminants,
        "Normalizer": _unit,
    }
)
"""By class name."""
