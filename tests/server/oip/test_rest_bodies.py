"""Bodies of `infer` as messages and back, without a server."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from forwardpass.errors import InvalidRequestError, QuotaExceededError
from forwardpass_server.oip.rest import chunked_json
from forwardpass_server.oip.rest.encodings import ENCODINGS, choose, compress, decompress
from forwardpass_server.oip.rest.proto_json import to_dict
from forwardpass_server.oip.rest.requests import OutputForm, decode_raw_request, decode_request, header_length
from forwardpass_server.oip.rest.responses import encode_response
from forwardpass_server.oip.rest.tensor_data import DTYPES, from_raw, to_raw
from forwardpass_server.oip.v2.inference_pb2 import (
    InferStatistics,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
    ModelStatistics,
    ModelStatisticsResponse,
    StatisticDuration,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

NUMBERS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        hnp.arrays(
            DTYPES[name],
            hnp.array_shapes(max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False} if DTYPES[name].kind == "f" else None,
        ),
    )
)


def tensor(**changes: Any) -> dict[str, Any]:
    """An input that is in order, but for the changes; None takes a member away."""
    given = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]} | changes
    return {name: value for name, value in given.items() if value is not None}


def read(document: Any, behind: bytes = b"") -> tuple[ModelInferRequest, OutputForm]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode_request(text + behind, len(text), "iris", "3")


@given(NUMBERS, st.booleans(), st.sampled_from([chunked_json.CHUNK_CHARACTERS, 16]))
def test_elements_go_to_raw_contents_and_back_with_every_bit(
    drawn: tuple[str, np.ndarray[Any, Any]], nested: bool, size: int
) -> None:
    datatype, array = drawn
    data = array.tolist() if nested else array.ravel().tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked_json, "CHUNK_CHARACTERS", size)
        request, _ = read({"inputs": [tensor(datatype=datatype, shape=[*array.shape], data=data)]})
    assert request.raw_input_contents == [array.tobytes()]
    assert repr(from_raw(array.tobytes(), datatype)) == repr(array.ravel().tolist())


@given(st.lists(st.text(max_size=5), max_size=5))
def test_strings_have_their_lengths_before_them(strings: list[str]) -> None:
    raw = to_raw(strings, "BYTES", [len(strings)], "data")
    assert raw == b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in strings)
    assert from_raw(raw, "BYTES") == strings


def test_a_whole_request_becomes_a_message() -> None:
    first = tensor(name="a", parameters={"binary_data_size": 8}, data=None)
    second = tensor(name="b", datatype="INT32", shape=[2], data=[1, -2], parameters={"mine": "yes"})
    document = {
        "id": "42",
        "model_name": "ignored",
        "parameters": {"timeout": 5, "large": 2**64 - 1, "half": 0.5, "binary_data_output": True},
        "inputs": [first, second],
        "outputs": [{"name": "y", "parameters": {"classification": 2, "binary_data": False}}, {"name": "z"}],
    }
    request, form = read(document, behind=b"12345678")
    assert (request.model_name, request.model_version, request.id) == ("iris", "3", "42")
    assert [(given.name, given.datatype, [*given.shape]) for given in request.inputs] == [
        ("a", "FP32", [1, 2]),
        ("b", "INT32", [2]),
    ]
    assert [*request.raw_input_contents] == [b"12345678", np.array([1, -2], "<i4").tobytes()]
    assert request.parameters["timeout"].int64_param == 5
    assert request.parameters["large"].uint64_param == 2**64 - 1
    assert request.parameters["half"].double_param == 0.5
    assert sorted(request.parameters) == ["half", "large", "timeout"]
    assert request.inputs[1].parameters["mine"].string_param == "yes"
    assert not request.inputs[0].parameters
    assert [output.name for output in request.outputs] == ["y", "z"]
    assert request.outputs[0].parameters["classification"].int64_param == 2
    assert sorted(request.outputs[0].parameters) == ["classification"]
    assert [form.is_binary(name) for name in ("y", "z")] == [False, True]


REFUSED: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "the body is not JSON"),
    "no UTF-8": (b'{"id": "\xff"}', "the body is not JSON"),
    "a long number": (b"1" * 5000, "the body is not JSON"),
    "too deep": (b"[" * 100_000, "the body is not JSON"),
    "no object": ([], "the body is JSON, but an array"),
    "no inputs": ({}, "inputs is missing"),
    "inputs null": ({"inputs": None}, "inputs is missing"),
    "inputs an object": ({"inputs": {}}, "inputs is an object"),
    "an input that is not one": ({"inputs": [1]}, r"inputs\[0\] is 1"),
    "id a number": ({"id": 3, "inputs": []}, "id is 3; must be a string"),
    "half a character": ({"id": "\ud800", "inputs": []}, "id has half a character"),
    "no name": ({"inputs": [tensor(name=None)]}, r"inputs\[0\].name is missing"),
    "no shape": ({"inputs": [tensor(shape=None)]}, r"inputs\[0\].shape is missing"),
    "no datatype": ({"inputs": [tensor(datatype=None)]}, r"inputs\[0\].datatype is missing"),
    "an unknown datatype": ({"inputs": [tensor(datatype="FP8")]}, r'inputs\[0\].datatype is "FP8"'),
    "a negative axis": ({"inputs": [tensor(shape=[-1, 2])]}, r"inputs\[0\].shape has -1"),
    "a fractional axis": ({"inputs": [tensor(shape=[1.0, 2])]}, r"inputs\[0\].shape has 1.0"),
    "an axis beyond 64 bits": ({"inputs": [tensor(shape=[2**63])]}, r"inputs\[0\].shape has 9223372036854775808"),
    "a product beyond 64 bits": ({"inputs": [tensor(shape=[2**40] * 3)]}, r"data has 2 elements; shape"),
    "many axes": ({"inputs": [tensor(shape=[1] * 5000)]}, r"data has a shape of 5000 axes"),
    "too few elements": ({"inputs": [tensor(data=[1])]}, r"data has 1 elements; shape \[1, 2\] needs 2"),
    "ragged": ({"inputs": [tensor(data=[[1], [2, 3]])]}, "data is ragged"),
    "nested otherwise": ({"inputs": [tensor(data=[[1], [2]])]}, r"data is nested as shape \[2, 1\]"),
    "a string among numbers": ({"inputs": [tensor(data=[1, "2"])]}, 'data has "2"; FP32 needs numbers'),
    "null among numbers": ({"inputs": [tensor(data=[1, None])]}, "data has null; FP32 needs numbers"),
    "true among numbers": ({"inputs": [tensor(data=[1, True])]}, "data has true; FP32 needs numbers"),
    "one as a truth": ({"inputs": [tensor(datatype="BOOL", data=[1, True])]}, "data has 1; BOOL needs true and false"),
    "a fraction as an integer": ({"inputs": [tensor(datatype="INT8", data=[1, 2.0])]}, "data has 2.0; INT8 needs"),
    "beyond UINT8": ({"inputs": [tensor(datatype="UINT8", data=[1, 256])]}, "data has 256; UINT8 has 0 to 255"),
    "below UINT8": ({"inputs": [tensor(datatype="UINT8", data=[1, -1])]}, "data has -1; UINT8 has 0 to 255"),
    "beyond FP32": ({"inputs": [tensor(data=[1, 1e39])]}, r"data has 1e\+39; that is beyond FP32"),
    "beyond FP64": (
        {"inputs": [tensor(datatype="FP64", data=[1, 10**400])]},
        "data has the integer 1000000000000000000000000000000000000000; that is beyond FP64",
    ),
    "an integer that FP64 rounds": (
        {"inputs": [tensor(datatype="FP64", data=[1.5, 2**53 + 1])]},
        "data has the integer 9007199254740993, which FP64 cannot hold exactly",
    ),
    "an integer that FP64 rounds far away": (
        {"inputs": [tensor(datatype="FP64", data=[-(10**30), 1.5])]},
        "data has the integer -1000000000000000000000000000000, which FP64 cannot hold exactly",
    ),
    "an integer that FP32 rounds": (
        {"inputs": [tensor(data=[1, 2**24 + 1])]},
        "data has the integer 16777217, which FP32",
    ),
    "an integer that FP16 rounds": (
        {"inputs": [tensor(datatype="FP16", data=[1, 2049])]},
        "data has the integer 2049, which FP16",
    ),
    "a number as a string": ({"inputs": [tensor(datatype="BYTES", data=["a", 1])]}, "data has 1; BYTES needs strings"),
    "data no array": ({"inputs": [tensor(data=3)]}, r"inputs\[0\].data is 3"),
    "neither form": ({"inputs": [tensor(data=None)]}, r"inputs\[0\] must have either `data` or the parameter"),
    "both forms": (
        {"inputs": [tensor(parameters={"binary_data_size": 0})]},
        r"inputs\[0\] must have either `data`",
    ),
    "a size beyond the end": (
        {"inputs": [tensor(data=None, parameters={"binary_data_size": 8})]},
        "binary_data_size is 8; 3 bytes are left",
    ),
    "a negative size": (
        {"inputs": [tensor(data=None, parameters={"binary_data_size": -1})]},
        "binary_data_size is -1; 3 bytes are left",
    ),
    "a size that is no integer": (
        {"inputs": [tensor(data=None, parameters={"binary_data_size": "8"})]},
        'binary_data_size is "8"; must be an integer',
    ),
    "bytes of no input": ({"inputs": [tensor()]}, "body has 3 bytes after the JSON that belong to no input"),
    "a parameter that is not one": (
        {"inputs": [], "parameters": {"sequence_id": []}},
        "parameters.sequence_id is an array",
    ),
    "a parameter beyond 64 bits": ({"inputs": [], "parameters": {"a": 2**64}}, "parameters.a is 18446744073709551616"),
    "binary_data_output a number": (
        {"inputs": [], "parameters": {"binary_data_output": 1}},
        "parameters.binary_data_output is 1; must be true or false",
    ),
    "an output without a name": (
        {"inputs": [tensor(data=None, parameters={"binary_data_size": 3})], "outputs": [{}]},
        r"outputs\[0\].name is missing",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_body_is_refused_with_its_place(case: str) -> None:
    document, sentence = REFUSED[case]
    with pytest.raises(InvalidRequestError, match=sentence):
        read(document, behind=b"123")


@pytest.mark.parametrize("value", ["-1", "11", "ten", "", "1.0", " 3", "٣", "9" * 30])
def test_a_header_length_outside_the_body_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="inference-header-content-length is"):
        header_length(value, 10)


def test_a_header_length_within_the_body_is_taken() -> None:
    assert [header_length(value, 10) for value in (None, "0", "10")] == [10, 0, 10]


def metadata(*inputs: tuple[str, list[int]]) -> ModelMetadataResponse:
    response = ModelMetadataResponse()
    for datatype, shape in inputs:
        response.inputs.add(name="x", datatype=datatype, shape=shape)
    return response


def test_raw_contents_alone_are_a_models_only_input() -> None:
    request, form = decode_raw_request(bytes(24), "iris", "", metadata(("FP32", [-1, 3])))
    assert [*request.inputs[0].shape] == [2, 3]
    assert [*request.raw_input_contents] == [bytes(24)]
    assert form.is_binary("anything")


@pytest.mark.parametrize("inputs", [[], [("FP32", [2]), ("FP32", [2])], [("BYTES", [-1])], [("FP32", [-1, -1])]])
def test_raw_contents_of_unknown_shape_are_refused(inputs: list[tuple[str, list[int]]]) -> None:
    with pytest.raises(InvalidRequestError, match="body has no JSON"):
        decode_raw_request(bytes(8), "iris", "", metadata(*inputs))


def test_outputs_are_written_as_they_were_asked_for() -> None:
    response = ModelInferResponse(model_name="iris", model_version="3", id="é", raw_output_contents=[])
    response.parameters["triton_final_response"].bool_param = True
    numbers = np.array([0.1, np.inf, -np.inf, np.nan], "<f4")
    response.outputs.add(name="y", datatype="FP32", shape=[1, 4])
    response.outputs.add(name="z", datatype="FP32", shape=[1, 4])
    response.outputs.add(name="label", datatype="BYTES", shape=[1, 1])
    response.raw_output_contents.extend([numbers.tobytes(), numbers.tobytes(), b"\x03\0\0\0a\xc3\xa9"])
    body = encode_response(response, OutputForm(by_output={"z": True}))
    assert body.header_length is not None
    document = json.loads(body.content[: body.header_length])
    assert body.content[body.header_length :] == numbers.tobytes()
    y, z, label = document.pop("outputs")
    assert document == {
        "model_name": "iris",
        "model_version": "3",
        "id": "é",
        "parameters": {"triton_final_response": True},
    }
    assert np.array(y.pop("data"), "<f4").tobytes() == numbers.tobytes()
    assert y == {"name": "y", "datatype": "FP32", "shape": [1, 4]}
    assert z == {"name": "z", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}
    assert label["data"] == ["aé"]


def test_an_answer_without_binary_data_has_no_header_length() -> None:
    assert encode_response(ModelInferResponse(model_name="iris"), OutputForm()).header_length is None


def test_statistics_are_numbers_and_have_their_defaults() -> None:
    statistics = ModelStatistics(name="iris", inference_count=2**40)
    statistics.inference_stats.CopyFrom(InferStatistics(success=StatisticDuration(count=1, ns=2)))
    document = to_dict(ModelStatisticsResponse(model_stats=[statistics]))
    assert document["model_stats"][0]["inference_count"] == 2**40
    assert document["model_stats"][0]["execution_count"] == 0
    assert document["model_stats"][0]["batch_stats"] == []
    assert document["model_stats"][0]["inference_stats"] == {"success": {"count": 1, "ns": 2}}


@given(st.binary(max_size=2000), st.sampled_from(sorted(ENCODINGS)))
def test_compressed_bodies_come_back(content: bytes, encoding: str) -> None:
    assert decompress(compress(content, encoding), encoding, len(content)) == content


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_compressed_body_may_not_grow_beyond_the_limit(encoding: str) -> None:
    with pytest.raises(QuotaExceededError, match="more than 1,000 bytes"):
        decompress(compress(bytes(50_000_000), encoding), encoding, 1000)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("cut", "sentence"), [(slice(0), "ends within"), (slice(-1), "ends within"), (slice(3, None), "is not")]
)
def test_a_damaged_compressed_body_is_refused(encoding: str, cut: slice, sentence: str) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        decompress(compress(b"something", encoding)[cut], encoding, 1000)
    with pytest.raises(InvalidRequestError, match="continues after the end"):
        decompress(compress(b"something", encoding) + b"more", encoding, 1000)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("deflate, GZIP;q=0.5", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.0", None),
    ],
)
def test_an_accepted_encoding_is_chosen(accepted: str, chosen: str | None) -> None:
    assert choose(accepted) == chosen
