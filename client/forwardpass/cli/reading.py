"""Rows and specs as people give them: JSON, CSV, files, `-` for standard input."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from forwardpass import spec
from forwardpass.errors import Fault, InvalidFieldError


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
    """Read a spec, JSON or safetensors."""
    if source == "-":
        return spec.from_json(sys.stdin.buffer.read())
    try:
        return spec.load(source)
    except OSError as error:
        raise invalid(source, f"cannot be read: {error.strerror}") from None


def read_rows(rows: str | None, csv_source: str | None) -> Any:
    """Read rows from an argument with JSON (or `-`), or from CSV; exactly one of the two."""
    if (rows is None) == (csv_source is None):
        raise invalid("rows", "are given by ROWS or by --csv, one of the two")
    if csv_source is not None and csv_source.lower().endswith(".parquet"):
        raise invalid(csv_source, "is a table for a table; say with --out where the outputs go")
    if csv_source is not None:
        return rows_from_csv(read_text(csv_source))
    text = sys.stdin.read() if rows == "-" else str(rows)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise invalid(
            "rows",
            f'are not JSON ({error.msg} at character {error.pos}); write [2, 3] or {{"children": 2, ...}}',
        ) from None


def rows_from_csv(text: str) -> list[list[float]] | list[dict[str, float]]:
    """Read CSV: with a header, rows by feature name; without one, rows by place.

    The first line is a header unless all of its cells are numbers.
    """
    lines = [(number, cells) for number, cells in enumerate(csv.reader(io.StringIO(text)), start=1) if cells]
    if not lines:
        raise invalid("csv", "is empty")
    first = lines[0][1]
    header = None if all(is_number(cell) for cell in first) else [cell.strip() for cell in first]
    numbers = []
    for number, cells in lines if header is None else lines[1:]:
        if len(cells) != len(first):
            raise invalid(f"csv line {number}", f"has {len(cells)} cells; the first line has {len(first)}")
        for column, cell in enumerate(cells):
            if not is_number(cell):
                name = repr(header[column]) if header else str(column + 1)
                raise invalid(f"csv line {number}", f"has {cell!r} in column {name}; a number is needed")
        numbers.append([float(cell) for cell in cells])
    if not numbers:
        raise invalid("csv", "has a header and no rows")
    return numbers if header is None else [dict(zip(header, row, strict=True)) for row in numbers]


def is_number(cell: str) -> bool:
    """Return whether a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def invalid(path: str, message: str) -> InvalidFieldError:
    """Make what is raised for something given that is not right."""
    return InvalidFieldError(f"{path}: {message}", faults=[Fault(path=path, message=message)])
