"""Inputs by feature name, row by row or column by column, as one matrix.

A text that is no category becomes `UNKNOWN`, and a missing value NaN. `inputs` then treats the matrix of every form of
inputs alike: it puts in fill values and rejects the rest.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from forwardpass.errors import Fault, FeatureMismatchError, MissingValueError, ShapeMismatchError
from forwardpass.normal_forms import normal_form_hint
from forwardpass.spec.feature_kinds import REFUSE, UNKNOWN

from forwardpass_server.serving.inputs.checks import MAX_LISTED, Origin, check_omitted

if TYPE_CHECKING:
    from forwardpass.v1.tensor_pb2 import Column, Columns, Rows
    from google.protobuf.struct_pb2 import Struct

    from forwardpass_server.registry import LoadedVersion

    Floats = npt.NDArray[np.float64]

_COMPARED: Final = 100
"""Features that an unknown name is compared with, and the number of its characters that are."""
_MAX_HINTS: Final = 8
"""Unknown names of one request that are compared: a caller's typing errors must stay cheap."""

_NEEDED: Final[Mapping[str, str]] = {"number": "a number", "category": "a text", "boolean": "true or false"}
"""The value that each kind of feature needs."""

_VALUES: Final[Mapping[tuple[str, str], Callable[[Any, Mapping[str, int]], float]]] = {
    ("number_value", "number"): lambda value, _: value.number_value,
    ("number_value", "boolean"): lambda value, _: value.number_value,
    ("bool_value", "number"): lambda value, _: float(value.bool_value),
    ("bool_value", "boolean"): lambda value, _: float(value.bool_value),
    ("string_value", "category"): lambda value, categories: categories.get(value.string_value, UNKNOWN),
}
"""How a value of a row is read, by its kind on the wire and the kind of its feature; no other pair fits."""

_COLUMNS: Final[Mapping[tuple[str, str], Callable[[Any, Mapping[str, int]], Any]]] = {
    ("numbers", "number"): lambda column, _: column.numbers.values,
    ("numbers", "boolean"): lambda column, _: column.numbers.values,
    ("booleans", "number"): lambda column, _: column.booleans.values,
    ("booleans", "boolean"): lambda column, _: column.booleans.values,
    ("texts", "category"): lambda column, categories: [categories.get(text, UNKNOWN) for text in column.texts.values],
}
"""How the values of a column are read, likewise."""


class _Found:
    """Faults found while names are read, and the rows and columns of values that have to be there and are not.

    Attributes:
        faults: Unknown names, and values of the wrong kind.
        absent: Where a row does not have the name of a feature.
        missing: Where a value is null, or a name is absent, and NaN cannot take its place.
    """

    def __init__(self, loaded: "LoadedVersion", given: str) -> None:
        self.loaded = loaded
        self.faults: list[Fault] = []
        self.absent: list[tuple[int, int]] = []
        self.missing: list[tuple[int, int]] = []
        self._given = given

    @property
    def is_full(self) -> bool:
        """Whether the error lists no more faults."""
        return len(self.faults) + len(self.absent) + len(self.missing) >= MAX_LISTED

    def unknown_name(self, path: str, name: str) -> None:
        """Note the name of no feature."""
        hint = _hint(name, self.loaded.input_names) if len(self.faults) < _MAX_HINTS else ""
        self.faults.append(Fault(path=path, message=f"the network has no such feature{hint}"))

    def kind_of(self, column: int) -> str:
        """Return the kind of a feature."""
        return "number" if self.loaded.typed is None else self.loaded.typed.features[column].kind

    def categories_of(self, column: int) -> Mapping[str, int]:
        """Return the categories of a feature."""
        return {} if self.loaded.typed is None else self.loaded.typed.categories[column]

    def note_absent(self, row: int, column: int) -> None:
        """Note that a row does not have the name of a feature."""
        if self.loaded.typed is None:
            self.absent.append((row, column))
        else:
            self.note_null(row, column)

    def note_null(self, row: int, column: int) -> None:
        """Note that a value is null, unless its NaN is checked with the numbers of the matrix."""
        if self.computes_nan(column):
            self.missing.append((row, column))

    def computes_nan(self, column: int) -> bool:
        """Whether the network computes NaN in this column like any number, so that it cannot stand for null."""
        typed = self.loaded.typed
        if typed is None:
            return self.loaded.allow_non_finite
        return typed.features[column].missing == REFUSE and not typed.rules.refuses_missing[column]

    def check(self, origin: Origin) -> None:
        """Raise the faults, if there are any."""
        loaded, places = self.loaded, self.absent + self.missing
        faults = self.faults + [
            Fault(path=origin.path(row, column), message="is missing; every feature is needed")
            for row, column in places[:MAX_LISTED]
        ]
        if not faults:
            return
        if self.faults or self.absent:
            raise FeatureMismatchError(
                f"{self._given}: {len(faults)} of the features given or missing do not fit {loaded.display_name}",
                faults=faults,
                network=loaded.name,
                version=loaded.version,
                features=", ".join(loaded.input_names),
            )
        row, column = self.missing[0]
        raise MissingValueError(
            f"{faults[0].path}: is missing and has no fill value; {loaded.display_name} rejects that",
            faults=faults,
            row=row,
            feature=loaded.input_names[column],
            count=len(self.missing),
            network=loaded.name,
            version=loaded.version,
        )


