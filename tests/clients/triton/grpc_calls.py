"""`tritonclient.grpc`: every call with one response."""

import base64
import json
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as protocol
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from tritonclient.grpc import InferenceServerClient, model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

from tests.clients.place import Place, two_hidden
from tests.clients.triton.tensors import (
    CUSTOMER,
    DATATYPES,
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
NETWORKS = ["article-2-hidden", "classifier", "wide"]


@pytest.fixture
def client(place: Place) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(place.grpc) as client:
        yield client


def infer(client: InferenceServerClient, name: str, rows: Any, **options: Any) -> Any:
    return client.infer(name, [tensor(protocol, rows)], **options)


def refused(client: InferenceServerClient, name: str, inputs: list[Any], **options: Any) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(name, inputs, **options)
    return caught.value


def test_the_server_and_its_models_are_ready(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(ARTICLE)
    assert client.is_model_ready("doubled", "2")
    assert client.is_model_ready("doubled", "stable")
    assert not client.is_model_ready("doubled", "3")
    assert not client.is_model_ready("nobody")


def test_the_server_tells_what_it_is(client: InferenceServerClient) -> None:
    reported = client.get_server_metadata(as_json=True)
    assert reported["name"] == "forwardpass"
    assert {"classification", "model_configuration", "model_repository", "statistics"} <= set(reported["extensions"])
    for absent in ("sequence", "schedule_policy", "system_shared_memory", "cuda_shared_memory", "trace", "logging"):
        assert absent not in reported["extensions"]


def test_metadata_and_configuration(client: InferenceServerClient, place: Place) -> None:
    for name, responses in place.networks.items():
        metadata = client.get_model_metadata(name)
        (given,) = metadata.inputs
        width = len(responses.features)
        assert (given.name, given.datatype, list(given.shape)) == ("inputs", responses.datatype, [-1, width])
        outputs = {output.name: (output.datatype, list(output.shape)) for output in metadata.outputs}
        assert outputs["outputs"] == (responses.datatype, [-1, len(responses.outputs[0])])
        assert outputs.get("label") == (("BYTES", [-1, 1]) if responses.classes else None)
        reported = client.get_model_config(name).config
        assert reported.max_batch_size > 0
        assert reported.HasField("dynamic_batching")
        assert [list(one.dims) for one in reported.input] == [[width]]
        assert [one.name for one in reported.output] == list(outputs)
        layers = json.loads(reported.parameters["layer_outputs"].string_value)
        assert layers == list(responses.layers)
    assert client.get_model_metadata("doubled", as_json=True)["versions"] == ["1", "2"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_bits_are_those_of_our_own_client(client: InferenceServerClient, place: Place, name: str) -> None:
    responses = place.networks[name]
    rows = responses.array(responses.inputs)
    check(infer(client, name, rows), responses)
    for index in (0, len(rows) - 1):
        alone = infer(client, name, rows[index : index + 1]).as_numpy("outputs")
        assert alone.tobytes() == responses.array(responses.outputs)[index].tobytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_can_be_asked_for(client: InferenceServerClient, place: Place, name: str) -> None:
    responses = place.networks[name]
    outputs = requested_outputs(protocol, *responses.layers, "outputs", *(["label"] if responses.classes else []))
    result = infer(client, name, responses.array(responses.inputs), outputs=outputs)
    check(result, responses)
    check_layers(result, responses)
    assert [output.name for output in result.get_response().outputs] == [output.name() for output in outputs]


def test_the_articles_nodes(client: InferenceServerClient) -> None:
    reported = json.loads(client.get_model_config(ARTICLE).config.parameters["layer_outputs"].string_value)
    result = infer(client, ARTICLE, CUSTOMER, outputs=requested_outputs(protocol, *reported))
    before, after = ([result.as_numpy(name).tolist() for name in reported[at::2]] for at in (0, 1))
    assert before == [[[26, -13]], [[-26, 26]], [[182]]]
    assert after == [[[26, 0]], [[0, 26]], [[182]]]


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_is_read(client: InferenceServerClient, datatype: str) -> None:
    rows = numbers(datatype)
    outputs = infer(client, ARTICLE, rows).as_numpy("outputs")
    np.testing.assert_array_equal(outputs, two_hidden(rows.astype(np.float64)))


def test_a_whole_number_that_would_change_is_refused(client: InferenceServerClient) -> None:
    error = refused(client, ARTICLE, [tensor(protocol, np.array([[2**53 + 1, 0]]))])
    assert error.status() == "StatusCode.INVALID_ARGUMENT"
    assert "9007199254740993" in error.message()


def test_an_input_for_each_feature(client: InferenceServerClient, place: Place) -> None:
    responses = place.networks["wide"]
    rows = responses.array(responses.inputs)
    columns = [tensor(protocol, rows[:, at : at + 1].copy(), name) for at, name in enumerate(responses.features)]
    check(client.infer("wide", columns[::-1]), responses)
    error = refused(client, "wide", columns[1:])
    assert "expected 20 inputs but got 19 inputs for model 'wide'" in error.message()


def test_classification(client: InferenceServerClient, place: Place) -> None:
    responses = place.networks["classifier"]
    rows = responses.array(responses.inputs)
    for count in (1, 3, 9):
        result = infer(client, "classifier", rows, outputs=requested_outputs(protocol, "outputs", class_count=count))
        assert texts(result, "outputs") == largest(responses, min(count, 4))


def test_versions_by_number_and_by_alias(client: InferenceServerClient) -> None:
    for version, expected, number in (("1", 8.0, "1"), ("2", 16.0, "2"), ("stable", 8.0, "1"), ("", 16.0, "2")):
        result = infer(client, "doubled", CUSTOMER, model_version=version)
        assert result.as_numpy("outputs").tolist() == [[expected]]
        assert result.get_response().model_version == number
    error = refused(client, "doubled", [tensor(protocol, CUSTOMER)], model_version="7")
    assert error.status() == "StatusCode.NOT_FOUND"
    assert "Request for unknown model: 'doubled' version 7 is not found" in error.message()


@pytest.mark.parametrize("request_id", ["", "1", "a b/c", "ü" * 40, "x" * 2_000])
def test_the_id_comes_back(client: InferenceServerClient, request_id: str) -> None:
    assert infer(client, ARTICLE, CUSTOMER, request_id=request_id).get_response().id == request_id


def test_parameters_are_honoured_or_refused_by_name(client: InferenceServerClient) -> None:
    assert infer(client, ARTICLE, CUSTOMER, priority=1, timeout=60_000_000).as_numpy("outputs") == TRANSACTIONS
    response = infer(client, ARTICLE, CUSTOMER).get_response()
    assert len(response.parameters["digest"].string_param) == 64
    assert response.parameters["numerics"].string_param == "exact"
    assert infer(client, ARTICLE, CUSTOMER, parameters={"colour": "red"}).as_numpy("outputs") == TRANSACTIONS
    sequence = {"sequence_id": 7, "sequence_start": True}
    for options, named in (({"parameters": {"time_out": 1}}, "time_out"), (sequence, "sequence_")):
        error = refused(client, ARTICLE, [tensor(protocol, CUSTOMER)], **options)
        assert error.status() == "StatusCode.INVALID_ARGUMENT"
        assert f"the parameter '{named}" in error.message()


def short(given: Any) -> Any:
    given._raw_content = given._raw_content[:-1]
    return given


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "status", "words"),
    [
        ("nobody", [CUSTOMER], None, "NOT_FOUND", "Request for unknown model: 'nobody' is not found"),
        (ARTICLE, [np.zeros((1, 3))], None, "INVALID_ARGUMENT", "unexpected shape for input 'inputs' for model"),
        (ARTICLE, [np.zeros((1, 1, 2))], None, "INVALID_ARGUMENT", "Expected [-1,2], got [1,1,2]"),
        (ARTICLE, [np.zeros((0, 2))], None, "INVALID_ARGUMENT", "no rows"),
        (ARTICLE, [np.array([["3", "5"]], object)], None, "INVALID_ARGUMENT", "BYTES"),
        (ARTICLE, [np.array([[np.nan, 5]])], None, "INVALID_ARGUMENT", "fill value"),
        (ARTICLE, [CUSTOMER], ["oops"], "INVALID_ARGUMENT", "unexpected inference output 'oops' for model"),
        (ARTICLE, [CUSTOMER, CUSTOMER], None, "INVALID_ARGUMENT", "'inputs'"),
        (ARTICLE, [], None, "INVALID_ARGUMENT", "expected 2 inputs but got 0 inputs for model"),
    ],
)
def test_errors(
    client: InferenceServerClient, name: str, inputs: list[Any], outputs: list[str] | None, status: str, words: str
) -> None:
    given = [tensor(protocol, array) for array in inputs]
    error = refused(client, name, given, outputs=requested_outputs(protocol, *outputs) if outputs else None)
    assert error.status() == f"StatusCode.{status}"
    assert words in error.message()
    assert infer(client, ARTICLE, CUSTOMER).as_numpy("outputs") == TRANSACTIONS


def test_a_wrong_number_of_bytes_and_a_wrong_name(client: InferenceServerClient) -> None:
    error = refused(client, ARTICLE, [short(tensor(protocol, CUSTOMER))])
    assert "input byte size mismatch for input 'inputs'" in error.message()
    assert "Expected 16, got 15" in error.message()
    error = refused(client, ARTICLE, [tensor(protocol, CUSTOMER, "oops")])
    assert "unexpected inference input 'oops' for model 'article-2-hidden'" in error.message()


def test_many_at_once(client: InferenceServerClient, place: Place) -> None:
    responses = place.networks["classifier"]
    rows, expected = responses.array(responses.inputs), responses.array(responses.outputs)
    before = client.get_inference_statistics("classifier", as_json=True)["model_stats"][0]
    done: queue.Queue[tuple[int, Any, Any]] = queue.Queue()
    for index in range(400):
        at = index % len(rows)
        client.async_infer(
            "classifier",
            [tensor(protocol, rows[at : at + 1])],
            callback=lambda result, error, at=at: done.put((at, result, error)),
            request_id=str(index),
        )
    ids = set()
    for _ in range(400):
        at, result, error = done.get(timeout=120)
        assert error is None
        assert result.as_numpy("outputs").tobytes() == expected[at].tobytes()
        ids.add(result.get_response().id)
    assert ids == {str(index) for index in range(400)}
    after = client.get_inference_statistics("classifier", as_json=True)["model_stats"][0]
    assert counted(after) - counted(before) == 400
    assert int(after["inference_count"]) - int(before.get("inference_count", 0)) == 400


def test_statistics(client: InferenceServerClient) -> None:
    client.load_model("counted", config=config("counted"), files={"file:network.json": NETWORK_FILE})
    for rows in (1, 1, 7):
        infer(client, "counted", np.ones((rows, 2)))
    refused(client, "counted", [tensor(protocol, np.ones((1, 3)))])
    (reported,) = client.get_inference_statistics("counted").model_stats
    assert (reported.name, reported.version) == ("counted", "1")
    assert (reported.inference_count, reported.execution_count) == (9, 3)
    assert reported.last_inference > 0
    stats = reported.inference_stats
    assert (stats.success.count, stats.fail.count) == (3, 1)
    for figure in (stats.success, stats.compute_input, stats.compute_infer, stats.compute_output):
        assert figure.ns > 0
    assert stats.queue.count == 3
    assert {batch.batch_size: batch.compute_infer.count for batch in reported.batch_stats} == {1: 2, 7: 1}
    names = {one.name for one in client.get_inference_statistics().model_stats}
    assert {"counted", ARTICLE, "classifier"} <= names
    with pytest.raises(InferenceServerException, match="unknown model: 'nobody'"):
        client.get_inference_statistics("nobody")


def test_the_repository(client: InferenceServerClient) -> None:
    def states() -> dict[str, str]:
        return {one.name: one.state for one in client.get_model_repository_index().models if one.name == "shelf"}

    client.load_model("shelf", config=config("shelf"), files={"file:1/network.json": NETWORK_FILE})
    assert states() == {"shelf": "READY"}
    assert infer(client, "shelf", np.array([[2.0, 3.0]])).as_numpy("outputs") == 9
    client.unload_model("shelf")
    assert states() == {"shelf": "UNAVAILABLE"}
    assert not client.is_model_ready("shelf")
    error = refused(client, "shelf", [tensor(protocol, CUSTOMER)])
    assert "is not at ready state" in error.message()
    client.unload_model("shelf", unload_dependents=True)
    client.load_model("shelf")
    assert states() == {"shelf": "READY"}
    assert infer(client, "shelf", np.array([[2.0, 3.0]])).as_numpy("outputs") == 9


def test_what_cannot_be_loaded(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="failed to load 'nobody'"):
        client.load_model("nobody")
    with pytest.raises(InferenceServerException, match="failed to unload 'nobody'"):
        client.unload_model("nobody")
    faulty = NETWORK_FILE.replace(b"[2, -1]", b"[2]")
    with pytest.raises(InferenceServerException, match=r"failed to load 'faulty'.*layers\[1\].weights") as caught:
        client.load_model("faulty", config=config("faulty"), files={"file:network.json": faulty})
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert not client.is_model_ready("faulty")


def test_a_configuration_as_tritons_example_sends_it(client: InferenceServerClient) -> None:
    reported = client.get_model_config(ARTICLE).config
    for own in ("{}", json.dumps({"name": ARTICLE, "max_batch_size": str(reported.max_batch_size)})):
        client.load_model(ARTICLE, config=own)
    for wrong, words in (
        ('"parameters": {"config": {{"max_batch_size": "16"}}}', "not a JSON object"),
        ('{"max_batch_size":"16"}', "max_batch_size"),
    ):
        with pytest.raises(InferenceServerException, match=f"failed to load '{ARTICLE}': .*{words}"):
            client.load_model(ARTICLE, config=wrong)
    assert client.is_model_ready(ARTICLE)


def test_keepalive_and_arguments_of_the_channel(place: Place) -> None:
    keepalive = protocol.KeepAliveOptions(
        keepalive_time_ms=30_000, keepalive_timeout_ms=5_000, keepalive_permit_without_calls=True
    )
    arguments = [("grpc.max_send_message_length", 2**24), ("grpc.lb_policy_name", "pick_first")]
    for options in ({"keepalive_options": keepalive}, {"channel_args": arguments}):
        with InferenceServerClient(place.grpc, **options) as client:
            assert infer(client, ARTICLE, CUSTOMER).as_numpy("outputs") == TRANSACTIONS


def test_what_has_no_meaning_here_says_so(client: InferenceServerClient) -> None:
    for call, words in (
        (client.get_trace_settings, "TraceSetting is not offered"),
        (lambda: client.update_trace_settings("m", {"trace_level": ["TIMESTAMPS"]}), "TraceSetting is not offered"),
        (client.get_log_settings, "LogSettings is not offered"),
        (lambda: client.update_log_settings({"log_info": True}), "LogSettings is not offered"),
        (client.get_system_shared_memory_status, ""),
        (client.get_cuda_shared_memory_status, ""),
    ):
        with pytest.raises(InferenceServerException) as caught:
            call()
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"
        assert words in caught.value.message()


def test_compression(client: InferenceServerClient, place: Place) -> None:
    responses = place.networks["wide"]
    rows = responses.array(responses.inputs)
    check(infer(client, "wide", rows, compression_algorithm="gzip"), responses)
    if place.engine == "grpcio":
        check(infer(client, "wide", rows, compression_algorithm="deflate"), responses)
    else:
        error = refused(client, "wide", [tensor(protocol, rows)], compression_algorithm="deflate")
        assert error.status() == "StatusCode.UNIMPLEMENTED"
        assert "deflate" in error.message()


def test_a_timeout(client: InferenceServerClient) -> None:
    rows = np.ones((100_000, 2))
    error = refused(client, ARTICLE, [tensor(protocol, rows)], client_timeout=0.000_001)
    assert error.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert infer(client, ARTICLE, rows, client_timeout=120).as_numpy("outputs").shape == (100_000, 1)


def test_a_cancelled_call(client: InferenceServerClient) -> None:
    done: queue.Queue[Any] = queue.Queue()
    rows = np.ones((100_000, 2))
    call = client.async_infer(
        ARTICLE, [tensor(protocol, rows)], callback=lambda result, error: done.put((result, error))
    )
    call.cancel()
    result, error = done.get(timeout=120)
    assert error is None or error.status() == "StatusCode.CANCELLED"
    assert (result is None) != (error is None)
    assert infer(client, ARTICLE, CUSTOMER).as_numpy("outputs") == TRANSACTIONS


def fields(file: FileDescriptorProto) -> dict[str, dict[str, tuple[int, int, int, str]]]:
    """Every message's fields: number, label, type, and the type's name."""

    def of(prefix: str, messages: Any) -> dict[str, dict[str, tuple[int, int, int, str]]]:
        found = {}
        for message in messages:
            name = f"{prefix}{message.name}"
            found[name] = {one.name: (one.number, one.label, one.type, one.type_name) for one in message.field}
            found |= of(f"{name}.", message.nested_type)
        return found

    return of("", file.message_type)


def test_the_wire_is_tritons(place: Place) -> None:
    """What the server tells by reflection: the methods and fields that it has are Triton's, number by number."""
    triton = []
    for module in (service_pb2, model_config_pb2):
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        triton.append(file)
    known = fields(triton[0]) | fields(triton[1])
    files = [FileDescriptorProto.FromString(base64.b64decode(text)) for text in place.descriptors]
    ours = [file for file in files if file.package == "inference"]
    # Options are notes on a method, which do not travel; ours may import their definitions.
    assert {file.package for file in files} <= {"inference", "forwardpass.v1", "google.protobuf"}
    for method in (each for file in [*ours, *triton] for service in file.service for each in service.method):
        method.ClearField("options")
    for file in ours:
        for message, reported in fields(file).items():
            assert reported.items() <= known[message].items(), message
    methods = [{m.name: m for file in files for s in file.service for m in s.method} for files in (ours, triton)]
    assert all(methods[1][name] == method for name, method in methods[0].items())
    absent = methods[1].keys() - methods[0].keys()
    assert absent == {
        f"{kind}SharedMemory{what}" for kind in ("Cuda", "System") for what in ("Register", "Status", "Unregister")
    }
