"""Rows with names are read by name or rejected, in every kind of container and every order of columns."""

import collections
import dataclasses
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
import xarray as xr
from forwardpass.chunks import chunk_rows, count_rows, row_values
from forwardpass.errors import ForwardpassError
from forwardpass.rows import UnreadableRows, to_inputs
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass_server.registry import LoadedVersion
from forwardpass_server.serving.inputs import read_inputs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.sample_networks import identity, loaded

FEATURES: Final = ("age", "bmi", "children")
Table: TypeAlias = Sequence[Sequence[float]]
Make: TypeAlias = Callable[[Sequence[str], Table], Any]
"""Makes a container of the names of columns and rows of numbers in their order."""


@pytest.fixture(scope="module")
def network() -> LoadedVersion:
    return loaded(identity(len(FEATURES), inputs=list(FEATURES)))


def columns(names: Sequence[str], table: Table) -> dict[str, list[float]]:
    return dict(zip(names, map(list, zip(*table, strict=True)), strict=True))


def frame(names: Sequence[str], table: Table) -> pd.DataFrame:
    return pd.DataFrame(columns(names, table))


def records(kind: Callable[[Sequence[str]], Callable[..., Any]]) -> Make:
    return lambda names, table: [kind(names)(**dict(zip(names, row, strict=True))) for row in table]


def of_sqlite(names: Sequence[str], table: Table) -> Any:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    selects = " union all ".join("select " + ", ".join(f"? as {name}" for name in names) for _ in table)
    found = connection.execute(selects, [number for row in table for number in row]).fetchall()
    connection.close()
    return found


def structured(names: Sequence[str], table: Table) -> Any:
    return np.array([tuple(row) for row in table], dtype=[(name, "f8") for name in names])


def with_labels(label: Callable[[str], object]) -> Make:
    def make(names: Sequence[str], table: Table) -> Any:
        found = frame(names, table)
        found.columns = pd.Index([label(name) for name in names])
        return found

    return make


def data_array(names: Sequence[str], table: Table) -> xr.DataArray:
    return xr.DataArray(np.array(table), dims=("row", "feature"), coords={"feature": list(names)})