def matrix_of_rows(rows: "Rows", loaded: "LoadedVersion") -> "tuple[Floats, Origin]":
    """Read rows by name; return `(rows, inputs)`, and where each value stands.

    Raises:
        ShapeMismatchError: There are no rows.
        FeatureMismatchError: A row has an unknown feature, lacks one, or has a value of the wrong kind.
        MissingValueError: A value is missing, and NaN would be computed in its place.
    """
    given, names = rows.rows, loaded.input_names
    if not given:
        raise _no_rows("rows", loaded)
    check_omitted(len(given) * loaded.plan.inputs - sum(len(row.fields) for row in given), loaded)
    matrix = np.empty((len(given), loaded.plan.inputs), dtype=np.float64)
    found = _Found(loaded, "rows")
    for index, row in enumerate(given):
        _fill(matrix[index], row, index, found)
        if found.is_full:
            break

    def text(row: int, column: int) -> str | None:
        value = given[row].fields.get(names[column])
        return value.string_value if value is not None and value.HasField("string_value") else None

    origin = Origin(path=lambda row, column: f"rows[{row}].{names[column]}", text=text)
    found.check(origin)
    return matrix, origin


def _fill(out: "Floats", row: "Struct", index: int, found: _Found) -> None:
    """Write one row's numbers into `out`, shape `(inputs,)`; note what does not fit."""
    loaded, fields, before = found.loaded, row.fields, len(found.faults)
    for name, value in fields.items():
        column = loaded.feature_index.get(name)
        if column is None:
            found.unknown_name(f"rows[{index}].{name}", name)
            continue
        wire = value.WhichOneof("kind")
        if wire == "number_value" and loaded.typed is None:  # the usual value by the shortest way
            out[column] = value.number_value
            continue
        read = _VALUES.get((wire or "", kind := found.kind_of(column)))
        if read is not None:
            out[column] = read(value, found.categories_of(column))
        elif wire in {None, "null_value"} or isnan(value.number_value):
            out[column] = nan
            found.note_null(index, column)
        else:
            actual = f"a {str(wire).removesuffix('_value')}"
            fault = Fault(path=f"rows[{index}].{name}", message=f"is {actual}; {_NEEDED[kind]} is needed")
            found.faults.append(fault)
    if len(fields) < len(loaded.feature_index) or len(found.faults) > before:
        for column, name in enumerate(loaded.input_names):
            if name not in fields:
                out[column] = nan
                found.note_absent(index, column)


