"""ModelInfer in the predictor: one matrix with Predict, and the same bits whatever else is in the batch."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from forwardpass.errors import ForwardpassError, PermissionDeniedError
from forwardpass.tensors import from_tensor, to_tensor
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse, TraceRequest, TraceResponse
from forwardpass_server.oip.infer import INFER as UNTRACED
from forwardpass_server.oip.request_id import id_field, strip_request_id
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.serving import PREDICT, TRACE, RawRequest, RawResponse, WorkLimits
from forwardpass_server.serving.batch import assemble_batches
from forwardpass_server.serving.encode.wire import field
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.infer_requests import NUMPY, TYPED, infer_request, outputs_of, parameter, row_request, tensor
from tests.support.sample_networks import chain
from tests.support.serving import POLICY, make_predictor, respond

assert UNTRACED.with_layer_access is not None
INFER = UNTRACED.with_layer_access
LIMITS = WorkLimits(max_rows=100)
NETWORKS = {"double": "float64", "single": "float32"}


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A registry that no test changes."""
    store = SqlStore("sqlite://")
    opened = Registry.open(store)
    for seed, (name, dtype) in enumerate(NETWORKS.items()):
        opened.register(name, chain([2, 3, 2], dtype=dtype, seed=seed))
        opened.register(name, chain([2, 3, 2], dtype=dtype, seed=seed + 9, classes=["no", "yes"]))
    opened.register("binary", chain([2, 1], seed=3, classes=["no", "yes"]))
    yield opened
    store.close()


def called(*requests: Message | bytes) -> list[RawRequest]:
    """Calls of requests, each in the format of its message; bytes are for ModelInfer."""
    formats: dict[type, Any] = {PredictRequest: PREDICT, TraceRequest: TRACE}
    return [
        RawRequest(
            formats.get(type(request), INFER),
            request if isinstance(request, bytes) else request.SerializeToString(),
            key=key,
        )
        for key, request in enumerate(requests)
    ]


def infer(registry: Registry, request: v2.ModelInferRequest) -> v2.ModelInferResponse:
    (one,) = respond(make_predictor(registry, LIMITS), called(request))
    if isinstance(one, Exception):
        raise one
    return v2.ModelInferResponse.FromString(one)


def comparable(one: RawResponse) -> object:
    if isinstance(one, bytes):
        return one
    assert isinstance(one, ForwardpassError), one
    return type(one), one.message, one.facts, one.faults


def rows(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, 2))


def test_predict_and_model_infer_share_a_matrix(registry: Registry) -> None:
    values = rows(6)
    requests: list[Message] = []
    for place, row in enumerate(values):
        one = row[np.newaxis]
        requests += [
            PredictRequest(network="double", version="1", tensor=to_tensor(one)),
            row_request("double", one, model_version="1", id=f"id {place}"),
            row_request("double", one, model_version="1", outputs=["outputs"]),
        ]
    predictor = make_predictor(registry, LIMITS)
    for _ in range(2):  # by their messages, then by their heads
        batches = assemble_batches(predictor.read(called(*requests)).rows, POLICY)
        assert [len(batch.requests) for batch in batches] == [len(requests)]
        responses = respond(predictor, called(*requests))
        for place, (predicted, inferred, again) in enumerate(zip(*[iter(responses)] * 3, strict=True)):
            assert isinstance(predicted, bytes)
            data = PredictResponse.FromString(predicted).outputs.data
            for encoded, wanted_id in ((inferred, f"id {place}"), (again, "")):
                assert isinstance(encoded, bytes)
                response = v2.ModelInferResponse.FromString(encoded)
                assert (response.model_name, response.model_version, response.id) == ("double", "1", wanted_id)
                assert list(response.raw_output_contents) == [data]


