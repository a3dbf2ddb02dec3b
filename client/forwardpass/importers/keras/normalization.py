"""Layers and operations that normalize the elements of a row by what is computed of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.normalization import rms_norm
from forwardpass.importers.graph.reductions import moments
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, factor_names, layer_axes, row_axes, row_axis
from forwardpass.importers.keras.reductions import EPSILON, normalized
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_UNIT: Final = 1e-12
"""The least norm that `UnitNormalization` divides by."""


def _layer_norm(call: LayerCall) -> TensorRef:
    """Normalize along axes by the mean and the variance, or with `rms_scaling` by the variance alone."""
    x = call.first
    axes = sorted(layer_axes(call))
    epsilon = call.number("epsilon", 1e-3)
    if call.boolean("rms_scaling", False):
        (gamma,) = call.variables()
        return _scaled(call, _by_variance(call, x, axes, epsilon), axes, gamma)
    numbers = dict(zip(factor_names(call), call.variables(), strict=True))
    if len(axes) == 1 and x.size == x.shape[axes[0]]:
        return call.elementwise(x, {"kind": "layer_norm", **numbers, "epsilon": epsilon})
    return _along(call, x, axes, epsilon, **numbers)


def _along(
    call: LayerCall,
    x: TensorRef,
    axes: list[int],
    epsilon: float,
    *,
    gamma: Array | None = None,
    beta: Array | None = None,
) -> TensorRef:
    last = range(-len(axes), 0)
    shape = tuple(x.shape[axis] for axis in axes)
    for numbers in (gamma, beta):
        if numbers is not None and numbers.shape != shape:
            raise UnsupportedError(f"has numbers of shape {list(numbers.shape)} for axes of {list(shape)}")
    moved = x.with_index(np.moveaxis(x.index, axes, last))
    done = call.graph.layer_norm(moved, len(axes), gamma, beta, epsilon)
    return done.with_index(np.moveaxis(done.index, last, axes))


def _by_variance(call: LayerCall, x: TensorRef, axes: list[int], epsilon: float) -> TensorRef:
    """Divide by the root of the variance, as Keras does with `rms_scaling`; the mean is not subtracted."""
    variance, _ = moments(call.graph, x, axes, keepdims=True)
    return call.graph.elementwise(f"x / sqrt(y + {epsilon!r})", x, variance)


def _scaled(call: LayerCall, x: TensorRef, axes: list[int], numbers: Array) -> TensorRef:
    """Multiply by numbers for each place along axes."""
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    return call.graph.scale_shift(x, numbers.reshape(shape), None)


def _rms_norm(call: LayerCall) -> TensorRef:
    axes = sorted(layer_axes(call))
    (scale,) = call.variables()
    return _scaled(call, rms_norm(call.graph, call.first, axes, call.number("epsilon", 1e-6)), axes, scale)


def _unit(call: LayerCall) -> TensorRef:
    return normalized(call, call.first, layer_axes(call), 2.0, _UNIT)


def _group_norm(call: LayerCall) -> TensorRef:
    """Normalize groups of channels, each with all places of its channels."""
    x = call.first
    axis = row_axis(call.integer("axis", -1), len(x.shape))
    channels = x.shape[axis]
    groups = call.integer("groups", 32)
    groups = channels if groups == -1 else groups
    if groups < 1 or channels % groups:
        raise UnsupportedError(f"has {groups} groups of {channels} channels")
    numbers = dict(zip(factor_names(call), call.variables(), strict=True))
    if any(array.shape != (channels,) for array in numbers.values()):
        raise UnsupportedError(f"has numbers of other shapes than [{channels}]")
    first = x.with_index(np.moveaxis(x.index, axis, 0))
    done = call.graph.group_norm(first, groups, call.number("epsilon", 1e-3))
    each = {name: array.reshape(-1, *[1] * (len(x.shape) - 1)) for name, array in numbers.items()}
    if each:
        done = call.graph.scale_shift(done, each.get("gamma"), each.get("beta"))
    return done.with_index(np.moveaxis(done.index, 0, axis))


def _operation(call: LayerCall) -> TensorRef:
    """Normalize by an operation of `keras.ops`, whose factors are constants."""
    given = [*call.arguments[1:], *call.options.values()]
    if any(part is not None for part in given):
        raise UnsupportedError("is given factors; multiply after it")
    axes, epsilon = sorted(row_axes(call, "axis")), call.number("epsilon", EPSILON)
    if call.kind == "RMSNorm":
        return rms_norm(call.graph, call.first, axes, epsilon)
    if call.boolean("rms_scaling", False):
        return _by_variance(call, call.first, axes, epsilon)
    return _along(call, call.first, axes, epsilon)


NORMALIZING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        "LayerNormalization": _layer_norm,
        "RMSNormalization": _rms_norm,
        "UnitNormalization": _unit,
        "GroupNormalization": _group_norm,
    }
)
"""Layers by class name."""

NORMALIZATIONS: Final[Mapping[str, LayerReader]] = MappingProxyType(dict.fromkeys(("LayerNorm", "RMSNorm"), _operation))
"""Operations by class name."""
