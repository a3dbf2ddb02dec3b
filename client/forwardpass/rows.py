"""What a caller passes as rows, as the inputs of a request.

Numbers by position become a tensor: float32 stays float32, everything else becomes float64.
Values by name (a dict, a list of dicts, a dict of columns, a pandas DataFrame or Series with names) are
sent with their names, so that the order of columns never decides. Texts are categories; what is
neither text nor number is refused here.
"""

import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, SupportsFloat, TypeAlias, TypedDict, TypeGuard

import numpy as np
import numpy.typing as npt
from google.protobuf.struct_pb2 import NULL_VALUE, Struct

from forwardpass.columns import are_columns, columns_message, frame_columns, is_missing, rows_of_columns
from forwardpass.errors import Fault, FeatureMismatchError, InvalidTensorError, ShapeMismatchError
from forwardpass.tensors import Packed, as_tensor, pack
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Columns, Rows, Tensor
from forwardpass.words import found, read_number, refusal

Value: TypeAlias = SupportsFloat | str | None
"""What a feature may be: a number or boolean, the text of a category, or None for what is missing."""

NamedRow: TypeAlias = Mapping[str, Value]
"""A value for each feature, by the feature's name."""

NamedColumns: TypeAlias = Mapping[str, Sequence[Value] | npt.NDArray[Any]]
"""A column for each feature, by the feature's name."""

RowsLike: TypeAlias = npt.ArrayLike | NamedRow | Sequence[NamedRow] | NamedColumns
"""An array `(rows, inputs)` or `(inputs,)`, a named row, a list of them, a dict of columns, or a pandas DataFrame
or Series."""

Row: TypeAlias = Packed | Rows | Columns
"""Rows that were read: packed by position, by names, or as columns by names."""

_MAX_FAULTS: Final = 100
_PYTHONS_NUMBERS: Final = frozenset({float, int})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StreamRequest:
    """One request of a stream of predictions.

    Attributes:
        network: The network's name.
        rows: The rows, in every form that `Client.predict` takes.
        version: A version's number or an alias; empty means `latest`.
        id: Comes back with the answer, and is unique among the unanswered requests of the stream.
            None means the request's place in the stream: "0", "1" and so on.
        top_k: For a classifier, how many of the most probable classes to tell of each row.
    """

    network: str
    rows: RowsLike
    version: str | int = ""
    id: str | None = None
    top_k: int = 0


class Inputs(TypedDict, total=False):
    """The inputs of a request: the one field of `oneof inputs` that is set."""

    tensor: Tensor
    rows: Rows
    columns: Columns


def to_inputs(rows: RowsLike) -> Inputs:
    """Turn what a caller passed as rows into the inputs of a request; raises as `read_rows` does."""
    return inputs_of(read_rows(rows))


def inputs_of(read: Row) -> Inputs:
    """Return rows that were read as the inputs of a request."""
    if isinstance(read, Packed):
        return {"tensor": as_tensor(read)}
    return {"rows": read} if isinstance(read, Rows) else {"columns": read}


def read_rows(rows: RowsLike) -> Row:
    """Read what a caller passed as rows: packed by position, or by names.

    Raises:
        ShapeMismatchError: There are no rows, or the array has neither one axis nor two.
        InvalidTensorError: The rows are ragged, or something in the array is no number.
        FeatureMismatchError: Something in a named row is neither number nor text; `faults` has every place.
    """
    packed = _plain(rows)
    if packed is not None:
        return packed
    if _is_frame(rows) and len(rows) != 1:  # one row is sent as such, and may be coalesced
        rows = _frame(rows)
    plain: Any = without_pandas(rows)
    if are_columns(plain):
        return columns_message(plain)
    if isinstance(plain, Mapping):
        plain = [plain]
    if isinstance(plain, list | tuple) and any(isinstance(row, Mapping) for row in plain):
        return _named(plain)
    return pack(_matrix(plain))


def _plain(rows: RowsLike) -> Packed | None:
    """Pack the commonest rows by the shortest way: an array of floats, or one list of Python's numbers.

    None means that they need a closer look; the result is never other than that look's.
    """
    if type(rows) is np.ndarray:
        return pack(rows) if rows.dtype.kind == "f" and rows.ndim in {1, 2} and rows.size else None
    if type(rows) is list and rows and _PYTHONS_NUMBERS.issuperset(map(type, rows)):
        try:
            return Packed(DATA_TYPE_FLOAT64, (len(rows),), struct.pack(f"<{len(rows)}d", *rows))
        except (OverflowError, struct.error):
            return None
    return None


