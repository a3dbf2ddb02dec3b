"""The rows that a caller passes, as the inputs of a request.

`read_rows` reads them once, for every method. Numbers by position become a tensor: float32 stays float32, every other
number becomes float64. Values by name (a dict, a list of dicts, a dict of columns, a frame of any library, a record)
are sent with their names, so that their order never decides. Texts are categories. A value that is neither text nor
number, or would lose its value, is rejected.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, SupportsFloat, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt
from google.protobuf.struct_pb2 import NULL_VALUE, Struct

from forwardpass.columns import are_columns, read_columns
from forwardpass.errors import Fault, FeatureMismatchError, ForwardpassError, InvalidTensorError, ShapeMismatchError
from forwardpass.exact_numbers import MAX_FLOAT32_INTEGER as MAX_INTEGER
from forwardpass.exact_numbers import (
    NoNumberError,
    as_array,
    is_missing,
    is_small,
    needs_float64,
    read_number,
    to_float64,
)
from forwardpass.named_values import resolve_names
from forwardpass.tensors import Packed, as_tensor, pack
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Columns, Rows, Tensor
from forwardpass.value_names import describe, text_fault, why_unsendable


class SupportsArray(Protocol):
    """Anything that becomes a numpy array: numpy's own, PyTorch's and JAX's arrays, frames and series."""

    def __array__(self) -> Any:
        """Return a numpy array."""


class SupportsArrow(Protocol):
    """Anything that becomes a table of Apache Arrow: frames of any library, relations of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a stream of record batches."""


Number: TypeAlias = SupportsFloat | None
"""A number or boolean, or None for a missing value."""

NamedRow: TypeAlias = Mapping[str, object]
"""A number, text, boolean or None for each feature, by the feature's name; or a list or array of them, a column."""

RowsLike: TypeAlias = (
    NamedRow
    | Number
    | SupportsArray
    | SupportsArrow
    | Sequence[NamedRow | Number | SupportsArray | Sequence[Number]]  # one alternative, so that mypy infers its items
)
"""An array or list `(rows, inputs)` or `(inputs,)`, a dict of named features, a list of dicts, a dict of columns, or a
data frame. docs/reference/rows.md has the rules."""

Row: TypeAlias = Packed | Rows | Columns
"""Rows that were read: by position, by names row by row, or by names column by column."""

_MAX_FAULTS: Final = 100
_FLOATS: Final = frozenset({float, np.float64})
_NUMBERS: Final = frozenset({float, int})


class UnreadableRows(NamedTuple):
    """Rows that cannot be read, in the place of those that can; `read_rows` raises the error."""

    error: ForwardpassError


Readable: TypeAlias = RowsLike | Row | UnreadableRows
"""The rows of a caller, read or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamRequest:
    """One request of a stream of predictions.

    Attributes:
        network: The network's name.
        rows: The rows, in every form that `Client.predict` takes.
        version: A version's number or an alias; empty means `latest`.
        id: Comes back with the response, and is unique among the requests of the stream without a response.
            None means the request's place in the stream: "0", "1" and so on.
        top_k: For a classifier, how many of the most probable classes to tell of each row.
    """

    network: str
    rows: Readable
    version: str | int = ""
    id: str | None = None
    top_k: int = 0


class Inputs(TypedDict, total=False):
    """The inputs of a request: the one field of `oneof inputs` that is set."""

    tensor: Tensor
    rows: Rows
    columns: Columns


def to_inputs(rows: Readable) -> Inputs:
    """Return the rows of a caller as the inputs of a request; raise as `read_rows` does."""
    packed = _pack_plain(rows)
    return inputs_of(_read_others(rows)) if packed is None else {"tensor": as_tensor(packed)}


def inputs_of(read: Row) -> Inputs:
    """Return rows that were read as the inputs of a request."""
    if isinstance(read, Packed):
        return {"tensor": as_tensor(read)}
    return {"rows": read} if isinstance(read, Rows) else {"columns": read}


def read_rows(rows: Readable) -> Row:
    """Read the rows of a caller; return rows that were read before as they are.

    Raises:
        ShapeMismatchError: There are no rows, or the array has more than two axes.
        InvalidTensorError: The rows are ragged, or an element of the array is no number or would lose its value.
        FeatureMismatchError: Something in a named row is neither number nor text; `faults` has every place.
    """
    packed = _pack_plain(rows)
    return _read_others(rows) if packed is None else packed


def _read_others(rows: Readable) -> Row:
    """Read rows that are not plain numbers."""
    if isinstance(rows, Packed | Rows | Columns):
        return rows
    if isinstance(rows, UnreadableRows):
        raise rows.error
    resolved = rows if type(rows) is dict else resolve_names(rows)
    if isinstance(resolved, Mapping):
        return read_columns(resolved) if are_columns(resolved) else _read_named([resolved])
    if isinstance(resolved, list | tuple) and any(isinstance(row, Mapping) for row in resolved):
        return _read_named(resolved)
    return _pack_numbers(resolved)


def _pack_plain(rows: object) -> Packed | None:
    """Pack the commonest rows by the shortest way: an array of floats, or one list of Python's numbers.

    None means that they need a closer look; the result is the same as that look's.
    """
    if type(rows) is np.ndarray:
        is_plain = rows.dtype.char in "dfe" and rows.ndim in {1, 2} and rows.size
        return pack(rows) if is_plain else None
    if type(rows) is list and rows:
        # An integer may be too large to keep its value. No size is larger than their sum, and NaN makes it NaN.
        if not _FLOATS.issuperset(map(type, rows)) and not (
            _NUMBERS.issuperset(map(type, rows)) and sum(map(abs, rows)) <= MAX_INTEGER
        ):
            return None
        return Packed(DATA_TYPE_FLOAT64, (len(rows),), struct.pack(f"<{len(rows)}d", *rows))
    return None


def _pack_numbers(rows: Any) -> Packed:
    """Pack an array of numbers, `(rows, inputs)`, `(inputs,)`, or one number."""
    numbers = _as_array(rows)
    if numbers.shape == () and numbers.dtype.kind == "O" and not isinstance(numbers.item(), SupportsFloat):
        raise _invalid("rows", f"is {describe(numbers.item())}; an array, a list or a dict of numbers is needed")
    exact_integers = False
    if numbers.dtype.char not in "fd":
        try:
            numbers, exact_integers = to_float64(numbers)
        except NoNumberError as error:
            raise _invalid("rows" + "".join(f"[{index}]" for index in error.place), error.message) from None
    if numbers.ndim > 2:
        need = "one row is [2, 3], two are [[2, 3], [4, 5]]"
        raise _shape(f"has {numbers.ndim} axes; must have [rows, inputs]: {need}", numbers.shape)
    if not numbers.size:
        raise _shape("is empty; at least one row of at least one number is needed", numbers.shape)
    packed = pack(numbers if numbers.ndim else numbers.reshape(1))
    return packed._replace(exact_integers=True) if exact_integers else packed


def _as_array(rows: Any) -> npt.NDArray[Any]:
    """Return an array whose elements still have the values of the caller's."""
    try:
        numbers = as_array(rows)
    except NoNumberError as error:
        is_ragged = isinstance(rows, Sequence) and isinstance(error.__cause__, ValueError)
        raise _invalid("rows", _raggedness(rows) if is_ragged else error.message) from None
    # numpy makes floats of integers beside floats, and rounds them.
    if numbers.dtype.char == "d" and isinstance(rows, Sequence) and not is_small(numbers):
        return np.asarray(rows, dtype=object) if (np.abs(numbers) > MAX_INTEGER).any() else numbers
    return numbers


