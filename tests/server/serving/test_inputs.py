"""What a request has as inputs, in every form: what is read, what is rejected, and hints that stay cheap."""

import unicodedata
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
from forwardpass.errors import (
    FeatureMismatchError,
    InvalidTensorError,
    MissingValueError,
    NonFiniteInputError,
    ShapeMismatchError,
    UnknownCategoryError,
)
from forwardpass.tensors import to_tensor
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass.v1.tensor_pb2 import Column, Columns, Rows, Tensor
from forwardpass_server.registry import LoadedVersion
from forwardpass_server.serving.inputs import read_inputs
from google.protobuf.struct_pb2 import Struct

from tests.support.sample_networks import chain, identity, loaded

TENSOR, FEATURE = InvalidTensorError, FeatureMismatchError
NAMES = [f"feature number {index}" for index in range(3_000)]


def faults_of(rows: list[list[str]]) -> list[str]:
    of = loaded(chain([len(NAMES), 1], inputs=NAMES))
    structs = [Struct() for _ in rows]
    for struct, names in zip(structs, rows, strict=True):
        struct.update(dict.fromkeys(names, 1.0))
    with pytest.raises(FeatureMismatchError) as caught:
        read_inputs(PredictRequest(network="sample", rows=Rows(rows=structs)), of)
    return [fault.message for fault in caught.value.faults if "no such feature" in fault.message]


def test_a_typing_error_is_reported_with_the_nearest_feature() -> None:
    (message,) = faults_of([[*NAMES, "feature numbre 7"]])
    assert "did you mean 'feature number 7'?" in message


@pytest.mark.parametrize("rows", [1, 5], ids=["in one row", "over the rows"])
def test_many_typing_errors_are_all_reported_and_some_with_hints(rows: int) -> None:
    # A hint compares names, which takes a millisecond or more: 300 of them once stopped the server for a minute.
    wrong = [f"feature numbre {index}" for index in range(300)]
    messages = faults_of([[*NAMES, *wrong[row::rows]] for row in range(rows)])
    assert len(messages) >= 100
    assert 1 <= sum("did you mean" in message for message in messages) <= 10


def tensor_of(*shape: int, numbers: Sequence[float], **fields: Any) -> dict[str, Any]:
    tensor = to_tensor(np.array(numbers, np.float64).reshape(shape))
    return {"tensor": Tensor(dtype=tensor.dtype, shape=tensor.shape, data=tensor.data, **fields)}


def row_of(values: dict[str, Any], **fields: Any) -> dict[str, Any]:
    struct = Struct()
    struct.update(values)
    return {"rows": Rows(rows=[struct], **fields)}


def columns_of(values: dict[str, list[float]], missing: Sequence[int] = (), **fields: Any) -> dict[str, Any]:
    columns = [Column(name=name, numbers={"values": one}, missing=missing) for name, one in values.items()]
    return {"columns": Columns(columns=columns, **fields)}


def two_columns(second: Column) -> dict[str, Any]:
    return {"columns": Columns(columns=[Column(name="a", numbers={"values": [1.0]}), second])}


def read(of: LoadedVersion, inputs: dict[str, Any]) -> Any:
    return read_inputs(PredictRequest(network="sample", **inputs), of).matrix


class TestOneInput:
    """A network with one input takes each number of a tensor with one axis as a row."""

    @pytest.mark.parametrize("shape", [[3], [3, 1]])
    def test_each_number_is_a_row(self, shape: list[int]) -> None:
        numbers = read(loaded(identity(1)), tensor_of(*shape, numbers=[1.0, 2.0, 3.0]))
        assert numbers.tolist() == [[1.0], [2.0], [3.0]]

    def test_readable_values_are_rows_too(self) -> None:
        assert read(loaded(identity(1)), {"tensor": Tensor(values=[1.0, 2.0])}).tolist() == [[1.0], [2.0]]

    def test_of_several_inputs_one_axis_is_a_row(self) -> None:
        assert read(loaded(identity(3)), tensor_of(3, numbers=[1.0, 2.0, 3.0])).tolist() == [[1.0, 2.0, 3.0]]

    @pytest.mark.parametrize("shape", [(1, 3), (3, 1, 1), (0,)])
    def test_another_shape_is_rejected(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ShapeMismatchError, match=r"reads \[rows, 1\]"):
            read(loaded(identity(1)), tensor_of(*shape, numbers=[1.0, 2.0, 3.0][: prod(shape)]))


