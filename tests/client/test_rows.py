import decimal
import fractions
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forwardpass.errors import (
    FeatureMismatchError,
    ForwardpassError,
    InvalidTensorError,
    ShapeMismatchError,
)
from forwardpass.rows import to_inputs
from forwardpass.tensors import from_tensor
from forwardpass.v1.tensor_pb2 import Columns
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

NUMBERS = st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "u1", "u2", "u4", ">f4", ">f8", "?"])
SHAPES = arrays.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=5)


@given(NUMBERS.flatmap(lambda kind: arrays.arrays(np.dtype(kind), SHAPES)))
def test_an_array_arrives_as_it_was(array: Any) -> None:
    sent = from_tensor(to_inputs(array)["tensor"])
    assert sent.dtype == ("f4" if array.dtype == np.float32 else "f8")
    assert sent.shape == array.shape
    assert np.array_equal(sent, array.astype(sent.dtype), equal_nan=True)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([2, 3], [2.0, 3.0], id="list"),
        pytest.param((2, 3), [2.0, 3.0], id="tuple"),
        pytest.param([[2, 3], [4, 5]], [[2.0, 3.0], [4.0, 5.0]], id="lists"),
        pytest.param([np.array([2, 3]), np.array([4, 5])], [[2.0, 3.0], [4.0, 5.0]], id="list of arrays"),
        pytest.param([True, False], [1.0, 0.0], id="bools"),
        pytest.param([10**30, 2], [1e30, 2.0], id="integers beyond 64 bits"),
        pytest.param([fractions.Fraction(1, 4), decimal.Decimal("0.5")], [0.25, 0.5], id="exact numbers"),
        pytest.param(range(3), [0.0, 1.0, 2.0], id="range"),
        pytest.param(np.arange(6).reshape(2, 3).T, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]], id="transposed"),
        pytest.param(np.ma.array([2, 3]), [2.0, 3.0], id="masked array without masked elements"),
        pytest.param(pd.DataFrame([[2, 3], [4, 5]]), [[2.0, 3.0], [4.0, 5.0]], id="frame without names"),
        pytest.param(pd.Series([2, 3]), [2.0, 3.0], id="series without names"),
    ],
)
def test_numbers_by_position_become_a_tensor(rows: Any, expected: Any) -> None:
    assert from_tensor(to_inputs(rows)["tensor"]).tolist() == expected


FRAME = pd.DataFrame({"a": [1, 2], "b": [0.5, -0.5]})


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param({"a": 1, "b": 0.5}, [{"a": 1.0, "b": 0.5}], id="dict"),
        pytest.param([{"a": 1}, {"a": 2}], [{"a": 1.0}, {"a": 2.0}], id="list of dicts"),
        pytest.param(({"a": 1},), [{"a": 1.0}], id="tuple of dicts"),
        pytest.param({"a": np.float32(0.1)}, [{"a": float(np.float32(0.1))}], id="float32"),
        pytest.param({"a": True, "b": np.True_}, [{"a": 1.0, "b": 1.0}], id="bools"),
        pytest.param({"a": np.array(3)}, [{"a": 3.0}], id="array without axes"),
        pytest.param({"a": decimal.Decimal("0.1")}, [{"a": 0.1}], id="decimal"),
        pytest.param(FRAME.iloc[1], [{"a": 2.0, "b": -0.5}], id="row of a frame"),
        pytest.param(FRAME.iloc[:1], [{"a": 1.0, "b": 0.5}], id="frame of one row"),
    ],
)
def test_numbers_by_name_become_rows(rows: Any, expected: Any) -> None:
    message = to_inputs(rows)["rows"]
    found = [{name: value.number_value for name, value in row.fields.items()} for row in message.rows]
    assert found == expected


def test_values_of_all_kinds_may_be_in_one_row() -> None:
    row = {"age": 3, "city": "Bern", "member": True, "income": None, "since": pd.NaT, "score": pd.NA}
    (sent,) = to_inputs(row)["rows"].rows
    kinds = {name: value.WhichOneof("kind") for name, value in sent.fields.items()}
    assert kinds == {
        "age": "number_value",
        "city": "string_value",
        "member": "number_value",
        **dict.fromkeys(["income", "since", "score"], "null_value"),
    }


