import datetime as dt
import decimal
import fractions
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
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
        pytest.param([2**53, -(2**60)], [2.0**53, -(2.0**60)], id="large integers that are exact"),
        pytest.param(5.0, [5.0], id="one number"),
        pytest.param(np.float32(0.5), [0.5], id="one number of numpy"),
        pytest.param(decimal.Decimal(5), [5.0], id="one decimal"),
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


@pytest.mark.parametrize(
    "rows",
    [[1, None], [1.0, math.nan], (1, pd.NA), [1, pd.NaT], np.array([1, None]), pd.Series([1, None], dtype="Int64")],
    ids=["None", "NaN", "NA", "NaT", "array of objects", "series"],
)
def test_a_missing_value_by_position_is_nan(rows: Any) -> None:
    assert np.array_equal(from_tensor(to_inputs(rows)["tensor"]), [1.0, np.nan], equal_nan=True)


def test_missing_values_of_a_frame_are_nan() -> None:
    (column,) = to_inputs(pd.DataFrame({"a": pd.array([1, None], "Int64")}))["columns"].columns
    assert math.isnan(column.numbers.values[1])  # noqa: PD011 - a message's field


class Unknown:
    """A frame of a library that narwhals does not know."""

    def __dataframe__(self) -> None: ...


@pytest.mark.parametrize(
    ("rows", "kind", "says"),
    [
        pytest.param([], ShapeMismatchError, "is empty", id="no rows"),
        pytest.param(np.empty((0, 2)), ShapeMismatchError, "is empty", id="no rows of two"),
        pytest.param([[]], ShapeMismatchError, "is empty", id="a row of none"),
        pytest.param([[[1.0]]], ShapeMismatchError, "has 3 axes", id="three axes"),
        pytest.param([[1, 2], [3]], InvalidTensorError, "row 0 has 2 numbers, row 1 has 1", id="ragged"),
        pytest.param([1, [2]], InvalidTensorError, "ragged", id="number beside list"),
        pytest.param([[[1], [2]], [[1], [2, 3]]], InvalidTensorError, "differ in length", id="ragged inside"),
        pytest.param(["1", "2"], InvalidTensorError, "has text", id="texts"),
        pytest.param([1, "2"], InvalidTensorError, "has text", id="a text among numbers"),
        pytest.param("1", InvalidTensorError, "has text", id="a text"),
        pytest.param(b"12", InvalidTensorError, "has bytes", id="bytes"),
        pytest.param([[1, 2], [3, object()]], InvalidTensorError, r"rows\[1\]\[1\] is a object", id="object"),
        pytest.param([10**400], InvalidTensorError, "beyond the range", id="too large"),
        pytest.param([1j], InvalidTensorError, "complex", id="complex"),
        pytest.param(np.array(["2020-01-01"], "M8"), InvalidTensorError, "datetime", id="dates"),
        pytest.param(np.zeros((2, 2), "f8,f8"), InvalidTensorError, "structured array of 2 axes", id="structured"),
        pytest.param((n for n in [1, 2]), InvalidTensorError, "is a generator", id="generator"),
        pytest.param(None, InvalidTensorError, "is None", id="nothing"),
        pytest.param(np.ma.array([1, 2], mask=[False, True]), InvalidTensorError, "masked", id="masked"),
        pytest.param(Unknown(), InvalidTensorError, "to_pandas", id="another library's frame"),
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
        pytest.param(pd.DataFrame({"a": [1]}).groupby("a"), InvalidTensorError, "is no array", id="groups of a frame"),
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
        to_inputs([{"a": 1j, "b": b"1"}, {"a": 1}, {"a": [2]}])
    assert [fault.path for fault in caught.value.faults] == ["rows[0].a", "rows[0].b", "rows[2].a"]


def test_a_wrong_shape_is_told_as_facts() -> None:
    with pytest.raises(ShapeMismatchError) as caught:
        to_inputs(np.zeros((2, 3, 4)))
    assert caught.value.facts == {"expectedShape": "[rows, inputs]", "actualShape": "[2, 3, 4]"}


LOST = 2**53 + 1
ROUNDED = {
    "list": [LOST, 0.5],
    "list of integers": [LOST, 1],
    "lists": [[0.5, 1], [0.5, LOST]],
    "array": np.array([LOST]),
    "array of uint64": np.array([2**63 + 1], np.uint64),
    "array of objects": np.array([LOST], object),
    "number": LOST,
    "huge": [10**30],
    "decimal": [decimal.Decimal(LOST)],
    "fraction": [fractions.Fraction(LOST)],
    "dict": {"a": LOST},
    "dict with numpy": {"a": np.int64(LOST)},
    "dicts": [{"a": 1}, {"a": LOST}],
    "columns": {"a": [0.5, LOST]},
    "columns of arrays": {"a": np.array([1, LOST])},
    "frame": pd.DataFrame({"a": [1, LOST]}),
    "frame with a missing value": pd.DataFrame({"a": pd.array([None, LOST], "Int64")}),
    "frame without names": pd.DataFrame([[1, LOST]]),
    "mixed frame without names": pd.DataFrame([[0.5, LOST]]),
    "polars": pl.DataFrame({"a": [1, LOST]}),
    "polars with a missing value": pl.DataFrame({"a": [None, LOST]}),
    "polars with 128 bits": pl.DataFrame({"a": pl.Series([1, 2**100 + 1], dtype=pl.Int128)}),
    "pyarrow": pa.table({"a": [None, LOST]}),
    "series": pd.Series([1, LOST], index=["a", "b"]),
}


@pytest.mark.parametrize("rows", ROUNDED.values(), ids=ROUNDED)
def test_an_integer_that_float64_cannot_hold_is_rejected_with_its_value(rows: Any) -> None:
    with pytest.raises((InvalidTensorError, FeatureMismatchError), match=r"is (9007199254740993|[0-9]{19,}),"):
        to_inputs(rows)


def test_a_rejected_integer_says_a_remedy_that_works() -> None:
    with pytest.raises(InvalidTensorError, match=r"pass float\(...\) of it to round it"):
        to_inputs([LOST])
    assert from_tensor(to_inputs([float(LOST)])["tensor"]).tolist() == [2.0**53]


def test_a_long_fraction_is_shown_by_its_beginning() -> None:
    for digits in (400, 5_000):
        with pytest.raises(InvalidTensorError, match=r"is (10{39}\.\.\.|a Fraction with very many digits), which"):
            to_inputs([Fraction(10**digits, 3)])


@pytest.mark.parametrize(
    "rows",
    [[2**24 + 1, 0.5], [[2**24 + 1]], np.array([2**24 + 1]), {"a": 2**24 + 1}, {"a": [0.5, 2**24 + 1]}, 2**24 + 1],
    ids=["list", "lists", "array", "dict", "columns", "number"],
)
def test_an_integer_that_float32_cannot_hold_must_be_exact(rows: Any) -> None:
    (message,) = to_inputs(rows).values()
    assert message.exact_integers  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "rows",
    [
        [2**24, -(2**24)],
        [2.0**24 + 1],
        np.array([2**24 + 2]),
        np.array([2.0**24 + 1]),
        {"a": 1e300},
        {"a": [2**60]},
        [True],
    ],
)
def test_other_numbers_may_be_rounded_by_the_network(rows: Any) -> None:
    (message,) = to_inputs(rows).values()
    assert not message.exact_integers  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [decimal.Decimal("0.1"), fractions.Fraction(1, 10), np.longdouble("0.1")])
