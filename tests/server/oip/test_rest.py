"""The protocol over HTTP against a real server: every endpoint, every form of numbers, and what is malformed."""

import base64
import gzip
import json
import random
import socket
import zlib
from typing import Any

import grpc
import numpy as np
import pytest
from forwardpass import spec
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT32, DATA_TYPE_FLOAT64, Tensor

from tests.support.plain_http import HEADER_LENGTH, Http, HttpResponse, infer_body
from tests.support.raw_grpc import PREDICTIONS, call, network_spec, register
from tests.support.sample_networks import identity
from tests.support.server_process import ServerProcess

ROW = np.array([[2.0, 3.0]])
MODEL = "/v2/models/article-linear"
FORMS = [(False, False), (False, True), (True, False), (True, True)]


def names(form: tuple[bool, bool]) -> str:
    return " to ".join("binary" if binary else "JSON" for binary in form)


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/v2", {"name", "version", "extensions"}),
        ("/v2/", {"name", "version", "extensions"}),
        ("/v2/health/live", {"live"}),
        ("/v2/health/ready", {"ready"}),
        (f"{MODEL}/ready", {"name", "ready"}),
        (f"{MODEL}/versions/1/ready", {"name", "ready"}),
        (MODEL, {"name", "versions", "platform", "inputs", "outputs"}),
        (f"{MODEL}/versions/1", {"name", "versions", "platform", "inputs", "outputs"}),
        (f"{MODEL}/versions/latest", {"name", "versions", "platform", "inputs", "outputs"}),
        (f"{MODEL}/config", {"name", "platform", "max_batch_size", "input", "output"}),
        (f"{MODEL}/versions/1/config", {"name", "platform", "max_batch_size", "input", "output"}),
        (f"{MODEL}/stats", {"model_stats"}),
        (f"{MODEL}/versions/1/stats", {"model_stats"}),
        ("/v2/models/stats", {"model_stats"}),
    ],
)
def test_metadata_and_statistics_are_json(http: Http, path: str, members: set[str]) -> None:
    response = http.get(path)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert members <= set(response.document)
    head = http("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_metadata_has_the_shapes(http: Http) -> None:
    metadata = http.get(MODEL).document
    assert metadata["name"] == "article-linear"
    assert metadata["versions"] == ["1"]
    assert [-1, 2] in [tensor["shape"] for tensor in metadata["inputs"]]
    assert "binary_tensor_data" in http.get("/v2").document["extensions"]


def test_statistics_count_calls_of_http(http: Http, rest_channel: grpc.Channel) -> None:
    register(rest_channel, "counted", network_spec([[1.0, 1.0]]))
    for _ in range(3):
        assert http.infer("counted", ROW).status == 200
    (statistics,) = http.get("/v2/models/counted/stats").document["model_stats"]
    assert (statistics["name"], statistics["version"], statistics["inference_count"]) == ("counted", "1", 3)
    assert statistics["inference_stats"]["success"]["count"] == 3


def index(http: Http, **body: Any) -> dict[str, str]:
    return {model["name"]: model["state"] for model in http.post("/v2/repository/index", body or None).document}


def test_the_repository(http: Http, rest_channel: grpc.Channel) -> None:
    register(rest_channel, "shelved", network_spec([[1.0, 1.0]]))
    assert index(http)["shelved"] == "READY"
    unloaded = http.post("/v2/repository/models/shelved/unload", {"parameters": {"unload_dependents": False}})
    assert (unloaded.status, unloaded.body) == (200, b"")
    assert index(http)["shelved"] == "UNAVAILABLE"
    assert "shelved" not in index(http, ready=True)
    assert http.get("/v2/models/shelved/ready").status == 400
    assert 400 <= http.infer("shelved", ROW).status < 600
    assert http.post("/v2/repository/models/shelved/load").status == 200
    assert http.infer("shelved", ROW).output().tolist() == [[5.0]]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/nothing", 404, "GET /v2/nothing: there is no such endpoint"),
        ("GET", "/", 404, "no such endpoint"),
        ("GET", f"{MODEL}/infer", 405, "the endpoint takes POST"),
        ("POST", "/v2/health/live", 405, "the endpoint takes"),
        ("GET", "/v2/models/nobody", 404, "nobody"),
        ("GET", "/v2/models/nobody/config", 404, "nobody"),
        ("GET", "/v2/models/nobody/stats", 404, "nobody"),
        ("GET", f"{MODEL}/versions/7", 404, "7"),
        ("POST", "/v2/repository/models/nobody/unload", 404, "nobody"),
    ],
)
def test_what_is_not_there(http: Http, method: str, path: str, status: int, words: str) -> None:
    response = http(method, path)
    assert response.status == status
    assert words in response.error
    assert response.headers["content-type"] == "application/json"