def shown(columns: Columns) -> dict[str, Any]:
    """Each column as a list, None where a value is missing."""
    found = {}
    for column in columns.columns:
        values = [*getattr(column, column.WhichOneof("values") or "").values]  # noqa: PD011 - a message's field
        found[column.name] = [None if row in column.missing else value for row, value in enumerate(values)]
    return found


TEXTS = ["x", "y"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(FRAME, {"a": [1.0, 2.0], "b": [0.5, -0.5]}, id="frame"),
        pytest.param(FRAME[["b", "a"]], {"b": [0.5, -0.5], "a": [1.0, 2.0]}, id="reordered frame"),
        pytest.param(pd.DataFrame({"a": [True, False]}), {"a": [True, False]}, id="frame of bools"),
        pytest.param(pd.DataFrame({"a": pd.array([1, 2], "Int64")}), {"a": [1.0, 2.0]}, id="Int64"),
        pytest.param(pd.DataFrame({"a": TEXTS}), {"a": TEXTS}, id="frame of texts"),
        pytest.param(pd.DataFrame({"a": [*TEXTS, None]}), {"a": [*TEXTS, None]}, id="texts and None"),
        pytest.param(pd.DataFrame({"a": [*TEXTS, np.nan]}), {"a": [*TEXTS, None]}, id="texts and NaN"),
        pytest.param(pd.DataFrame({"a": pd.array([*TEXTS, None], "string")}), {"a": [*TEXTS, None]}, id="string"),
        pytest.param(pd.DataFrame({"a": pd.Categorical([*TEXTS, None])}), {"a": [*TEXTS, None]}, id="category"),
        pytest.param(
            pd.DataFrame({"a": pd.array([True, None], "boolean")}), {"a": [True, None]}, id="bools that may be missing"
        ),
        pytest.param(pd.DataFrame({"a": [None, None]}), {"a": [None, None]}, id="nothing but what is missing"),
        pytest.param({"a": [1, 2], "b": TEXTS}, {"a": [1.0, 2.0], "b": TEXTS}, id="dict of columns"),
        pytest.param({"a": np.array([1, 2], "f4")}, {"a": [1.0, 2.0]}, id="dict of arrays"),
        pytest.param({"a": np.array(TEXTS), "b": (True, None)}, {"a": TEXTS, "b": [True, None]}, id="mixed columns"),
        pytest.param({"a": pd.Series(TEXTS)}, {"a": TEXTS}, id="dict of series"),
        pytest.param({"a": ["x", np.nan], "b": [True, np.nan]}, {"a": ["x", None], "b": [True, None]}, id="NaN"),
        pytest.param({"a": [1, None, True]}, {"a": [1.0, None, 1.0]}, id="numbers, a bool and None"),
    ],
)
def test_columns_by_name_become_columns(rows: Any, expected: Any) -> None:
    assert shown(to_inputs(rows)["columns"]) == expected


def test_missing_values_of_a_frame_are_nan() -> None:
    (column,) = to_inputs(pd.DataFrame({"a": pd.array([1, None], "Int64")}))["columns"].columns
    assert math.isnan(column.numbers.values[1])  # noqa: PD011 - a message's field


class Polars:
    """Stands for the frames of other libraries, whose names an array would lose."""

    def __dataframe__(self) -> None: ...


