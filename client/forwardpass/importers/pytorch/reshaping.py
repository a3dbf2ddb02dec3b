"""Operations that only rearrange elements, done by numpy on the index; the axis of the rows stays first."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.pytorch.constants import array_of
from forwardpass.importers.pytorch.integers import ROW_COUNT, RowCount
from forwardpass.importers.unsupported import UnsupportedError

_MIXES: Final = "works across the rows, each of which a network computes for itself"
_LARGE: Final = 2**62
"""A traced graph writes an open end of a slice as a number above this."""


def axis_of(rows: TensorRef, dim: int, *, new: int = 0) -> int:
    """Return the axis of one row for an axis of a tensor.

    Args:
        rows: The tensor.
        dim: The axis, from the end where negative.
        new: The number of axes that are added.

    Raises:
        UnsupportedError: It is the axis of the rows, or absent.
    """
    rank = len(rows.shape) + 1 + new
    if not -rank <= dim < rank:
        raise UnsupportedError(f"works on axis {dim} of a tensor with {rank}")
    if dim % rank == 0:
        raise UnsupportedError(_MIXES)
    return dim % rank - 1


def axes_of(rows: TensorRef, dims: int | Sequence[int] | None) -> tuple[int, ...]:
    """Return the axes of one row for axes of a tensor; None, for all axes, includes that of the rows."""
    if dims is None:
        raise UnsupportedError(f"{_MIXES}; name the axes, `dim=1` and so on")
    return tuple(axis_of(rows, dim) for dim in ([dims] if isinstance(dims, int) else dims))


def reshape(graph: LayerOperations, x: TensorRef, *shape: Any) -> TensorRef:
    """Give each row another shape: `view`, `reshape`."""
    requested = list(shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)
    if any(not isinstance(size, int | RowCount) for size in requested) or not requested:
        raise UnsupportedError(f"has a shape that depends on the rows: {requested}")
    sizes = [size for size in requested[1:] if isinstance(size, int)]
    if len(sizes) < len(requested) - 1:
        raise UnsupportedError(_MIXES)
    # The first axis is that of the rows where the other axes hold one row.
    known = int(np.prod([size for size in sizes if size != -1], dtype=int))
    fits = known == x.size if -1 not in sizes else known > 0 and x.size % known == 0
    if not fits or (requested[0] == -1 and -1 in sizes):
        raise UnsupportedError(f"makes {requested} of rows of shape {list(x.shape)}, which mixes them")
    return x.with_index(x.index.reshape(sizes))


def flatten(graph: LayerOperations, x: TensorRef, start_dim: int = 0, end_dim: int = -1) -> TensorRef:
    """Flatten several axes into one."""
    if not x.shape and start_dim in {1, -1}:
        raise UnsupportedError("flattens an axis that is not there")
    start, end = axis_of(x, start_dim), axis_of(x, end_dim)
    return x.with_index(x.index.reshape(*x.shape[:start], -1, *x.shape[end + 1 :]))


def unflatten(graph: LayerOperations, x: TensorRef, dim: int, sizes: Sequence[int]) -> TensorRef:
    """Split one axis into several."""
    axis = axis_of(x, dim)
    return x.with_index(x.index.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def squeeze(graph: LayerOperations, x: TensorRef, dim: int | Sequence[int] | None = None) -> TensorRef:
    """Remove axes of length 1."""
    if dim is None:
        raise UnsupportedError(
            "leaves out the axis of the rows too where there is one row; name the axis, `squeeze(1)`"
        )
    axes = tuple(axis for axis in axes_of(x, dim) if x.shape[axis] == 1)
    return x.with_index(x.index.squeeze(axes))


def unsqueeze(graph: LayerOperations, x: TensorRef, dim: int) -> TensorRef:
    """Add an axis of length 1."""
    return x.with_index(np.expand_dims(x.index, axis_of(x, dim, new=1)))


def permute(graph: LayerOperations, x: TensorRef, *dims: Any) -> TensorRef:
    """Put the axes in another order."""
    order = list(dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims)
    rank = len(x.shape) + 1
    order = [dim % rank for dim in order]
    if order[0] != 0:
        raise UnsupportedError(_MIXES)
    return x.with_index(x.index.transpose([dim - 1 for dim in order[1:]]))


def transpose(graph: LayerOperations, x: TensorRef, dim0: int, dim1: int) -> TensorRef:
    """Exchange two axes."""
    return x.with_index(np.swapaxes(x.index, axis_of(x, dim0), axis_of(x, dim1)))


def expand(graph: LayerOperations, x: TensorRef, *sizes: Any) -> TensorRef:
    """Repeat along axes of length 1."""
    requested = list(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)
    inner = requested[1:]
    if len(requested) != len(x.shape) + 1 or any(isinstance(size, RowCount) for size in inner):
        raise UnsupportedError(f"makes {requested} of rows of shape {list(x.shape)}")
    shape = [known if size == -1 else size for size, known in zip(inner, x.shape, strict=True)]
    return x.with_index(np.broadcast_to(x.index, shape))


def repeat(graph: LayerOperations, x: TensorRef, *sizes: Any) -> TensorRef:
    """Repeat each row's numbers."""
    requested = list(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)
    if len(requested) != len(x.shape) + 1 or requested[0] != 1:
        raise UnsupportedError(_MIXES)
    return x.with_index(np.tile(x.index, requested[1:]))


