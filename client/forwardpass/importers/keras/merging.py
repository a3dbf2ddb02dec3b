"""Layers of several tensors."""

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Final

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.arithmetic import combine
from forwardpass.importers.keras.layer_call import LayerCall, check_broadcast, check_width, row_axis
from forwardpass.importers.unsupported import UnsupportedError

_MERGES: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "sum", "Multiply": "multiply", "Average": "mean", "Maximum": "max"}
)


def _merge(call: LayerCall) -> TensorRef:
    several = call.inputs
    check_broadcast(*(x.shape for x in several))
    return several[0] if len(several) == 1 else call.graph.merge(several, _MERGES[call.kind])


def _subtract(call: LayerCall) -> TensorRef:
    several = call.inputs
    if len(several) != 2:
        raise UnsupportedError(f"is given {len(several)} tensors; two are needed")
    check_broadcast(*(x.shape for x in several))
    return combine(call.graph, "sub", *several)


def _minimum(call: LayerCall) -> TensorRef:
    check_broadcast(*(x.shape for x in call.inputs))
    return reduce(lambda one, other: combine(call.graph, "min", one, other), call.inputs)


def concatenate(call: LayerCall) -> TensorRef:
    """Put tensors side by side along an axis."""
    several = call.inputs
    axis = row_axis(call.integer("axis", -1), len(several[0].shape))
    check_width(sum(values.size for values in several))
    try:
        return call.graph.concatenate(several, axis)
    except ValueError as error:
        raise UnsupportedError(f"puts tensors side by side that do not fit: {error}") from None


MERGING: Final[Mapping[str, Callable[[LayerCall], TensorRef]]] = MappingProxyType(
    {**dict.fromkeys(_MERGES, _merge), "Subtract": _subtract, "Minimum": _minimum}
    | dict.fromkeys(("Concatenate", "TFDConcat"), concatenate)
)
"""By class name."""
