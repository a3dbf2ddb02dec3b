"""Operations that only rearrange elements, done by numpy on the index; the rows may be any axis."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, LayerOperations, TensorRef
from forwardpass.importers.pytorch.constants import array_of, one_row
from forwardpass.importers.pytorch.integers import ROW_COUNT, IntegerRef, RowCount
from forwardpass.importers.pytorch.later_places import part_of
from forwardpass.importers.pytorch.rows_axis import MIXES, aligned, arranged, reshaped, whole
from forwardpass.importers.unsupported import UnsupportedError

_LARGE: Final = 2**62
"""A traced graph writes an open end of a slice as a number above this."""


def reshape(graph: LayerOperations, x: TensorRef, *shape: Any) -> TensorRef:
    """Give a tensor another shape: `view`, `reshape`."""
    requested = list(shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)
    if any(not isinstance(size, int | RowCount) for size in requested) or not requested:
        raise UnsupportedError(f"has a shape that depends on the rows: {requested}")
    return reshaped(x, requested, graph.batch)


def reshape_as(graph: LayerOperations, x: TensorRef, other: TensorRef) -> TensorRef:
    """Give a tensor the shape of another one."""
    return reshaped(x, _shape(other))


def flatten(graph: LayerOperations, x: TensorRef, start_dim: int = 0, end_dim: int = -1) -> TensorRef:
    """Flatten several axes into one."""
    known = whole(x)
    if not x.shape and start_dim in {1, -1}:
        raise UnsupportedError("flattens an axis that is not there")
    start, end = known.any_axis(start_dim), known.any_axis(end_dim)
    if start <= known.rows <= end:
        raise UnsupportedError(MIXES)
    shape = known.index.shape
    index = known.index.reshape(*shape[:start], -1, *shape[end + 1 :])
    return known.arranged(index, known.rows - (end - start if end < known.rows else 0))


def unflatten(graph: LayerOperations, x: TensorRef, dim: int, sizes: Sequence[int]) -> TensorRef:
    """Split one axis into several."""
    known = whole(x)
    axis, shape = known.axis(dim), known.index.shape
    index = known.index.reshape(*shape[:axis], *sizes, *shape[axis + 1 :])
    return known.arranged(index, known.rows + (len(sizes) - 1 if axis < known.rows else 0))


def squeeze(graph: LayerOperations, x: TensorRef, dim: int | Sequence[int] | None = None) -> TensorRef:
    """Remove axes of length 1."""
    known = whole(x)
    # Of one row PyTorch leaves out the axis of the rows too, which changes no number.
    named = [axis for axis in range(known.rank) if axis != known.rows] if dim is None else known.axes(dim)
    axes = tuple(axis for axis in named if known.index.shape[axis] == 1)
    return known.without(axes, known.index.squeeze(axes))


def unsqueeze(graph: LayerOperations, x: TensorRef, dim: int) -> TensorRef:
    """Add an axis of length 1."""
    known = whole(x)
    axis = known.any_axis(dim, new=1)
    return known.arranged(np.expand_dims(known.index, axis), known.rows + (axis <= known.rows))


def permute(graph: LayerOperations, x: TensorRef, *dims: Any) -> TensorRef:
    """Put the axes in another order."""
    known = whole(x)
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims
    order = [known.any_axis(dim) for dim in given]
    return known.arranged(known.index.transpose(order), order.index(known.rows))


def transpose(graph: LayerOperations, x: TensorRef, dim0: int, dim1: int) -> TensorRef:
    """Exchange two axes."""
    known = whole(x)
    order = list(range(known.rank))
    one, other = known.any_axis(dim0), known.any_axis(dim1)
    order[one], order[other] = other, one
    return permute(graph, x, order)


def turned(graph: LayerOperations, x: TensorRef) -> TensorRef:
    """Exchange the last two axes: `.mT`, and `.T` of a matrix."""
    return transpose(graph, x, -1, -2) if whole(x).rank > 1 else x


def movedim(graph: LayerOperations, x: TensorRef, source: Any, destination: Any) -> TensorRef:
    """Move axes to other places."""
    known = whole(x)
    pairs = zip(*([each] if isinstance(each, int) else list(each) for each in (source, destination)), strict=True)
    moved = {known.any_axis(to): known.any_axis(start) for start, to in pairs}
    left = iter([axis for axis in range(known.rank) if axis not in moved.values()])
    return permute(graph, x, [moved[place] if place in moved else next(left) for place in range(known.rank)])


def expand(graph: LayerOperations, x: TensorRef, *sizes: Any) -> TensorRef:
    """Repeat along axes of length 1."""
    known = whole(x)
    requested = list(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)
    new = len(requested) - known.rank
    inner = [size for place, size in enumerate(requested) if place != known.rows + new]
    if new < 0 or any(not isinstance(size, int) for size in inner):
        raise UnsupportedError(f"makes {requested} of rows of shape {list(x.shape)}")
    index = known.index.reshape((1,) * new + known.index.shape)
    shape = [
        length if place == known.rows + new or size == -1 else size
        for place, (size, length) in enumerate(zip(requested, index.shape, strict=True))
    ]
    return known.arranged(np.broadcast_to(index, shape), known.rows + new)


def expand_as(graph: LayerOperations, x: Any, other: TensorRef) -> Any:
    """Repeat a tensor to the shape of another one; constants broadcast anyway."""
    if not isinstance(x, TensorRef):
        return x
    aligned([x, other])
    return expand(graph, x, _shape(other))


def repeat(graph: LayerOperations, x: TensorRef, *sizes: Any) -> TensorRef:
    """Repeat each row's numbers."""
    known = whole(x)
    requested = list(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)
    new = len(requested) - known.rank
    if new < 0 or requested[known.rows + new] != 1:
        raise UnsupportedError(MIXES)
    index = np.tile(known.index.reshape((1,) * new + known.index.shape), requested)
    return known.arranged(index, known.rows + new)


