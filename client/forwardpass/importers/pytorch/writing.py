"""Operations that write into a tensor, in the form without side effects that `torch.export` gives them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.pytorch.along_axis import multiply_along
from forwardpass.importers.pytorch.constants import array_of
from forwardpass.importers.pytorch.elementwise import add, join, where
from forwardpass.importers.pytorch.reshaping import all_tensors, end_of_slice, unsqueeze
from forwardpass.importers.pytorch.rows_axis import MIXES, arranged, whole
from forwardpass.importers.unsupported import UnsupportedError


def _written(graph: LayerOperations, x: Any, value: Any, slot: tuple[Any, ...]) -> TensorRef:
    """Put a tensor or constant, of as many axes, at places of another one."""
    target, source = (whole(each) for each in all_tensors(graph, [x, value]))
    if target.from_right != source.from_right:
        raise UnsupportedError(MIXES)
    sources, (index, given) = graph.side_by_side([target.tensor, source.tensor])
    index = index.copy()
    index[slot] = given
    return arranged(TensorRef(sources=sources, index=index), index, target.rows, target.before, target.after)


def _rank(x: Any) -> int:
    return whole(x).rank if isinstance(x, TensorRef) else array_of(x).ndim


def _cut(x: Any, dim: int, part: Any) -> tuple[Any, ...]:
    axis = dim % _rank(x)
    if isinstance(x, TensorRef):
        whole(x).axis(axis)
    return tuple(part if place == axis else slice(None) for place in range(_rank(x)))


def slice_scatter(
    graph: LayerOperations, x: Any, value: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """Write into a slice of an axis; into all rows, that is the value itself."""
    end = end_of_slice(end)
    if (start or 0, end, step) == (0, None, 1):
        return value
    return _written(graph, x, value, _cut(x, dim, slice(start, end, step)))


def select_scatter(graph: LayerOperations, x: Any, value: Any, dim: int, index: int) -> TensorRef:
    """Write into one place of an axis."""
    axis = dim % _rank(x)
    wide = unsqueeze(graph, value, axis) if isinstance(value, TensorRef) else np.expand_dims(array_of(value), axis)
    place = index % (whole(x).index.shape[axis] if isinstance(x, TensorRef) else array_of(x).shape[axis])
    return _written(graph, x, wide, _cut(x, axis, slice(place, place + 1)))


def copy(graph: LayerOperations, x: Any, value: Any, *_: Any) -> Any:
    """Return a value in the shape of what it is written into."""
    if isinstance(value, TensorRef):
        known = whole(value)
        shape = whole(x).index.shape if isinstance(x, TensorRef) else array_of(x).shape
        return known.like(known.tensor.with_index(np.broadcast_to(known.index, shape)))
    return np.broadcast_to(array_of(value), whole(x).index.shape)


def index_put(
    graph: LayerOperations, x: Any, indices: Sequence[Any], value: Any, accumulate: bool = False
) -> TensorRef:
    """Write where a mask holds, or at constant places of an axis."""
    masks = [part for part in indices if part is not None]
    if accumulate or len(masks) != 1:
        raise UnsupportedError("adds at places, or writes at pairs of them; use `torch.where` instead")
    (mask,) = masks
    if isinstance(mask, TensorRef):
        if len(indices) != 1 or _rank(mask) != _rank(x) or _rank(value) != 0:
            raise UnsupportedError("writes different numbers where a mask holds; use `torch.where` instead")
        return join(graph, where, mask, value, x)
    places = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    if places.ndim != 1:
        raise UnsupportedError("writes at places of several axes; use `torch.cat` of the parts instead")
    slot = _cut(x, len(indices) - 1, np.flatnonzero(places) if places.dtype == bool else places.astype(np.int64))
    shape = np.broadcast_to(np.empty([1] * _rank(value)), [1] * _rank(x)).shape
    wide = value if isinstance(value, TensorRef) else array_of(value).reshape(*shape[_rank(value) :], *np.shape(value))
    return _written(graph, x, wide, slot)


def index_add(graph: LayerOperations, x: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> TensorRef:
    """Add the slices of a tensor to those at constant places of an axis."""
    if isinstance(index, TensorRef) or not isinstance(source, TensorRef):
        raise UnsupportedError("adds at places that are computed; multiply by `functional.one_hot` of them instead")
    known = whole(source)
    axis = known.axis(dim)
    length = (whole(x).index if isinstance(x, TensorRef) else array_of(x)).shape[axis]
    weights = (np.arange(length)[:, np.newaxis] == array_of(index)) * float(alpha)
    total = multiply_along(graph, source, axis, weights)
    if not isinstance(x, TensorRef) and not array_of(x).any():
        return total
    return join(graph, add, x, total)


WRITING: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "slice_scatter": slice_scatter,
        "select_scatter": select_scatter,
        "copy": copy,
        "index_put": index_put,
        "index_add": index_add,
        "fill": copy,
    }
)
"""The function for each operation, by its name in torch."""
