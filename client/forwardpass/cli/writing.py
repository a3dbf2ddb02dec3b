"""Files that commands write, for example predictions as CSV or Parquet; each has its name only once it is whole."""

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias

from forwardpass import exporters, spec
from forwardpass.cli.reading import invalid
from forwardpass.cli.tables import Part, is_parquet, parquet
from forwardpass.models import Prediction

Write: TypeAlias = Callable[[Prediction, Part | None], None]
"""Writes the rows of a prediction, and before each the cells of the part that they were computed from."""


@contextmanager
def open_out(path: str, output_names: Sequence[str], *, labels: bool, kept: Sequence[str] = ()) -> Iterator[Write]:
    """Open a file, Parquet by its suffix and else CSV, `-` for CSV on standard output.

    Args:
        path: The file; it appears, or is replaced, when everything was written.
        output_names: The network's outputs, a column each.
        labels: Whether each row has a label and its probability.
        kept: The names of the columns to keep from the rows.

    Raises:
        InvalidFieldError: The file cannot be written, or two columns have one name.
    """
    names = [*kept, *output_names, *(["label", "probability"] if labels else [])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid(path, f"would have several columns {', '.join(map(repr, twice))}")
    if path == "-":
        yield _csv_writer(sys.stdout, names, keep=bool(kept))
        return
    arrow = parquet() if is_parquet(path) else None
    with open_whole(path) as file:
        if arrow is None:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            yield _csv_writer(text, names, keep=bool(kept))
            text.flush()
            text.detach()
        else:
            with _ParquetOut(arrow, file, names, keep=bool(kept)) as out:
                yield out.write


def write_network(path: str, network: spec.NetworkSpec) -> None:
    """Write a network as a file of the kind that the suffix says.

    Raises:
        InvalidFieldError: No such kind is known, or the file cannot be written.
        ForwardpassError: The network has something that such a file cannot express.
    """
    content = exporters.export(network, path)
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: str) -> Iterator[BinaryIO]:
    """Open a file beside the one that is meant, and give it that one's name when all went well.

    Raises:
        InvalidFieldError: The file cannot be written; an older one is as it was.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():  # a pipe, /dev/null: nothing to be replaced
        with _File.open(target, "wb", path) as file:
            yield file
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    file = _File.open(part, "xb", path)
    try:
        with file:
            yield file
        with _telling(path):
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


class _File(io.FileIO):
    """A file whose errors name the path that the user gave; an OSError of another file is not taken for one of this."""

    _shown: str

    @classmethod
    def open(cls, path: Path, mode: str, shown: str) -> BinaryIO:
        with _telling(shown):
            file = cls(path, mode)
        file._shown = shown
        return io.BufferedWriter(file)

    def write(self, data: Any) -> int:
        with _telling(self._shown):
            return super().write(data)


@contextmanager
def _telling(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise invalid(path, f"cannot be written: {error.strerror}") from None


def _csv_writer(file: Any, names: Sequence[str], *, keep: bool) -> Write:
    writer = csv.writer(file)
    writer.writerow(names)

    def write(prediction: Prediction, part: Part | None) -> None:
        columns: list[Any] = [_cells(column) for column in part.columns] if keep and part is not None else []
        columns += [*prediction.outputs.T.tolist(), *_said(prediction)]
        writer.writerows(zip(*columns, strict=True))

    return write


def _cells(column: Any) -> Any:
    return column if isinstance(column, tuple) else column.to_pylist()


def _said(prediction: Prediction) -> list[Any]:
    if not prediction.classifications:
        return []
    return [prediction.labels, [said.probability for said in prediction.classifications]]


class _ParquetOut:
    """A Parquet file; its schema is that of the first rows."""

    def __init__(self, arrow: Any, file: Any, names: Sequence[str], *, keep: bool) -> None:
        self._arrow = arrow
        self._file = file
        self._names = names
        self._keep = keep
        self._writer: Any = None

    def write(self, prediction: Prediction, part: Part | None) -> None:
        arrow = self._arrow
        kept = part.typed_columns() if self._keep and part is not None else ()
        columns = [*kept, *prediction.outputs.T, *_said(prediction)]
        arrays = [column if isinstance(column, arrow.ChunkedArray) else arrow.array(column) for column in columns]
        table = arrow.table(arrays, names=list(self._names))
        if self._writer is None:
            self._writer = arrow.parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