def test_a_model_that_is_not_there_is_not_ready(http: Http) -> None:
    assert http.get("/v2/models/nobody/ready").status in {400, 404}


@pytest.mark.parametrize("form", FORMS, ids=names)
def test_a_prediction_in_every_form(http: Http, form: tuple[bool, bool]) -> None:
    response = http.infer("article-linear", ROW, binary=form, id="a 1")
    length = int(response.headers.get(HEADER_LENGTH.lower(), len(response.body)))
    document = json.loads(response.body[:length])
    assert (document["model_name"], document["model_version"], document["id"]) == ("article-linear", "1", "a 1")
    assert response.headers["content-type"] == ("application/octet-stream" if form[1] else "application/json")
    assert ("data" in document["outputs"][0]) != form[1]
    assert response.output().tolist() == [[9.0]]


def test_flat_data_and_a_version_in_the_path(http: Http) -> None:
    tensor = {"name": "inputs", "shape": [2, 2], "datatype": "FP64", "data": [2, 3, 2.0, 3]}
    response = http.post(f"{MODEL}/versions/1/infer", {"inputs": [tensor], "more": "ignored"})
    assert response.output().tolist() == [[9.0], [9.0]]


def test_raw_contents_alone(http: Http, rest_channel: grpc.Channel) -> None:
    register(rest_channel, "raw", network_spec([[1.0, 2.0]]))
    (tensor,) = http.get("/v2/models/raw").document["inputs"]
    dtype = {"FP32": "<f4", "FP64": "<f8"}[tensor["datatype"]]
    body = np.array([[1, 2], [3, 4]], dtype).tobytes()
    response = http("POST", "/v2/models/raw/infer", body, {HEADER_LENGTH: "0"})
    assert response.output().tolist() == [[5.0], [11.0]]


def test_texts_truths_and_warnings(http: Http, rest_channel: grpc.Channel) -> None:
    features = [
        {"name": "city", "kind": "category", "categories": ["Bern", "Zürich"]},
        {"name": "member", "kind": "boolean"},
        {"name": "age", "range": [0, 120]},
    ]
    register(rest_channel, "typed", spec.to_message(identity(3, inputs=features)))
    described = http.get("/v2/models/typed").document["inputs"]
    assert [tensor["datatype"] for tensor in described] == ["BYTES", "BOOL", "FP64"]
    values: list[list[Any]] = [["Zürich", "Bern"], [True, False], [130, 3]]
    inputs = [
        {"name": each["name"], "datatype": each["datatype"], "shape": [2, 1], "data": data}
        for each, data in zip(described, values, strict=True)
    ]
    response = http.post("/v2/models/typed/infer", {"inputs": inputs})
    assert response.output().tolist() == [[1, 1, 130], [0, 0, 3]]
    parameters = response.document["parameters"]
    assert parameters["warning_count"] == 1
    assert parameters["warnings"].startswith("row 0: 'age' is 130")
    refused = http.post("/v2/models/typed/infer", {"inputs": [{**inputs[0], "data": ["Brn", "x"]}, *inputs[1:]]})
    assert refused.status == 400
    assert 'did you mean "Bern"?' in refused.document["error"]


def test_outputs_by_name(http: Http, rest_channel: grpc.Channel) -> None:
    network = network_spec([[1.0, 2.0], [3.0, -4.0]], class_labels=["lô", "hi"])
    register(rest_channel, "classes", network)
    layer = f"{next(name for name in layers(http, 'classes'))}.activation"
    requested = [
        {"name": "label"},
        {"name": layer},
        {"name": "outputs", "parameters": {"classification": 2}},
    ]
    for binary in (False, True):
        response = http.infer("classes", np.array([[1.0, 2.0]]), binary=(False, binary), outputs=requested)
        length = int(response.headers.get(HEADER_LENGTH.lower(), len(response.body)))
        label, activation, top = json.loads(response.body[:length])["outputs"]
        assert [label["name"], activation["name"], top["name"]] == ["label", layer, "outputs"]
        assert [label["datatype"], top["datatype"]] == ["BYTES", "BYTES"]
        assert response.output(1).tolist() == [[5.0, -5.0]]
        if binary:
            assert response.body[length:].startswith(b"\x03\0\0\0l\xc3\xb4")
        else:
            assert label["data"] == ["lô"]
            assert [value.split(":")[1:] for value in top["data"]] == [["0", "lô"], ["1", "hi"]]


def layers(http: Http, name: str) -> list[str]:
    said = http.get(f"/v2/models/{name}/config").document["parameters"]["layer_outputs"]["string_value"]
    return [output.removesuffix(".activation") for output in json.loads(said) if output.endswith(".activation")]


@pytest.mark.parametrize("timeout", [0, 60_000_000])
def test_a_timeout_that_does_not_pass(http: Http, timeout: int) -> None:
    response = http.post(f"{MODEL}/infer", {"inputs": [tensor()], "parameters": {"timeout": timeout}})
    assert response.output().tolist() == [[9.0]]


