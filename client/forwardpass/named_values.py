"""Rows with names: frames, records and mappings, as dicts.

Arrays and lists of numbers go by position, and nothing else does. `resolve_names` is the one place that decides, for
every method that takes rows.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault, FeatureMismatchError, InvalidTensorError
from forwardpass.frames import read_frame

_PLAIN: Final = frozenset({float, int, bool, str, bytes, complex, NoneType, list, tuple, dict, range, np.ndarray})
"""Types of rows and values that are no record and no frame; dicts have names already."""

_NO_SEQUENCES: Final = (Mapping, str, bytes, bytearray, memoryview, array)
"""Types that have names, or whose items are parts of a text or numbers."""


def _attributes(record: Any, names: Iterable[str]) -> dict[str, object]:
    return {name: getattr(record, name) for name in names}


_RECORDS: Final[Mapping[str, Callable[[Any], Mapping[str, object]]]] = {
    "_asdict": lambda record: record._asdict(),  # named tuples, rows of SQLAlchemy
    "__dataclass_fields__": lambda record: _attributes(record, record.__dataclass_fields__),
    "model_dump": lambda record: record.model_dump(),  # pydantic
    "__attrs_attrs__": lambda record: _attributes(record, [each.name for each in record.__attrs_attrs__]),
    "__struct_fields__": lambda record: _attributes(record, record.__struct_fields__),  # msgspec
}
"""Reads the fields of a record, by the attribute that tells its kind."""


def resolve_names(rows: Any) -> Any:
    """Return rows with names as a dict of one row, a dict of columns or a list of dicts, and other rows by position.

    Raises:
        FeatureMismatchError: The names cannot be read; the message says how to pass the rows.
        InvalidTensorError: The rows are a frame of an unknown kind.
    """
    if type(rows) is list or type(rows) is tuple:
        return _resolve_items(rows)
    resolved = _resolve(rows, "rows")
    return _resolve_items(list(resolved)) if resolved is rows and _is_sequence(rows) else resolved


def has_names(rows: Any) -> bool:
    """Return whether an object is one row or some rows with names, and not a plain iterable of rows."""
    if type(rows) in _PLAIN or isinstance(rows, Iterator):
        return isinstance(rows, dict)
    return isinstance(rows, Mapping) or is_labelled(rows) or _resolve(rows, "rows") is not rows


def _resolve(value: Any, path: str) -> Any:
    kind = type(value)
    if kind in _PLAIN and not (kind is np.ndarray and value.dtype.names):
        return value
    if isinstance(value, np.ndarray | np.generic):
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            message = "has masked elements; fill them first, for example with .filled(0)"
            raise InvalidTensorError(f"{path} {message}", faults=[Fault(path=path, message=message)])
        return _fields(value) if value.dtype.names else value
    if is_labelled(value):
        message = (
            f"is a {kind.__name__}, whose coordinates may name its columns; "
            "pass .to_pandas() of it, which is read by name, or .to_numpy(), which has no names"
        )
        raise FeatureMismatchError(f"{path} {message}", faults=[Fault(path=path, message=message)])
    if isinstance(value, Mapping):
        return value
    for attribute, read in _RECORDS.items():
        if hasattr(kind, attribute):
            return read(value)
    frame = read_frame(value)
    if frame is not None:
        return frame
    if callable(getattr(kind, "keys", None)) and hasattr(kind, "__getitem__"):  # rows of sqlite3 and others
        return {name: value[name] for name in value.keys()}  # noqa: SIM118 - it need not be a mapping
    return value


def is_labelled(value: Any) -> bool:
    """Return whether a value is an array of xarray, or alike."""
    return hasattr(type(value), "coords") and hasattr(type(value), "dims")


def _is_sequence(value: Any) -> bool:
    """Return whether a value is a sequence of rows of any type, such as a deque, but neither an array nor a text."""
    kind = type(value)
    if kind in _PLAIN or hasattr(value, "__array__") or isinstance(value, _NO_SEQUENCES):
        return False
    return hasattr(kind, "__len__") and hasattr(kind, "__getitem__")


def _fields(rows: Any) -> dict[str, Any]:
    """Return the fields of a structured array, columns or one row."""
    if rows.ndim > 1:
        message = f"is a structured array of {rows.ndim} axes; one axis is needed"
        raise InvalidTensorError(f"rows {message}", faults=[Fault(path="rows", message=message)])
    return {name: rows[name] if rows.ndim else rows[name].item() for name in rows.dtype.names}


def _resolve_items(rows: Any) -> Any:
    if _PLAIN.issuperset(map(type, rows)):
        return rows
    items = [_resolve(row, f"rows[{index}]") for index, row in enumerate(rows)]
    if all(item is row for item, row in zip(items, rows, strict=True)):
        return rows
    faults = [
        Fault(path=f"rows[{index}]", message=f"is a {type(row).__name__} of several rows; pass it by itself")
        for index, (item, row) in enumerate(zip(items, rows, strict=True))
        if item is not row and _is_table(item)
    ]
    if faults:
        raise FeatureMismatchError(f"the rows have {len(faults)} tables among them", faults=faults[:100])
    return items


def _is_table(item: Any) -> bool:
    columns = item.values() if isinstance(item, dict) else [item] if np.ndim(item) > 1 else []
    return any(isinstance(column, list | np.ndarray) and np.ndim(column) for column in columns)
