"""Operators that normalize: by statistics of the training, or by those of a row's own elements."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.elementwise import applied
from forwardpass.importers.onnx.groups import grouped, reduced
from forwardpass.importers.onnx.merging import combined, layered
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.importers.onnx.step import Reader, Result, Step
from forwardpass.importers.onnx.values import Constant, Flow


def _batch(step: Step) -> Result:
    """`(X - mean) / sqrt(variance + epsilon) * scale + B`, by channels, which are axis 1."""
    flow = step.number_flow(0)
    if step.whole("training_mode", 0) or any(step.wanted[1:]):
        raise Refused("is in training mode; export the model for inference, as by `model.eval()`")
    if not step.whole("spatial", 1):
        raise Refused("has numbers for each element rather than each channel")
    rank = len(flow.shape)
    if rank < 2 or flow.rows not in {0, None}:
        raise Refused("needs its rows as axis 0, and channels as axis 1")
    names = ("gamma", "beta", "mean", "variance")
    channels = (-1, *(1,) * (rank - 2))
    numbers = {
        name: np.broadcast_to(step.constant(place).reshape(channels), flow.shape).ravel()
        for place, name in enumerate(names, start=1)
    }
    return layered(step, flow, kind="batch_norm", epsilon=_epsilon(step), **numbers)


def _epsilon(step: Step) -> float:
    """Return the attribute, which is a float32 in the file, as the decimal that was meant."""
    return float(str(np.float32(step.number("epsilon", 1e-5))))


def _layer(step: Step) -> Result:
    """Over all axes from one on; with the mean and inverse deviation where somebody reads them."""
    flow = step.number_flow(0)
    axis = step.axis(-1, len(flow.shape))
    axes = range(axis, len(flow.shape))
    numbers: dict[str, Any] = {
        name: np.broadcast_to(step.constant(place), flow.shape[axis:]).ravel()
        for place, name in enumerate(("gamma", "beta"), start=1)
        if step.has(place)
    }
    whole = grouped(step, flow, axes, kind="layer_norm", epsilon=_epsilon(step), **numbers)
    if not any(step.wanted[1:]):
        return whole
    mean = reduced(step, flow, axes, "mean")
    deviation = _joined(step, "Sub", flow, mean)
    variance = reduced(step, applied(step, deviation, "x * x"), axes, "mean")
    return whole, mean, applied(step, variance, "1 / sqrt(x + epsilon)", epsilon=_epsilon(step))


def _root_mean_square(step: Step) -> Result:
    """`X / sqrt(mean(X^2) + epsilon) * scale`, over all axes from one on."""
    flow = step.number_flow(0)
    axes = range(step.axis(-1, len(flow.shape)), len(flow.shape))
    square = reduced(step, applied(step, flow, "x * x"), axes, "mean")
    root = applied(step, square, "sqrt(x + epsilon)", epsilon=_epsilon(step))
    return combined(step, "Mul", _joined(step, "Div", flow, root), step.value(1))


def _to_length_one(step: Step) -> Result:
    """`X / norm(X)`, by the sum of sizes or the root of the sum of squares."""
    flow = step.number_flow(0)
    axes = [step.axis(-1, len(flow.shape))]
    return _over_norm(step, flow, axes, _NORMS["L1" if step.whole("p", 2) == 1 else "L2"])


def _normalizer(step: Step) -> Result:
    """Of ai.onnx.ml: over the last axis; a row of zeros stays as it is."""
    flow = step.number_flow(0)
    norm = step.attributes.get("norm", b"MAX").decode()
    if norm not in _NORMS:
        raise Refused(f"normalizes by {norm}; what is read are {', '.join(_NORMS)}")
    return _over_norm(step, flow, [len(flow.shape) - 1], _NORMS[norm])


_NORMS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {"L1": ("abs(x)", "sum", "x"), "L2": ("x * x", "sum", "sqrt(x)"), "MAX": ("x", "max", "x")}
)
"""What is computed of each element, how these are reduced, and what is computed of that."""


def _over_norm(step: Step, flow: Flow, axes: Sequence[int], norm: tuple[str, str, str]) -> Flow:
    each, reduce, last = norm
    whole = applied(step, reduced(step, applied(step, flow, each), axes, reduce), last)
    return _joined(step, "Div", flow, applied(step, step.draft.settle(whole, step.hint), "where(x == 0, 1, x)"))


def _joined(step: Step, op: str, one: Flow, other: Flow | Constant) -> Flow:
    joined = combined(step, op, one, other)
    return joined if isinstance(joined, Flow) else one


NORMALIZATION: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "BatchNormalization": _batch,
        "LayerNormalization": _layer,
        "RMSNormalization": _root_mean_square,
        "LpNormalization": _to_length_one,
    }
)
"""What reads each operator that normalizes."""

NORMALIZER: Final = _normalizer
