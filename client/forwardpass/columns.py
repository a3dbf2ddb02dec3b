"""Dicts of columns as the message `Columns`.

A column has numbers, texts or booleans, as its values say. Missing values (None, NaN, pandas' NA) are listed beside
them, so that a text or a boolean can be missing too.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from types import NoneType
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault, FeatureMismatchError, ShapeMismatchError
from forwardpass.exact_numbers import MAX_FLOAT32_INTEGER as MAX_INTEGER
from forwardpass.exact_numbers import NoNumberError, as_array, is_missing, to_float64
from forwardpass.frames import read_column
from forwardpass.v1.tensor_pb2 import Booleans, Column, Columns, Numbers, Texts
from forwardpass.value_names import describe, text_fault, why_unsendable

_MAX_FAULTS: Final = 100
_SCALARS: Final = frozenset({float, int, bool, str, bytes, NoneType})
_NOT_VALUES: Final[Mapping[str, str]] = {
    "M": "dates; convert them to numbers first",
    "m": "durations; convert them to numbers first",
    "S": "bytes; a category is a text: decode them, for example with .astype(str)",
}
"""Kinds of numpy's arrays that would become something else as Python's values."""


def is_column(value: object) -> bool:
    """Return whether a value is a column and not a value of one row."""
    if type(value) in _SCALARS or isinstance(value, str | bytes | Mapping):
        return False
    return isinstance(value, Sequence) or getattr(value, "ndim", 0) == 1 or hasattr(value, "__arrow_c_stream__")


def are_columns(rows: Mapping[Any, Any]) -> bool:
    """Return whether a dict is of columns; one column is enough to mean it."""
    values = rows.values()
    return not _SCALARS.issuperset(map(type, values)) and any(map(is_column, values))


def read_columns(columns: Mapping[Any, Any]) -> Columns:
    """Read columns by name.

    Raises:
        FeatureMismatchError: A name is no text, a column mixes kinds of values or has dates, or the columns are series
            whose row labels differ.
        ShapeMismatchError: The columns differ in length, or have no rows.
    """
    message, faults = Columns(), list[Fault]()
    named: dict[str, Any] = {}
    for name, values in columns.items():
        name_fault = text_fault(name)
        if name_fault:
            faults.append(Fault(path="rows", message=f"has the name {name!r:.60}; a feature's name is a text"))
        elif not is_column(values):
            faults.append(Fault(path=f"rows.{name}", message=f"is {describe(values)}, while others are columns"))
        else:
            named[name] = values
    for name, values in _without_labels(named).items():
        message.columns.append(_column(name, values, message, faults))
        if len(faults) >= _MAX_FAULTS:
            break
    if faults:
        raise FeatureMismatchError(why_unsendable("the rows", "columns", faults), faults=faults)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        some = ", ".join(f"{name!r} has {length}" for name, length in [*lengths.items()][:8])
        fault = Fault(path="rows", message=f"are columns that differ in length: {some}")
        raise ShapeMismatchError(f"the {fault}", faults=[fault])
    if not any(lengths.values()):
        fault = Fault(path="rows", message="is empty; at least one row is needed")
        raise ShapeMismatchError("the columns are empty; at least one row is needed", faults=[fault])
    return message


def split_columns(columns: Mapping[Any, Any], size: int) -> Iterator[Mapping[Any, Any]]:
    """Yield parts of columns of at most `size` rows."""
    series = {name: values for name, values in columns.items() if is_column(values)}
    plain = {**columns, **_without_labels(series)}
    lengths = {len(plain[name]) for name in series}
    if len(lengths) > 1:  # reading them raises the error
        yield columns
        return
    for start in range(0, lengths.pop(), size):
        yield {name: values[start : start + size] if is_column(values) else values for name, values in plain.items()}


def _without_labels(columns: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the values of columns, of series without their row labels, which must be the same in all of them."""
    plain: dict[Any, Any] = {}
    first: Any = None
    for name, values in columns.items():
        if isinstance(values, list | tuple | np.ndarray | range):
            plain[name] = values
            continue
        if hasattr(type(values), "coords"):  # an array of xarray, whose coordinates may be in another order
            raise _rejected(name, "has coordinates; pass .to_pandas() of it, or .to_numpy(), which has none")
        plain[name], labels = read_column(values, str(name))
        if plain[name] is None:
            try:
                plain[name] = as_array(values)
            except NoNumberError as error:
                raise _rejected(name, error.message) from None
        elif labels is not None and first is None:
            first = labels
        elif labels is not None and not first.equals(labels):
            raise _rejected(
                name, "is a series whose row labels differ from those of another column; make one frame of the columns"
            )
    return plain


