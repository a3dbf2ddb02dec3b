"""Kernels: the similarity of a row to each row of a basis, and the models that are weighted sums of these."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.tensors import Array


def _linear(step: PipelineStep, values: TensorRef, basis: Array, **_: float) -> TensorRef:
    return step.graph.add_layer("kernel", values, len(basis), weights=basis)


def _polynomial(
    step: PipelineStep, values: TensorRef, basis: Array, *, gamma: float, coef0: float, degree: float
) -> TensorRef:
    power = {"expression": "x ** degree", "parameters": {"degree": float(degree)}}
    return _product(step, values, gamma * basis, coef0, power)


def _sigmoid(
    step: PipelineStep, values: TensorRef, basis: Array, *, gamma: float, coef0: float, **_: float
) -> TensorRef:
    return _product(step, values, gamma * basis, coef0, "tanh")


def _product(step: PipelineStep, values: TensorRef, weights: Array, bias: float, activation: Any) -> TensorRef:
    biases = np.full(len(weights), float(bias))
    return step.graph.add_layer("kernel", values, len(weights), weights=weights, bias=biases, activation=activation)


def _radial(step: PipelineStep, values: TensorRef, basis: Array, *, gamma: float, **_: float) -> TensorRef:
    """Compute exp(-gamma |x - c|^2) by |x|^2 - 2 c x + |c|^2, as scikit-learn does."""
    squares = step.graph.add_layer("squares", values, **PASS, activation="square")
    weights = np.concatenate([2 * gamma * basis, np.full(basis.shape, -gamma)], axis=1)
    both = step.graph.concatenate([values, squares])
    bias = -gamma * (basis**2).sum(axis=1)
    return step.graph.add_layer("kernel", both, len(basis), weights=weights, bias=bias, activation="exp")


KERNELS: Final[Mapping[str, Callable[..., TensorRef]]] = MappingProxyType(
    {"linear": _linear, "poly": _polynomial, "polynomial": _polynomial, "sigmoid": _sigmoid, "rbf": _radial}
)
"""The kernel for each name of it in scikit-learn."""


def _kernel(step: PipelineStep, values: TensorRef, basis: Any, gamma: float | None) -> TensorRef:
    model = step.model
    if model.kernel not in KERNELS or hasattr(basis, "toarray"):
        known = ", ".join(sorted(KERNELS))
        step.reject(f"with kernel={model.kernel!r} is not supported; fit it on dense rows with one of {known}")
    numbers = {
        "gamma": 1 / values.size if gamma is None else float(gamma),
        "coef0": 1.0 if model.coef0 is None else float(model.coef0),
        "degree": 3.0 if model.degree is None else float(model.degree),
    }
    step.reader.inputs.mark_shared(values)
    return KERNELS[model.kernel](step, values, np.asarray(basis, np.float64), **numbers)


def _support_vectors(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Sum the kernel of each support vector by its weight, as `SVR` does."""
    step.check_fitted("support_vectors_")
    model = step.model
    found = _kernel(step, values, model.support_vectors_, model._gamma)  # noqa: SLF001 - what "scale" came to
    return step.graph.add_layer("output", found, 1, weights=model.dual_coef_, bias=np.asarray(model.intercept_))


def _vector_scores(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Return the score of the second of two classes, as `SVC` computes it."""
    if len(step.model.classes_) > 2:
        step.reject("has scores of pairs of classes; put a OneVsRestClassifier around it")
    return _support_vectors(step, values)


def _components(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Project the centred kernel of the rows of the fit, as `KernelPCA` does (Schoelkopf et al., 1998)."""
    step.check_fitted("eigenvectors_")
    model = step.model
    found = _kernel(step, values, model.X_fit_, model.gamma_)
    kept = model.eigenvalues_ > 0
    axes = np.where(kept, model.eigenvectors_ / np.sqrt(np.where(kept, model.eigenvalues_, 1)), 0)
    centre = model._centerer  # noqa: SLF001 - fitted with it
    # Each kernel is less its mean over the row, less its mean in the fit, and more the mean of these.
    weights = axes - axes.mean(axis=0)
    bias = (centre.K_fit_all_ - centre.K_fit_rows_) @ axes
    return step.graph.add_layer(step.name, found, axes.shape[1], weights=weights.T, bias=bias)


def _ridge(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted("dual_coef_")
    found = _kernel(step, values, step.model.X_fit_, step.model.gamma)
    weights = step.model.dual_coef_.reshape(found.size, -1).T
    return step.graph.add_layer("output", found, len(weights), weights=weights)


def _nystroem(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Project the kernel of some rows, as `Nystroem` does (Williams & Seeger, 2001)."""
    step.check_fitted("components_")
    found = _kernel(step, values, step.model.components_, step.model.gamma)
    weights = step.model.normalization_
    return step.graph.add_layer(step.name, found, len(weights), weights=weights)


def _random_fourier(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Approximate a radial kernel by cosines, as `RBFSampler` does (Rahimi & Recht, 2007)."""
    step.check_fitted("random_weights_")
    weights = step.model.random_weights_.T
    bias = step.model.random_offset_
    waves = step.graph.add_layer("waves", values, len(weights), weights=weights, bias=bias, activation="cos")
    size = np.full(len(weights), np.sqrt(2 / len(weights)))
    return step.graph.add_layer(step.name, waves, kind="scale_shift", scale=size)


KERNEL_ESTIMATORS: Final[Mapping[str, Transform]] = MappingProxyType(
    {**dict.fromkeys(("SVR", "NuSVR"), _support_vectors), "KernelRidge": _ridge}
)
"""The last step of a pipeline, by class."""

KERNEL_SCORERS: Final[Mapping[str, Transform]] = MappingProxyType(dict.fromkeys(("SVC", "NuSVC"), _vector_scores))
"""Classifiers whose scores (`decision_function`) are sums of kernels, by class."""

KERNEL_TRANSFORMERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {"Nystroem": _nystroem, "RBFSampler": _random_fourier, "KernelPCA": _components}
)
"""By class name."""
