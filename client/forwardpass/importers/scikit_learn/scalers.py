"""Transformers that shift and scale each column."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.tensors import Array

Affine: TypeAlias = tuple[Array | None, Array | None]
"""`(mean, scale)` of `(x - mean) / scale`; None where there is nothing to do."""

_AFFINE: Final[Mapping[str, Callable[[Any], Affine]]] = MappingProxyType(
    {
        "StandardScaler": lambda model: (
            model.mean_ if model.with_mean else None,
            model.scale_ if model.with_std else None,
        ),
        "RobustScaler": lambda model: (
            model.center_ if model.with_centering else None,
            model.scale_ if model.with_scaling else None,
        ),
        "MaxAbsScaler": lambda model: (None, model.scale_),
        # It computes x * scale_ + min_.
        "MinMaxScaler": lambda model: (-model.min_ / model.scale_, 1 / model.scale_),
    }
)


def affine(step: PipelineStep) -> Affine:
    """Return the shift and scale of a scaler.

    Raises:
        UnsupportedError: It is not fitted, or clips.
    """
    step.check_fitted()
    if getattr(step.model, "clip", False):
        step.reject("clips what is out of range, which has no inverse; use clip=False")
    return _AFFINE[step.kind](step.model)


def _scale(step: PipelineStep, values: TensorRef) -> TensorRef:
    step.check_fitted()
    mean, scale = _AFFINE[step.kind](step.model)
    if not step.reader.inputs.standardize(values, mean, scale):
        # In two layers, so that equal numbers cancel as they do in scikit-learn.
        if mean is not None:
            values = step.graph.add_layer(f"{step.name}_mean", values, kind="scale_shift", shift=-mean)
        if scale is not None:
            values = step.graph.add_layer(step.name, values, kind="scale_shift", scale=1 / scale)
    if getattr(step.model, "clip", False):
        low, high = (np.full(values.size, bound, dtype=np.float64) for bound in step.model.feature_range)
        values = step.graph.add_layer(f"{step.name}_clip", values, kind="clip", low=low, high=high)
    return values


SCALERS: Final[Mapping[str, Transform]] = MappingProxyType(dict.fromkeys(_AFFINE, _scale))
"""By class name."""