def _rejected(name: object, message: str) -> FeatureMismatchError:
    return FeatureMismatchError(f"rows.{name} {message}", faults=[Fault(path=f"rows.{name}", message=message)])


def _column(name: str, values: Any, message: Columns, faults: list[Fault]) -> Column:
    kind = values.dtype.kind if isinstance(values, np.ndarray) else "O"
    fault = f"has {_NOT_VALUES[kind]}" if kind in _NOT_VALUES else ""
    if np.ma.is_masked(values):
        fault = "has masked elements; fill them first, for example with .filled(0)"
    if fault:
        faults.append(Fault(path=f"rows.{name}", message=fault))
        return Column(name=name)
    if kind in "biuf":
        if kind == "b":
            return Column(name=name, booleans=Booleans(values=values.tolist()))
        return _number_column(name, values, [], message, faults)
    items = [*values] if kind == "O" else values.tolist()
    kinds = set(map(type, items))
    if kinds == {float}:
        return Column(name=name, numbers=Numbers(values=items))
    there = [not (is_missing(value) or (isinstance(value, float) and math.isnan(value))) for value in items]
    kinds = {type(value) for value in compress(items, there)}
    missing = [index for index, is_there in enumerate(there) if not is_there]
    if kinds and all(issubclass(each, str) for each in kinds):
        texts = [text if is_there else "" for text, is_there in zip(items, there, strict=True)]
        return _text_column(name, texts, missing, faults)
    if kinds and kinds <= {bool, np.bool_}:
        truths = [bool(is_there and value) for value, is_there in zip(items, there, strict=True)]
        return Column(name=name, booleans=Booleans(values=truths), missing=missing)
    missing = [index for index in missing if is_missing(items[index])]  # NaN stands among the numbers
    if kinds <= {float, int} and all(-MAX_INTEGER <= value <= MAX_INTEGER for value in compress(items, there)):
        numbers = [value if is_there else math.nan for value, is_there in zip(items, there, strict=True)]
        return Column(name=name, numbers=Numbers(values=numbers), missing=missing)
    objects = np.empty(len(items), dtype=object)
    objects[:] = items
    return _number_column(name, objects, missing, message, faults)


def _text_column(name: str, texts: list[str], missing: list[int], faults: list[Fault]) -> Column:
    try:
        return Column(name=name, texts=Texts(values=texts), missing=missing)
    except UnicodeEncodeError:
        index, fault = next((index, fault) for index, text in enumerate(texts) if (fault := text_fault(text)))
        faults.append(Fault(path=f"rows.{name}[{index}]", message=fault))
        return Column(name=name)


def _number_column(name: str, values: Any, missing: list[int], message: Columns, faults: list[Fault]) -> Column:
    try:
        numbers, exact_integers = to_float64(values)
    except NoNumberError as error:
        value = values[error.place] if error.place else None
        reason = f"is {describe(value)}, while other rows have numbers" if isinstance(value, str) else error.message
        faults.append(Fault(path=f"rows.{name}" + "".join(f"[{index}]" for index in error.place), message=reason))
        return Column(name=name)
    if exact_integers:
        message.exact_integers = True
    return Column(name=name, numbers=Numbers(values=numbers.tolist()), missing=missing)
