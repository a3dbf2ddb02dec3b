"""Layers with weights: dense layers, embeddings, and normalizations by constants."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.operations import MAX_REPEATED_WEIGHTS
from forwardpass.importers.keras.activations import activated, activation_of
from forwardpass.importers.keras.layer_call import (
    LayerCall,
    LayerReader,
    along,
    by_node,
    check_width,
    factor_names,
    row_axis,
)
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array


def _dense(call: LayerCall) -> TensorRef:
    """Multiply the last axis by the kernel, at each place of the other axes."""
    values = call.input
    call.require("quantization_config", None, "has rounded weights; save the model before it is quantized")
    kernel, *bias = call.variables()
    if kernel.ndim != 2 or kernel.shape[0] != values.shape[-1]:
        raise UnsupportedError(f"has a kernel of shape {list(kernel.shape)} for values of {list(values.shape)}")
    units, times = kernel.shape[1], values.size // values.shape[-1]
    check_width(units * times)
    activation = call.config.get("activation")
    if times > 1 and units * values.size * times > MAX_REPEATED_WEIGHTS:
        computed = call.graph.dense(values, kernel.T, bias[0] if bias else None)
        return activated(call, computed, activation)
    document: dict[str, Any] = {"weights": np.kron(np.eye(times), kernel.T) if times > 1 else kernel.T}
    if times == 1 and call.graph.is_permutation(values):
        document["weights"] = by_node(values, kernel.T)
        values = call.graph.nodes_of(values.sources[0])
    if bias:
        document["bias"] = np.tile(bias[0], times)
    spec = None if activation == "glu" else activation_of(activation)
    shape = (*values.shape[:-1], units)
    if spec is None or (times > 1 and not isinstance(spec, dict)):
        computed = call.layer(values, units * times, **document).reshape(*shape)
        return activated(call, computed, activation)
    return call.layer(values, units * times, **document, activation=spec).reshape(*shape)


def _embedding(call: LayerCall) -> TensorRef:
    values = call.input
    call.require("quantization_config", None, "has rounded weights; save the model before it is quantized")
    (table,) = call.variables()
    if table.ndim != 2:
        raise UnsupportedError(f"has a table of shape {list(table.shape)}")
    for place in range(values.size):
        call.constraints.restrict(values, place, np.arange(float(len(table))))
    size = table.shape[1]
    check_width(values.size * size)
    return call.layer(values, values.size * size, kind="embedding", table=table).reshape(*values.shape, size)


def _batch_norm(call: LayerCall) -> TensorRef:
    values = call.input
    call.require("renorm", False, "is not supported; train it without")
    axis = row_axis(call.integer("axis", -1), len(values.shape))
    *learned, mean, variance = call.variables()
    numbers = {"mean": mean, "variance": variance, **dict(zip(factor_names(call), learned, strict=True))}
    spread = {name: along(values, array, axis) for name, array in numbers.items()}
    epsilon = call.number("epsilon", 1e-3)
    return call.elementwise(values, {"kind": "batch_norm", **spread, "epsilon": epsilon})


def _normalization(call: LayerCall) -> TensorRef:
    """Compute `(x - mean) / max(sqrt(variance), 1e-7)`, with given or adapted statistics."""
    values = call.input
    given = call.config.get("mean")
    if given is None:
        mean, variance = call.variables()[:2]
    else:
        mean, variance = (_numbers(call.config.get(key)) for key in ("mean", "variance"))
    axes = call.config.get("axis", [-1])
    axes = [axes] if isinstance(axes, int) else list(axes or ())
    if len(axes) > 1:
        raise UnsupportedError("has a mean for places of several axes; one axis, or none, is read")
    mean, variance = (_spread(values, part, axes) for part in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if call.boolean("invert", False):
        return call.elementwise(values, {"kind": "scale_shift", "scale": deviation, "shift": mean})
    if call.constraints.standardize(values, mean, deviation):
        return values
    moved = call.elementwise(values, {"kind": "scale_shift", "shift": -mean}, hint="_mean")
    return call.elementwise(moved, {"kind": "scale_shift", "scale": 1 / deviation})


def _spread(values: TensorRef, numbers: Array, axes: list[int]) -> Array:
    """Return a number for each value, from one number or one for each place of an axis."""
    if not axes or numbers.size == 1:
        return np.full(values.size, numbers.item())
    return along(values, numbers.ravel(), row_axis(axes[0], len(values.shape)))


def _rescaling(call: LayerCall) -> TensorRef:
    values = call.input
    parts = {}
    for key, setting, default in (("scale", "scale", 1.0), ("shift", "offset", 0.0)):
        numbers = _numbers(call.config.get(setting, default))
        parts[key] = np.full(values.size, numbers.item()) if numbers.size == 1 else along(values, numbers.ravel())
    return call.elementwise(values, {"kind": "scale_shift", **parts})


def _numbers(value: object) -> Array:
    try:
        numbers: Array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UnsupportedError(f"has {value!r} where numbers are needed") from None
    return numbers


WEIGHTED: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        "Dense": _dense,
        "Embedding": _embedding,
        "BatchNormalization": _batch_norm,
        "Normalization": _normalization,
        "Rescaling": _rescaling,
    }
)
"""By class name."""
