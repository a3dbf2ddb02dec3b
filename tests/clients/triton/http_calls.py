"""`tritonclient.http`: every call, numbers as JSON and as binary data."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as protocol
from tritonclient.http import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.clients.place import Place, two_hidden
from tests.clients.triton.tensors import (
    CUSTOMER,
    DATATYPES,
    JSON_DATATYPES,
    NETWORK_FILE,
    TRANSACTIONS,
    check,
    check_layers,
    config,
    counted,
    largest,
    numbers,
    requested_outputs,
    tensor,
    texts,
)

ARTICLE = "article-2-hidden"
FORMS = [(False, False), (False, True), (True, False), (True, True)]


@pytest.fixture
def client(place: Place) -> Iterator[InferenceServerClient]:
    # Two minutes, for a machine that does other things as well.
    with InferenceServerClient(place.rest, concurrency=4, network_timeout=120, connection_timeout=120) as client:
        yield client


def infer(client: InferenceServerClient, name: str, rows: Any, *, binary: bool = True, **options: Any) -> Any:
    return client.infer(name, [tensor(protocol, rows, binary_data=binary)], **options)


def refused(client: InferenceServerClient, name: str, rows: Any, **options: Any) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as caught:
        infer(client, name, rows, **options)
    return caught.value


def test_the_server_and_its_models_are_ready(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(ARTICLE)
    assert client.is_model_ready("doubled", "2")
    assert not client.is_model_ready("doubled", "3")
    assert not client.is_model_ready("nobody")


def test_metadata_and_configuration(client: InferenceServerClient, place: Place) -> None:
    reported = client.get_server_metadata()
    assert reported["name"] == "forwardpass"
    assert "binary_tensor_data" in reported["extensions"]
    for name, responses in place.networks.items():
        metadata = client.get_model_metadata(name)
        width = len(responses.features)
        assert metadata["inputs"] == [{"name": "inputs", "datatype": responses.datatype, "shape": [-1, width]}]
        first, *more = metadata["outputs"]
        assert first == {"name": "outputs", "datatype": responses.datatype, "shape": [-1, len(responses.outputs[0])]}
        assert more == ([{"name": "label", "datatype": "BYTES", "shape": [-1, 1]}] if responses.classes else [])
        assert client.get_model_config(name)["max_batch_size"] > 0
    assert client.get_model_metadata("doubled", "stable")["versions"] == ["1", "2"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["article-2-hidden", "classifier", "wide"])
def test_the_bits_are_those_of_our_own_client(
    client: InferenceServerClient, place: Place, name: str, form: tuple[bool, bool]
) -> None:
    responses = place.networks[name]
    rows = responses.array(responses.inputs)
    names = ("outputs", "label") if responses.classes else ("outputs",)
    outputs = requested_outputs(protocol, *names, *responses.layers, binary_data=form[1])
    result = infer(client, name, rows, binary=form[0], outputs=outputs)
    check(result, responses)
    check_layers(result, responses)
    check(infer(client, name, rows, binary=form[0]), responses)


@pytest.mark.parametrize(
    ("datatype", "binary"), [*((one, True) for one in DATATYPES), *((one, False) for one in JSON_DATATYPES)]
)
def test_every_datatype_is_read(client: InferenceServerClient, datatype: str, *, binary: bool) -> None:
    rows = numbers(datatype)
    outputs = infer(client, ARTICLE, rows, binary=binary).as_numpy("outputs")
    np.testing.assert_array_equal(outputs, two_hidden(rows.astype(np.float64)))


def test_classification(client: InferenceServerClient, place: Place) -> None:
    responses = place.networks["classifier"]
    for binary in (True, False):
        outputs = requested_outputs(protocol, "outputs", class_count=3, binary_data=binary)
        result = infer(client, "classifier", responses.array(responses.inputs), outputs=outputs)
        assert texts(result, "outputs") == largest(responses, 3)


def test_versions_ids_and_parameters(client: InferenceServerClient) -> None:
    for version, expected, number in (("1", 8.0, "1"), ("2", 16.0, "2"), ("stable", 8.0, "1"), ("", 16.0, "2")):
        result = infer(
            client, "doubled", CUSTOMER, model_version=version, request_id="a 1", priority=1, timeout=60_000_000
        )
        assert result.as_numpy("outputs").tolist() == [[expected]]
        response = result.get_response()
        assert (response["model_version"], response["id"]) == (number, "a 1")
        assert len(response["parameters"]["digest"]) == 64
    assert infer(client, ARTICLE, CUSTOMER, parameters={"colour": "red"}).as_numpy("outputs") == TRANSACTIONS
    for options in ({"parameters": {"time_out": 1}}, {"sequence_id": 7, "sequence_start": True}):
        assert "the parameter '" in refused(client, ARTICLE, CUSTOMER, **options).message()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(client: InferenceServerClient, place: Place, algorithm: str) -> None:
    responses = place.networks["wide"]
    rows = responses.array(responses.inputs)
    for binary in (True, False):
        check(
            infer(
                client,
                "wide",
                rows,
                binary=binary,
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            ),
            responses,
        )


@pytest.mark.parametrize(
    ("name", "rows", "outputs", "status", "words"),
    [
        ("nobody", CUSTOMER, None, "404", "Request for unknown model: 'nobody' is not found"),
        (ARTICLE, np.zeros((1, 3)), None, "400", "unexpected shape for input 'inputs' for model"),
        (ARTICLE, np.array([["3", "5"]], object), None, "400", "BYTES"),
        (ARTICLE, np.array([[np.nan, 5]]), None, "400", "fill value"),
        (ARTICLE, CUSTOMER, ["oops"], "400", "unexpected inference output 'oops' for model"),
    ],
)
def test_errors(
    client: InferenceServerClient, name: str, rows: Any, outputs: list[str] | None, status: str, words: str
) -> None:
    error = refused(client, name, rows, outputs=requested_outputs(protocol, *outputs) if outputs else None)
    assert error.status() == status
    assert words in error.message()
    assert infer(client, ARTICLE, CUSTOMER).as_numpy("outputs") == TRANSACTIONS


def test_many_at_once(client: InferenceServerClient, place: Place) -> None:
    responses = place.networks["classifier"]
    rows, expected = responses.array(responses.inputs), responses.array(responses.outputs)
    places = [index % len(rows) for index in range(100)]
    under_way = [client.async_infer("classifier", [tensor(protocol, rows[at : at + 1])]) for at in places]
    for at, call in zip(places, under_way, strict=True):
        assert call.get_result(timeout=120).as_numpy("outputs").tobytes() == expected[at].tobytes()


def test_bodies_of_the_callers_own(place: Place) -> None:
    """`generate_request_body` and `parse_response_body`, for users with an HTTP client of their own."""
    import urllib.request

    for compress, read in (("gzip", gzip.decompress), ("deflate", zlib.decompress), (None, bytes)):
        body, length = InferenceServerClient.generate_request_body([tensor(protocol, CUSTOMER)])
        headers = {"Inference-Header-Content-Length": str(length), "Accept-Encoding": compress or "identity"}
        request = urllib.request.Request(f"http://{place.rest}/v2/models/{ARTICLE}/infer", body, headers)
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310 - the server's own address
            content, encoding = response.read(), response.headers.get("Content-Encoding")
            size = int(response.headers["Inference-Header-Content-Length"])
        content = read(content) if encoding else content
        result = InferenceServerClient.parse_response_body(content, header_length=size)
        assert result.as_numpy("outputs") == TRANSACTIONS


def test_the_repository_and_statistics(client: InferenceServerClient) -> None:
    def state() -> list[str]:
        return [one["state"] for one in client.get_model_repository_index() if one["name"] == "http-shelf"]

    client.load_model("http-shelf", config=config("http-shelf"), files={"file:1/network.json": NETWORK_FILE})
    assert state() == ["READY"]
    assert infer(client, "http-shelf", np.array([[2.0, 3.0]] * 3)).as_numpy("outputs").tolist() == [[9], [9], [9]]
    (reported,) = client.get_inference_statistics("http-shelf")["model_stats"]
    assert (counted(reported), int(reported["inference_count"]), int(reported["execution_count"])) == (1, 3, 1)
    client.unload_model("http-shelf")
    assert state() == ["UNAVAILABLE"]
    assert not client.is_model_ready("http-shelf")
    assert "is not at ready state" in refused(client, "http-shelf", CUSTOMER).message()
    client.load_model("http-shelf")
    assert state() == ["READY"]
    names = {one["name"] for one in client.get_inference_statistics()["model_stats"]}
    assert {"http-shelf", ARTICLE} <= names
    with pytest.raises(InferenceServerException, match="nobody"):
        client.load_model("nobody")


def test_what_has_no_meaning_here_says_so(client: InferenceServerClient) -> None:
    for call, words in (
        (client.get_trace_settings, "TraceSetting is not offered"),
        (lambda: client.update_trace_settings(ARTICLE, {"trace_level": ["TIMESTAMPS"]}), "TraceSetting is not offered"),
        (client.get_log_settings, "LogSettings is not offered"),
        (lambda: client.update_log_settings({"log_info": True}), "LogSettings is not offered"),
        (client.get_system_shared_memory_status, "no such endpoint"),
    ):
        with pytest.raises(InferenceServerException, match=words):
            call()


def test_a_timeout_of_the_request(client: InferenceServerClient) -> None:
    error = refused(client, ARTICLE, np.ones((200_000, 2)), timeout=1)
    assert error.status() == "504"
    assert infer(client, ARTICLE, CUSTOMER, timeout=120_000_000).as_numpy("outputs") == TRANSACTIONS


def test_json_is_json(place: Place) -> None:
    """Without binary data the whole body is a JSON document."""
    given = [tensor(protocol, CUSTOMER, binary_data=False)]
    body, length = InferenceServerClient.generate_request_body(
        given, outputs=requested_outputs(protocol, "outputs", binary_data=False)
    )
    assert length is None
    assert json.loads(body)["inputs"][0]["data"] == [3.0, 5.0]
    with InferenceServerClient(place.rest) as client:
        response = infer(
            client, ARTICLE, CUSTOMER, binary=False, outputs=requested_outputs(protocol, "outputs", binary_data=False)
        )
    assert response.get_response()["outputs"][0]["data"] == [TRANSACTIONS]