class Row(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class Rows(list[Any]):
    """A list of a class of its own, as ORMs return them."""


class ByIndex:
    """A sequence that inherits from nothing, as the data sets of PyTorch are."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Any:
        return self._rows[index]


BY_NAME: Mapping[str, Make] = {
    "dicts": lambda names, table: [dict(zip(names, row, strict=True)) for row in table],
    "mappings": lambda names, table: [collections.ChainMap(dict(zip(names, row, strict=True))) for row in table],
    "columns of lists": columns,
    "columns of tuples": lambda names, table: {name: tuple(one) for name, one in columns(names, table).items()},
    "columns of arrays": lambda names, table: {name: np.array(one) for name, one in columns(names, table).items()},
    "columns of pandas": lambda names, table: {name: pd.Series(one) for name, one in columns(names, table).items()},
    "columns of polars": lambda names, table: {name: pl.Series(one) for name, one in columns(names, table).items()},
    "columns of pyarrow": lambda names, table: {
        name: pa.chunked_array([one]) for name, one in columns(names, table).items()
    },
    "pandas": frame,
    "pandas of objects": lambda names, table: frame(names, table).astype(object),
    "pandas of nullable numbers": lambda names, table: frame(names, table).astype("Float64"),
    "pandas of pyarrow": lambda names, table: frame(names, table).astype("float64[pyarrow]"),
    "pandas with row labels": lambda names, table: frame(names, table).set_axis([f"r{n}" for n in range(len(table))]),
    "iterrows": lambda names, table: [row for _, row in frame(names, table).iterrows()],
    "itertuples": lambda names, table: list(frame(names, table).itertuples(index=False)),
    "to_records": lambda names, table: frame(names, table).to_records(index=False),
    "named tuples": records(lambda names: collections.namedtuple("Row", names)),  # noqa: PYI024 - fields vary
    "deque of named tuples": lambda names, table: collections.deque(frame(names, table).itertuples(index=False)),
    "deque of series": lambda names, table: collections.deque(row for _, row in frame(names, table).iterrows()),
    "list of a user's class": lambda names, table: collections.UserList(frame(names, table).itertuples(index=False)),
    "subclass of list": lambda names, table: Rows(frame(names, table).itertuples(index=False)),
    "items by index": lambda names, table: ByIndex(list(frame(names, table).itertuples(index=False))),
    "dataclasses": records(lambda names: dataclasses.make_dataclass("Row", names)),
    "pydantic": records(lambda _: Row),
    "attrs": records(lambda names: attrs.make_class("Row", list(names))),
    "sqlite3": of_sqlite,
    "structured array": structured,
    "rows of a structured array": lambda names, table: list(structured(names, table)),
    "polars": lambda names, table: pl.DataFrame(columns(names, table)),
    "polars, lazy": lambda names, table: pl.LazyFrame(columns(names, table)),
    "polars, rows": lambda names, table: pl.DataFrame(columns(names, table)).rows(named=True),
    "pyarrow": lambda names, table: pa.table(columns(names, table)),
    "pyarrow, batch": lambda names, table: pa.RecordBatch.from_pydict(columns(names, table)),
    "pyarrow, rows": lambda names, table: pa.table(columns(names, table)).to_pylist(),
    "DuckDB": lambda names, table: duckdb.from_arrow(pa.table(columns(names, table))),
    "xarray to pandas": lambda names, table: data_array(names, table).to_pandas(),
    "xarray's dataset to pandas": lambda names, table: xr.Dataset(
        {name: ("row", one) for name, one in columns(names, table).items()}
    ).to_pandas(),
}
"""Containers whose names are read."""

REJECTED: Mapping[str, Make] = {
    "xarray": data_array,
    "xarray's dataset": lambda names, table: xr.Dataset(
        {name: ("row", one) for name, one in columns(names, table).items()}
    ),
    "rows of xarray": lambda names, table: list(data_array(names, table)),
    "labels in several levels": with_labels(lambda name: ("input", name)),
    "labels of bytes": with_labels(str.encode),
    "labels that are numbers": with_labels(lambda name: FEATURES.index(name) + 1),
    "rows whose labels are bytes": lambda names, table: [
        row for _, row in with_labels(str.encode)(names, table).iterrows()
    ],
    "frames": lambda names, table: [frame(names, [*table, *table])] * 2,
}
"""Containers whose names cannot be read."""


def read(rows: Any, network: LoadedVersion) -> list[list[float]]:
    numbers: list[list[float]] = read_inputs(PredictRequest(network="n", **to_inputs(rows)), network).matrix.tolist()
    return numbers


numbers = st.floats(-1e6, 1e6) | st.integers(-(2**24), 2**24).map(float)
tables = st.lists(st.tuples(*[numbers] * len(FEATURES)), min_size=1, max_size=4)
orders = st.permutations(range(len(FEATURES)))
in_module = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize("make", BY_NAME.values(), ids=BY_NAME)
@given(table=tables, order=orders)
@in_module
def test_every_order_of_columns_has_the_same_bits(
    network: LoadedVersion, make: Make, table: Table, order: list[int]
) -> None:
    rows = make([FEATURES[place] for place in order], [[row[place] for place in order] for row in table])
    assert read(rows, network) == [list(row) for row in table]


@pytest.mark.parametrize("make", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_chunks_have_the_same_rows(network: LoadedVersion, make: Make, size: int) -> None:
    table = np.arange(15.0).reshape(5, 3).tolist()
    shuffled = make(FEATURES[::-1], [row[::-1] for row in table])
    chunks = [chunk for _, chunk in chunk_rows(shuffled, size)]
    assert [row for chunk in chunks for row in read(chunk, network)] == table
    assert all(not isinstance(chunk, UnreadableRows) and count_rows(chunk) <= size for chunk in chunks)
    first = chunks[0]
    assert not isinstance(first, UnreadableRows)
    assert row_values(first, 0) == dict(zip(FEATURES, table[0], strict=True))


@pytest.mark.parametrize("make", REJECTED.values(), ids=REJECTED)
@given(table=tables, order=orders)
@in_module
def test_names_that_cannot_be_read_are_rejected(make: Make, table: Table, order: list[int]) -> None:
    rows = make([FEATURES[place] for place in order], [[row[place] for place in order] for row in table])
    with pytest.raises(ForwardpassError):
        to_inputs(rows)
    chunks = [chunk for _, chunk in chunk_rows([rows], 100)]
    assert [type(chunk) for chunk in chunks] == [UnreadableRows]


@pytest.mark.parametrize("kind", ["one", "many"])
@pytest.mark.parametrize("name", ["named tuples", "dataclasses", "pydantic", "attrs", "sqlite3", "iterrows"])
def test_one_record_is_one_row(network: LoadedVersion, name: str, kind: str) -> None:
    (row,) = BY_NAME[name](FEATURES[::-1], [[3.0, 2.0, 1.0]])
    assert read(row if kind == "one" else [row], network) == [[1.0, 2.0, 3.0]]


BY_POSITION: Mapping[str, Callable[[Table], Any]] = {
    "lists": lambda table: [list(row) for row in table],
    "tuples": tuple,
    "array": np.array,
    "list of arrays": lambda table: [np.array(row) for row in table],
    "array of objects": lambda table: np.array(table, dtype=object),
    "pandas without names": pd.DataFrame,
    "polars series without a name": lambda table: [pl.Series(row) for row in table],
    "deque": lambda table: collections.deque(list(row) for row in table),
    "memory": lambda table: np.array(table, np.float64).data,
}


@pytest.mark.parametrize("make", BY_POSITION.values(), ids=BY_POSITION)
def test_numbers_without_names_go_by_position(network: LoadedVersion, make: Callable[[Table], Any]) -> None:
    table = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert read(make(table), network) == table
    assert [row for _, chunk in chunk_rows(make(table), 1) for row in read(chunk, network)] == table


def test_numbered_columns_in_another_order_are_rejected() -> None:
    shuffled = pd.DataFrame([[1.0, 2.0, 3.0]])[[2, 0, 1]]
    for rows in (shuffled, shuffled.iloc[0], [shuffled.iloc[0]]):
        with pytest.raises(ForwardpassError, match="name each by a text"):
            to_inputs(rows)
    assert to_inputs(shuffled.to_numpy())["tensor"].shape == [1, 3]


def test_a_series_with_a_name_is_a_column() -> None:
    of = loaded(identity(1, inputs=["age"]))
    for series in (pd.Series([1.0, 2.0], name="age"), pl.Series("age", [1.0, 2.0])):
        assert read(series, of) == [[1.0], [2.0]]
    with pytest.raises(ForwardpassError, match="no such feature"):
        read(pd.Series([1.0], name="bmi"), of)


def test_a_column_may_have_any_name() -> None:
    """A frame with the attribute names of another container is still read as a frame."""
    names = ["coords", "dims", "keys", "columns", "detach", "_asdict", "model_dump"]
    of = loaded(identity(len(names), inputs=names))
    for container in (pd.DataFrame, pl.DataFrame, pa.table):
        (row,) = read(container({name: [float(place)] for place, name in enumerate(names)}), of)
        assert row == [0, 1, 2, 3, 4, 5, 6]
