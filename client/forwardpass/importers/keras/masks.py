"""Masks of steps, which Keras hands from layer to layer beside the tensors.

A mask is computed where a layer reads it: 1 for a step that counts, else 0. Which layers hand it on, and how, is as
`compute_mask` of each layer of Keras has it.
"""

from collections.abc import Callable, Mapping
from functools import cache, reduce
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from forwardpass.importers.graph import TensorRef, reduce_axes
from forwardpass.importers.keras.layer_call import LayerCall, row_axis
from forwardpass.importers.unsupported import UnsupportedError

Mask: TypeAlias = Callable[[], TensorRef]
"""Computes a mask, once."""

_KEEP: Final = frozenset(
    {
        *("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization"),
        *("SpatialDropout2D", "SpatialDropout3D", "Normalization", "Rescaling"),
        *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "Dense", "Identity", "BatchNormalization"),
        *("LayerNormalization", "GroupNormalization", "UnitNormalization", "TimeDistributed"),
        *("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention", "Attention", "AdditiveAttention"),
    }
)
"""The layers whose output has the mask of their first input."""

_MERGES: Final = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"})


def mask_after(call: LayerCall) -> Mask | None:
    """Return the mask of the output of a layer, or None."""
    if call.kind in _OWN and (own := _OWN[call.kind](call)) is not None:
        return cache(own)
    if call.kind in _KEEP:
        return call.masks[0] if call.masks else None
    if call.kind in _MERGES and call.masks and all(mask is not None for mask in call.masks):
        return cache(
            lambda: reduce(lambda one, other: _either(call, one, other), [mask() for mask in call.masks if mask])
        )
    if call.kind == "Concatenate" and any(mask is not None for mask in call.masks):
        return cache(lambda: _of_joined(call))
    return None


def _either(call: LayerCall, one: TensorRef, other: TensorRef) -> TensorRef:
    return call.graph.elementwise("where(x != 0 or y != 0, 1, 0)", one, other)


def _of_joined(call: LayerCall) -> TensorRef:
    """Return whether any element of the last axis counts."""
    parts = []
    for x, mask in zip(call.inputs, call.masks, strict=True):
        known = call.graph.constants(x, np.ones(x.shape)) if mask is None else mask()
        index = known.index[..., None] if len(known.shape) < len(x.shape) else known.index
        parts.append(known.with_index(np.broadcast_to(index, x.shape)))
    rank = len(parts[0].shape)
    joined = call.graph.concatenate(parts, row_axis(call.integer("axis", -1), rank))
    return reduce_axes(call.graph, joined, [rank - 1], "max")


def _of_embedding(call: LayerCall) -> Mask | None:
    if not call.boolean("mask_zero", False):
        return None
    return lambda: call.graph.function(call.input, "where(x != 0, 1, 0)")


def _of_masking(call: LayerCall) -> Mask:
    return lambda: counted_steps(call)


def counted_steps(call: LayerCall) -> TensorRef:
    """Return the mask of `Masking`: whether any number of a step is another one than that which masks."""
    x, value = call.input, call.number("mask_value", 0.0)
    other = call.graph.function(x, "where(x != value, 1, 0)", value=value)
    return reduce_axes(call.graph, other, [len(x.shape) - 1], "max")


def masking(call: LayerCall) -> TensorRef:
    """Replace all numbers of the steps that do not count by 0."""
    counts = counted_steps(call)
    return call.graph.elementwise("where(y != 0, x, 0)", call.input, counts.with_index(counts.index[..., None]))


_OWN: Final[Mapping[str, Callable[[LayerCall], Mask | None]]] = MappingProxyType(
    {"Embedding": _of_embedding, "Masking": _of_masking}
)


def reject_mask(call: LayerCall) -> None:
    """Reject a layer whose steps are masked.

    Raises:
        UnsupportedError: They are.
    """
    if any(mask is not None for mask in call.masks):
        raise UnsupportedError(
            "leaves out the steps that a mask names, which is not supported; send sequences of one length, and build "
            "the model with mask_zero=False and without Masking"
        )
