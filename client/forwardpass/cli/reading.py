"""Rows and specs as people give them: JSON, CSV, files, `-` for standard input."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from forwardpass import Client, spec
from forwardpass.cli.cells import PLAIN, Value, value_of
from forwardpass.errors import Fault, InvalidFieldError, PermissionDeniedError
from forwardpass.exporters import numpy_file
from forwardpass.models import FeatureInfo


def read_text(source: str) -> str:
    """Read a file, or standard input for `-`."""
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid(source, f"is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise invalid(source, f"cannot be read: {error.strerror}") from None


def read_spec(source: str) -> spec.NetworkSpec:
    """Read a spec: JSON, safetensors, or out of a Python file that was exported, of which nothing is executed."""
    if source == "-":
        return spec.from_json(sys.stdin.buffer.read())
    try:
        if source.lower().endswith(".py"):
            return numpy_file.read(Path(source).read_bytes())
        return spec.load(source)
    except OSError as error:
        raise invalid(source, f"cannot be read: {error.strerror}") from None


def read_rows(rows: str | None, csv_source: str | None, features: Callable[[], Iterable[FeatureInfo]]) -> Any:
    """Read rows from an argument with JSON (or `-`), or from CSV; exactly one of the two.

    Args:
        rows: JSON, or `-` for standard input.
        csv_source: A file with CSV, or `-`.
        features: Looks up the network's features; called where CSV has names.
    """
    if (rows is None) == (csv_source is None):
        raise invalid("rows", "are given by ROWS or by --csv, one of the two")
    if csv_source is not None and csv_source.lower().endswith(".parquet"):
        raise invalid(csv_source, "is a table for a table; say with --out where the outputs go")
    if csv_source is not None:
        return rows_from_csv(read_text(csv_source), features)
    return rows_from_json(sys.stdin.read() if rows == "-" else str(rows))


def rows_from_json(text: str, place: str = "rows") -> Any:
    """Read rows from JSON; an error names their place."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].strip()
        where = f"from character {error.pos + 1} on, {rest[:20]!r}" if rest else "as they end too early"
        raise invalid(place, f'are not JSON {where}; write [2, 3] or {{"children": 2, ...}}') from None


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; one with a name twice has no meaning."""
    check_names([name for name, _ in pairs], "rows", "a row has several values named")
    return dict(pairs)


def rows_from_csv(
    text: str, features: Callable[[], Iterable[FeatureInfo]]
) -> Sequence[Sequence[Value]] | Sequence[Mapping[str, Value]]:
    """Read CSV: with a header, rows by feature name; without one, rows by place, which are numbers.

    The first line is a header unless all of its cells are numbers.
    """
    lines = [(number, cells) for number, cells in enumerate(csv.reader(io.StringIO(text)), start=1) if cells]
    if not lines:
        raise invalid("csv", "is empty")
    first = lines[0][1]
    header = None if all(is_number(cell) for cell in first) else [cell.strip() for cell in first]
    check_names(header or (), "csv")
    known = {} if header is None else {feature.name: feature for feature in features()}
    kinds = [known.get(name, PLAIN) for name in header or [""] * len(first)]
    rows: list[list[Value]] = []
    for number, cells in lines if header is None else lines[1:]:
        if len(cells) != len(first):
            raise invalid(f"csv line {number}", f"has {len(cells)} cells; the first line has {len(first)}")
        row: list[Value] = []
        for column, (cell, feature) in enumerate(zip(cells, kinds, strict=True)):
            try:
                row.append(value_of(cell, feature))
            except ValueError as error:
                name = repr(header[column]) if header else str(column + 1)
                raise invalid(f"csv line {number}", f"has {cell!r} in column {name}; {error}") from None
        rows.append(row)
    if not rows:
        raise invalid("csv", "has a header and no rows")
    return rows if header is None else [dict(zip(header, row, strict=True)) for row in rows]


def features_of(client: Client, network: str, version: str) -> Sequence[FeatureInfo]:
    """Look up the features of a network; none where the caller may compute it, but not ask for that."""
    try:
        return client.version(network, version=version).features
    except PermissionDeniedError:
        return ()


def is_number(cell: str) -> bool:
    """Return whether a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def check_names(names: Sequence[str], source: str, has: str = "has several columns") -> None:
    """Raise InvalidFieldError if a name is there twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid(source, f"{has} {', '.join(map(repr, twice))}")


def invalid(path: str, message: str) -> InvalidFieldError:
    """Return the error of an argument or a file."""
    return InvalidFieldError(f"{path}: {message}", faults=[Fault(path=path, message=message)])