def matrix_of_columns(columns: "Columns", loaded: "LoadedVersion") -> "tuple[Floats, Origin]":
    """Read columns; return `(rows, inputs)`, and where each value stands.

    Raises:
        ShapeMismatchError: There are no rows, or the columns differ in length.
        FeatureMismatchError: A feature is unknown, given twice or missing, or its values are of the wrong kind.
        MissingValueError: A value is missing, and NaN would be computed in its place.
    """
    given = {column.name: column for column in columns.columns}
    rows = _count_rows(columns.columns, loaded)
    check_omitted(rows * (loaded.plan.inputs - len(given)), loaded)
    matrix = np.full((rows, loaded.plan.inputs), nan)
    found = _Found(loaded, "columns")
    for name, times in Counter(column.name for column in columns.columns).items():
        column = loaded.feature_index.get(name)
        if column is None:
            found.unknown_name(f"columns.{name}", name)
        elif times > 1:
            found.faults.append(Fault(path=f"columns.{name}", message="is there more than once"))
        else:
            _fill_column(matrix[:, column], given[name], column, found)
        if found.is_full:
            break
    for column, name in enumerate(loaded.input_names):
        if name not in given:
            found.note_absent(0, column)
    names = loaded.input_names

    def text(row: int, column: int) -> str | None:
        texts = given[names[column]].texts.values if names[column] in given else ()
        return texts[row] if row < len(texts) else None

    origin = Origin(path=lambda row, column: f"columns.{names[column]}[{row}]", text=text)
    found.check(origin)
    return matrix, origin


def _count_rows(columns: "Sequence[Column]", loaded: "LoadedVersion") -> int:
    """Return how many rows the columns have."""
    lengths = {column.name: len(getattr(column, wire).values) for column in columns if (wire := _wire(column))}
    rows = set(lengths.values())
    if len(rows) > 1:
        some = ", ".join(f"{name!r} has {length}" for name, length in islice(lengths.items(), _MAX_HINTS))
        message = f"differ in length: {some}"
        raise ShapeMismatchError(f"columns: {message}", faults=[Fault(path="columns", message=message)])
    if not rows or not max(rows):
        raise _no_rows("columns", loaded)
    return rows.pop()


def _wire(column: "Column") -> str:
    """Return the kind of a column's values; empty where it has none."""
    return column.WhichOneof("values") or ""


def _fill_column(out: "Floats", column: "Column", place: int, found: _Found) -> None:
    """Write one column's numbers into `out`, shape `(rows,)`; note what does not fit."""
    wire, kind, path = _wire(column), found.kind_of(place), f"columns.{column.name}"
    read = _COLUMNS.get((wire, kind))
    if read is None and len(column.missing) < len(out):  # the kind of a column that is all missing says nothing
        actual = f"has {wire}" if wire else "has no values"
        found.faults.append(Fault(path=path, message=f"{actual}; {_NEEDED[kind]} in each row is needed"))
        return
    if read is not None:
        out[:] = read(column, found.categories_of(place))
    missing = np.array(column.missing, dtype=np.int64)
    beyond = missing[(missing < 0) | (missing >= len(out))]
    if beyond.size:
        found.faults.append(Fault(path=f"{path}.missing", message=f"has row {beyond[0]}; there are {len(out)} rows"))
        return
    out[missing] = nan
    if missing.size and found.computes_nan(place):
        found.missing += [(row, place) for row in missing.tolist()]


def _no_rows(given: str, loaded: "LoadedVersion") -> ShapeMismatchError:
    return ShapeMismatchError(
        f"{given}: there are none; {loaded.display_name} needs at least one row",
        faults=[Fault(path=given, message="needs at least one row")],
        expectedShape=f"[rows, {loaded.plan.inputs}]",
        actualShape=[0, loaded.plan.inputs],
        network=loaded.name,
        version=loaded.version,
    )


def _hint(name: str, names: tuple[str, ...]) -> str:
    """Return a hint at the feature that the caller may mean; compare the name with some of many."""
    other_form = normal_form_hint(name, names)
    if other_form:
        return other_form
    some = names if len(names) <= _COMPARED else islice((other for other in names if other[0] == name[:1]), _COMPARED)
    near = get_close_matches(name[:_COMPARED], some, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {_some(names)}"


def _some(names: tuple[str, ...], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
