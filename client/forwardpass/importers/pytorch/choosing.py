"""Operations that choose by whole numbers: which bucket a number is in, and the elements at computed places."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef, reduce_axes
from forwardpass.importers.pytorch.constants import array_of, one_row
from forwardpass.importers.pytorch.rows_axis import aligned, arranged, whole
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array


def bucketize(graph: LayerOperations, x: TensorRef, boundaries: Any, *, right: bool = False, **_: Any) -> TensorRef:
    """Count the boundaries below each number, or with `right` those not above it."""
    if isinstance(boundaries, TensorRef) or array_of(boundaries).ndim != 1:
        raise UnsupportedError("needs boundaries that are one list of constants")
    known = array_of(boundaries)
    if right:
        found = _not_above(graph, x, known)
    else:  # all but the boundaries that are not below it
        above = _not_above(graph, graph.activation(x, {"expression": "-x"}), -known[::-1])
        found = graph.scale_shift(above, np.array(-1.0), np.array(float(len(known))))
    graph.whole.note_computed(found, len(known) + 1)
    return found


def _not_above(graph: LayerOperations, x: TensorRef, boundaries: Array) -> TensorRef:
    """Count the boundaries that are not above each number; some may be equal."""
    distinct, times = np.unique(boundaries, return_counts=True)
    found = graph.by_element(x, kind="bucketize", boundaries=distinct.tolist())
    if len(distinct) == len(boundaries):
        return found
    graph.whole.note_computed(found, len(distinct) + 1)
    counts = np.concatenate([[0], np.cumsum(times)]).astype(float)
    return graph.embedding(found, counts[:, np.newaxis]).reshape(*x.shape)


def searchsorted(
    graph: LayerOperations, boundaries: Any, x: Any, *, right: bool = False, side: str | None = None, **_: Any
) -> TensorRef:
    """Find the place of each number among boundaries."""
    if not isinstance(x, TensorRef):
        raise UnsupportedError("needs boundaries that are one list of constants")
    return bucketize(graph, x, boundaries, right=right or side == "right")


def gather(graph: LayerOperations, x: Any, dim: int, index: Any, **_: Any) -> TensorRef:
    """Take the element of an axis at each place of an index: constant, or computed with known bounds."""
    if not isinstance(x, TensorRef):
        raise UnsupportedError("takes numbers of a constant; index it, `constant[places]`")
    known = whole(x)
    axis = known.axis(dim)
    if not isinstance(index, TensorRef):
        places = one_row(array_of(index), known.rows).astype(np.int64)
        if places.ndim != known.rank or places.shape[known.rows] != 1:
            raise UnsupportedError("takes other places of each row; give all rows the same, or compute them")
        trimmed = known.index[_as_far_as(places.shape, axis)]
        return known.arranged(np.take_along_axis(trimmed, places, axis))
    from_right, before, after = aligned([x, index])
    chosen = whole(index)
    if chosen.rank != known.rank:
        raise UnsupportedError(f"takes places of {chosen.rank} axes from a tensor with {known.rank}")
    length, shape = known.index.shape[axis], chosen.index.shape
    hot = graph.one_hot(chosen.tensor, length)
    options = np.moveaxis(known.index[_as_far_as(shape, axis)], axis, -1)
    options = np.broadcast_to(np.expand_dims(options, axis), (*shape, length))
    of_chosen = graph.elementwise("where(x != 0, y, 0)", hot, known.tensor.with_index(options))
    taken = reduce_axes(graph, of_chosen, [len(shape)], "sum")
    return arranged(taken, taken.index, len(shape) - from_right, before, after)


def _as_far_as(shape: tuple[int, ...], axis: int) -> tuple[slice, ...]:
    """Return the part of a tensor that an index of a shape chooses from: all along one axis."""
    return tuple(slice(None) if place == axis else slice(size) for place, size in enumerate(shape))


def take_along_dim(graph: LayerOperations, x: Any, indices: Any, dim: Any = None, **_: Any) -> TensorRef:
    """Take the element of an axis at each place of an index that has the tensor's other axes."""
    if dim is None:
        raise UnsupportedError("takes places of all rows; name the axis, `dim=1`")
    return gather(graph, x, dim, indices)


CHOOSING: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"bucketize": bucketize, "searchsorted": searchsorted, "gather": gather, "take_along_dim": take_along_dim}
)
"""The function for each operation, by its name in torch."""