class TestMissing:
    """A value that is missing has one error in every form."""

    FORMS: Mapping[str, dict[str, Any]] = {
        "NaN in a tensor": tensor_of(1, 2, numbers=[1.0, np.nan]),
        "null in a row": row_of({"a": 1.0, "b": None}),
        "NaN in a row": row_of({"a": 1.0, "b": np.nan}),
        "NaN in a column": columns_of({"a": [1.0], "b": [np.nan]}),
        "null in a column": {
            "columns": Columns(
                columns=[
                    Column(name="a", numbers={"values": [1.0]}),
                    Column(name="b", numbers={"values": [0.0]}, missing=[0]),
                ]
            )
        },
        "null in a column of texts": two_columns(Column(name="b", texts={"values": [""]}, missing=[0])),
    }

    @pytest.mark.parametrize("inputs", FORMS.values(), ids=FORMS)
    @pytest.mark.parametrize("features", [["a", "b"], [{"name": "a", "range": [0, 9]}, "b"]], ids=["plain", "typed"])
    def test_it_is_one_error(self, features: list[Any], inputs: dict[str, Any]) -> None:
        with pytest.raises(MissingValueError, match=r"is missing and has no fill value \(feature 'b'\)") as caught:
            read(loaded(identity(2, inputs=features)), inputs)
        assert (caught.value.facts["row"], caught.value.facts["feature"], caught.value.facts["count"]) == (
            "0",
            "b",
            "1",
        )

    def test_null_is_rejected_where_nan_is_a_number(self) -> None:
        lenient = loaded(identity(2, inputs=["a", "b"], allow_non_finite_inputs=True))
        for inputs in (self.FORMS["null in a row"], self.FORMS["null in a column"]):
            with pytest.raises(MissingValueError):
                read(lenient, inputs)
        for inputs in (self.FORMS["NaN in a row"], self.FORMS["NaN in a column"], self.FORMS["NaN in a tensor"]):
            assert np.array_equal(read(lenient, inputs), [[1.0, np.nan]], equal_nan=True)


class TestOverflow:
    """A number that float32 would make infinite is rejected with its value."""

    @pytest.mark.parametrize("lenient", [False, True], ids=["finite", "lenient"])
    @pytest.mark.parametrize("features", [["a"], [{"name": "a", "missing": 0}]], ids=["plain", "typed"])
    @pytest.mark.parametrize(
        "inputs",
        [tensor_of(1, 1, numbers=[1e39]), row_of({"a": 1e39}), columns_of({"a": [1e39]})],
        ids=["tensor", "rows", "columns"],
    )
    def test_the_value_is_named(self, features: list[Any], inputs: dict[str, Any], *, lenient: bool) -> None:
        of = loaded(identity(1, inputs=features, dtype="float32", allow_non_finite_inputs=lenient))
        with pytest.raises(NonFiniteInputError, match=r"is 1e\+39, which float32 cannot hold") as caught:
            read(of, inputs)
        assert caught.value.facts["value"] == "1e+39"

    def test_infinity_stays_a_number_where_the_network_allows_it(self) -> None:
        of = loaded(identity(1, dtype="float32", allow_non_finite_inputs=True))
        assert read(of, tensor_of(1, 1, numbers=[np.inf])).tolist() == [[np.inf]]


class TestExactIntegers:
    """A request may ask that no whole number is rounded."""

    FORMS: Mapping[str, tuple[Any, str, Any]] = {
        "tensor": (lambda value: tensor_of(1, 1, numbers=[value], exact_integers=True), "tensor[0][0]", TENSOR),
        "rows": (lambda value: row_of({"a": value}, exact_integers=True), "rows[0].a", FEATURE),
        "columns": (lambda value: columns_of({"a": [value]}, exact_integers=True), "columns.a[0]", FEATURE),
    }

    @pytest.mark.parametrize(("inputs", "path", "error"), FORMS.values(), ids=FORMS)
    def test_an_integer_that_would_be_rounded_is_rejected(self, inputs: Any, path: str, error: Any) -> None:
        single, double = (loaded(identity(1, inputs=["a"], dtype=dtype)) for dtype in ("float32", "float64"))
        with pytest.raises(error, match="is 16777217, an integer that float32 cannot hold exactly") as caught:
            read(single, inputs(2**24 + 1))
        assert caught.value.faults[0].path == path
        assert read(single, inputs(2**24 + 2)).tolist() == [[2**24 + 2]]
        assert read(single, inputs(0.1)).tolist() == [[np.float32(0.1)]]
        assert read(double, inputs(2**24 + 1)).tolist() == [[2**24 + 1]]

    def test_without_that_it_is_rounded(self) -> None:
        assert read(loaded(identity(1, dtype="float32")), tensor_of(1, 1, numbers=[2**24 + 1])).tolist() == [[2**24]]


def test_a_name_in_another_normal_form_is_named() -> None:
    with pytest.raises(FeatureMismatchError) as caught:
        read(loaded(identity(1, inputs=["größe"])), row_of({unicodedata.normalize("NFD", "größe"): 1.0}))
    assert "pass unicodedata.normalize('NFC', text)" in caught.value.faults[0].message


def test_a_category_in_another_normal_form_is_named() -> None:
    city = {"name": "city", "kind": "category", "categories": ["Zürich", "Bern"]}
    with pytest.raises(UnknownCategoryError, match=r"pass unicodedata.normalize\('NFC', text\)"):
        read(loaded(identity(1, inputs=[city])), row_of({"city": unicodedata.normalize("NFD", "Zürich")}))