def _read_named(rows: Sequence[Any]) -> Rows:
    message = Rows()
    faults: list[Fault] = []
    for index, row in enumerate(rows):
        path = f"rows[{index}]"
        if not isinstance(row, Mapping):
            faults.append(Fault(path=path, message=f"is {describe(row)}, while other rows have names"))
        elif not row:
            faults.append(Fault(path=path, message="is empty; a number for each feature is needed"))
        elif _fill(message.rows.add(), row, path, faults):
            message.exact_integers = True
        if len(faults) >= _MAX_FAULTS:
            break
    if faults:
        raise FeatureMismatchError(why_unsendable("the rows", "features", faults), faults=faults)
    return message


def _fill(struct: Struct, row: Mapping[Any, Any], path: str, faults: list[Fault]) -> bool:
    """Write a row into a message; return whether it has an integer that float32 cannot hold."""
    fields, exact_integers = struct.fields, False
    for name, value in row.items():
        kind = type(value)
        try:
            if kind is float or kind is bool or (kind is int and -MAX_INTEGER <= value <= MAX_INTEGER):
                fields[name].number_value = value
            elif isinstance(value, str):
                fields[name].string_value = value
            elif is_missing(value):
                fields[name].null_value = NULL_VALUE
            else:
                number = read_number(value)
                exact_integers = exact_integers or needs_float64(value, number)
                fields[name].number_value = number
        except NoNumberError as error:
            faults.append(Fault(path=f"{path}.{name}", message=error.message))
        except (TypeError, UnicodeEncodeError):
            if text_fault(name):
                faults.append(Fault(path=path, message=f"has the name {name!a:.60}; a feature's name is a text"))
            else:
                faults.append(Fault(path=f"{path}.{name}", message=text_fault(value)))
    return exact_integers


def _raggedness(rows: Iterable[Any]) -> str:
    """Return how rows that numpy rejects differ in length."""
    widths = [len(row) if isinstance(row, Sequence | np.ndarray) else 0 for row in rows]
    odd = next((index for index, width in enumerate(widths) if width != widths[0]), None)
    if odd is None:
        return "is no array: the lists in its rows differ in length"
    return f"is ragged: row 0 has {widths[0]} numbers, row {odd} has {widths[odd]}"


def _invalid(path: str, message: str) -> InvalidTensorError:
    return InvalidTensorError(f"{path} {message}", faults=[Fault(path=path, message=message)])


def _shape(message: str, shape: tuple[int, ...]) -> ShapeMismatchError:
    return ShapeMismatchError(
        f"the array of rows {message}",
        faults=[Fault(path="rows", message=message)],
        expectedShape="[rows, inputs]",
        actualShape=list(shape),
    )
