"""The axis of the rows, which may stand anywhere in a tensor, and be one with other axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, TensorRef
from forwardpass.importers.pytorch.integers import IntegerRef, RowCount
from forwardpass.importers.unsupported import UnsupportedError

MIXES: Final = "works across the rows, each of which a network computes for itself"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MovedRef(TensorRef):
    """A tensor whose rows are not its first axis, or are one axis with others.

    Its index has all axes of the tensor. That of the rows has the length `before * after`: in the tensor it holds
    `before` x the rows x `after` elements, as after `reshape(-1, size)`.

    Attributes:
        rows: The axis of the rows.
        before: The elements of the axis before the rows.
        after: The elements of the axis after the rows.
    """

    rows: int
    before: int = 1
    after: int = 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WholeTensor:
    """A tensor with all of its axes, wherever its rows are.

    Attributes:
        ref: The tensor.
        index: All axes; that of the rows has the length `before * after`.
        rows: The axis of the rows.
        before: As of `MovedRef`.
        after: As of `MovedRef`.
    """

    ref: TensorRef
    index: Indices
    rows: int = 0
    before: int = 1
    after: int = 1

    @property
    def rank(self) -> int:
        """The number of axes."""
        return int(self.index.ndim)

    @property
    def from_right(self) -> tuple[int, int, int]:
        """What two tensors must share whose elements are joined: where the rows are, and with which axes."""
        return self.rank - self.rows, self.before, self.after

    @property
    def tensor(self) -> TensorRef:
        """The tensor as one of a row that has all axes."""
        return TensorRef(sources=self.ref.sources, index=self.index)

    def like(self, computed: TensorRef) -> TensorRef:
        """Return what was computed of `tensor`, of the same number of axes, as a tensor with these rows."""
        return arranged(computed, computed.index, self.rows, self.before, self.after)

    def axis(self, dim: Any) -> int:
        """Return an axis, from the end where negative; reject that of the rows."""
        axis = self.any_axis(dim)
        if axis == self.rows:
            raise UnsupportedError(MIXES)
        return axis

    def axes(self, dims: Any) -> tuple[int, ...]:
        """Return several axes, or one; None, for all axes, includes that of the rows."""
        if dims is None or (isinstance(dims, tuple | list) and not dims):
            raise UnsupportedError(f"{MIXES}; name the axes, `dim=1` and so on")
        return tuple(map(self.axis, [dims] if isinstance(dims, int) else dims))

    def any_axis(self, dim: Any, new: int = 0) -> int:
        """Return an axis that may be that of the rows, of a tensor with more axes."""
        rank = self.rank + new
        if not -rank <= dim < rank:
            raise UnsupportedError(f"works on axis {dim} of a tensor with {rank}")
        return int(dim % rank)

    def arranged(self, index: Indices, rows: int | None = None) -> TensorRef:
        """Return elements of the tensor arranged by another index of all axes."""
        return arranged(self.ref, index, self.rows if rows is None else rows, self.before, self.after)

    def without(self, axes: Sequence[int], index: Indices) -> TensorRef:
        """Return the tensor of an index that lacks some axes."""
        return self.arranged(index, self.rows - sum(axis < self.rows for axis in axes))


def arranged(ref: TensorRef, index: Indices, rows: int, before: int = 1, after: int = 1) -> TensorRef:
    """Return a tensor of an index with all axes, in the plainest form."""
    if rows == 0 and before == after == 1:
        kind = IntegerRef if isinstance(ref, IntegerRef) else TensorRef
        return kind(sources=ref.sources, index=index[0])
    if isinstance(ref, IntegerRef):
        raise UnsupportedError("moves the rows of categories; look them up before")
    return MovedRef(sources=ref.sources, index=index, rows=rows, before=before, after=after)


def whole(ref: TensorRef) -> WholeTensor:
    """Return a tensor with all of its axes."""
    if isinstance(ref, MovedRef):
        return WholeTensor(ref=ref, index=ref.index, rows=ref.rows, before=ref.before, after=ref.after)
    return WholeTensor(ref=ref, index=ref.index[np.newaxis])


def plain(ref: TensorRef) -> TensorRef:
    """Return the elements of one row, without the axis of the rows where it holds nothing else."""
    if not isinstance(ref, MovedRef):
        return ref
    index = ref.index if ref.before * ref.after > 1 else ref.index.squeeze(ref.rows)
    return TensorRef(sources=ref.sources, index=index)


def aligned(tensors: Sequence[TensorRef]) -> tuple[int, int, int]:
    """Return where the rows are in tensors that are joined element by element.

    Raises:
        UnsupportedError: Their rows are different axes, so that each row would be joined with all others.
    """
    places = {whole(tensor).from_right for tensor in tensors}
    if len(places) > 1:
        raise UnsupportedError(
            "joins rows with rows of another axis, which mixes them; bring all to one form, as by `x[:, None]`"
        )
    return places.pop()


def reshaped(x: TensorRef, requested: Sequence[Any], batch: int | None = None) -> TensorRef:
    """Give a tensor another shape, in C order; the rows may become one axis with others, and part again.

    Args:
        x: The tensor.
        requested: The shape, of integers and numbers of rows.
        batch: The number of rows where the model is traced for one number of them.
    """
    known = whole(x)
    front = prod(known.index.shape[: known.rows]) * known.before
    behind = prod(known.index.shape[known.rows + 1 :]) * known.after
    for place in _places_of_rows(requested, batch):
        sizes = list(requested)
        said = sizes[place]
        sizes[place] = 1
        if -1 in sizes:
            factor = said.factor if isinstance(said, RowCount) else 1
            rest = -prod(sizes) * factor
            if rest == 0 or front * behind % rest:
                continue
            sizes[sizes.index(-1)] = front * behind // rest
        left, right = prod(sizes[:place]), prod(sizes[place + 1 :])
        if 0 in (left, right) or front % left or behind % right:
            continue
        before, after = front // left, behind // right
        if isinstance(said, RowCount) and said.factor != before * after:
            continue
        if isinstance(said, int) and said != -1 and not _is_all_rows(said, place, before * after, batch):
            continue
        sizes[place] = before * after
        return arranged(x, known.index.reshape(sizes), place, before, after)
    shown = list(plain(x).shape)
    raise UnsupportedError(f"makes {list(requested)} of rows of shape {shown}, which mixes them")


def _is_all_rows(size: int, place: int, others: int, batch: int | None) -> bool:
    """Return whether a size is that of an axis of the rows with others; without a number, the first axis alone is."""
    return (place == 0 and others == 1) if batch is None else size == batch * others


def _places_of_rows(requested: Sequence[Any], batch: int | None) -> list[int]:
    """Return the axes of a requested shape that may be that of the rows, the likely ones first."""
    counts = [place for place, size in enumerate(requested) if isinstance(size, RowCount)]
    if len(counts) > 1:
        raise UnsupportedError(MIXES)
    open_ends = [place for place, size in enumerate(requested) if isinstance(size, int) and size == -1]
    others = range(min(len(requested), 1)) if batch is None else range(len(requested))
    return counts or [*open_ends, *(place for place in others if place not in open_ends)]
