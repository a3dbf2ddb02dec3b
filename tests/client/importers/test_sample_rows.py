"""Sample rows of every container are read by the names of their columns, in whatever order these stand."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from forwardpass.errors import FeatureMismatchError
from forwardpass.importers.sample_rows import read_sample_rows
from hypothesis import given
from hypothesis import strategies as st

NAMES: Final = ("age", "income", "children")
COLUMNS: Final[Mapping[str, list[float]]] = {"age": [31.0, 64.5], "income": [2.5, 0.0], "children": [1.0, 3.0]}
EXPECTED: Final = np.array([[31.0, 2.5, 1.0], [64.5, 0.0, 3.0]])


def dicts(columns: Mapping[str, list[float]]) -> list[dict[str, float]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


CONTAINERS: dict[str, Callable[[dict[str, list[float]]], Any]] = {
    "dicts": dicts,
    "a dict of columns": dict,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
@given(order=st.permutations(NAMES))
def test_columns_in_any_order_are_read_by_name(make: Callable[..., Any], order: list[str]) -> None:
    rows = make({name: COLUMNS[name] for name in order})
    np.testing.assert_array_equal(read_sample_rows(rows, NAMES), EXPECTED)


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_a_missing_column_is_named(make: Callable[..., Any]) -> None:
    rows = make({name: COLUMNS[name] for name in NAMES[:2]})
    with pytest.raises(FeatureMismatchError, match="the rows have no 'children'; the model reads 'age', 'income'"):
        read_sample_rows(rows, NAMES)


def test_arrays_are_read_by_place() -> None:
    np.testing.assert_array_equal(read_sample_rows(EXPECTED.astype(np.float32), NAMES), EXPECTED)
