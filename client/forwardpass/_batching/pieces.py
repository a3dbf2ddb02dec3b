"""Pieces: the rows of one large call as several requests, and their responses as one result. No I/O.

No bit of a row depends on the rows beside it, so the result is that of one call. The first piece is small. It finds the
version, which the others name by its number: all rows have the same one, wherever an alias moves meanwhile. And its
response tells how large the others may be.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Generic, TypeVar

import numpy as np

from forwardpass._batching.joined_rows import JoinedRows
from forwardpass._requests.call import Call
from forwardpass.chunks import count_rows, slice_rows
from forwardpass.errors import Fault, ForwardpassError, InternalError, QuotaExceededError, VersionNotFoundError
from forwardpass.rows import Readable, Row, read_rows, to_inputs
from forwardpass.tensors import Packed

MAX_WHOLE_BYTES: Final = 2 * 2**20
"""Bytes of rows up to which a call is one request, unless the server rejects it."""

MAX_PIECES_IN_FLIGHT: Final = 4
"""Pieces whose responses were not yet read: enough to keep a server and its connection busy."""

PIECE_BYTES: Final = 2**20
"""About the bytes of a piece's rows."""

PIECE_RESPONSE_BYTES: Final = 2 * 2**20
"""About the bytes of a piece's response."""

FIRST_PIECE_BYTES: Final = 64 * 2**10
"""About the bytes of the first piece's rows."""

_CUT_BY: Final = {"max_request_bytes": PIECE_BYTES, "max_response_bytes": PIECE_RESPONSE_BYTES, "max_rows": 2**62}
"""The settings of a server whose limits pieces keep, and the most that a piece needs of each."""

_SHARE_OF_LIMIT: Final = 0.75
"""How much of a server's limit a piece needs at most, since rows by name differ in size."""

_ROW: Final = re.compile(r"\A((?:tensor|rows|columns\..*)\[)(\d+)(?=\])")
"""The row in the path of a fault."""

Result = TypeVar("Result", bound=Any)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSource:
    """The rows of a call, which can be cut.

    Attributes:
        rows: All of them.
        count: How many there are.
        bytes: About their bytes in a request.
        cut: Returns the rows from a place to before another one.
    """

    rows: Readable
    count: int
    bytes: int
    cut: Callable[[int, int], Readable]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Piece(Generic[Result]):
    """Rows that are sent together.

    Attributes:
        first: The index of the first row.
        count: The number of rows.
        call: The call that sends them.
    """

    first: int
    count: int
    call: Call[Result]


def held_bytes(rows: object, size: int) -> int:
    """Return the bytes that the requests in flight for some rows hold, given the bytes of all rows."""
    return min(size, PIECE_BYTES * MAX_PIECES_IN_FLIGHT) if _is_plain(rows) else size


def call_or_pieces(rows: Readable, build: Callable[[Readable], Call[Result]]) -> "Call[Result] | Pieces[Result]":
    """Return the call for many rows, or its pieces.

    Args:
        rows: The rows.
        build: Builds the call for some rows.

    Raises:
        ForwardpassError: The rows cannot be read, or an option of the call is not valid.
    """
    source = _source(rows)
    if source.count == 1 or source.bytes <= MAX_WHOLE_BYTES:
        return build(source.rows)
    pattern = build(source.cut(0, 1))
    return Pieces(source, pattern) if _may_be_cut(pattern) else build(source.rows)


def pieces_of_rejected(call: Call[Result], error: QuotaExceededError) -> "Pieces[Result] | None":
    """Return the pieces of a call that a server rejected; None if it would reject the pieces too."""
    if not _may_be_cut(call):
        return None
    given = call.request.WhichOneof("inputs")
    rows: Any = getattr(call.request, given)
    if given == "tensor":
        rows = Packed(rows.dtype, tuple(rows.shape), rows.data, rows.exact_integers)
    source = _source(rows)
    size = _smaller(source.count, error)
    return None if size is None else Pieces(source, call, max_rows=size)


