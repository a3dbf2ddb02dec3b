"""Any number of rows as chunks of a bounded size: rows that were read are counted, cut and joined.

Each row is read once, by `rows.read_rows`. A table is cut before it is read, so that no more than a chunk of it is in
memory twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final, SupportsFloat, TypeAlias

import numpy as np

from forwardpass.columns import are_columns, split_columns
from forwardpass.errors import ForwardpassError
from forwardpass.frames import split_frame
from forwardpass.named_values import has_names, is_labelled, resolve_names
from forwardpass.rows import Row, UnreadableRows, read_rows
from forwardpass.tensors import DTYPES, Packed
from forwardpass.v1.tensor_pb2 import Column, Columns, Rows

MAX_CHUNK_BYTES: Final = 2 * 2**20
"""Bytes of a chunk of several rows at most: half of what a server accepts in a request by default."""

_NO_FRAMES: Final = frozenset({list, tuple, np.ndarray, float, int, bool, str, NoneType})

Chunk: TypeAlias = Row | UnreadableRows
"""Rows that were read, or in their place the error of rows that cannot be read."""


class Chunks:
    """Gathers rows into chunks of at most `size` rows.

    A chunk ends early where it would have more than `MAX_CHUNK_BYTES`, and where the next rows cannot be joined to it:
    where they change from numbers to names, or have another width or dtype. Rows that cannot be read are a chunk by
    themselves, and count as one row.

    Args:
        size: The rows of a chunk.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kind: object = None
        self._pieces: list[Row] = []
        self._held = 0
        self._first = 0

    def add(self, item: Any) -> Iterator[tuple[int, Chunk]]:
        """Read rows; yield the chunks that are complete, each with the index of its first row."""
        for piece in _read(item, self._size):
            if isinstance(piece, UnreadableRows):
                yield from self.rest()
                yield self._first, piece
                self._first += 1
                continue
            kind = _kind(piece)
            if kind != self._kind:
                yield from self.rest()
            self._kind = kind
            yield from self._append(piece)

    def rest(self) -> Iterator[tuple[int, Chunk]]:
        """Yield the rows that are held as a last chunk, if there are any."""
        if not self._held:
            return
        pieces, first = self._pieces, self._first
        self._pieces, self._first, self._held = [], first + self._held, 0
        yield first, join_rows(pieces)

    def _append(self, piece: Row) -> Iterator[tuple[int, Chunk]]:
        start, count = 0, count_rows(piece)
        size = rows_of_chunk(self._size, _bytes(piece) / count)
        if self._held >= size:
            yield from self.rest()
        while start < count:
            end = min(count, start + size - self._held)
            self._pieces.append(piece if end - start == count else slice_rows(piece, start, end))
            self._held += end - start
            start = end
            if self._held == size:
                yield from self.rest()


def chunk_rows(rows: Iterable[Any], size: int) -> Iterator[tuple[int, Chunk]]:
    """Gather rows into chunks as `Chunks` does; yield each with the index of its first row."""
    chunks = Chunks(size)
    for item in items_of(rows):
        yield from chunks.add(item)
    yield from chunks.rest()


def rows_of_chunk(size: int, row_bytes: float) -> int:
    """Return the rows of a chunk of at most `size` rows, given the bytes of a row."""
    return max(min(size, int(MAX_CHUNK_BYTES / max(row_bytes, 1))), 1)


def items_of(rows: Any) -> Iterable[Any]:
    """Return the items of an iterable of rows; an array, a frame, a row with names or a number is one item."""
    is_item = hasattr(rows, "__array__") or isinstance(rows, memoryview) or not np.iterable(rows) or has_names(rows)
    return [rows] if is_item else rows


def count_rows(rows: Row) -> int:
    """Return how many rows were read; a tensor of one axis counts as one."""
    if isinstance(rows, Packed):
        return rows.shape[0] if len(rows.shape) == 2 else 1
    if isinstance(rows, Rows):
        return len(rows.rows)
    return len(_values(rows.columns[0]))


def _bytes(rows: Row) -> int:
    return len(rows.data) if isinstance(rows, Packed) else rows.ByteSize()


