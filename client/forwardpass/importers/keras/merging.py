"""Layers and operations of several tensors, or of one tensor and numbers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width, row_axis
from forwardpass.importers.unsupported import UnsupportedError

_MERGES: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "sum", "Multiply": "multiply", "Average": "mean", "Maximum": "max"}
)


def _merge(call: LayerCall) -> TensorRef:
    return _together(call, call.inputs, _MERGES[call.kind])


def _subtract(call: LayerCall) -> TensorRef:
    first, second = _pair(call)
    return _together(call, [first, _negative(call, second)], "sum")


def _minimum(call: LayerCall) -> TensorRef:
    """Compute the minimum as the negative maximum of the negatives."""
    turned = [_negative(call, values) for values in call.inputs]
    return _negative(call, _together(call, turned, "max"))


def _concatenate(call: LayerCall) -> TensorRef:
    several = call.inputs
    axis = row_axis(call.integer("axis", -1), len(several[0].shape))
    check_width(sum(values.size for values in several))
    try:
        return call.graph.concatenate(several, axis)
    except ValueError as error:
        raise UnsupportedError(f"puts tensors side by side that do not fit: {error}") from None


def _together(call: LayerCall, several: list[TensorRef], merge: str) -> TensorRef:
    if len(several) == 1:
        return several[0]
    try:
        shape = np.broadcast_shapes(*(values.shape for values in several))
    except ValueError:
        shapes = ", ".join(str(list(values.shape)) for values in several)
        raise UnsupportedError(f"merges tensors of {shapes}, which do not fit") from None
    check_width(int(np.prod(shape)))
    spread = [values.with_index(np.broadcast_to(values.index, shape)) for values in several]
    first = spread[0]
    if all(call.graph.is_permutation(values) and np.array_equal(values.index, first.index) for values in spread):
        nodes = [call.graph.nodes_of(values.sources[0]) for values in spread]
        return call.layer(nodes, merge=merge, **PASS).with_index(first.index)
    return call.layer(spread, merge=merge, **PASS).reshape(*shape)


def _negative(call: LayerCall, values: TensorRef) -> TensorRef:
    return call.elementwise(values, {"kind": "scale_shift", "scale": -np.ones(values.size)}, hint="_minus")


def _pair(call: LayerCall) -> list[TensorRef]:
    several = call.inputs
    if len(several) != 2:
        raise UnsupportedError(f"is given {len(several)} tensors; two are needed")
    return several


MERGING: Final[Mapping[str, Callable[[LayerCall], TensorRef]]] = MappingProxyType(
    {**dict.fromkeys(_MERGES, _merge), "Subtract": _subtract, "Minimum": _minimum}
    | dict.fromkeys(("Concatenate", "TFDConcat"), _concatenate)
)
"""By class; operations such as `+` have the same class names."""


def _arithmetic(call: LayerCall) -> TensorRef:
    """Combine a tensor with a number, or two tensors."""
    constants = [value for value in call.arguments if isinstance(value, int | float)]
    if not constants:
        if call.kind not in MERGING:
            raise UnsupportedError(f"of two tensors is not supported; {', '.join(MERGING)} are")
        return MERGING[call.kind](call)
    if len(call.arguments) != 2 or len(call.inputs) != 1:
        raise UnsupportedError("is given other things than a tensor and a number")
    number, values = float(constants[0]), call.inputs[0]
    is_first = isinstance(call.arguments[0], TensorRef)
    known = _WITH_NUMBER.get((call.kind, is_first))
    if known is None:
        raise UnsupportedError("of a number and a tensor in this order is not supported")
    scale, shift = known(number)
    parts = {key: np.full(values.size, part) for key, part in (("scale", scale), ("shift", shift)) if part is not None}
    return call.elementwise(values, {"kind": "scale_shift", **parts})


_WITH_NUMBER: Final[Mapping[tuple[str, bool], Callable[[float], tuple[Any, Any]]]] = MappingProxyType(
    {
        ("Add", True): lambda number: (None, number),
        ("Add", False): lambda number: (None, number),
        ("Subtract", True): lambda number: (None, -number),
        ("Subtract", False): lambda number: (-1.0, number),
        ("Multiply", True): lambda number: (number, None),
        ("Multiply", False): lambda number: (number, None),
        ("TrueDivide", True): lambda number: (1 / number if number else np.inf, None),
        ("Divide", True): lambda number: (1 / number if number else np.inf, None),
    }
)
"""Scale and shift of a tensor, by the operation's class and whether the tensor comes first."""


def _minus(call: LayerCall) -> TensorRef:
    return _negative(call, call.input)


ARITHMETIC: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(("Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Maximum", "Minimum"), _arithmetic),
        "Concatenate": _concatenate,
        "Negative": _minus,
    }
)
"""Operations by class."""