class Pieces(Generic[Result]):
    """The pieces of one call, in the order of their rows.

    Args:
        source: The rows.
        pattern: The call of some rows; the calls of the pieces are the same but for the rows and the version.
        max_rows: The number of rows of a piece at most.
    """

    def __init__(self, source: RowSource, pattern: Call[Result], *, max_rows: int | None = None) -> None:
        self._source = source
        self._pattern = pattern
        self._options = type(pattern.request)()
        self._options.CopyFrom(pattern.request)
        self._options.ClearField(pattern.request.WhichOneof("inputs"))
        self._max_rows = max_rows or self._rows_in(PIECE_BYTES)
        self._left = [(0, source.count)]
        self._is_first_in_flight = False
        self._version: tuple[int, str] | None = None
        self._joined: JoinedRows[Result] | None = None

    def next(self) -> Piece[Result] | None:
        """Return the next piece; None while the first one has no response, and after the last."""
        if not self._left or self._is_first_in_flight:
            return None
        size = self._max_rows
        if self._version is None:
            size = min(size, self._rows_in(FIRST_PIECE_BYTES))
            self._is_first_in_flight = True
        start, end = self._left.pop()
        if start + size < end:
            self._left.append((start + size, end))
            end = start + size
        request = type(self._options)(**to_inputs(self._source.cut(start, end)))
        request.MergeFrom(self._options)
        return Piece(first=start, count=end - start, call=replace(self._pattern, request=request))

    def add(self, piece: Piece[Result], response: Any) -> None:
        """Add the response to a piece.

        Raises:
            VersionNotFoundError: The version of the earlier pieces was replaced by another one of the same number.
            InternalError: The response has not one row for each row of the piece.
        """
        result = piece.call.parse(response)
        if len(result.outputs) != piece.count:
            raise InternalError(f"the server returned {len(result.outputs)} rows of outputs for {piece.count} rows")
        if self._joined is None:
            self._is_first_in_flight = False
            self._version = result.version, result.digest
            self._options.version = str(result.version)
            self._joined = JoinedRows(result, self._source.count)
            size = PIECE_RESPONSE_BYTES * piece.count // max(response.ByteSize(), 1)
            self._max_rows = max(min(self._max_rows, size), 1)
        elif (result.version, result.digest) != self._version:
            raise VersionNotFoundError(
                f"version {result.version} of {result.network!r} was replaced by another one of this number while the "
                "rows were computed; call again",
                network=result.network,
                version=result.version,
            )
        self._joined.write(piece.first, result)

    def reject(self, piece: Piece[Result], error: ForwardpassError) -> None:
        """Cut a piece again that was rejected for its size.

        Raises:
            ForwardpassError: The error, if smaller pieces do not help; it names rows by their place in the call.
        """
        size = _smaller(piece.count, error)
        if size is None:
            raise _of_call(error, piece, self._source.count)
        self._max_rows = min(self._max_rows, size)
        self._left.append((piece.first, piece.first + piece.count))
        self._is_first_in_flight = False

    def result(self) -> Result:
        """Return the result of the call, after the last piece."""
        assert self._joined is not None  # noqa: S101 - there is at least one piece
        return self._joined.result()

    def _rows_in(self, size: int) -> int:
        return max(size * self._source.count // max(self._source.bytes, 1), 1)


def _may_be_cut(call: Call[Any]) -> bool:
    """Return whether the rows of a call have the same result in pieces: a profile may change between two of them."""
    return not getattr(call.request, "percentiles", False)


def _is_plain(rows: object) -> bool:
    """Return whether rows are a matrix of floats, which is read piece by piece as it is read whole."""
    return type(rows) is np.ndarray and rows.dtype.char in "dfe" and rows.ndim == 2 and bool(rows.size)


def _source(rows: Readable) -> RowSource:
    if _is_plain(rows):
        array: Any = rows
        width = 4 if array.dtype == np.float32 else 8
        return RowSource(rows=rows, count=len(array), bytes=array.size * width, cut=lambda start, end: array[start:end])
    read: Row = read_rows(rows)
    size = len(read.data) if isinstance(read, Packed) else read.ByteSize()
    return RowSource(rows=read, count=count_rows(read), bytes=size, cut=partial(slice_rows, read))


def _smaller(count: int, error: ForwardpassError) -> int | None:
    """Return how many rows to send instead of those that were rejected; None if fewer would be rejected too."""
    target = _CUT_BY.get(error.facts.get("setting", ""))
    value, limit = error.facts.get("quotaValue", ""), error.facts.get("quotaLimit", "")
    if target is None or count == 1 or not value.isdecimal() or not limit.isdecimal():
        return None
    size = count * min(int(int(limit) * _SHARE_OF_LIMIT), target) // max(int(value), 1)
    return max(min(size, count - 1), 1)


def _of_call(error: ForwardpassError, piece: Piece[Any], count: int) -> ForwardpassError:
    """Return the error of a piece with the places that its rows have in the call."""

    def moved(path: str) -> str:
        return _ROW.sub(lambda found: f"{found[1]}{int(found[2]) + piece.first}", path)

    def of_all_rows(text: str) -> str:
        return text.replace(f"shape [{piece.count}, ", f"shape [{count}, ")

    for fault in error.faults[:1]:
        error.message = of_all_rows(error.message.replace(fault.path, moved(fault.path), 1))
    error.faults = tuple([Fault(path=moved(fault.path), message=of_all_rows(fault.message)) for fault in error.faults])
    if error.facts.get("row", "").isdecimal():
        error.facts["row"] = str(int(error.facts["row"]) + piece.first)
    if "actualShape" in error.facts:
        error.facts["actualShape"] = error.facts["actualShape"].replace(f"[{piece.count}, ", f"[{count}, ", 1)
    return error