def repeat_interleave(
    graph: LayerOperations, x: TensorRef, repeats: Any, dim: int | None = None, **_: Any
) -> TensorRef:
    """Repeat each element along an axis: all alike, or each by its own number of times."""
    known = whole(x)
    (axis,) = known.axes(dim)
    return known.arranged(np.repeat(known.index, array_of(repeats).astype(int), axis))


def broadcast_tensors(graph: LayerOperations, *tensors: Any) -> list[Any]:
    """Repeat tensors to their common shape."""
    parts = all_tensors(graph, tensors[0] if len(tensors) == 1 else tensors)
    aligned(parts)
    indices = np.broadcast_arrays(*(whole(part).index for part in parts))
    return [whole(part).arranged(index) for part, index in zip(parts, indices, strict=True)]


def new_full(graph: LayerOperations, x: TensorRef, *size: Any, value: float, **_: Any) -> Any:
    """Return a constant: a row of numbers that are all alike."""
    sizes = size[0] if len(size) == 1 and isinstance(size[0], tuple | list) else size
    return np.full([1 if isinstance(length, RowCount) else length for length in sizes], float(value))


def new_tensor(graph: LayerOperations, x: TensorRef, numbers: Any, **_: Any) -> Any:
    """Return a constant."""
    import torch

    return torch.as_tensor(numbers)


def flip(graph: LayerOperations, x: TensorRef, *dims: Any) -> TensorRef:
    """Reverse axes."""
    known = whole(x)
    named = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims
    return known.arranged(np.flip(known.index, known.axes(named)))


def roll(graph: LayerOperations, x: TensorRef, shifts: Any, dims: Any = None) -> TensorRef:
    """Rotate elements along axes."""
    known = whole(x)
    return known.arranged(np.roll(known.index, shifts, known.axes(dims)))


def split(graph: LayerOperations, x: TensorRef, split_size_or_sections: Any, dim: int = 0) -> tuple[TensorRef, ...]:
    """Split an axis into pieces of one size, or of the given sizes."""
    known, sizes = whole(x), split_size_or_sections
    axis = known.axis(dim)
    length = known.index.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    return tuple(map(known.arranged, np.split(known.index, np.cumsum(sizes)[:-1], axis)))


