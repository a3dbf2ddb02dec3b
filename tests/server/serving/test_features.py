"""Typed features: every form of the inputs is computed as its plain reading says, or refused as that says."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import (
    FeatureMismatchError,
    ForwardpassError,
    InvalidFieldError,
    MissingValueError,
    NonFiniteInputError,
    OutOfRangeError,
    QuotaExceededError,
    ShapeMismatchError,
    UnknownCategoryError,
)
from forwardpass.tensors import from_tensor, to_tensor
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse, TraceRequest, TraceResponse
from forwardpass.v1.tensor_pb2 import Column, Columns, Rows
from forwardpass_server import core
from forwardpass_server.registry import LoadedVersion, Registry, SqlStore
from forwardpass_server.registry.compile import check_examples, compile_plan
from forwardpass_server.serving import PREDICT, TRACE, Predictor, RawRequest, WorkLimits
from forwardpass_server.serving.batch import assemble_batches
from forwardpass_server.serving.encode.classifications import classify
from forwardpass_server.serving.inputs import read_inputs
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.random_features import documents, plain_input, values
from tests.support.sample_networks import chain, identity, loaded
from tests.support.serving import POLICY, make_predictor, respond

ERRORS = {"missing": MissingValueError, "unknown": UnknownCategoryError, "refuse": OutOfRangeError}
"""The error of each violation, in the order in which they are raised."""

AGE = {"name": "age", "range": [0, 120], "missing": 40}
CITY = {"name": "city", "kind": "category", "categories": ["Bern", "Basel"], "unknown": "Bern", "missing": "nan"}
MEMBER = {"name": "member", "kind": "boolean", "missing": False}
STRICT: list[dict[str, Any]] = [
    {"name": "age", "range": [0, 120], "out_of_range": "refuse"},
    {"name": "city", "kind": "category", "categories": ["Bern", "Basel"]},
    {"name": "member", "kind": "boolean"},
]


def rows_of(names: Sequence[str], table: Sequence[Sequence[Any]], *, absent: bool = False) -> Rows:
    message = Rows()
    for row in table:
        said = {name: value for name, value in zip(names, row, strict=True) if not (absent and value is None)}
        message.rows.add().update(said)
    return message


def columns_of(names: Sequence[str], table: Sequence[Sequence[object]], kinds: Sequence[str]) -> Columns:
    message = Columns()
    for name, kind, column in reversed([*zip(names, kinds, zip(*table, strict=True), strict=True)]):
        missing = [row for row, value in enumerate(column) if value is None]
        one = message.columns.add(name=name)
        if kind == "category":
            one.texts.values.extend("" if value is None else value for value in column)
        elif kind == "boolean":
            one.booleans.values.extend(bool(value) for value in column)
        else:
            one.numbers.values.extend(np.nan if value is None else value for value in column)
            missing = missing[::2]  # the others are NaN already
        one.missing.extend(missing)
    return message


def matrix_of(network: spec.NetworkSpec, table: Sequence[Sequence[object]]) -> np.ndarray[Any, Any]:
    def number(feature: spec.Feature, value: Any) -> float:
        if value is None:
            return np.nan
        return (
            (feature.categories.index(value) if value in feature.categories else -1)
            if isinstance(value, str)
            else value
        )

    return np.array([[number(*pair) for pair in zip(network.inputs.features, row, strict=True)] for row in table])


def forms(network: spec.NetworkSpec, table: Sequence[Sequence[object]]) -> dict[str, dict[str, Any]]:
    """The inputs of a request in every form."""
    names, kinds = network.inputs.names, [feature.kind for feature in network.inputs.features]
    matrix = matrix_of(network, table)
    with np.errstate(over="ignore"):
        own = matrix.astype(network.dtype)
    with_nan = [[np.nan if value is None else value for value in row] for row in table]
    return {
        "tensor": {"tensor": to_tensor(matrix)},
        "tensor of its dtype": {"tensor": to_tensor(own)},
        "rows": {"rows": rows_of(names, table)},
        "rows with NaN": {"rows": rows_of(names, with_nan)},
        "rows with names left out": {"rows": rows_of(names, table, absent=True)},
        "columns": {"columns": columns_of(names, table, kinds)},
    }


@given(documents(), st.data())
@settings(max_examples=80)
def test_all_forms_are_computed_as_their_plain_reading(document: dict[str, Any], data: st.DataObject) -> None:
    network = spec.parse(document)
    of = loaded(network)
    features = network.inputs.features
    table = data.draw(st.lists(st.tuples(*map(values, features)), min_size=1, max_size=4))
    plain = [[plain_input(*pair, network.dtype) for pair in zip(features, row, strict=True)] for row in table]
    odd = [violation for row in plain for _, violation in row]
    expected = next((error for violation, error in ERRORS.items() if violation in odd), None)
    for form, inputs in forms(network, table).items():
        request = PredictRequest(network="sample", **inputs)
        if expected is not None:
            with pytest.raises(expected) as refused:
                read_inputs(request, of)
            first = next(violation for violation in ERRORS if violation in odd)
            place = (form, odd.index(first))
            assert refused.value.facts["row"] == str(place[1] // len(features)), form
            assert refused.value.facts["feature"] == features[place[1] % len(features)].name
            assert refused.value.facts["count"] == str(odd.count(first))
            continue
        read = read_inputs(request, of)
        numbers = np.array([[number for number, _ in row] for row in plain], network.dtype)
        assert read.matrix.tobytes() == numbers.tobytes(), form
        warned = [] if read.warnings is None else [(each.row, each.feature) for each in read.warnings.first]
        every = [(row, column) for row in range(len(table)) for column in range(len(features))]
        assert warned == [
            (row, features[column].name)
            for (row, column), violation in zip(every, odd, strict=True)
            if violation == "warn"
        ]


def typed(*features: dict[str, Any], **fields: Any) -> LoadedVersion:
    return loaded(identity(len(features), inputs=list(features), **fields))


def of_row(**row: Any) -> dict[str, Any]:
    struct = Struct()
    struct.update(row)
    return {"rows": Rows(rows=[struct])}


def of_columns(*columns: Column) -> dict[str, Any]:
    return {"columns": Columns(columns=columns)}


def texts(name: str, *given: str) -> Column:
    return Column(name=name, texts={"values": given})


def numbers(name: str, *given: float) -> Column:
    return Column(name=name, numbers={"values": given})


MISFIT = FeatureMismatchError
RIGHT: dict[str, Any] = {"age": 30, "city": "Bern", "member": True}
AGES, CITIES, MEMBERS = numbers("age", 1, 2), texts("city", "Bern", "Basel"), numbers("member", 0, 1)

REFUSED: dict[str, tuple[dict[str, Any], type[ForwardpassError], str, str]] = {
    "text that is no category": (
        of_row(**RIGHT | {"city": "Brn"}),
        UnknownCategoryError,
        "rows[0].city",
        'mean "Bern"',
    ),
    "text far from any": (of_row(**RIGHT | {"city": "x"}), UnknownCategoryError, "rows[0].city", 'are "Bern", "Basel"'),
    "number out of range": (of_row(**RIGHT | {"age": 121}), OutOfRangeError, "rows[0].age", "from 0 to 120"),
    "null": (of_row(**RIGHT | {"age": None}), MissingValueError, "rows[0].age", "is missing"),
    "absent": (of_row(age=1, city="Bern"), MissingValueError, "rows[0].member", "is missing"),
    "number for a text": (of_row(**RIGHT | {"city": 1}), MISFIT, "rows[0].city", "a text is needed"),
    "truth for a text": (of_row(**RIGHT | {"city": True}), MISFIT, "rows[0].city", "a text is needed"),
    "text for a number": (of_row(**RIGHT | {"age": "1"}), MISFIT, "rows[0].age", "a number is needed"),
    "text for a truth": (of_row(**RIGHT | {"member": "1"}), MISFIT, "rows[0].member", "true or false"),
    "number that is no truth": (of_row(**RIGHT | {"member": 2}), MISFIT, "rows[0].member", "is 2.0"),
    "infinity": (of_row(**RIGHT | {"age": np.inf}), NonFiniteInputError, "rows[0].age", "finite"),
    "NaN": (of_row(**RIGHT | {"age": np.nan}), MissingValueError, "rows[0].age", "is missing"),
    "index of no category": (
        {"tensor": to_tensor(np.array([[1.0, 2, 1]]))},
        UnknownCategoryError,
        "tensor[0][1]",
        "0 to 1",
    ),
    "half an index": ({"tensor": to_tensor(np.array([[1.0, 0.5, 1]]))}, UnknownCategoryError, "tensor[0][1]", "0.5"),
    "negative index": ({"tensor": to_tensor(np.array([[1.0, -1, 1]]))}, UnknownCategoryError, "tensor[0][1]", "-1"),
    "infinite index": (
        {"tensor": to_tensor(np.array([[1.0, np.inf, 1]]))},
        UnknownCategoryError,
        "tensor[0][1]",
        "inf",
    ),
    "NaN in a tensor": ({"tensor": to_tensor(np.array([[1.0, np.nan, 1]]))}, MissingValueError, "tensor[0][1]", ""),
    "column of texts": (
        of_columns(texts("age", "1", "2"), CITIES, MEMBERS),
        MISFIT,
        "columns.age",
        "texts",
    ),
    "column of numbers": (
        of_columns(AGES, numbers("city", 0, 1), MEMBERS),
        MISFIT,
        "columns.city",
        "text",
    ),
    "column without values": (
        of_columns(AGES, Column(name="city"), MEMBERS),
        MISFIT,
        "columns.city",
        "no",
    ),
    "unknown column": (
        of_columns(AGES, CITIES, MEMBERS, texts("cty", "", "")),
        MISFIT,
        "columns.cty",
        "city",
    ),
    "column twice": (of_columns(AGES, AGES, CITIES, MEMBERS), MISFIT, "columns.age", "more than once"),
    "column that lacks": (of_columns(AGES, CITIES), MissingValueError, "columns.member[0]", "missing"),
    "columns of two lengths": (
        of_columns(AGES, texts("city", ""), MEMBERS),
        ShapeMismatchError,
        "columns",
        "'city' has 1",
    ),
    "no columns": (of_columns(), ShapeMismatchError, "columns", "at least one row"),
    "no rows": (of_columns(numbers("age")), ShapeMismatchError, "columns", "at least one row"),
    "category of a column": (
        of_columns(AGES, texts("city", "Bern", "Rom"), MEMBERS),
        UnknownCategoryError,
        "columns.city[1]",
        "'Rom'",
    ),
    "missing row that is not one": (
        of_columns(AGES, Column(name="city", texts=CITIES.texts, missing=[2]), MEMBERS),
        MISFIT,
        "columns.city.missing",
        "row 2",
    ),
    "missing in a column": (
        of_columns(AGES, Column(name="city", texts=CITIES.texts, missing=[1]), MEMBERS),
        MissingValueError,
        "columns.city[1]",
        "missing",
    ),
}


@pytest.mark.parametrize(("inputs", "error", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_inputs_that_are_rejected(inputs: dict[str, Any], error: type[ForwardpassError], path: str, words: str) -> None:
    with pytest.raises(error) as refused:
        read_inputs(PredictRequest(network="sample", **inputs), typed(*STRICT))
    fault = refused.value.faults[0]
    assert fault.path == path
    assert words in fault.message
    assert type(refused.value) is error


def test_rows_that_leave_out_nearly_everything_do_not_fill_the_memory() -> None:
    features = [{"name": f"f{index}", "missing": 0} for index in range(5_000)]
    of = loaded(chain([5_000, 1], inputs=features))
    few, many = np.zeros(10).tolist(), np.zeros(1_000).tolist()
    assert read_inputs(PredictRequest(**of_columns(numbers("f0", *few))), of).matrix.shape == (10, 5_000)
    for inputs in (of_columns(numbers("f0", *many)), {"rows": Rows(rows=[Struct() for _ in many])}):
        with pytest.raises(ShapeMismatchError, match="leave out"):
            read_inputs(PredictRequest(**inputs), of)


def test_infinity_and_nan_are_numbers_where_the_network_says_so() -> None:
    of = typed({"name": "age", "range": [0, 120]}, allow_non_finite_inputs=True)
    read = read_inputs(PredictRequest(tensor=to_tensor(np.array([[np.inf], [np.nan]]))), of)
    assert np.array_equal(read.matrix, [[np.inf], [np.nan]], equal_nan=True)
    assert read.warnings is not None
    assert read.warnings.count == 1
    with pytest.raises(MissingValueError):  # what is absent is no number at all
        read_inputs(PredictRequest(**of_row(age=None)), of)


def test_columns_suit_networks_of_plain_features_too() -> None:
    of = loaded(identity(2, inputs=["a", "b"]))
    b = Column(name="b", booleans={"values": [True, False]})
    assert read_inputs(PredictRequest(**of_columns(b, numbers("a", 3, 4))), of).matrix.tolist() == [[3, 1], [4, 0]]
    with pytest.raises(FeatureMismatchError, match="do not fit"):
        read_inputs(PredictRequest(**of_columns(b)), of)
    with pytest.raises(MissingValueError):
        read_inputs(PredictRequest(**of_columns(b, numbers("a", 3, np.nan))), of)


def test_faults_and_warnings_are_counted_and_some_are_listed() -> None:
    many = np.arange(300.0).reshape(-1, 1)
    read = read_inputs(PredictRequest(tensor=to_tensor(many)), typed({"name": "a", "range": [100, None], "unit": "kg"}))
    assert read.warnings is not None
    assert (read.warnings.count, len(read.warnings.first)) == (100, 100)
    assert read.warnings.first[0].message == "'a' is 0 kg, which is out of range: at least 100 is in range"
    with pytest.raises(OutOfRangeError) as refused:
        strict = typed({"name": "a", "range": [None, 100], "out_of_range": "refuse"})
        read_inputs(PredictRequest(tensor=to_tensor(many)), strict)
    assert len(refused.value.faults) == 100
    assert refused.value.facts["count"] == "199"


@pytest.fixture
def predictor() -> Any:
    store = SqlStore("sqlite://")
    registry = Registry.open(store)
    registry.register("typed", identity(3, inputs=[AGE, CITY, MEMBER], classes=["a", "b", "c"]))
    yield make_predictor(registry)
    store.close()


@pytest.mark.parametrize("method", [PREDICT, TRACE], ids=["Predict", "Trace"])
def test_calls_with_warnings_share_a_batch_with_others(predictor: Predictor, method: Any) -> None:
    request, response_type = (PredictRequest, PredictResponse) if method is PREDICT else (TraceRequest, TraceResponse)
    rows = [[30.0, 0, 1], [130, 5, np.nan], [30, 1, 0], [130, 5, np.nan], [-1, np.nan, 0]]
    calls = [
        RawRequest(method, request(network="typed", tensor=to_tensor(np.array([row]))).SerializeToString())
        for row in rows
    ]
    expected = np.array([[30, 0, 1], [130, 0, 0], [30, 1, 0], [130, 0, 0], [np.nan, np.nan, np.nan]])
    for _ in range(2):  # the second time their heads are known
        responses = [
            response_type.FromString(response) for response in respond(predictor, calls) if isinstance(response, bytes)
        ]
        outputs = np.concatenate([from_tensor(response.outputs) for response in responses])
        assert np.array_equal(outputs, expected, equal_nan=True)
        assert [response.warning_count for response in responses] == [0, 1, 0, 1, 1]
        assert [[each.value for each in response.warnings] for response in responses] == [[], [130], [], [130], [-1]]
        assert [len(response.classifications) for response in responses] == [1] * 5
    assert len(assemble_batches(predictor.read(calls).rows, POLICY)) == 1


def test_a_bad_row_among_prepared_requests_is_rejected_alone() -> None:
    store = SqlStore("sqlite://")
    registry = Registry.open(store)
    registry.register("strict", identity(3, inputs=STRICT))
    predictor = make_predictor(registry)
    rows = [[30.0, 0, 1], [30, 2, 1], [130, 1, 0], [1, 1, 1]]
    calls = [
        RawRequest(PREDICT, PredictRequest(network="strict", tensor=to_tensor(np.array([row]))).SerializeToString())
        for row in rows
    ]
    for _ in range(2):
        found = [type(response) for response in respond(predictor, calls)]
        assert found == [bytes, UnknownCategoryError, OutOfRangeError, bytes]
    store.close()


def test_the_most_probable_classes_count_for_the_size_of_a_response() -> None:
    store = SqlStore("sqlite://")
    registry = Registry.open(store)
    registry.register("sample", identity(100, classes=[f"a class of some length {index}" for index in range(100)]))
    predictor = make_predictor(registry, WorkLimits(max_response_bytes=10_000))
    requests = [PredictRequest(network="sample", tensor=to_tensor(np.ones((9, 100))), top_k=top) for top in (0, 100)]
    calls = [RawRequest(PREDICT, request.SerializeToString()) for request in requests]
    assert [type(response) for response in respond(predictor, calls)] == [bytes, QuotaExceededError]
    store.close()


def test_examples_are_computed_as_predictions_are() -> None:
    row = {"age": None, "city": "Rom", "member": True}
    examples = [{"inputs": row, "outputs": [40, 0, 1]}, {"inputs": [130, "Basel", 0], "outputs": [130, 1, 0]}]
    network = identity(3, inputs=[AGE, CITY, MEMBER], examples=examples)
    check_examples(network, compile_plan(network))


@given(st.sampled_from(["float32", "float64"]), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_outputs_are_scaled_and_shifted_after_the_last_layer(dtype: str, rows: int, seed: int) -> None:
    outputs = ["a", {"name": "b", "scale": 0.1}, {"name": "c", "shift": 0.3}, {"name": "d", "scale": 1e3, "shift": -7}]
    scaled = compile_plan(identity(4, dtype=dtype, outputs=outputs))
    plain = compile_plan(identity(4, dtype=dtype))
    matrix = np.random.default_rng(seed).standard_normal((rows, 4)).astype(dtype)
    scale, shift = np.array([1, 0.1, 1, 1e3], dtype), np.array([0, 0, 0.3, -7], dtype)
    expected = core.forward(plain, matrix) * scale + shift
    assert core.forward(scaled, matrix).tobytes() == expected.tobytes()
    traced, before = core.trace(scaled, matrix), core.trace(plain, matrix)
    assert traced.outputs.tobytes() == expected.tobytes()
    assert traced.layers[0].activation.tobytes() == before.layers[0].activation.tobytes()
    stepped = np.empty_like(expected)
    for _ in core.forward_steps(scaled, matrix, stepped, 8):
        pass
    assert stepped.tobytes() == expected.tobytes()
    steps = core.empty_trace(scaled, rows)
    for _ in core.trace_steps(scaled, matrix, steps, 8):
        pass
    assert steps.outputs.tobytes() == expected.tobytes()


def test_the_second_of_two_classes_is_chosen_from_its_threshold_on() -> None:
    of = loaded(identity(1, dtype="float32", classes=["no", "yes"], threshold=0.7))
    outputs = np.array([[0.7], [np.nextafter(np.float32(0.7), np.float32(0))], [0.3]], np.float32)
    assert [found.label for found in classify(of, outputs)] == ["yes", "no", "no"]
    found = classify(of, outputs, top=2)[1]
    assert [each.label for each in found.top] == ["yes", "no"]
    assert found.top[1].probability == found.probability == float(np.float32(1) - outputs[1, 0])


def test_classes_with_a_threshold_each_are_all_chosen_that_reach_it() -> None:
    of = loaded(identity(3, classes=["a", "b", "c"], threshold=[0.5, 0.1, 0.9]))
    found = classify(of, np.array([[0.5, 0.2, 0.8], [0.4, 0.0, 0.9], [0, 0, 0]]))
    assert [(each.label, [*each.chosen]) for each in found] == [("c", ["a", "b"]), ("c", ["c"]), ("a", [])]
    one = loaded(identity(3, classes=["a", "b", "c"], threshold=0.4))
    assert [*classify(one, np.array([[0.5, 0.2, 0.8]]))[0].chosen] == ["a", "c"]


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 5))
def test_the_most_probable_classes_come_first_and_of_equal_ones_the_first(row: list[float], top: int) -> None:
    of = loaded(identity(3, classes=["a", "b", "c"]))
    (found,) = classify(of, np.array([row]), top)
    ranked = sorted(zip(row, "abc", strict=True), key=lambda pair: -pair[0])[:top]
    assert [(each.probability, each.label) for each in found.top] == ranked


@pytest.mark.parametrize(("classes", "top"), [(["a"] * 0, 1), (["a", "b", "c"], -1)], ids=["no classes", "negative"])
def test_most_probable_classes_that_cannot_be_listed(classes: list[str], top: int) -> None:
    store = SqlStore("sqlite://")
    registry = Registry.open(store)
    registry.register("sample", identity(3, classes=classes))
    request = PredictRequest(network="sample", tensor=to_tensor(np.ones((1, 3))), top_k=top)
    (response,) = respond(make_predictor(registry), [RawRequest(PREDICT, request.SerializeToString())])
    assert isinstance(response, InvalidFieldError)
    assert response.facts["field"] == "top_k"
    store.close()
