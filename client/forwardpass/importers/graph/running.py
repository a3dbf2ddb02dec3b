"""Operations along an axis whose elements depend on those before them, or on their order."""

from math import ceil, log2
from typing import Final

import numpy as np

from forwardpass.importers.graph.operations import LayerOperations
from forwardpass.importers.graph.tensor_ref import TensorRef
from forwardpass.importers.unsupported import UnsupportedError

MAX_SORTED: Final = 16
"""The most elements that are sorted by layers, of which each needs two."""

_MAX_RUNNING: Final = 131_072
"""The most elements of all steps of one running sum."""

_FIRST: Final = {"sum": 0.0, "multiply": 1.0}
"""What a running sum or product begins with."""


def accumulate(
    graph: LayerOperations, x: TensorRef, axis: int, merge: str, *, reverse: bool = False, exclusive: bool = False
) -> TensorRef:
    """Return the running `sum` or `multiply` along an axis, in steps that double (Hillis & Steele, 1986).

    Args:
        graph: The builder.
        x: The tensor.
        axis: The axis, not negative.
        merge: The merge.
        reverse: Whether the last element comes first.
        exclusive: Whether an element is left out of its own sum.
    """
    moved = graph.without_pending(x.with_index(np.moveaxis(x.index, axis, -1)))
    length = moved.shape[-1]
    steps = ceil(log2(length)) if length > 1 else 0
    if x.size * steps > _MAX_RUNNING:
        raise UnsupportedError(
            f"runs over {x.size:,} elements in {steps} steps, a layer for each; at most {_MAX_RUNNING:,} elements of "
            "all steps are read"
        )
    if reverse:
        moved = moved.with_index(moved.index[..., ::-1])
    if exclusive:
        first = graph.constants(moved, np.full((*moved.shape[:-1], 1), _FIRST[merge]))
        moved = graph.concatenate([first, moved.take(range(length - 1), -1)], -1)
    step = 1
    while step < length:
        parts = [moved.take(range(step, length), -1), moved.take(range(length - step), -1)]
        for part in parts:
            graph.check_size(part.size)
        joined = graph.merge(parts, merge)
        moved = graph.concatenate([moved.take(range(step), -1), joined], -1)
        step *= 2
    if reverse:
        moved = moved.with_index(moved.index[..., ::-1])
    return moved.with_index(np.moveaxis(moved.index, -1, axis))


def sort_along(graph: LayerOperations, x: TensorRef, axis: int) -> TensorRef:
    """Sort the few elements along an axis, ascending, by exchanges of neighbours (odd-even transposition)."""
    moved = x.with_index(np.moveaxis(x.index, axis, -1))
    length = moved.shape[-1]
    if length > MAX_SORTED:
        raise UnsupportedError(f"sorts {length} elements; at most {MAX_SORTED} are sorted by layers")
    for start in (turn % 2 for turn in range(length)):
        pairs = range(start, length - 1, 2)
        if not pairs:
            continue
        low, high = moved.take(pairs, -1), moved.take([place + 1 for place in pairs], -1)
        less, more = graph.elementwise("min(x, y)", low, high), graph.elementwise("max(x, y)", low, high)
        end = start + 2 * len(pairs)
        both = graph.stack([less, more], -1)
        both = both.reshape(*both.shape[:-2], -1)
        ends = [moved.take(range(start), -1), both, moved.take(range(end, length), -1)]
        moved = graph.concatenate([part for part in ends if part.size], -1)
    return moved.with_index(np.moveaxis(moved.index, -1, axis))