@pytest.mark.parametrize(
    ("rows", "kind", "says"),
    [
        pytest.param([], ShapeMismatchError, "is empty", id="no rows"),
        pytest.param(np.empty((0, 2)), ShapeMismatchError, "is empty", id="no rows of two"),
        pytest.param([[]], ShapeMismatchError, "is empty", id="a row of none"),
        pytest.param(2.0, ShapeMismatchError, "has 0 axes", id="a number"),
        pytest.param([[[1.0]]], ShapeMismatchError, "has 3 axes", id="three axes"),
        pytest.param([[1, 2], [3]], InvalidTensorError, "row 0 has 2 numbers, row 1 has 1", id="ragged"),
        pytest.param([1, [2]], InvalidTensorError, "ragged", id="number beside list"),
        pytest.param([[[1], [2]], [[1], [2, 3]]], InvalidTensorError, "differ in length", id="ragged inside"),
        pytest.param(["1", "2"], InvalidTensorError, "has text", id="texts"),
        pytest.param([1, "2"], InvalidTensorError, "has text", id="a text among numbers"),
        pytest.param("1", InvalidTensorError, "has text", id="a text"),
        pytest.param(b"12", InvalidTensorError, "has text", id="bytes"),
        pytest.param([1, None], InvalidTensorError, r"rows\[1\] is None", id="None"),
        pytest.param([[1, 2], [3, object()]], InvalidTensorError, r"rows\[1\]\[1\] is a object", id="object"),
        pytest.param([10**400], InvalidTensorError, "beyond the range", id="too large"),
        pytest.param([1j], InvalidTensorError, "complex", id="complex"),
        pytest.param(np.array(["2020-01-01"], "M8"), InvalidTensorError, "datetime", id="dates"),
        pytest.param(np.zeros(2, "f8,f8"), InvalidTensorError, "dtype", id="structured"),
        pytest.param((n for n in [1, 2]), InvalidTensorError, "is a generator", id="generator"),
        pytest.param(None, InvalidTensorError, "is None", id="nothing"),
        pytest.param(np.ma.array([1, 2], mask=[False, True]), InvalidTensorError, "masked", id="masked"),
        pytest.param(Polars(), InvalidTensorError, "to_pandas", id="another library's frame"),
        pytest.param({}, FeatureMismatchError, "is empty", id="empty dict"),
        pytest.param([{"a": 1}, {}], FeatureMismatchError, r"rows\[1\]: is empty", id="empty dict in a list"),
        pytest.param([{"a": 1}, [2]], FeatureMismatchError, r"rows\[1\]: is a list", id="list beside dict"),
        pytest.param({"a": [1, 2], "b": 3}, FeatureMismatchError, "while others are columns", id="number by columns"),
        pytest.param({"a": [1, 2], "b": [3]}, ShapeMismatchError, "'a' has 2, 'b' has 1", id="columns of two lengths"),
        pytest.param({"a": []}, ShapeMismatchError, "at least one row", id="columns without rows"),
        pytest.param({"a": [1, "x"]}, FeatureMismatchError, r"rows\.a\[1\]: is the text 'x'", id="column of two kinds"),
        pytest.param({"a": [np.zeros(2)]}, FeatureMismatchError, r"rows\.a\[0\]: is a ndarray", id="array in a column"),
        pytest.param({"a": [1, [2]]}, FeatureMismatchError, r"rows\.a\[1\]: is a list", id="list in a column"),
        pytest.param({1: [1]}, FeatureMismatchError, "has the name 1", id="column with a number as name"),
        pytest.param([{"a": [1, 2]}], FeatureMismatchError, "list of dicts", id="list in a row"),
        pytest.param({"a": 1j}, FeatureMismatchError, "a complex", id="complex by name"),
        pytest.param({"a": 10**400}, FeatureMismatchError, "beyond the range", id="too large by name"),
        pytest.param({1: 1}, FeatureMismatchError, "has the name 1", id="number as name"),
        pytest.param(
            pd.DataFrame({"a": [pd.Timestamp(0)] * 2}),
            FeatureMismatchError,
            r"rows\.a: is a column",
            id="dates",
        ),
        pytest.param(pd.DataFrame({"a": []}), ShapeMismatchError, "is empty", id="empty frame"),
        pytest.param(pd.DataFrame([[1, 2]], columns=["a", "a"]), FeatureMismatchError, "several columns", id="twice"),
        pytest.param(pd.DataFrame([[1, 2]], columns=["a", 1]), FeatureMismatchError, "partly named", id="partly named"),
    ],
)
def test_what_is_no_rows_is_refused_in_words(rows: Any, kind: type[ForwardpassError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        to_inputs(rows)
    assert type(caught.value) is kind


def test_every_fault_of_named_rows_is_told_at_once() -> None:
    with pytest.raises(FeatureMismatchError) as caught:
        to_inputs([{"a": 1j, "b": b"1"}, {"a": 1}, {"a": [2]}])  # type: ignore[arg-type] # faulty
    assert [fault.path for fault in caught.value.faults] == ["rows[0].a", "rows[0].b", "rows[2].a"]


def test_a_wrong_shape_is_told_as_facts() -> None:
    with pytest.raises(ShapeMismatchError) as caught:
        to_inputs(np.zeros((2, 3, 4)))
    assert caught.value.facts == {"expectedShape": "[rows, inputs]", "actualShape": "[2, 3, 4]"}