def flip(graph: LayerOperations, x: TensorRef, *dims: Any) -> TensorRef:
    """Reverse axes."""
    named = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims
    return x.with_index(np.flip(x.index, axes_of(x, named)))


def roll(graph: LayerOperations, x: TensorRef, shifts: Any, dims: Any = None) -> TensorRef:
    """Rotate elements along axes."""
    return x.with_index(np.roll(x.index, shifts, axes_of(x, dims)))


def split(graph: LayerOperations, x: TensorRef, split_size_or_sections: Any, dim: int = 0) -> tuple[TensorRef, ...]:
    """Split an axis into pieces of one size, or of the given sizes."""
    axis, sizes = axis_of(x, dim), split_size_or_sections
    length = x.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    return tuple(map(x.with_index, np.split(x.index, np.cumsum(sizes)[:-1], axis)))


def chunk(graph: LayerOperations, x: TensorRef, chunks: int, dim: int = 0) -> tuple[TensorRef, ...]:
    """Split an axis into a number of pieces; the last may be smaller."""
    return split(graph, x, -(-x.shape[axis_of(x, dim)] // chunks), dim)


def tensor_split(graph: LayerOperations, x: TensorRef, indices_or_sections: Any, dim: int = 0) -> tuple[TensorRef, ...]:
    """Split an axis into a number of pieces, or at indices."""
    return tuple(map(x.with_index, np.array_split(x.index, indices_or_sections, axis_of(x, dim))))


def unbind(graph: LayerOperations, x: TensorRef, dim: int = 0) -> tuple[TensorRef, ...]:
    """Return the slice at each index of an axis."""
    axis = axis_of(x, dim)
    return tuple(x.with_index(np.take(x.index, place, axis)) for place in range(x.shape[axis]))


def narrow(graph: LayerOperations, x: TensorRef, dim: int, start: int, length: int) -> TensorRef:
    """Return a piece of an axis."""
    return slice_(graph, x, dim, start, start + length)


def slice_(
    graph: LayerOperations, x: TensorRef, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> TensorRef:
    """Return a slice of an axis; a full slice of the rows changes nothing."""
    end = None if end is None or end is ROW_COUNT or end > _LARGE else end
    if dim % (len(x.shape) + 1) == 0 and (start or 0, end, step) == (0, None, 1):
        return x
    cut: list[Any] = [slice(None)] * len(x.shape)
    cut[axis_of(x, dim)] = slice(start, end, step)
    return x.with_index(x.index[tuple(cut)])


def select(graph: LayerOperations, x: TensorRef, dim: int, index: Any) -> TensorRef:
    """Return the slice at one index of an axis."""
    return x.with_index(np.take(x.index, int(index), axis_of(x, dim)))


def index_select(graph: LayerOperations, x: TensorRef, dim: int, index: Any) -> TensorRef:
    """Return the slices at some indices of an axis."""
    return x.with_index(np.take(x.index, _places(index), axis_of(x, dim)))


def index(graph: LayerOperations, x: TensorRef, indices: Sequence[Any]) -> TensorRef:
    """Index a tensor, as a traced graph writes `x[:, indices]`."""
    rows: TensorRef = getitem(graph, x, tuple(slice(None) if part is None else part for part in indices))
    return rows


def getitem(graph: LayerOperations, x: Any, item: Any) -> Any:
    """Return an element of a tuple, or index a tensor."""
    if not isinstance(x, TensorRef):
        return x[item]
    parts = list(item) if isinstance(item, tuple) else [item]
    first = parts[0] if parts else slice(None)
    if first is Ellipsis:
        count = sum(part is not None and part is not Ellipsis for part in parts)
        if count > len(x.shape):
            raise UnsupportedError(_MIXES)
        return x.with_index(x.index[tuple(map(_place, parts))])
    if not isinstance(first, slice) or first != slice(None):
        raise UnsupportedError(f"{_MIXES}; leave the first axis whole, `x[:, ...]`")
    return x.with_index(x.index[tuple(map(_place, parts[1:]))])


def size(graph: LayerOperations, x: TensorRef, dim: int | None = None) -> Any:
    """Return the shape, or one size of it."""
    shape = (ROW_COUNT, *x.shape)
    return shape if dim is None else shape[dim]


def rank(graph: LayerOperations, x: TensorRef) -> int:
    """Return the number of axes."""
    return len(x.shape) + 1


def attribute(graph: LayerOperations, x: Any, name: str) -> Any:
    """Return an attribute of a tensor that does not depend on its numbers."""
    if name == "shape":
        return size(graph, x)
    if name == "ndim":
        return rank(graph, x)
    raise UnsupportedError(f"reads `.{name}`, which is not followed")


def cat(graph: LayerOperations, tensors: Sequence[Any], dim: int = 0) -> TensorRef:
    """Join tensors along an axis."""
    parts = _all_rows(tensors)
    axis = axis_of(parts[0], dim)
    return graph.concatenate(parts, axis)


def stack(graph: LayerOperations, tensors: Sequence[Any], dim: int = 0) -> TensorRef:
    """Join tensors along a new axis."""
    parts = _all_rows(tensors)
    axis = axis_of(parts[0], dim, new=1)
    return graph.stack(parts, axis)


def same(graph: LayerOperations, x: Any, *_: Any, **__: Any) -> Any:
    """Return the argument: copies, layouts and devices change nothing."""
    return x


def _all_rows(tensors: Sequence[Any]) -> list[TensorRef]:
    parts = [part for part in tensors if isinstance(part, TensorRef)]
    if len(parts) < len(tensors):
        raise UnsupportedError("puts constants beside what depends on the rows; use a bias of the next layer instead")
    return parts


def _place(part: Any) -> Any:
    return part if part is None or part is Ellipsis or isinstance(part, slice | int) else _places(part)


def _places(index: Any) -> Any:
    if isinstance(index, TensorRef | RowCount):
        raise UnsupportedError("takes places that depend on the rows")
    found = np.asarray(index.detach().cpu() if hasattr(index, "detach") else index)
    return found if found.dtype.kind == "b" else array_of(index).astype(np.int64)


RESHAPING: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **dict.fromkeys(("reshape", "view", "_unsafe_view"), reshape),
        "flatten": flatten,
        "unflatten": unflatten,
        "squeeze": squeeze,
        "unsqueeze": unsqueeze,
        "permute": permute,
        "transpose": transpose,
        "swapaxes": transpose,
        "swapdims": transpose,
        "expand": expand,
        "repeat": repeat,
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
        "size": size,
        "sym_size": size,
        "dim": rank,
        "getattr": attribute,
        "cat": cat,
        "concat": cat,
        "concatenate": cat,
        "stack": stack,
        **dict.fromkeys(("contiguous", "clone", "detach", "alias", "lift_fresh_copy", "cpu"), same),
    }
)
"""The function for each operation, by its name in torch."""