def chunk(graph: LayerOperations, x: TensorRef, chunks: int, dim: int = 0) -> tuple[TensorRef, ...]:
    """Split an axis into a number of pieces; the last may be smaller."""
    known = whole(x)
    return split(graph, x, -(-known.index.shape[known.axis(dim)] // chunks), dim)


def tensor_split(graph: LayerOperations, x: TensorRef, indices_or_sections: Any, dim: int = 0) -> tuple[TensorRef, ...]:
    """Split an axis into a number of pieces, or at indices."""
    known = whole(x)
    return tuple(map(known.arranged, np.array_split(known.index, indices_or_sections, known.axis(dim))))


def unbind(graph: LayerOperations, x: TensorRef, dim: int = 0) -> tuple[TensorRef, ...]:
    """Return the slice at each index of an axis."""
    known = whole(x)
    axis = known.axis(dim)
    return tuple(select(graph, x, axis, place) for place in range(known.index.shape[axis]))


def narrow(graph: LayerOperations, x: TensorRef, dim: int, start: int, length: int) -> TensorRef:
    """Return a piece of an axis."""
    return slice_(graph, x, dim, start, start + length)


def end_of_slice(end: Any) -> Any:
    """Return the end of a slice, None where it is open: also that after all rows, or after more than there can be."""
    if isinstance(end, RowCount):
        if end != ROW_COUNT:
            raise UnsupportedError(f"ends a slice after {end}; a network computes each row by itself")
        return None
    return None if end is None or end > _LARGE else end


def slice_(
    graph: LayerOperations, x: TensorRef, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> TensorRef:
    """Return a slice of an axis; a full slice of the rows changes nothing."""
    known = whole(x)
    end = end_of_slice(end)
    if known.any_axis(dim) == known.rows and (start or 0, end, step) == (0, None, 1):
        return x
    cut: list[Any] = [slice(None)] * known.rank
    cut[known.axis(dim)] = slice(start, end, step)
    return known.arranged(known.index[tuple(cut)])


def select(graph: LayerOperations, x: TensorRef, dim: int, index: Any) -> TensorRef:
    """Return the slice at one index of an axis."""
    known = whole(x)
    axis = known.axis(dim)
    return known.without([axis], np.take(known.index, int(index), axis))


def index_select(graph: LayerOperations, x: TensorRef, dim: int, index: Any) -> TensorRef:
    """Return the slices at some indices of an axis."""
    known = whole(x)
    return known.arranged(np.take(known.index, _places(index), known.axis(dim)))


def index(graph: LayerOperations, x: TensorRef, indices: Sequence[Any]) -> TensorRef:
    """Index a tensor, as a traced graph writes `x[:, indices]`."""
    if not isinstance(x, TensorRef) and all(part is None for part in indices[1:]):
        indices = indices[:1]
    rows: TensorRef = getitem(graph, x, tuple(slice(None) if part is None else part for part in indices))
    return rows


def getitem(graph: LayerOperations, x: Any, item: Any) -> Any:
    """Return an element of a tuple, or index a tensor."""
    if not isinstance(x, TensorRef):
        return _rows_of_constant(graph, x, item) if hasattr(x, "detach") else part_of(x, item)
    known = whole(x)
    parts = list(item) if isinstance(item, tuple) else [item]
    if any(part is Ellipsis for part in parts):
        place = next(at for at, part in enumerate(parts) if part is Ellipsis)
        missing = known.rank - sum(part is not None and part is not Ellipsis for part in parts)
        if missing < 0:
            raise UnsupportedError(MIXES)
        parts[place : place + 1] = [slice(None)] * missing
    axis, rows = 0, None
    cut: list[Any] = []
    picked: list[bool] = []
    for part in parts:
        if part is not None and axis == known.rows and not (isinstance(part, slice) and part == slice(None)):
            raise UnsupportedError(f"{MIXES}; leave its axis whole, `x[:, ...]`")
        if part is not None and axis == known.rows:
            rows = len(cut)
        axis += part is not None
        cut.append(_place(part))
        picked.append(part is not None and not isinstance(part, slice))
    if axis > known.rank:
        raise UnsupportedError(f"indexes {axis} axes of a tensor with {known.rank}")
    rows = len(cut) + known.rows - axis if rows is None else rows
    places = [at for at, is_picked in enumerate(picked) if is_picked]
    arrays = [at for at in places if not isinstance(cut[at], int)]
    if arrays and any(at > rows for at in places) and any(at < rows for at in places):
        raise UnsupportedError("takes places before and behind the rows; do one after the other")
    shift = sum(at < rows for at in places)
    if arrays and arrays[0] < rows:
        shift -= np.ndim(np.broadcast_arrays(*(cut[at] for at in places))[0])
    return known.arranged(known.index[tuple(cut)], rows - shift)


def _rows_of_constant(graph: LayerOperations, table: Any, item: Any) -> TensorRef:
    """Look computed places up in a constant, along its first axis."""
    place = item[0] if isinstance(item, tuple) and len(item) == 1 else item
    if not isinstance(place, TensorRef):
        raise UnsupportedError("takes places that depend on the rows; take those of the first axis, `constant[places]`")
    numbers = array_of(table)
    return graph.embedding(place, numbers.reshape(len(numbers), -1)).reshape(*place.shape, *numbers.shape[1:])


def _shape(x: TensorRef) -> list[Any]:
    known = whole(x)
    shape: list[Any] = list(known.index.shape)
    shape[known.rows] = ROW_COUNT if known.before * known.after == 1 else RowCount(known.before * known.after)
    return shape


def size(graph: LayerOperations, x: TensorRef, dim: int | None = None) -> Any:
    """Return the shape, or one size of it."""
    return tuple(_shape(x)) if dim is None else _shape(x)[dim]


def numel(graph: LayerOperations, x: TensorRef) -> RowCount:
    """Return the number of elements."""
    return RowCount(x.size)


def full_like(graph: LayerOperations, x: TensorRef, fill_value: Any, **_: Any) -> Any:
    """Return one number as a constant of the shape of a tensor of one row."""
    known = whole(x)
    return np.full(
        [1 if axis == known.rows else size for axis, size in enumerate(known.index.shape)], float(fill_value)
    )


def rank(graph: LayerOperations, x: TensorRef) -> int:
    """Return the number of axes."""
    return whole(x).rank


def attribute(graph: LayerOperations, x: Any, name: str) -> Any:
    """Return an attribute of a tensor that does not depend on its numbers, or a part of a tuple."""
    if isinstance(x, TensorRef) and name in _ATTRIBUTES:
        return _ATTRIBUTES[name](graph, x)
    if isinstance(x, tuple) and name in _PARTS:
        return part_of(x, _PARTS[name])
    raise UnsupportedError(f"reads `.{name}`, which is not followed")


def _dtype(graph: LayerOperations, x: TensorRef) -> Any:
    """Return the dtype that a tensor is converted to, that of the network or of integers."""
    import torch

    return torch.int64 if isinstance(x, IntegerRef) else getattr(torch, graph.dtype)


_ATTRIBUTES: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "shape": size,
        "ndim": rank,
        "T": turned,
        "mT": turned,
        "dtype": _dtype,
        "device": lambda _, __: "cpu",
        "data": lambda _, x: x,
    }
)


_PARTS: Final[Mapping[str, int]] = MappingProxyType({"values": 0, "indices": 1, "min": 0, "max": 1})
"""The places of the parts of torch's named tuples."""


def cat(graph: LayerOperations, tensors: Sequence[Any], dim: int = 0) -> TensorRef:
    """Join tensors along an axis; constants are numbers of each row."""
    parts = all_tensors(graph, tensors)
    known = list(map(whole, parts))
    return _joined(graph, parts, lambda indices: np.concatenate(indices, known[0].axis(dim)), known[0].rows)


def stack(graph: LayerOperations, tensors: Sequence[Any], dim: int = 0) -> TensorRef:
    """Join tensors along a new axis, which may stand before the rows."""
    parts = all_tensors(graph, tensors)
    known = whole(parts[0])
    axis = known.any_axis(dim, new=1)
    return _joined(graph, parts, lambda indices: np.stack(indices, axis), known.rows + (axis <= known.rows))


def _joined(
    graph: LayerOperations, parts: Sequence[TensorRef], join: Callable[[list[Indices]], Indices], rows: int
) -> TensorRef:
    _, before, after = aligned(parts)
    side_by_side = [TensorRef(sources=part.sources, index=whole(part).index) for part in parts]
    sources, indices = graph.side_by_side(side_by_side)
    index = join(indices)
    return arranged(TensorRef(sources=sources, index=index), index, rows, before, after)


def same(graph: LayerOperations, x: Any, *_: Any, **__: Any) -> Any:
    """Return the argument: copies, layouts and devices change nothing."""
    return x


def pad(graph: LayerOperations, x: TensorRef, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Any:
    """Put constants, or the elements nearest or mirrored, around the last axes."""
    known = whole(x)
    pairs = [(int(pad[at]), int(pad[at + 1])) for at in range(0, len(pad), 2)][::-1]
    widths = [(0, 0)] * (known.rank - len(pairs)) + pairs
    if widths[known.rows] != (0, 0) or min(map(min, widths)) < 0:
        raise UnsupportedError(f"pads by {list(pad)}, which adds rows or takes elements away")
    if mode != "constant":
        return known.arranged(np.pad(known.index, widths, mode=_PADDINGS[mode]))
    constant = graph.constants(known.ref, np.array([0.0 if value is None else float(value)]))
    sources, (index, (filled,)) = graph.side_by_side([TensorRef(sources=x.sources, index=known.index), constant])
    padded = np.pad(index, widths, constant_values=int(filled))
    return arranged(TensorRef(sources=sources, index=padded), padded, known.rows, known.before, known.after)


_PADDINGS: Final[Mapping[str, Any]] = MappingProxyType({"replicate": "edge", "reflect": "reflect", "circular": "wrap"})


def all_tensors(graph: LayerOperations, tensors: Sequence[Any]) -> list[TensorRef]:
    """Return tensors; a constant, of one row, becomes numbers that are the same for all rows."""
    computed = [part for part in tensors if isinstance(part, TensorRef)]
    first = whole(computed[0])
    parts = []
    for part in tensors:
        if not isinstance(part, TensorRef):
            array = array_of(part)
            if array.ndim == first.rank and first.before * first.after == 1:
                array = one_row(array, first.rows)
            if array.ndim != first.rank or array.shape[first.rows] != 1:
                raise UnsupportedError("puts constants of several rows beside what is computed")
            part = arranged(  # noqa: PLW2901 - as a tensor
                constant := graph.constants(first.ref, array), constant.index, first.rows
            )
        parts.append(part)
    return parts


def _place(part: Any) -> Any:
    return part if part is None or isinstance(part, slice | int) else _places(part)


def _places(index: Any) -> Any:
    if isinstance(index, TensorRef | RowCount):
        raise UnsupportedError("takes places that depend on the rows")
    found = np.asarray(index.detach().cpu() if hasattr(index, "detach") else index)
    return found if found.dtype.kind == "b" else array_of(index).astype(np.int64)


RESHAPING: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **dict.fromkeys(("reshape", "view", "_unsafe_view"), reshape),
        **dict.fromkeys(("reshape_as", "view_as"), reshape_as),
        "flatten": flatten,
        "unflatten": unflatten,
        "squeeze": squeeze,
        "unsqueeze": unsqueeze,
        "permute": permute,
        "transpose": transpose,
        "swapaxes": transpose,
        "swapdims": transpose,
        "t": turned,
        "numpy_T": turned,
        "mT": turned,
        "movedim": movedim,
        "moveaxis": movedim,
        "expand": expand,
        "expand_as": expand_as,
        "repeat": repeat,
        "tile": repeat,
        "repeat_interleave": repeat_interleave,
        "flip": flip,
        "roll": roll,
        "split": split,
        "chunk": chunk,
        "split_with_sizes": split,
        "tensor_split": tensor_split,
        "unbind": unbind,
        "narrow": narrow,
        "slice": slice_,
        "select": select,
        "index_select": index_select,
        "index": index,
        "getitem": getitem,
        **dict.fromkeys(("numel", "sym_numel", "nelement"), numel),
        "zeros_like": lambda graph, x, **_: full_like(graph, x, 0.0),
        "ones_like": lambda graph, x, **_: full_like(graph, x, 1.0),
        "full_like": full_like,
        "empty_like": lambda graph, x, **_: full_like(graph, x, 0.0),
        **dict.fromkeys(("new_zeros", "new_empty"), partial(new_full, value=0.0)),
        "new_ones": partial(new_full, value=1.0),
        "new_full": lambda graph, x, size, fill_value, **_: new_full(graph, x, size, value=fill_value),
        "new_tensor": new_tensor,
        "broadcast_tensors": broadcast_tensors,
        "size": size,
        "sym_size": size,
        "dim": rank,
        "getattr": attribute,
        "cat": cat,
        "concat": cat,
        "concatenate": cat,
        "stack": stack,
        "pad": pad,
        "constant_pad_nd": lambda graph, x, pad_, value=0: pad(graph, x, pad_, "constant", value),
        **dict.fromkeys(("contiguous", "clone", "detach", "alias", "lift_fresh_copy", "cpu"), same),
    }
)
"""The function for each operation, by its name in torch."""