def slice_rows(rows: Row, start: int, end: int) -> Row:
    """Return the rows from `start` to before `end`."""
    if isinstance(rows, Packed):
        size = rows.shape[-1] * DTYPES[rows.dtype].itemsize
        return rows._replace(shape=(end - start, rows.shape[-1]), data=rows.data[start * size : end * size])
    if isinstance(rows, Rows):
        return Rows(rows=rows.rows[start:end], exact_integers=rows.exact_integers)
    part = Columns(exact_integers=rows.exact_integers)
    for column in rows.columns:
        missing = [row - start for row in column.missing if start <= row < end]
        cut = part.columns.add(name=column.name, missing=missing)
        _values(cut, _field(column)).extend(_values(column)[start:end])
    return part


def join_rows(pieces: Sequence[Row]) -> Row:
    """Return pieces of one kind, which `_kind` tells, as one."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    if isinstance(first, Packed):
        data = b"".join([piece.data for piece in pieces if isinstance(piece, Packed)])
        return first._replace(shape=(sum(map(count_rows, pieces)), first.shape[-1]), data=data)
    if isinstance(first, Rows):
        rows = Rows(exact_integers=first.exact_integers)
        for piece in pieces:
            if isinstance(piece, Rows):
                rows.rows.extend(piece.rows)
        return rows
    columns = Columns()
    columns.CopyFrom(first)
    count = count_rows(first)
    for piece in pieces[1:]:
        if isinstance(piece, Columns):
            for column, more in zip(columns.columns, piece.columns, strict=True):
                _values(column).extend(_values(more))
                column.missing.extend([row + count for row in more.missing])
            count += count_rows(piece)
    return columns


def row_values(rows: Row, index: int) -> Mapping[str, object] | Sequence[float]:
    """Return one row: by name, or its numbers by position."""
    if isinstance(rows, Packed):
        numbers: list[float] = np.frombuffer(rows.data, DTYPES[rows.dtype]).reshape(-1, rows.shape[-1])[index].tolist()
        return numbers
    if isinstance(rows, Rows):
        return dict(rows.rows[index].items())
    return {column.name: None if index in column.missing else _values(column)[index] for column in rows.columns}


def named_or_plain(rows: Any) -> Any:
    """Return rows with names as a list of dicts, with None where a value is missing; others by position."""
    resolved = resolve_names(rows)
    if not isinstance(resolved, Mapping):
        return resolved
    if not are_columns(resolved):
        return [dict(resolved)]
    columns = [column.tolist() if isinstance(column, np.ndarray) else column for column in resolved.values()]
    return [dict(zip(resolved, row, strict=True)) for row in zip(*columns, strict=True)]


def _kind(rows: Row) -> object:
    """Return the key that rows share if they can be joined."""
    if isinstance(rows, Packed):
        return rows.dtype, rows.shape[-1], rows.exact_integers
    if isinstance(rows, Rows):
        return Rows, rows.exact_integers
    return rows.exact_integers, tuple((column.name, _field(column)) for column in rows.columns)


def _field(column: Column) -> str:
    return column.WhichOneof("values") or "numbers"


def _values(column: Column, field: str = "") -> Any:
    return getattr(column, field or _field(column)).values


def _read(item: Any, size: int) -> Iterator[Chunk]:
    """Read rows part by part; an error stands for the part and all parts after it."""
    try:
        for part in _split(item, size):
            yield read_rows(part)
    except ForwardpassError as error:
        yield UnreadableRows(error)


def _split(item: Any, size: int) -> Iterator[Any]:
    """Cut a table into parts of at most `size` rows, without reading it."""
    is_matrix = isinstance(item, np.ndarray) and item.ndim == 2 and item.shape[1]
    if is_matrix or (type(item) in {list, tuple} and len(item) > size and not isinstance(item[0], SupportsFloat)):
        yield from (item[start : start + size] for start in range(0, len(item), size))
    elif isinstance(item, Mapping) and are_columns(item):
        yield from split_columns(item, size)
    elif type(item) in _NO_FRAMES or isinstance(item, Mapping) or is_labelled(item):
        yield item
    else:
        yield from split_frame(item, size)
