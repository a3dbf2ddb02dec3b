"""Dense layers, embeddings and normalizations: what has weights."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.drafts import Values
from forwardpass.importers.keras.activations import activated, activation_of
from forwardpass.importers.keras.refused import Refused
from forwardpass.importers.keras.step import Read, Step, along, check_width, row_axis
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array


def _dense(step: Step) -> Values:
    """Multiply the last axis with the kernel, as often as there are other places."""
    values = step.values
    step.only("quantization_config", None, "has rounded weights; save the model before it is quantized")
    kernel, *bias = step.variables()
    if kernel.ndim != 2 or kernel.shape[0] != values.shape[-1]:
        raise Refused(f"has a kernel of shape {list(kernel.shape)} for values of {list(values.shape)}")
    units, times = kernel.shape[1], values.width // values.shape[-1]
    check_width(units * times)
    if units * values.width * times > DEFAULT_LIMITS.max_parameters:
        raise Refused(f"works on {times} places of a row, which are too many weights; put Flatten before it")
    document: dict[str, Any] = {"weights": np.kron(np.eye(times), kernel.T) if times > 1 else kernel.T}
    if bias:
        document["bias"] = np.tile(bias[0], times)
    activation = step.config.get("activation")
    spec = activation_of(activation)
    shape = (*values.shape[:-1], units)
    if times > 1 and not isinstance(spec, dict):
        computed = step.layer(values, units * times, **document).reshaped(*shape)
        return activated(step, computed, activation)
    return step.layer(values, units * times, **document, activation=spec).reshaped(*shape)


def _embedding(step: Step) -> Values:
    values = step.values
    step.only("quantization_config", None, "has rounded weights; save the model before it is quantized")
    step.only("mask_zero", False, "leaves out what is 0 in layers that follow, which is not read; use mask_zero=False")
    (table,) = step.variables()
    if table.ndim != 2:
        raise Refused(f"has a table of shape {list(table.shape)}")
    for place in range(values.width):
        step.notes.limit(values, place, np.arange(float(len(table))))
    size = table.shape[1]
    check_width(values.width * size)
    return step.layer(values, values.width * size, kind="embedding", table=table).reshaped(*values.shape, size)


def _batch_norm(step: Step) -> Values:
    values = step.values
    step.only("renorm", False, "is not read; train it without")
    axis = row_axis(step.whole("axis", -1), len(values.shape))
    *learned, mean, variance = step.variables()
    names = [name for name, key in (("gamma", "scale"), ("beta", "center")) if step.flag(key, True)]
    numbers = {"mean": mean, "variance": variance, **dict(zip(names, learned, strict=True))}
    spread = {name: along(values, array, axis) for name, array in numbers.items()}
    epsilon = step.number("epsilon", 1e-3)
    return step.each(values, {"kind": "batch_norm", **spread, "epsilon": epsilon})


def _layer_norm(step: Step) -> Values:
    values = step.values
    step.only("rms_scaling", False, "is not read; LayerNormalization without it is")
    if row_axis(step.whole("axis", -1), len(values.shape)) != len(values.shape) - 1 or values.width != values.shape[-1]:
        raise Refused("works on parts of a row; on a whole row it is read")
    names = [name for name, key in (("gamma", "scale"), ("beta", "center")) if step.flag(key, True)]
    numbers = dict(zip(names, step.variables(), strict=True))
    return step.each(values, {"kind": "layer_norm", **numbers, "epsilon": step.number("epsilon", 1e-3)})


def _normalization(step: Step) -> Values:
    """Compute (x - mean) / max(sqrt(variance), 1e-7), with what the layer was given or adapted to."""
    values = step.values
    given = step.config.get("mean")
    if given is None:
        mean, variance = step.variables()[:2]
    else:
        mean, variance = (_numbers(step.config.get(key)) for key in ("mean", "variance"))
    axes = step.config.get("axis", [-1])
    axes = [axes] if isinstance(axes, int) else list(axes or ())
    if len(axes) > 1:
        raise Refused("has a mean for places of several axes; one axis, or none, is read")
    mean, variance = (_spread(values, part, axes) for part in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if step.flag("invert", False):
        return step.each(values, {"kind": "scale_shift", "scale": deviation, "shift": mean})
    if step.notes.standardize(values, mean, deviation):
        return values
    moved = step.each(values, {"kind": "scale_shift", "shift": -mean}, hint="_mean")
    return step.each(moved, {"kind": "scale_shift", "scale": 1 / deviation})


def _spread(values: Values, numbers: Array, axes: list[int]) -> Array:
    """Return a number for each value, of those for each place of one axis, or of a single one."""
    if not axes or numbers.size == 1:
        return np.full(values.width, numbers.item())
    return along(values, numbers.ravel(), row_axis(axes[0], len(values.shape)))


def _rescaling(step: Step) -> Values:
    values = step.values
    parts = {}
    for key, setting, default in (("scale", "scale", 1.0), ("shift", "offset", 0.0)):
        numbers = _numbers(step.config.get(setting, default))
        parts[key] = np.full(values.width, numbers.item()) if numbers.size == 1 else along(values, numbers.ravel())
    return step.each(values, {"kind": "scale_shift", **parts})


def _numbers(value: object) -> Array:
    try:
        numbers: Array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise Refused(f"has {value!r} where numbers are read") from None
    return numbers


WEIGHTED: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "Dense": _dense,
        "Embedding": _embedding,
        "BatchNormalization": _batch_norm,
        "LayerNormalization": _layer_norm,
        "Normalization": _normalization,
        "Rescaling": _rescaling,
    }
)
"""By class."""