def test_a_fraction_is_rounded_to_the_nearest(number: Any) -> None:
    assert from_tensor(to_inputs([number])["tensor"]).tolist() == [0.1]
    assert to_inputs({"a": number})["rows"].rows[0].fields["a"].number_value == 0.1


@pytest.mark.parametrize("number", [10**400, decimal.Decimal("1e400"), np.longdouble("1e400")])
def test_a_number_beyond_float64_is_rejected(number: Any) -> None:
    for rows in ([number], {"a": number}, np.array([number])):
        with pytest.raises((InvalidTensorError, FeatureMismatchError), match=r"float64"):
            to_inputs(rows)


LONE = "\ud800"
NOT_TEXTS: dict[str, tuple[Any, str]] = {
    "in a row": ({"a": LONE}, "rows[0].a"),
    "in a column": ({"a": ["x", LONE]}, "rows.a[1]"),
    "as a name": ({LONE: 1}, "rows[0]"),
    "as a column's name": ({LONE: [1]}, "rows"),
}


@pytest.mark.parametrize(("rows", "path"), NOT_TEXTS.values(), ids=NOT_TEXTS)
def test_a_lone_surrogate_is_rejected_in_words(rows: Any, path: str) -> None:
    with pytest.raises(FeatureMismatchError) as caught:
        to_inputs(rows)
    (fault,) = caught.value.faults
    assert fault.path == path
    assert "surrogate" in fault.message or "a feature's name is a text" in fault.message