def test_layers_as_outputs_share_a_matrix_with_a_trace_of_these(registry: Registry) -> None:
    values = rows(2)
    trace = TraceRequest(network="double", version="1", tensor=to_tensor(values), layers=["layer_1"])
    names = ["layer_1.activation", "outputs", "layer_1.pre_activation"]
    requested = row_request("double", values, model_version="1", outputs=names)
    predictor = make_predictor(registry, LIMITS)
    assert len(assemble_batches(predictor.read(called(trace, requested)).rows, POLICY)) == 1
    traced, inferred = respond(predictor, called(trace, requested))
    assert isinstance(traced, bytes)
    assert isinstance(inferred, bytes)
    (layer,) = TraceResponse.FromString(traced).layers
    found = outputs_of(inferred)
    assert list(found) == names
    np.testing.assert_array_equal(found["layer_1.pre_activation"], from_tensor(layer.pre_activation))
    np.testing.assert_array_equal(found["layer_1.activation"], from_tensor(layer.activation))
    np.testing.assert_array_equal(found["outputs"], from_tensor(layer.activation))


def check_bits(registry: Registry, count: int) -> None:
    """Compare rows, sent in requests of several sizes, with the response of one Predict."""
    rng = np.random.default_rng(7)
    predictor = make_predictor(registry, WorkLimits())
    for network, dtype in NETWORKS.items():
        values = rng.standard_normal((count, 2)).astype(dtype)
        (whole,) = respond(predictor, called(PredictRequest(network=network, version="1", tensor=to_tensor(values))))
        assert isinstance(whole, bytes)
        datatype = {"float32": "FP32", "float64": "FP64"}[dtype]
        ends = np.unique([0, count, *rng.integers(1, count, count // 3)])
        requests = [row_request(network, values[a:b], datatype, model_version="1") for a, b in pairwise(ends.tolist())]
        parts = respond(predictor, called(*requests))
        found = np.concatenate([outputs_of(part)["outputs"] for part in parts if isinstance(part, bytes)])
        expected = from_tensor(PredictResponse.FromString(whole).outputs)
        assert found.dtype == expected.dtype
        differing = int((found.view(np.uint8) != expected.view(np.uint8)).any(axis=1).sum())
        assert differing == 0, f"{differing} of {count} rows differ"


def test_the_bits_are_those_of_predict(registry: Registry) -> None:
    check_bits(registry, 10_000)


@pytest.mark.parametrize(
    ("datatype", "typed"), [*((name, False) for name in sorted(NUMPY)), *((name, True) for name in sorted(TYPED))]
)
def test_each_datatype_and_form_gives_what_the_numbers_give(registry: Registry, datatype: str, typed: bool) -> None:
    values = np.array([[0, 1], [1, 0], [1, 1]])
    expected = outputs_of(infer(registry, row_request("double", values)))
    matrix = outputs_of(infer(registry, infer_request("double", tensor(values, datatype, typed=typed))))
    for name, array in expected.items():
        np.testing.assert_array_equal(matrix[name], array)
    for shape in ((3,), (3, 1)):
        features = [
            tensor(column.reshape(shape), datatype, name=f"input_{place}", typed=typed)
            for place, column in enumerate(values.T)
        ]
        for order in (features, features[::-1]):
            named = outputs_of(infer(registry, infer_request("double", *order)))
            for name, array in expected.items():
                np.testing.assert_array_equal(named[name], array)


def test_what_is_answered_where_nothing_is_asked_for(registry: Registry) -> None:
    response = infer(registry, row_request("double", rows(3)))
    assert (response.model_version, response.id) == ("2", "")
    assert [(output.name, output.datatype, tuple(output.shape)) for output in response.outputs] == [
        ("outputs", "FP64", (3, 2)),
        ("label", "BYTES", (3, 1)),
    ]
    plain = infer(registry, row_request("single", rows(3), model_version="1"))
    assert [(output.name, output.datatype, tuple(output.shape)) for output in plain.outputs] == [
        ("outputs", "FP32", (3, 2))
    ]


def test_labels_are_those_of_predict(registry: Registry) -> None:
    for network in ("double", "binary"):
        values = rows(20, seed=4)
        (said,) = respond(
            make_predictor(registry, LIMITS), called(PredictRequest(network=network, tensor=to_tensor(values)))
        )
        assert isinstance(said, bytes)
        labels = [each.label for each in PredictResponse.FromString(said).classifications]
        found = outputs_of(infer(registry, row_request(network, values)))
        assert found["label"].ravel().tolist() == labels
        assert set(labels) == {"no", "yes"}


def test_an_output_by_its_own_name_is_a_column(registry: Registry) -> None:
    loaded = registry.load_reference("double", "2")
    found = outputs_of(infer(registry, row_request("double", rows(3), outputs=["outputs", *loaded.output_names])))
    for column, name in enumerate(loaded.output_names):
        np.testing.assert_array_equal(found[name], found["outputs"][:, [column]])


@pytest.mark.parametrize(
    ("network", "version", "classes", "labels"),
    [
        ("double", "", 1, ("no", "yes")),
        ("double", "", 9, ("no", "yes")),
        ("binary", "", 2, ("no", "yes")),
        ("binary", "", 1, ("no", "yes")),
        ("single", "1", 2, ()),
    ],
)
def test_classification_names_the_largest(
    registry: Registry, network: str, version: str, classes: int, labels: tuple[str, ...]
) -> None:
    values = rows(8, seed=2)
    request = row_request(network, values, model_version=version, outputs=["outputs"])
    numbers = outputs_of(infer(registry, request))["outputs"]
    if numbers.shape[1] == 1:  # the probability of the second of two classes
        numbers = np.concatenate([1 - numbers, numbers], axis=1)
    request.outputs[0].parameters["classification"].int64_param = classes
    found = outputs_of(infer(registry, request))["outputs"]
    assert found.shape == (8, min(classes, 2))
    for row, said in zip(numbers, found, strict=True):
        order = sorted(range(2), key=lambda place: -row[place])[:classes]
        ends = [f":{place}:{labels[place]}" if labels else f":{place}" for place in order]
        assert said.tolist() == [f"{row[place]:f}{end}" for place, end in zip(order, ends, strict=True)]


def test_callers_who_may_not_trace_see_no_layers(registry: Registry) -> None:
    plain = row_request("double", rows(1)).SerializeToString()
    requests = {
        name: row_request("double", rows(1), outputs=[name]).SerializeToString()
        for name in ("layer_0.activation", "layer_0.pre_activation", "layer_9.activation", "nothing")
    }
    predictor = make_predictor(registry, LIMITS)
    for _ in range(2):  # who may comes first, and must not open the way for who may not
        allowed, predicted, *rejected = respond(
            predictor,
            [
                RawRequest(INFER, requests["layer_0.activation"], key="allowed"),
                RawRequest(UNTRACED, plain, key="plain"),
                *(RawRequest(UNTRACED, request, key=name) for name, request in requests.items()),
            ],
        )
        assert isinstance(allowed, bytes)
        assert isinstance(predicted, bytes)
        *denied, unknown = rejected
        assert [type(one) for one in denied] == [PermissionDeniedError] * 3
        assert isinstance(unknown, ForwardpassError)
        assert "layer_0" not in unknown.message


# What an encoder may write in any order, and repeat.
@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request as some encoder might write it: usual, in another order, with fields twice, unknown ones, or broken."""
    datatype = draw(st.sampled_from(["FP64", "FP32", "INT32", "FP16", "INT64", "BOOL", "BYTES"]))
    shape = draw(st.sampled_from([[1, 2], [2, 2], [1, 2], [2], [1, 3], [-1, 2], [2**62, 2]]))
    numbers = draw(st.lists(st.sampled_from([0, 1, 3, 2**30 + 1]), min_size=4, max_size=4))
    count = 4 if shape == [2, 2] else 2
    dtype = np.dtype(NUMPY.get(datatype, "u1"))
    with np.errstate(over="ignore"):
        raw = np.array(numbers[:count]).astype(dtype).tobytes()
    made = v2.ModelInferRequest.InferInputTensor(
        name=draw(st.sampled_from(["inputs", "inputs", "inputs", "input_0"])), datatype=datatype, shape=shape
    )
    if draw(st.integers(0, 9)) == 0:
        made.contents.fp64_contents.extend([1.0, 2.0])
    name = draw(st.sampled_from(["double", "single", "binary", "missing"]))
    version = draw(st.sampled_from(["", "1", "2", "latest", "7", "gone"]))
    identity = draw(st.sampled_from([b"", b"a", b"long " * 20, b"x" * 200, "é".encode(), b"\xff"]))
    requested = draw(st.lists(st.sampled_from(["outputs", "label", "layer_0.activation", "nothing"]), max_size=2))
    parts = [field(1, len(name)) + name.encode()]
    if version:
        parts.append(field(2, len(version)) + version.encode())
    if identity:
        parts.append(field(3, len(identity)) + identity)
    if draw(st.integers(0, 4)) == 0:
        key, value = draw(st.sampled_from([("priority", 1), ("timeout", 10**9), ("sequence_id", 1), ("x-a", "b")]))
        parts.append(v2.ModelInferRequest(parameters={key: parameter(value)}).SerializeToString())
    parts.append(v2.ModelInferRequest(inputs=[made]).SerializeToString())
    parts += [
        v2.ModelInferRequest(outputs=[v2.ModelInferRequest.InferRequestedOutputTensor(name=each)]).SerializeToString()
        for each in requested
    ]
    if draw(st.integers(0, 5)) == 0:
        strange = [b"\x52\x01a", b"\x50\x01", field(3, 2) + b"zz", field(7, len(raw)) + raw]
        parts.append(draw(st.sampled_from(strange)))
    parts.append(field(7, len(raw)) + raw)
    if draw(st.integers(0, 3)) == 0:
        parts = list(draw(st.permutations(parts)))
    whole = b"".join(parts)
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 9)) == 0 else whole


@st.composite
def families(draw: st.DrawFn) -> list[bytes]:
    """Requests of which several differ in their numbers or in their ids only."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        request = draw(requests())
        found.append(request)
        for _ in range(draw(st.integers(0, 3))):
            other = request
            its_id = id_field(request)
            if its_id and draw(st.booleans()):
                identity = draw(st.sampled_from([b"", b"b", b"c" * 36, b"y" * 130, b"\xfe"]))
                other = request.replace(its_id, field(3, len(identity)) + identity if identity else b"", 1)
            if draw(st.booleans()):
                tail = draw(st.binary(min_size=1, max_size=8))
                other = other[: -len(tail)] + tail if len(tail) <= len(other) else other
            found.append(other)
    return found


@settings(max_examples=150)
@given(family=families(), order=st.randoms(use_true_random=False))
def test_answers_do_not_depend_on_what_was_read_before(registry: Registry, family: list[bytes], order: Any) -> None:
    calls = called(*family)
    expected = [comparable(respond(make_predictor(registry, LIMITS), [call])[0]) for call in calls]
    predictor = make_predictor(registry, LIMITS)
    for _ in range(2):  # unknown, then known
        assert [comparable(respond(predictor, [call])[0]) for call in calls] == expected
    assert [comparable(one) for one in respond(predictor, calls)] == expected
    shuffled = list(range(len(calls)))
    order.shuffle(shuffled)
    together = respond(make_predictor(registry, LIMITS), [calls[place] for place in shuffled])
    assert [comparable(one) for one in together] == [expected[place] for place in shuffled]
    for request, one in zip(family, expected, strict=True):
        if isinstance(one, bytes):
            assert v2.ModelInferResponse.FromString(one).id == v2.ModelInferRequest.FromString(request).id


def test_the_usual_request_is_read_by_its_head_whatever_its_id(registry: Registry) -> None:
    predictor = make_predictor(registry, LIMITS)
    respond(predictor, called(row_request("double", rows(1), id="first")))
    prepared = predictor._prepared.caches[INFER]
    for identity in ("", "a", "another", "x" * 127):
        request = row_request("double", rows(1, seed=5), id=identity).SerializeToString()
        assert prepared.find(strip_request_id(request)) is not None, identity
        (one,) = respond(predictor, called(request))
        assert isinstance(one, bytes)
        assert v2.ModelInferResponse.FromString(one).id == identity
    assert len(prepared._by_head) == 1


def test_the_place_of_an_id_is_found_or_not_known() -> None:
    request = v2.ModelInferRequest(model_name="abc", model_version="1", id="seven", raw_input_contents=[b"x"])
    data = request.SerializeToString()
    assert id_field(data) == field(3, 5) + b"seven"
    request.ClearField("id")
    assert strip_request_id(data) == request.SerializeToString() == strip_request_id(strip_request_id(data))
    strange = [b"", b"\x0a", b"\x0a\x05abc", field(2, 1) + b"1", field(1, 300) + b"x" * 300, field(3, 1) + b"a"]
    strange += [field(1, 1) + b"a" + field(3, 9) + b"short", field(1, 1) + b"a" + field(3, 2) + "é".encode()]
    for each in strange:
        assert id_field(each) == b""
        assert strip_request_id(each) == each
