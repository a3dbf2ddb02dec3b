"""Rows as columns: data frames and dicts of columns as the message `Columns`.

A column has numbers, texts or booleans, as its values say; what is missing (None, NaN, pandas' NA) is listed beside
them, so that a text or a boolean can be missing too.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault, FeatureMismatchError, ShapeMismatchError
from forwardpass.v1.tensor_pb2 import Booleans, Column, Columns, Numbers, Texts
from forwardpass.words import found, read_number, refusal

_NAMES: Final = frozenset({"NAType", "NaTType"})
"""The classes of pandas' values that are missing, which nobody needs to import for."""

_MAX_FAULTS: Final = 100


def is_missing(value: object) -> bool:
    """Return whether a value says that there is none: None, or pandas' NA and NaT."""
    return value is None or type(value).__name__ in _NAMES


def is_column(value: object) -> bool:
    """Return whether a value is a column and not a value of one row."""
    if isinstance(value, str | bytes | Mapping):
        return False
    return isinstance(value, Sequence) or getattr(value, "ndim", 0) == 1


def are_columns(rows: object) -> bool:
    """Return whether rows are a dict of columns; one column is enough to mean it."""
    return isinstance(rows, Mapping) and any(map(is_column, rows.values()))


def columns_message(columns: Mapping[Any, Any]) -> Columns:
    """Read columns by name.

    Raises:
        FeatureMismatchError: A name is no text, or a column is none or mixes kinds of values.
        ShapeMismatchError: The columns differ in length, or have no rows.
    """
    message, faults = Columns(), []
    for name, values in columns.items():
        if not isinstance(name, str):
            faults.append(Fault(path="rows", message=f"has the name {name!r}; a feature's name is a text"))
        elif not is_column(values):
            faults.append(Fault(path=f"rows.{name}", message=f"is {found(values)}, while others are columns"))
        else:
            message.columns.append(_column(name, values, faults))
        if len(faults) >= _MAX_FAULTS:
            break
    if faults:
        raise FeatureMismatchError(f"the rows have {len(faults)} columns that cannot be sent", faults=faults)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        some = ", ".join(f"{name!r} has {length}" for name, length in [*lengths.items()][:8])
        fault = Fault(path="rows", message=f"are columns that differ in length: {some}")
        raise ShapeMismatchError(f"the {fault}", faults=[fault])
    if not any(lengths.values()):
        fault = Fault(path="rows", message="is empty; at least one row is needed")
        raise ShapeMismatchError("the columns are empty; at least one row is needed", faults=[fault])
    return message


def _column(name: str, values: Any, faults: list[Fault]) -> Column:
    kind = values.dtype.kind if isinstance(values, np.ndarray) else "O"
    if kind in "iuf":
        return Column(name=name, numbers=Numbers(values=values.tolist()))
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    there = [not (is_missing(value) or (isinstance(value, float) and math.isnan(value))) for value in items]
    kinds = {type(value) for value in compress(items, there)}
    missing = [index for index, is_there in enumerate(there) if not is_there]
    if kinds and all(issubclass(each, str) for each in kinds):
        texts = [value if is_there else "" for value, is_there in zip(items, there, strict=True)]
        return Column(name=name, texts=Texts(values=texts), missing=missing)
    if kinds and kinds <= {bool, np.bool_}:
        truths = [bool(is_there and value) for value, is_there in zip(items, there, strict=True)]
        return Column(name=name, booleans=Booleans(values=truths), missing=missing)
    numbers = []
    missing = [index for index, value in enumerate(items) if is_missing(value)]
    for index, value in enumerate(items):
        number = math.nan if is_missing(value) else read_number(value)
        if number is None:
            mixed = isinstance(value, str)
            what = f"is {found(value)}, while other rows have numbers" if mixed else refusal(value)
            faults.append(Fault(path=f"rows.{name}[{index}]", message=what))
            break
        numbers.append(number)
    return Column(name=name, numbers=Numbers(values=numbers), missing=missing)


def frame_columns(frame: Any) -> dict[str, Any]:
    """Return the columns of a pandas DataFrame whose columns have names; None in them where a value is missing.

    Raises:
        FeatureMismatchError: Several columns have one name, or a column has neither numbers, texts nor booleans.
    """
    faults: list[Fault] = []
    columns: dict[str, Any] = {}
    repeated = set(frame.columns[frame.columns.duplicated()])
    for name, column in frame.items():
        kind = getattr(column.dtype, "kind", "O")
        if name in repeated:
            faults.append(Fault(path=f"rows.{name}", message="several columns have this name"))
        elif kind in "iuf":
            columns[name] = column.to_numpy(dtype=np.float64, na_value=math.nan)
        elif kind in "bOUT" or column.dtype.name in {"category", "string", "boolean", "str"}:
            columns[name] = [None if gone else value for gone, value in zip(column.isna(), column, strict=True)]
        else:
            said = f"is a column of {column.dtype}; numbers, texts or booleans are needed"
            faults.append(Fault(path=f"rows.{name}", message=said))
    if faults:
        raise FeatureMismatchError(f"the frame has {len(faults)} columns that cannot be sent", faults=faults)
    return columns


def parts_of_columns(columns: Mapping[str, Any], size: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Cut columns into parts of at most so many rows; yield each with the number of its rows."""
    rows = max(len(column) for column in columns.values() if is_column(column))
    for start in range(0, rows, size):
        part = {name: column[start : start + size] if is_column(column) else column for name, column in columns.items()}
        yield part, min(size, rows - start)


def rows_of_columns(columns: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return columns as one dict for each row."""
    lists = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
