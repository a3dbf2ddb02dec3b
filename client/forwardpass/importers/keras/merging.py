"""Layers and operations of several tensors, or of one tensor and numbers."""

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.arithmetic import combine
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width, row_axis
from forwardpass.importers.unsupported import UnsupportedError

_MERGES: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "sum", "Multiply": "multiply", "Average": "mean", "Maximum": "max"}
)
_OPERATORS: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "add", "Subtract": "sub", "Multiply": "mul", "TrueDivide": "div", "Divide": "div"}
    | {"Maximum": "max", "Minimum": "min"}
)
"""The operator of the graph for each class."""


def _merge(call: LayerCall) -> TensorRef:
    several = call.inputs
    return several[0] if len(several) == 1 else call.graph.merge(several, _MERGES[call.kind])


def _subtract(call: LayerCall) -> TensorRef:
    several = call.inputs
    if len(several) != 2:
        raise UnsupportedError(f"is given {len(several)} tensors; two are needed")
    return combine(call.graph, "sub", *several)


def _minimum(call: LayerCall) -> TensorRef:
    return reduce(lambda one, other: combine(call.graph, "min", one, other), call.inputs)


def _concatenate(call: LayerCall) -> TensorRef:
    several = call.inputs
    axis = row_axis(call.integer("axis", -1), len(several[0].shape))
    check_width(sum(values.size for values in several))
    try:
        return call.graph.concatenate(several, axis)
    except ValueError as error:
        raise UnsupportedError(f"puts tensors side by side that do not fit: {error}") from None


MERGING: Final[Mapping[str, Callable[[LayerCall], TensorRef]]] = MappingProxyType(
    {**dict.fromkeys(_MERGES, _merge), "Subtract": _subtract, "Minimum": _minimum}
    | dict.fromkeys(("Concatenate", "TFDConcat"), _concatenate)
)
"""By class; operations such as `+` have the same class names."""


def _arithmetic(call: LayerCall) -> TensorRef:
    """Combine a tensor with a number, or two tensors."""
    operands = [np.array(value, np.float64) if isinstance(value, int | float) else value for value in call.arguments]
    tensors = [value for value in operands if isinstance(value, TensorRef)]
    if len(tensors) == len(operands) and call.kind in MERGING:
        return MERGING[call.kind](call)
    if len(operands) != 2 or not tensors or not all(isinstance(value, TensorRef | np.ndarray) for value in operands):
        raise UnsupportedError("is given other things than tensors and a number")
    return combine(call.graph, _OPERATORS[call.kind], operands[0], operands[1])


def _minus(call: LayerCall) -> TensorRef:
    return call.graph.function(call.input, "-x")


ARITHMETIC: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(_OPERATORS, _arithmetic),
        "Concatenate": _concatenate,
        "Negative": _minus,
    }
)
"""Operations by class."""
