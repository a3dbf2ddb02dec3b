"""Data frames and series of any library, read by narwhals: pandas, polars, pyarrow, modin, DuckDB and others.

A frame or series with names becomes columns or a row by name. One whose labels are only 0, 1, 2 and so on has no names
and becomes an array by position. Other labels are rejected, since their order may matter.

narwhals is imported when a value may be a frame, so that callers who pass lists and arrays do not wait for it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from forwardpass.errors import Fault, FeatureMismatchError, InvalidTensorError
from forwardpass.value_names import why_unsendable


def read_frame(value: Any) -> Any:
    """Return a frame or series as a dict of columns, a dict of one row, or an array; return None for another value.

    A frame of one row is a row, since a row may be computed together with those of other callers.

    Raises:
        FeatureMismatchError: The labels are not texts, are not unique, or a column has dates or times.
        InvalidTensorError: narwhals does not know this kind of frame.
    """
    native = _open(value)
    if native is None:
        return None
    if not _is_series(native):
        return _read_columns(native)
    return _read_series(native)


def split_frame(value: Any, size: int) -> Iterator[Any]:
    """Yield parts of a frame of at most `size` rows, as dicts of columns or arrays; yield another value as it is."""
    native = _open(value)
    if native is None or _is_series(native):
        yield value
        return
    for start in range(0, len(native), size):
        yield _read_columns(native[start : start + size], one_row=False)


def _open(value: Any) -> Any:
    """Return a frame or series as narwhals has it; None for another value."""
    import narwhals.stable.v2 as nw  # noqa: PLC0415 - see above

    try:
        native = nw.from_native(value, pass_through=True, allow_series=True)
        if isinstance(native, nw.LazyFrame):
            return native.collect()
        if isinstance(native, nw.DataFrame | nw.Series):
            return native
        if hasattr(value, "__arrow_c_stream__"):
            return nw.DataFrame.from_arrow(value, backend="pyarrow")
    except nw.exceptions.DuplicateError:
        _check_unique(value.column_names if hasattr(value, "column_names") else value.columns, "columns")
        raise
    except ImportError as error:
        raise _unreadable(value, f"that cannot be read: {error}") from None
    if hasattr(value, "__dataframe__"):
        raise _unreadable(value, "a data frame that narwhals does not know; pass .to_pandas() of it")
    return None


def _unreadable(value: Any, why: str) -> InvalidTensorError:
    message = f"is a {type(value).__name__}, {why}"
    return InvalidTensorError(f"rows {message}", faults=[Fault(path="rows", message=message)])


def _is_series(native: Any) -> bool:
    return not hasattr(native, "columns")


def _index(series: Any) -> Any:
    import narwhals.stable.v2 as nw  # noqa: PLC0415 - see above

    return nw.maybe_get_index(series)


def read_column(value: Any, name: str) -> tuple[Any, Any]:
    """Return the values of a series as an array or list, and its row labels or None; return None twice for others."""
    native = _open(value) if hasattr(value, "__len__") else None
    if native is None or not _is_series(native):
        return None, None
    return _values(native, name), _index(native)


def _read_columns(frame: Any, *, one_row: bool = True) -> Any:
    names = frame.columns
    if not names:
        return np.empty((len(frame), 0))
    are_names = _are_names(names, "columns")
    columns: dict[Any, Any] = {}
    faults: list[Fault] = []
    for name, column in zip(names, frame.iter_columns(), strict=True):
        try:
            columns[name] = _values(column, str(name))
        except FeatureMismatchError as error:
            faults += error.faults
    if faults:
        raise FeatureMismatchError(why_unsendable("the frame", "columns", faults), faults=faults)
    if are_names:
        return {name: _first(values) for name, values in columns.items()} if one_row and len(frame) == 1 else columns
    unnamed = [*columns.values()]
    if len({column.dtype if isinstance(column, np.ndarray) else None for column in unnamed}) == 1:
        return np.stack(unnamed, axis=1)
    return np.array([[*row] for row in zip(*unnamed, strict=True)], dtype=object).reshape(len(frame), len(names))


def _read_series(series: Any) -> Any:
    name, index = series.name, _index(series)
    values = _values(series, str(name or "values"))
    labels = None if index is None else index.tolist()
    if labels and any(isinstance(label, str) for label in labels) and _are_names(labels, "labels of the series"):
        _check_unique(labels, "labels of the series")
        return dict(zip(labels, values if isinstance(values, list) else values.tolist(), strict=True))
    if isinstance(name, str) and name:
        return {name: values}
    if labels is not None:
        _are_names(labels, "labels of the series")
    return values if isinstance(values, np.ndarray) else np.array([*values], dtype=object)


def _values(series: Any, name: str) -> "npt.NDArray[Any] | list[Any]":
    """Return the values of a series: an array of numbers, or a list with None or NaN where a value is missing."""
    dtype = series.dtype
    if dtype.is_temporal():
        message = f"is a column of {dtype}; numbers, texts or booleans are needed: convert it to numbers first"
        raise FeatureMismatchError(f"rows.{name} {message}", faults=[Fault(path=f"rows.{name}", message=message)])
    if dtype.is_float():
        return np.asarray(series.to_numpy(), dtype=np.float32 if str(dtype) == "Float32" else np.float64)
    if not dtype.is_integer() or str(dtype).endswith("128"):
        return list(series.to_list())
    missing = series.is_null()
    if not missing.any():
        return np.asarray(series.to_numpy())
    if missing.all():
        return np.full(len(series), np.nan)
    return _with_missing(np.asarray(series.fill_null(0).to_numpy()), missing.to_numpy())


def _with_missing(integers: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> "npt.NDArray[Any] | list[Any]":
    if abs(int(integers.max())) <= 2**53 and abs(int(integers.min())) <= 2**53:
        return np.where(missing, np.nan, integers)
    return [None if absent else integer for absent, integer in zip(missing.tolist(), integers.tolist(), strict=True)]


def _first(values: "npt.NDArray[Any] | list[Any]") -> Any:
    return values[0] if isinstance(values, list) else values[0].item()


def _are_names(labels: Sequence[object], what: str) -> bool:
    """Return whether labels are names; False means that they are 0, 1, 2 and so on.

    Raises:
        FeatureMismatchError: They are neither.
    """
    if all(isinstance(label, str) for label in labels):
        return True
    if all(not isinstance(label, bool) and label == place for place, label in enumerate(labels)):
        return False
    odd = next(label for label in labels if not isinstance(label, str))
    some = "partly named and partly numbered" if any(isinstance(label, str) for label in labels) else f"named {odd!r}"
    message = f"has {what} {some}; name each by a text, or pass the numbers without names, by .to_numpy()"
    raise FeatureMismatchError(f"rows {message}", faults=[Fault(path="rows", message=message)])


def _check_unique(labels: Iterable[object], what: str) -> None:
    faults = [
        Fault(path=f"rows.{name}", message=f"{times} {what} have this name")
        for name, times in Counter(labels).items()
        if times > 1
    ]
    if faults:
        raise FeatureMismatchError(f"several {what} have the same name", faults=faults)