def test_a_timeout_that_passes(http: Http) -> None:
    response = http.post(f"{MODEL}/infer", {"inputs": [tensor()], "parameters": {"timeout": 1}})
    assert (response.status, response.document["reason"]) == (504, "DEADLINE_EXCEEDED")


@pytest.mark.parametrize("path", ["/v2/logging", "/v2/trace/setting", f"{MODEL}/trace/setting"])
def test_what_is_not_offered_says_what_to_do(http: Http, path: str) -> None:
    for response in (http.get(path), http.post(path, {})):
        assert response.status == 501
        assert "is not offered: " in response.error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_are_those_of_predict(http: Http, rest_channel: grpc.Channel, dtype: str) -> None:
    generator = np.random.default_rng(11)
    name = f"bits-{dtype}"
    spec = network_spec(generator.normal(size=(9, 7)).tolist())
    spec.layers.append(network_spec(generator.normal(size=(3, 9)).tolist()).layers[0])
    register(rest_channel, name, spec)
    for rows in (1, 2, 5, 64, 700, 9_000):  # the last two in threads, the last one in many pieces
        array = generator.normal(size=(rows, 7)).astype(dtype)
        kind = DATA_TYPE_FLOAT32 if dtype == "float32" else DATA_TYPE_FLOAT64
        tensor = Tensor(dtype=kind, shape=array.shape, data=array.tobytes())
        request = PredictRequest(network=name, tensor=tensor)
        expected = PredictResponse.FromString(call(rest_channel, f"{PREDICTIONS}Predict", request)).outputs
        for form in FORMS:
            output = http.infer(name, array, binary=form).output()
            assert [*output.shape] == [*expected.shape]
            assert output.tobytes() == expected.data, (rows, names(form))