@pytest.mark.parametrize("rows", [{"a": b"x"}, {"a": [b"x"]}, {"a": np.array([b"x"])}, pl.DataFrame({"a": [b"x"]})])
def test_bytes_for_a_category_are_rejected_with_a_remedy(rows: Any) -> None:
    with pytest.raises(FeatureMismatchError, match="decode them, for example with"):
        to_inputs(rows)


DAY = dt.date(2020, 1, 1)
DATES = {
    "pandas": pd.DataFrame({"a": [1, 2], "when": pd.to_datetime(["2020-01-01"] * 2)}),
    "pandas durations": pd.DataFrame({"a": [1, 2], "when": pd.to_timedelta([1, 2])}),
    "pandas objects": pd.DataFrame({"a": [1, 2], "when": [DAY, DAY]}),
    "pandas periods": pd.DataFrame({"a": [1, 2], "when": pd.period_range("2020", periods=2)}),
    "polars": pl.DataFrame({"a": [1, 2], "when": [DAY, DAY]}),
    "polars durations": pl.DataFrame({"a": [1, 2], "when": [dt.timedelta(1)] * 2}),
    "polars times": pl.DataFrame({"a": [1, 2], "when": [dt.time(1)] * 2}),
    "pyarrow": pa.table({"a": [1, 2], "when": [DAY, DAY]}),
    "columns": {"a": [1, 2], "when": np.array(["2020-01-01"] * 2, "M8[ns]")},
    "columns of durations": {"a": [1, 2], "when": np.array([1, 2], "m8[ns]")},
    "columns of lists": {"a": [1, 2], "when": [DAY, DAY]},
    "columns of series": {"a": [1, 2], "when": pl.Series([DAY, DAY])},
    "row": {"a": 1, "when": DAY},
    "row of numpy": {"a": 1, "when": np.datetime64("2020-01-01")},
}


@pytest.mark.parametrize("rows", DATES.values(), ids=DATES)
def test_dates_and_durations_are_rejected_by_name(rows: Any) -> None:
    with pytest.raises(FeatureMismatchError) as caught:
        to_inputs(rows)
    assert all(".when" in fault.path for fault in caught.value.faults)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"]),
        pa.Table.from_arrays([pa.array([1])] * 3, names=["a", "a", "b"]),
        pd.Series([1, 2, 3], index=["a", "a", "b"]),
    ],
    ids=["pandas", "pyarrow", "series"],
)
def test_a_name_that_is_there_twice_is_told_once(frame: Any) -> None:
    with pytest.raises(FeatureMismatchError, match="same name") as caught:
        to_inputs(frame)
    assert [fault.path for fault in caught.value.faults] == ["rows.a"]


def test_series_whose_row_labels_differ_are_no_columns() -> None:
    one = pd.Series([1, 2], index=[0, 1])
    with pytest.raises(FeatureMismatchError, match="row labels differ"):
        to_inputs({"a": one, "b": one[::-1]})
    assert shown(to_inputs({"a": one, "b": one + 1})["columns"]) == {"a": [1, 2], "b": [2, 3]}


def test_masked_elements_are_rejected_wherever_they_are() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for rows in (masked, [masked, masked], {"a": masked}):
        with pytest.raises((InvalidTensorError, FeatureMismatchError), match="masked"):
            to_inputs(rows)


class Halves:
    """An array of PyTorch as numpy sees it: of bfloat16, with gradients."""

    dtype = "torch.bfloat16"

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        raise TypeError("Got unsupported ScalarType BFloat16")

    def detach(self) -> "Halves":
        return self

    cpu = detach

    def float(self) -> Any:
        return np.array([[0.5, 2.0]], np.float32)


def test_an_array_of_bfloat16_is_read() -> None:
    assert from_tensor(to_inputs(Halves())["tensor"]).tolist() == [[0.5, 2.0]]


def test_a_column_of_bfloat16_is_read() -> None:
    class Column(Halves):
        ndim = 1

        def __len__(self) -> int:
            return 2

        def float(self) -> Any:
            return np.array([0.5, 2.0], np.float32)

    assert shown(to_inputs({"a": Column()})["columns"]) == {"a": [0.5, 2.0]}


def test_an_array_that_numpy_cannot_read_is_rejected_in_words() -> None:
    class Odd:
        def __array__(self, dtype: object = None, copy: object = None) -> Any:
            raise OSError("gone")

    with pytest.raises(InvalidTensorError, match="a Odd that numpy cannot read: gone"):
        to_inputs(Odd())


def test_a_frame_of_dates_among_rows_is_told_in_batches_of_one() -> None:
    with pytest.raises(FeatureMismatchError, match="pass it by itself"):
        to_inputs([FRAME, FRAME])
