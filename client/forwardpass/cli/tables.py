"""Tables of rows, CSV or Parquet, read part by part and checked against the inputs of a network."""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from forwardpass.chunks import rows_of_chunk
from forwardpass.cli.cells import PLAIN, input_readers, integer_of, misfit
from forwardpass.cli.reading import check_names, invalid, is_number
from forwardpass.exact_numbers import MAX_FLOAT32_INTEGER
from forwardpass.models import FeatureInfo, VersionInfo

PART_ROWS: Final = 1024
"""Rows of a part, and of a request, at most."""


def part_rows(version: VersionInfo) -> int:
    """Return the rows of a part: fewer where a network has many inputs or outputs."""
    return rows_of_chunk(PART_ROWS, 8 * max(version.inputs, len(version.output_names)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """Some rows of a table.

    Attributes:
        numbers: `(rows, inputs) float64`, in the order in which the network reads them.
        columns: Every column of the table as it was: texts of CSV, or arrays of Parquet.
        inputs: For each input of the network, the column that has it.
        places: Where each row stands: the number of its line, or of the row in a Parquet file.
        texts: The columns whose inputs are no numbers but the places of categories.
    """

    numbers: npt.NDArray[np.float64]
    columns: Sequence[Any]
    inputs: Sequence[int]
    places: Sequence[int]
    texts: Collection[int] = ()

    def typed_columns(self) -> list[Any]:
        """Return every column, with numbers for the texts that were read as numbers."""
        read = zip(self.inputs, self.numbers.T, strict=True)
        numbers = {column: numbers for column, numbers in read if column not in self.texts}
        return [
            numbers.get(place, column) if isinstance(column, tuple) else column
            for place, column in enumerate(self.columns)
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table whose columns fit a network.

    Attributes:
        source: Its name in errors.
        unit: The unit of a place: "line" or "row".
        names: The names of its columns.
        inputs: For each input of the network, the column that has it.
        parts: The rows, to be read once.
        total: The size, in the unit of `done`; None where it is not known.
        done: Returns how much was read.
    """

    source: str
    unit: str
    names: tuple[str, ...]
    inputs: tuple[int, ...]
    parts: Iterator[Part] = field(repr=False)
    total: int | None
    done: Callable[[], int] = field(repr=False)


def open_table(source: str, version: VersionInfo, *, ignore_extra: bool) -> AbstractContextManager[Table]:
    """Open a table, Parquet by its suffix and else CSV, `-` for CSV on standard input.

    Raises:
        InvalidFieldError: It cannot be read, is empty, or its columns do not fit the network.
    """
    opener = _open_parquet if is_parquet(source) else _open_csv
    return opener(source, version, ignore_extra)


def is_parquet(path: str) -> bool:
    """Return whether a path means Parquet."""
    return path.lower().endswith(".parquet")


def parquet() -> Any:
    """Import the library that reads and writes Parquet.

    Raises:
        InvalidFieldError: It is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: PLC0415 - a large library that only Parquet needs
    except ModuleNotFoundError:
        raise invalid("parquet", "needs pyarrow; install it with: pip install 'forwardpass[parquet]'") from None
    return pyarrow


@contextmanager
def _open_csv(source: str, version: VersionInfo, ignore_extra: bool) -> Iterator[Table]:
    name = "standard input" if source == "-" else source
    raw = _opened(source)
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    # Standard input stays open: to close it would wait for a thread of grpc that waits for more of it.
    with nullcontext() if source == "-" else text:
        lines = _lines(csv.reader(text), name)
        first = next(lines, None)
        if first is None:
            raise invalid(name, "is empty")
        header = None if all(map(is_number, first[1])) else tuple(cell.strip() for cell in first[1])
        names = _names_by_place(version, len(first[1]), name) if header is None else header
        inputs = _inputs(names, version, name, ignore_extra=ignore_extra)
        rows = chain([first], lines) if header is None else lines
        yield Table(
            source=name,
            unit="line",
            names=names,
            inputs=inputs,
            parts=_csv_parts(rows, names, inputs, version, name),
            total=None if source == "-" else Path(source).stat().st_size,
            done=lambda: 0 if source == "-" or raw.closed else int(raw.tell()),
        )


def _opened(source: str) -> BinaryIO:
    try:
        # Not `sys.stdin`: a thread of grpc may still wait for it when Python ends, and closes that.
        return open(0, "rb", closefd=False) if source == "-" else Path(source).open("rb")
    except OSError as error:
        raise invalid(source, f"cannot be read: {error.strerror}") from None


def _lines(reader: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, with their numbers."""
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise invalid(name, f"is not UTF-8 after line {reader.line_num}: {error.reason}") from None
    except csv.Error as error:
        raise invalid(f"{name} line {reader.line_num}", f"is no CSV: {error}") from None


def _csv_parts(
    lines: Iterator[tuple[int, list[str]]],
    names: Sequence[str],
    inputs: Sequence[int],
    version: VersionInfo,
    name: str,
) -> Iterator[Part]:
    readers, size = input_readers(version.features, version.inputs), part_rows(version)
    texts = {column for column, feature in zip(inputs, version.features, strict=False) if feature.kind == "category"}
    numbers: list[list[float]] = []
    rows: list[list[str]] = []
    places: list[int] = []

    def part() -> Part:
        columns = tuple(zip(*rows, strict=True))
        matrix = np.array(numbers)
        for row, column in np.argwhere(np.abs(matrix) > MAX_FLOAT32_INTEGER).tolist():
            integer = integer_of(rows[row][inputs[column]])
            if integer is not None:
                remedy = f"write {integer}.0 to round it"
                _check_integer(integer, version.dtype, f"{name} line {places[row]}", names[inputs[column]], remedy)
        return Part(numbers=matrix, columns=columns, inputs=inputs, places=tuple(places), texts=texts)

    for place, cells in lines:
        if len(cells) != len(names):
            raise invalid(f"{name} line {place}", f"has {len(cells)} cells; the first line has {len(names)}")
        try:
            numbers.append([read(cells[column]) for column, read in zip(inputs, readers, strict=True)])
        except ValueError:
            features = version.features or [PLAIN] * version.inputs
            words = (misfit(cells[column], names[column], each) for column, each in zip(inputs, features, strict=True))
            raise invalid(f"{name} line {place}", next(filter(None, words))) from None
        rows.append(cells)
        places.append(place)
        if len(rows) == size:
            yield part()
            numbers, rows, places = [], [], []
    if rows:
        yield part()


@contextmanager
def _open_parquet(source: str, version: VersionInfo, ignore_extra: bool) -> Iterator[Table]:
    arrow = parquet()
    try:
        file = arrow.parquet.ParquetFile(source)
    except OSError as error:
        raise invalid(source, f"cannot be read: {error.strerror or error}") from None
    except arrow.ArrowInvalid as error:
        raise invalid(source, f"is no Parquet: {error}") from None
    read = 0

    def parts() -> Iterator[Part]:
        nonlocal read
        size = part_rows(version)
        for batch in _even(arrow, file.iter_batches(batch_size=size), size):
            places = range(read + 1, read + batch.num_rows + 1)
            numbers = [
                _parquet_numbers(arrow, batch.column(column), feature, version, _Place(source, places, names[column]))
                for column, feature in zip(inputs, features, strict=True)
            ]
            read += batch.num_rows
            yield Part(numbers=np.stack(numbers, axis=1), columns=tuple(batch.columns), inputs=inputs, places=places)

    with file:
        names = tuple(file.schema_arrow.names)
        inputs = _inputs(names, version, source, ignore_extra=ignore_extra)
        features = version.features or [PLAIN] * version.inputs
        _reject_texts(arrow, file.schema_arrow, inputs, features, source)
        yield Table(
            source=source,
            unit="row",
            names=names,
            inputs=inputs,
            parts=parts(),
            total=file.metadata.num_rows,
            done=lambda: read,
        )


class _Place(NamedTuple):
    """The place of a column of a part: its file, the numbers of its rows there, and its name."""

    source: str
    rows: Sequence[int]
    column: str


def _parquet_numbers(
    arrow: Any, column: Any, feature: FeatureInfo, version: VersionInfo, place: _Place
) -> npt.NDArray[np.float64]:
    """Return a column of a part as the inputs of a network, shape `(rows,)`."""
    if feature.kind != "number" or column.null_count:
        (read,) = input_readers([feature], 1)
        cells = column.to_pylist()
        try:
            return np.array([read(cell) for cell in cells])
        except (TypeError, ValueError):
            words = enumerate(misfit(cell, place.column, feature) for cell in cells)
            row, said = next((row, said) for row, said in words if said)
            raise invalid(f"{place.source} row {place.rows[row]}", said) from None
    if arrow.types.is_integer(column.type):
        integers = column.to_numpy()
        for row in np.flatnonzero(abs(integers.astype(np.float64)) > MAX_FLOAT32_INTEGER).tolist():
            remedy = "make a column of doubles of it to round it"
            where = f"{place.source} row {place.rows[row]}"
            _check_integer(int(integers[row]), version.dtype, where, place.column, remedy)
        return np.asarray(integers, dtype=np.float64)
    try:
        numbers: npt.NDArray[np.float64] = column.cast(arrow.float64(), safe=False).to_numpy()
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError):
        message = f"has {column.type} in column {place.column!r}; numbers are needed"
        raise invalid(place.source, message) from None
    return numbers


def _check_integer(integer: int, dtype: str, place: str, column: str, remedy: str) -> None:
    """Reject an integer that the network's dtype cannot hold exactly."""
    try:
        with np.errstate(over="ignore"):
            exact = int(np.dtype(dtype).type(integer)) == integer
    except OverflowError:
        exact = False
    if not exact:
        raise invalid(
            place, f"has {integer} in column {column!r}, an integer that {dtype} cannot hold exactly; {remedy}"
        )


def _reject_texts(arrow: Any, schema: Any, inputs: Sequence[int], features: Sequence[FeatureInfo], source: str) -> None:
    """Reject texts where numbers are needed, even if they look like numbers."""
    for column, feature in zip(inputs, features, strict=True):
        kind, name = schema.types[column], schema.names[column]
        if feature.kind == "number" and (arrow.types.is_string(kind) or arrow.types.is_large_string(kind)):
            raise invalid(source, f"has {kind} in column {name!r}; numbers are needed")


def _even(arrow: Any, batches: Iterator[Any], size: int) -> Iterator[Any]:
    """Yield tables of `size` rows each, and a last one with the rest."""
    held = None
    for batch in batches:
        table = arrow.Table.from_batches([batch])
        held = table if held is None else arrow.concat_tables([held, table])
        while held.num_rows >= size:
            yield held.slice(0, size)
            held = held.slice(size)
    if held is not None and held.num_rows:
        yield held


def _names_by_place(version: VersionInfo, width: int, source: str) -> tuple[str, ...]:
    if width != version.inputs:
        raise invalid(f"{source} line 1", f"has {width} numbers; {_title(version)} reads {version.inputs}")
    return tuple(feature.name for feature in version.features) or _numbered(width)


def _numbered(width: int) -> tuple[str, ...]:
    return tuple(f"input_{place}" for place in range(width))


def _inputs(names: Sequence[str], version: VersionInfo, source: str, *, ignore_extra: bool) -> tuple[int, ...]:
    """Return the column of each input, by its name, or by its place where the network has no names."""
    check_names(names, source)
    features = [feature.name for feature in version.features]
    if not features:
        if len(names) == version.inputs or (ignore_extra and len(names) > version.inputs):
            return tuple(range(version.inputs))
        raise invalid(
            source, f"has {len(names)} columns; {_title(version)} reads {version.inputs}, which have no names"
        )
    missing = [name for name in features if name not in names]
    if missing:
        raise invalid(source, f"has no column {', '.join(map(repr, missing))}, which {_title(version)} reads")
    extra = [name for name in names if name not in features]
    if extra and not ignore_extra:
        raise invalid(
            source,
            f"has {', '.join(map(repr, extra))}, which {_title(version)} does not read; --ignore-extra allows it",
        )
    return tuple(names.index(name) for name in features)


def _title(version: VersionInfo) -> str:
    return f"{version.network} version {version.number}"