@pytest.mark.parametrize("form", [(False, False), (True, True)], ids=names)
@pytest.mark.parametrize(("encoding", "squeeze"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_compressed(http: Http, encoding: str, squeeze: Any, form: tuple[bool, bool]) -> None:
    rows = np.repeat(ROW, 5_000, axis=0)
    body, headers = infer_body(rows, binary=form)
    coding = {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    response = http("POST", f"{MODEL}/infer", squeeze(body), {**headers, **coding})
    assert response.headers["content-encoding"] == encoding
    plain = gzip.decompress(response.body) if encoding == "gzip" else zlib.decompress(response.body)
    assert HttpResponse(200, response.headers, plain).output().tolist() == [[9.0]] * 5_000
    # A small response is not compressed.
    assert "content-encoding" not in http.get("/v2/health/live", **coding).headers


def tensor(**changes: Any) -> dict[str, Any]:
    given = {"name": "inputs", "shape": [1, 2], "datatype": "FP64", "data": [2, 3]} | changes
    return {name: value for name, value in given.items() if value is not None}


def text(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


BINARY = text(tensor(data=None, parameters={"binary_data_size": 16}))
MALFORMED: dict[str, tuple[bytes, dict[str, str]]] = {
    "nothing": (b"", {}),
    "no JSON": (b"{]", {}),
    "no UTF-8": (b'{"inputs": "\xff"}', {}),
    "an array": (b"[]", {}),
    "deep": (b"[" * 200_000, {}),
    "deep and closed": (b"[" * 100_000 + b"]" * 100_000, {}),
    "a number of many digits": (b'{"inputs": [' + b"9" * 100_000 + b"]}", {}),
    "no inputs": (b"{}", {}),
    "empty inputs": (text(), {}),
    "an unknown input": (text(tensor(name="nobody")), {}),
    "twice the same input": (text(tensor(), tensor()), {}),
    "an unknown output": (text(tensor(), outputs=[{"name": "nobody"}]), {}),
    "an unknown datatype": (text(tensor(datatype="FP8")), {}),
    "a timeout that is not one": (text(tensor(), parameters={"timeout": -1}), {}),
    "a timeout in words": (text(tensor(), parameters={"timeout": "soon"}), {}),
    "a parameter misspelt": (text(tensor(), parameters={"time_out": 1}), {}),
    "too few elements": (text(tensor(data=[1])), {}),
    "another width": (text(tensor(shape=[1, 3], data=[1, 2, 3])), {}),
    "a negative axis": (text(tensor(shape=[-1, 2])), {}),
    "an axis beyond 64 bits": (text(tensor(shape=[2**64, 2])), {}),
    "a product beyond 64 bits": (text(tensor(shape=[2**33, 2**33])), {}),
    "many axes": (text(tensor(shape=[2**40] * 1000)), {}),
    "a string for a number": (text(tensor(data=["2", 3])), {}),
    "not finite": (text(tensor(data=[float("nan"), 3])), {}),
    "beyond FP32": (text(tensor(datatype="FP32", data=[1e300, 3])), {}),
    "ragged": (text(tensor(data=[[1], [2, 3]])), {}),
    "both forms": (text(tensor(parameters={"binary_data_size": 16})) + bytes(16), {HEADER_LENGTH: str(len(BINARY))}),
    "neither form": (text(tensor(data=None)), {}),
    "a header length below 0": (BINARY + bytes(16), {HEADER_LENGTH: "-1"}),
    "a header length that is no number": (BINARY + bytes(16), {HEADER_LENGTH: "many"}),
    "a header length beyond the body": (BINARY + bytes(16), {HEADER_LENGTH: str(len(BINARY) + 17)}),
    "a header length in the JSON": (BINARY + bytes(16), {HEADER_LENGTH: str(len(BINARY) - 2)}),
    "no header length": (BINARY + bytes(16), {}),
    "too few bytes": (BINARY + bytes(15), {HEADER_LENGTH: str(len(BINARY))}),
    "too many bytes": (BINARY + bytes(17), {HEADER_LENGTH: str(len(BINARY))}),
    "bytes that are no rows": (bytes(7), {HEADER_LENGTH: "0"}),
    "a negative size": (
        text(tensor(data=None, parameters={"binary_data_size": -16})),
        {HEADER_LENGTH: str(len(BINARY) + 1)},
    ),
    "no gzip": (BINARY, {"Content-Encoding": "gzip"}),
    "half a gzip": (gzip.compress(text(tensor()))[:-4], {"Content-Encoding": "gzip"}),
    "no deflate": (BINARY, {"Content-Encoding": "deflate"}),
    "an unknown encoding": (BINARY, {"Content-Encoding": "br"}),
}


@pytest.mark.parametrize(
    "parameters", [{"headers": {"x-a": "b"}}, {"tags": ["a"]}, {"nothing": None}, {"content_type": "pd", "foo": 1.5}]
)
def test_other_parameters_change_nothing(http: Http, parameters: dict[str, Any]) -> None:
    requested = text(
        tensor(parameters=parameters), parameters=parameters, outputs=[{"name": "outputs", "parameters": parameters}]
    )
    assert http.post(f"{MODEL}/infer", requested).output().tolist() == [[9.0]]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["binary_data", "binary_data_output"])
def test_the_form_of_one_output(http: Http, name: str, *, binary: bool) -> None:
    whole = {"binary_data_output": not binary}
    requested = text(tensor(), parameters=whole, outputs=[{"name": "outputs", "parameters": {name: binary}}])
    response = http.post(f"{MODEL}/infer", requested)
    assert (HEADER_LENGTH.lower() in response.headers) == binary
    assert response.output().tolist() == [[9.0]]


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_refused_with_a_sentence(http: Http, case: str) -> None:
    body, headers = MALFORMED[case]
    response = http("POST", f"{MODEL}/infer", body, headers)
    assert 400 <= response.status < 500
    assert len(response.error) > 10
    assert http.infer("article-linear", ROW).output().tolist() == [[9.0]]


@pytest.mark.parametrize("path", ["/v2/repository/index", "/v2/repository/models/article-linear/load"])
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": 1, "parameters": 1}'])
def test_what_is_malformed_for_the_repository(http: Http, path: str, body: bytes) -> None:
    response = http.post(path, body)
    assert response.status == 400
    assert len(response.error) > 10


def test_a_file_for_the_repository_is_base64(http: Http) -> None:
    parameters = {"config": "{}", "file:1/model.safetensors": "not base64!"}
    response = http.post("/v2/repository/models/filed/load", {"parameters": parameters})
    assert response.status == 400
    assert "base64" in response.error
    assert base64.b64decode("QUJD", validate=True) == b"ABC"


def test_damaged_bodies_never_break_the_server(http: Http) -> None:
    generator = random.Random(3)
    body, headers = infer_body(ROW, binary=(True, True))
    for _ in range(300):
        damaged = bytearray(body)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        response = http("POST", f"{MODEL}/infer", bytes(damaged), headers)
        assert response.status == 200 or (400 <= response.status < 500 and response.error)
    assert http.infer("article-linear", ROW).output().tolist() == [[9.0]]


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n" + b"x: y\r\n" * 200_000,
        b"GET /" + b"a" * 1_000_000,
    ],
    ids=["nonsense", "negative length", "two lengths", "many headers", "a long path"],
)
def test_what_is_no_http_ends_its_connection_only(rest_server: ServerProcess, http: Http, head: bytes) -> None:
    host, _, port = rest_server.rest.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        try:
            connection.sendall(head)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            received = b""
        assert received == b"" or received.startswith(b"HTTP/1.1 400")
    assert http.get("/v2/health/live").status == 200
