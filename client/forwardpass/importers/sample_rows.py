"""The sample rows of an import as numbers, with categories as their indices."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from forwardpass.chunks import named_or_plain
from forwardpass.errors import FeatureMismatchError, InvalidTensorError, NonFiniteInputError, ShapeMismatchError
from forwardpass.rows import RowsLike
from forwardpass.spec import Feature
from forwardpass.tensors import Array

_MAX_NAMES: Final = 10


def read_sample_rows(
    rows: RowsLike | None, names: Sequence[str], *, non_finite: bool = False, features: Sequence[Feature] = ()
) -> Array:
    """Read rows of any form that `Client.predict` takes into an array, `(rows, inputs)` float64.

    Args:
        rows: The rows, or None.
        names: A name for each input.
        non_finite: Whether NaN and infinity are accepted.
        features: The features of the network, or empty.

    Raises:
        FeatureMismatchError: A named row lacks an input.
        ShapeMismatchError: The rows have another width, or no two axes.
        InvalidTensorError: A value is neither a number nor one of the categories.
        NonFiniteInputError: A value is NaN or infinite, or missing where it must not be.
    """
    if rows is None:
        return np.empty((0, len(names)))
    plain: Any = named_or_plain(rows)
    if isinstance(plain, list) and plain and isinstance(plain[0], dict):
        missing = [name for name in names if any(name not in row for row in plain)]
        if missing:
            shown = ", ".join(map(repr, missing[:_MAX_NAMES]))
            raise FeatureMismatchError(f"the rows have no {shown}; the model reads {', '.join(map(repr, names))}")
        plain = [[row[name] for name in names] for row in plain]
    if any(feature.is_typed for feature in features):
        plain = _typed(plain, features)
    try:
        numbers = np.asarray(plain)
    except ValueError as error:
        raise ShapeMismatchError(f"the rows are no array: {error}") from None
    if numbers.dtype.kind not in "biuf":
        raise InvalidTensorError(f"the rows are an array of {numbers.dtype}; numbers are needed")
    if numbers.ndim < 2:  # one row, or the rows of a network with one input
        numbers = numbers.reshape((-1, 1) if len(names) == 1 else (1, -1))
    if numbers.ndim != 2 or numbers.shape[1] != len(names):
        raise ShapeMismatchError(
            f"the rows have the shape {list(numbers.shape)}; must be [rows, {len(names)}]",
            expectedShape=["rows", len(names)],
            actualShape=list(numbers.shape),
        )
    numbers = numbers.astype(np.float64)
    if not non_finite:
        check_finite(numbers, names, "leave such rows out, or fill them first", features)
    return numbers


def check_finite(rows: Array, names: Sequence[str], advice: str, features: Sequence[Feature] = ()) -> None:
    """Reject NaN and infinity, but accept NaN where a feature allows it.

    Args:
        rows: `(rows, inputs)`.
        names: A name for each input.
        advice: The remedy that the error names.
        features: The features of the network, or empty.

    Raises:
        NonFiniteInputError: A value is NaN or infinite.
    """
    wrong = np.argwhere(~(np.isfinite(rows) | (np.isnan(rows) & nan_columns(features))))
    if len(wrong):
        row, column = wrong[0]
        raise NonFiniteInputError(
            f"row {row} has {rows[row, column]} as {names[column]!r}; {advice}",
            row=row,
            feature=names[column],
            value=rows[row, column],
            count=len(wrong),
        )


def nan_columns(features: Sequence[Feature]) -> Any:
    """Return for each input whether NaN is allowed there; False for all without features."""
    if not features:
        return False
    return np.array([_is_nan(feature, feature.missing) or _is_nan(feature, feature.unknown) for feature in features])


def _is_nan(feature: Feature, word: float | str) -> bool:
    fill_value = feature.fill_value(word)
    return fill_value is not None and fill_value != fill_value  # noqa: PLR0124 - only NaN differs from itself


def _typed(rows: Any, features: Sequence[Feature]) -> Any:
    """Replace texts and missing values by numbers."""
    table = [list(row) if isinstance(row, Sequence | np.ndarray) else row for row in rows]
    if any(not isinstance(row, list) or len(row) != len(features) for row in table):
        return rows  # the shape is checked later
    return [
        [_number(value, feature, place) for value, feature in zip(row, features, strict=True)]
        for place, row in enumerate(table)
    ]


def _number(value: Any, feature: Feature, row: int) -> Any:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        fill_value = feature.fill_value(feature.missing)
        return np.nan if fill_value is None else fill_value
    if feature.kind != "category" or not isinstance(value, str):
        return value
    if value in feature.categories:
        return float(feature.categories.index(value))
    fill_value = feature.fill_value(feature.unknown)
    if fill_value is None:
        raise InvalidTensorError(f"row {row} has {value!r} as {feature.name!r}, which is no category of it")
    return fill_value