def _matrix(rows: Any) -> npt.NDArray[Any]:
    """Return an array of numbers, `(rows, inputs)` or `(inputs,)`."""
    if np.ma.is_masked(rows):
        raise _invalid("rows", "has masked elements; fill them first, for example with .filled(0)")
    try:
        numbers = np.asarray(rows)
    except ValueError:
        raise _invalid("rows", _raggedness(rows)) from None
    if numbers.dtype.kind not in "biuf":
        numbers = _converted(numbers)
    if numbers.ndim not in {1, 2}:
        need = "one row is [2, 3], two are [[2, 3], [4, 5]]"
        raise _shape(f"has {numbers.ndim} axes; needed are [rows, inputs]: {need}", numbers.shape)
    if not numbers.size:
        raise _shape("is empty; at least one row of at least one number is needed", numbers.shape)
    return numbers


def _converted(numbers: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Convert an array of Python objects that all are numbers, for example integers beyond 64 bits."""
    if numbers.dtype.kind != "O":
        kind = "text" if numbers.dtype.kind in "US" else f"dtype {numbers.dtype}"
        raise _invalid("rows", f"has {kind}; numbers are needed")
    if numbers.ndim == 0:
        raise _invalid("rows", f"is {found(numbers.item())}; an array, a list or a dict of numbers is needed")
    converted = np.empty(numbers.shape, dtype=np.float64)
    for place, value in np.ndenumerate(numbers):
        number = read_number(value)
        if number is None:
            raise _invalid(f"rows{''.join(f'[{index}]' for index in place)}", refusal(value))
        converted[place] = number
    return converted


def _named(rows: Sequence[Any]) -> Rows:
    message = Rows()
    faults: list[Fault] = []
    for index, row in enumerate(rows):
        path = f"rows[{index}]"
        if not isinstance(row, Mapping):
            faults.append(Fault(path=path, message=f"is {found(row)}, while other rows have names"))
        elif not row:
            faults.append(Fault(path=path, message="is empty; a number for each feature is needed"))
        else:
            _fill(message.rows.add(), row, path, faults)
        if len(faults) >= _MAX_FAULTS:
            break
    if faults:
        raise FeatureMismatchError(f"the rows have {len(faults)} features that cannot be sent", faults=faults)
    return message


def _fill(struct: Struct, row: Mapping[Any, Any], path: str, faults: list[Fault]) -> None:
    fields = struct.fields
    for name, value in row.items():
        if not isinstance(name, str):
            faults.append(Fault(path=path, message=f"has the name {name!r}; a feature's name is a text"))
            continue
        if isinstance(value, str):
            fields[name].string_value = value
        elif is_missing(value):
            fields[name].null_value = NULL_VALUE
        else:
            number = value if type(value) is float else read_number(value)
            if number is None:
                faults.append(Fault(path=f"{path}.{name}", message=refusal(value)))
            else:
                fields[name].number_value = number


def without_pandas(rows: Any) -> Any:
    """Turn a DataFrame or Series into dicts when it has names, else into an array."""
    series_type = _pandas("Series")
    if series_type is not None and isinstance(rows, series_type):
        return dict(rows.items()) if rows.size and _all_texts(rows.index) else rows.to_numpy()
    if _is_frame(rows):
        columns = _frame(rows)
        return rows_of_columns(columns) if isinstance(columns, dict) else columns
    if hasattr(rows, "__dataframe__"):
        raise _invalid("rows", "is a data frame that is not pandas'; pass frame.to_pandas(), or numbers without names")
    return rows


def _pandas(name: str) -> Any:
    """Return a class of pandas, or None: whoever passes one has imported it, and nobody else is to wait for it."""
    return getattr(sys.modules.get("pandas"), name, None)


def _is_frame(rows: Any) -> TypeGuard[Any]:
    frame_type = _pandas("DataFrame")
    return frame_type is not None and isinstance(rows, frame_type)


def _frame(frame: Any) -> Any:
    """Return a dict of columns, or an array when the columns are numbered, not named."""
    if not _all_texts(frame.columns):
        if any(isinstance(name, str) for name in frame.columns):
            raise FeatureMismatchError("the columns are partly named and partly numbered; name all of them")
        return frame.to_numpy()
    return frame_columns(frame) if frame.size else np.empty(frame.shape)


def _all_texts(names: Iterable[object]) -> bool:
    return all(isinstance(name, str) for name in names)


def _raggedness(rows: Any) -> str:
    """Say how rows that numpy refuses differ in length."""
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
