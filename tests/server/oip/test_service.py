"""The protocol over the wire, on both engines, through our own generated messages."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from forwardpass.spec import to_json, to_safetensors
from forwardpass.v1 import network_service_pb2
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.oip.v2 import model_config_pb2 as config
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.infer_requests import (
    INFERENCE,
    NUMPY,
    TYPED,
    elements,
    infer_request,
    outputs_of,
    parameter,
    row_request,
    stub,
    tensor,
)
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, CallError, call, predict_request, refused
from tests.support.sample_networks import chain, identity
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from google.protobuf.message import Message

INFER = f"{INFERENCE}ModelInfer"


def upload(channel: grpc.Channel, name: str, spec: Any) -> None:
    """Load a network as Triton's tools do: a configuration and a file."""
    parameters = {
        "config": v2.ModelRepositoryParameter(string_param="{}"),
        "file:1/network.safetensors": v2.ModelRepositoryParameter(bytes_param=to_safetensors(spec)),
    }
    stub(channel).RepositoryModelLoad(model_name=name, parameters=parameters)


@pytest.fixture(scope="module")
def models(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A channel to a server that has the networks of this module."""
    with grpc.insecure_channel(server.address) as channel:
        upload(channel, "oip-double", identity(2))
        upload(channel, "oip-single", identity(2, dtype="float32"))
        upload(channel, "oip-classes", chain([2, 3, 3], classes=["a", "b", "c, d"], outputs=["x", "y, z", "w"]))
        upload(channel, "oip-binary", chain([2, 1], classes=["no", "yes"]))
        upload(channel, "oip-narrow", chain([1, 1]))
        yield channel


def infer(channel: grpc.Channel, request: v2.ModelInferRequest) -> v2.ModelInferResponse:
    return v2.ModelInferResponse.FromString(call(channel, INFER, request, timeout=60))


def test_the_server_lives_and_says_what_it_has(channel: grpc.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    state = health.Check(health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService"), timeout=60).status
    assert state == health_pb2.HealthCheckResponse.SERVING
    server = stub(channel)
    assert server.ServerLive().live
    assert server.ServerReady().ready
    said = server.ServerMetadata()
    assert said.name == "forwardpass"
    assert said.version
    assert not {"trace", "logging", "sequence", "schedule_policy", "system_shared_memory", "cuda_shared_memory"} & set(
        said.extensions
    )
    assert {"model_repository", "model_configuration", "statistics", "classification"} <= set(said.extensions)


@pytest.mark.parametrize(
    ("model", "datatype", "outputs"),
    [
        ("oip-double", "FP64", [("outputs", "FP64", [-1, 2])]),
        ("oip-single", "FP32", [("outputs", "FP32", [-1, 2])]),
        ("oip-classes", "FP64", [("outputs", "FP64", [-1, 3]), ("label", "BYTES", [-1, 1])]),
    ],
)
def test_metadata_and_configuration_agree_and_can_be_sent_as_they_say(
    models: grpc.Channel, model: str, datatype: str, outputs: list[tuple[str, str, list[int]]]
) -> None:
    server = stub(models)
    said = server.ModelMetadata(name=model)
    assert (said.name, list(said.versions), said.platform) == (model, ["1"], "forwardpass")
    assert [(each.name, each.datatype, list(each.shape)) for each in said.inputs] == [("inputs", datatype, [-1, 2])]
    assert [(each.name, each.datatype, list(each.shape)) for each in said.outputs] == outputs
    configured = server.ModelConfig(name=model, version="1").config
    assert configured.max_batch_size > 1
    assert configured.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert configured.version_policy.WhichOneof("policy_choice") == "all"
    assert not configured.model_transaction_policy.decoupled
    types = {"FP64": config.TYPE_FP64, "FP32": config.TYPE_FP32, "BYTES": config.TYPE_STRING}
    assert [(each.name, each.data_type, list(each.dims)) for each in configured.input] == [
        ("inputs", types[datatype], [2])
    ]
    assert [(each.name, each.data_type, list(each.dims)) for each in configured.output] == [
        (name, types[kind], shape[1:]) for name, kind, shape in outputs
    ]
    # As perf_analyzer does: every input that is listed, every output that is listed.
    requested = [each.name for each in said.outputs]
    found = outputs_of(infer(models, row_request(model, np.ones((3, 2)), datatype, outputs=requested)))
    assert {name: list(array.shape) for name, array in found.items()} == {
        name: [3, *shape[1:]] for name, _, shape in outputs
    }


def test_every_name_of_the_configuration_can_be_used(models: grpc.Channel) -> None:
    parameters = stub(models).ModelConfig(name="oip-classes").config.parameters
    names = {key: json.loads(parameters[key].string_value) for key in ("single_outputs", "layer_outputs", "classes")}
    assert names["classes"] == ["a", "b", "c, d"]
    assert names["single_outputs"] == ["x", "y, z", "w"]
    features = json.loads(parameters["feature_inputs"].string_value)
    values = np.array([[0.5, 1.5], [2.0, -1.0]])
    by_name = [tensor(values[:, place], name=feature) for place, feature in enumerate(features)]
    requested = ["outputs", *names["single_outputs"], *names["layer_outputs"]]
    found = outputs_of(infer(models, infer_request("oip-classes", *by_name, outputs=requested)))
    assert list(found) == requested
    np.testing.assert_array_equal(np.hstack([found[name] for name in names["single_outputs"]]), found["outputs"])
    whole = outputs_of(infer(models, row_request("oip-classes", values, outputs=["outputs"])))
    np.testing.assert_array_equal(found["outputs"], whole["outputs"])


@pytest.mark.parametrize(
    ("datatype", "typed"), [*((name, False) for name in sorted(NUMPY)), *((name, True) for name in sorted(TYPED))]
)
@pytest.mark.parametrize("model", ["oip-double", "oip-single"])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_elements_come_back_or_are_refused(
    models: grpc.Channel, model: str, datatype: str, typed: bool, data: st.DataObject
) -> None:
    values = data.draw(elements(datatype, 4)).reshape(2, 2)
    request = infer_request(model, tensor(values, datatype, typed=typed), id="é and more")
    dtype = np.dtype("float64" if model == "oip-double" else "float32")
    with np.errstate(over="ignore"):
        expected = values.astype(dtype)
    held = (
        all(int(new) == int(old) for new, old in zip(expected.flat, values.flat, strict=True))
        if (values.dtype.kind in "iu")
        else bool(np.isfinite(expected).all())
    )
    if not held:
        assert refused(models, INFER, request).code is grpc.StatusCode.INVALID_ARGUMENT
        return
    response = infer(models, request)
    assert response.id == "é and more"
    found = outputs_of(response)["outputs"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def changed(request: v2.ModelInferRequest, change: Callable[[v2.ModelInferRequest], object]) -> v2.ModelInferRequest:
    change(request)
    return request


def good() -> v2.ModelInferRequest:
    return row_request("oip-double", [[1.0, 2.0]])


def typed() -> v2.ModelInferRequest:
    return infer_request("oip-double", tensor([[1.0, 2.0]], typed=True))


def shaped(*shape: int) -> v2.ModelInferRequest:
    request = good()
    request.inputs[0].shape[:] = shape
    return request


def with_parameter(name: str, value: object, where: str = "request") -> v2.ModelInferRequest:
    request = row_request("oip-double", [[1.0, 2.0]], outputs=["outputs"])
    of = {"request": request, "input": request.inputs[0], "output": request.outputs[0]}[where]
    of.parameters[name].CopyFrom(parameter(value))  # type: ignore[attr-defined] # each has them
    return request


LONG_NAME = "ü" * 100_000

WRONG: dict[str, tuple[v2.ModelInferRequest | bytes, str]] = {
    "no message": (b"\xff\xff\xff", "not a valid ModelInferRequest"),
    "no utf-8": (b"\x0a\x02\xff\xfe", "not a valid ModelInferRequest"),
    "too few bytes": (
        changed(good(), lambda request: request.raw_input_contents.__setitem__(0, bytes(15))),
        "input byte size mismatch for input 'inputs'",
    ),
    "too many bytes": (
        changed(good(), lambda request: request.raw_input_contents.__setitem__(0, bytes(24))),
        "Expected 16, got 24",
    ),
    "both contents": (
        changed(good(), lambda request: request.inputs[0].contents.fp64_contents.extend([1.0, 2.0])),
        "contents field must not be specified when using raw_input_contents for 'inputs'",
    ),
    "more raw contents than inputs": (
        changed(good(), lambda request: request.raw_input_contents.append(bytes(16))),
        "raw_input_contents",
    ),
    "no contents": (
        changed(good(), lambda request: request.ClearField("raw_input_contents")),
        "Expected 2, got 0",
    ),
    "too few typed elements": (
        changed(typed(), lambda request: request.inputs[0].contents.fp64_contents.pop()),
        "Expected 2, got 1",
    ),
    "another type's contents": (
        changed(typed(), lambda request: request.inputs[0].contents.fp32_contents.append(1.0)),
        "fp32_contents",
    ),
    "no inputs": (v2.ModelInferRequest(model_name="oip-double"), "missing required input"),
    "one feature of two": (infer_request("oip-double", tensor([1.0], name="input_0")), "expected 2 inputs but got 1"),
    "an unknown input": (
        infer_request("oip-double", tensor([[1.0, 2.0]], name="foo")),
        "unexpected inference input 'foo'",
    ),
    "the same input twice": (
        infer_request("oip-double", *[tensor([1.0], name=name) for name in ("input_0", "input_1", "input_0")]),
        "input 'input_0' is given more than once for model 'oip-double'",
    ),
    "all inputs twice": (
        infer_request("oip-double", tensor([[1.0, 2.0]]), tensor([[1.0, 2.0]])),
        "input 'inputs' is given more than once for model 'oip-double'",
    ),
    "two generic names": (
        infer_request("oip-double", tensor([1.0], name="input-0"), tensor([1.0], name="input-1")),
        "unexpected inference input 'input-0'",
    ),
    "a generic name for one input": (
        infer_request("oip-narrow", tensor([[1.0]], name="input-0")),
        "unexpected inference input 'input-0'",
    ),
    "a class by MLServer's name": (
        row_request("oip-classes", [[1.0, 2.0]], outputs=["predict"]),
        "unexpected inference output 'predict'",
    ),
    "both forms": (
        infer_request("oip-double", tensor([[1.0, 2.0]]), tensor([1.0], name="input_0")),
        "unexpected inference input 'inputs'",
    ),
    "features of other lengths": (
        infer_request("oip-double", tensor([1.0], name="input_0"), tensor([1.0, 2.0], name="input_1")),
        "same number of rows",
    ),
    "an unknown output": (
        row_request("oip-double", [[1.0, 2.0]], outputs=["foo"]),
        "unexpected inference output 'foo' for model 'oip-double'",
    ),
    "a label of what has no classes": (
        row_request("oip-double", [[1.0, 2.0]], outputs=["label"]),
        "unexpected inference output 'label'",
    ),
    "the same output twice": (row_request("oip-double", [[1.0, 2.0]], outputs=["outputs", "outputs"]), "twice"),
    "another width": (shaped(1, 3), "unexpected shape for input 'inputs' for model 'oip-double'. Expected [-1,2], got"),
    "three axes": (shaped(1, 1, 2), "unexpected shape"),
    "no axes": (shaped(), "unexpected shape"),
    "no rows": (shaped(0, 2), "no rows"),
    "negative rows": (shaped(-1, 2), "unexpected shape"),
    "two negative axes": (shaped(-1, -2), "unexpected shape"),
    "a product beyond 64 bits": (shaped(2**62, 2), "input byte size mismatch"),
    "a product that would wrap to the right one": (shaped(2**63 - 1, 2), "input byte size mismatch"),
    "thousands of axes": (shaped(*[1] * 5_000), "unexpected shape"),
    "no datatype": (changed(good(), lambda request: request.inputs[0].ClearField("datatype")), "datatype ''"),
    "an unknown datatype": (changed(good(), lambda request: setattr(request.inputs[0], "datatype", "fp64")), "'fp64'"),
    "text": (
        changed(good(), lambda request: setattr(request.inputs[0], "datatype", "BYTES")),
        "has datatype 'BYTES'; texts are for categories alone",
    ),
    "not a number": (row_request("oip-double", [[1.0, np.nan]]), "is missing"),
    "infinity": (row_request("oip-single", [[-np.inf, 1.0]]), "a finite number is needed"),
    "beyond float32": (row_request("oip-single", [[1e39, 1.0]]), "is 1e+39, which float32 cannot hold"),
    "a whole number that would be rounded": (
        row_request("oip-double", [[2**53 + 1, 0]], "INT64"),
        "the element 9007199254740993, which float64 cannot hold exactly",
    ),
    "a whole number that would be rounded to float32": (
        row_request("oip-single", [[0, 2**24 + 1]], "INT32"),
        "the element 16777217, which float32 cannot hold exactly",
    ),
    "a sequence": (with_parameter("sequence_id", 7), "'sequence_id' asks for a sequence"),
    "a parameter misspelt": (
        with_parameter("clasification", 7, "output"),
        "'clasification' is not known; 'classification'",
    ),
    "a size misspelt": (with_parameter("binary_datasize", 7, "input"), "not known; 'binary_data_size' is"),
    "shared memory": (with_parameter("shared_memory_region", "x", "input"), "'shared_memory_region'"),
    "shared memory for an output": (with_parameter("shared_memory_region", "x", "output"), "'shared_memory_region'"),
    "a classification of none": (with_parameter("classification", 0, "output"), "'classification' needs"),
    "a negative classification": (with_parameter("classification", -1, "output"), "'classification' needs"),
    "a classification by name": (with_parameter("classification", "3", "output"), "'classification' needs"),
    "an input with a long name": (infer_request("oip-double", tensor([[1.0]], name=LONG_NAME)), "unexpected inference"),
    "an output with a long name": (
        row_request("oip-double", [[1.0, 2.0]], outputs=[LONG_NAME]),
        "unexpected inference output",
    ),
    "a datatype with a long name": (
        changed(good(), lambda request: setattr(request.inputs[0], "datatype", LONG_NAME)),
        "datatype",
    ),
    "both contents of a long name": (
        changed(
            infer_request("oip-double", tensor([[1.0, 2.0]], name=LONG_NAME)),
            lambda request: request.inputs[0].contents.fp64_contents.append(1.0),
        ),
        "contents field must not be specified",
    ),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_what_is_wrong_is_said_and_the_server_lives(models: grpc.Channel, case: str) -> None:
    request, sentence = WRONG[case]
    said = refused(models, INFER, request, timeout=60)
    assert said.code is grpc.StatusCode.INVALID_ARGUMENT, said
    assert sentence in said.message
    assert said.reason not in {"INTERNAL", ""}
    np.testing.assert_array_equal(outputs_of(infer(models, good()))["outputs"], [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("name", "version", "sentence"),
    [
        ("missing", "", "Request for unknown model: 'missing' is not found"),
        ("oip-double", "9", "Request for unknown model: 'oip-double' version 9 is not found"),
        ("oip-double", "gone", "Request for unknown model: 'oip-double' version gone is not found"),
    ],
)
@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata", "ModelConfig"])
def test_unknown_models_are_told_in_tritons_words(
    models: grpc.Channel, method: str, name: str, version: str, sentence: str
) -> None:
    request: Message
    if method == "ModelInfer":
        request = v2.ModelInferRequest(model_name=name, model_version=version)
    else:
        request = {"ModelMetadata": v2.ModelMetadataRequest, "ModelConfig": v2.ModelConfigRequest}[method](
            name=name, version=version
        )
    said = refused(models, f"{INFERENCE}{method}", request)
    assert (said.code, said.message) == (grpc.StatusCode.NOT_FOUND, sentence)
    assert said.reason in {"NETWORK_NOT_FOUND", "VERSION_NOT_FOUND", "ALIAS_NOT_FOUND"}
    assert not stub(models).ModelReady(name=name, version=version).ready


def test_versions_by_number_and_by_alias(channel: grpc.Channel) -> None:
    for description in ("one", "two"):
        upload(channel, "oip-versions", identity(description=description))
    alias = network_service_pb2.SetAliasRequest(network="oip-versions", alias="best", version="1")
    call(channel, f"{NETWORKS}SetAlias", alias)
    for version, number in (("", "2"), ("latest", "2"), ("1", "1"), ("2", "2"), ("best", "1")):
        assert infer(channel, row_request("oip-versions", [[1.0]], model_version=version)).model_version == number
        assert stub(channel).ModelReady(name="oip-versions", version=version).ready


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("priority", 1, "request"),
        ("timeout", 10_000_000, "request"),
        ("binary_data_output", True, "request"),
        ("triton_enable_empty_final_response", True, "request"),
        ("x-forwarded-for", "somewhere", "request"),
        ("sequence_id", 0, "request"),
        ("sequence_start", False, "request"),
        ("binary_data_size", 16, "input"),
        ("content_type", "np", "input"),
        ("binary_data", True, "output"),
    ],
)
def test_parameters_that_change_nothing_are_taken(models: grpc.Channel, name: str, value: object, where: str) -> None:
    response = infer(models, with_parameter(name, value, where))
    np.testing.assert_array_equal(outputs_of(response)["outputs"], [[1.0, 2.0]])


def test_two_classes_of_one_output_are_both_named(models: grpc.Channel) -> None:
    request = row_request("oip-binary", [[0.25, 0.5]], outputs=["outputs"])
    (probability,) = outputs_of(infer(models, request))["outputs"][0]
    request.outputs[0].parameters["classification"].int64_param = 2
    found = outputs_of(infer(models, request))["outputs"].ravel().tolist()
    both = {f"{1 - probability:f}:0:no", f"{probability:f}:1:yes"}
    assert set(found) == both
    assert float(found[0].split(":")[0]) >= float(found[1].split(":")[0])


def streamed(
    channel: grpc.Channel, requests: Sequence[v2.ModelInferRequest], **options: Any
) -> list[v2.ModelStreamInferResponse]:
    multicallable: grpc.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
        f"{INFERENCE}ModelStreamInfer",
        lambda message: message.SerializeToString(),
        v2.ModelStreamInferResponse.FromString,
    )
    return list(multicallable(iter(requests), timeout=120, **options))


def test_a_stream_answers_in_order_and_goes_on_after_errors(models: grpc.Channel) -> None:
    requests = []
    for number in range(300):
        rows = np.full((300 if number % 7 == 0 else 1, 2), float(number))  # some take longer than those behind them
        model = "missing" if number % 5 == 1 else "oip-double"
        requests.append(row_request(model, rows, id=f"request {number}"))
    requests[10].parameters["triton_enable_empty_final_response"].bool_param = True
    responses = streamed(models, requests)
    assert [response.infer_response.id for response in responses] == [request.id for request in requests]
    for number, response in enumerate(responses):
        if number % 5 == 1:
            assert response.error_message == "Request for unknown model: 'missing' is not found"
            assert not response.infer_response.outputs
        else:
            assert not response.error_message
            assert response.infer_response.parameters["triton_final_response"].bool_param
            assert (outputs_of(response.infer_response)["outputs"] == number).all()


def test_a_stream_can_be_written_and_read_by_turns(models: grpc.Channel) -> None:
    completed = threading.Semaphore(0)

    def requests() -> Iterator[v2.ModelInferRequest]:
        for number in range(5):
            yield row_request("oip-double", [[number, number]], id=f"{number}")
            assert completed.acquire(timeout=60)

    multicallable: grpc.StreamStreamMultiCallable[Any, Any] = models.stream_stream(
        f"{INFERENCE}ModelStreamInfer",
        lambda message: message.SerializeToString(),
        v2.ModelStreamInferResponse.FromString,
    )
    found = []
    for response in multicallable(requests(), timeout=120):
        found.append(response.infer_response.id)
        completed.release()
    assert found == ["0", "1", "2", "3", "4"]


def states(channel: grpc.Channel, name: str, *, ready: bool = False) -> list[tuple[str, str]]:
    index = stub(channel).RepositoryIndex(ready=ready).models
    return [(model.version, model.state) for model in index if model.name == name]


def test_a_network_goes_out_of_service_and_comes_back_after_a_restart_too(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    with grpc.insecure_channel(server.address) as channel:
        upload(channel, "away", identity())
        stub(channel).RepositoryModelUnload(model_name="away")
    assert server.stop() == 0
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        assert states(channel, "away") == [("1", "UNAVAILABLE")]
        assert states(channel, "away", ready=True) == []
        assert not stub(channel).ModelReady(name="away").ready
        said = refused(channel, INFER, row_request("away", [[1.0]]))
        assert said.message == "Request for unknown model: 'away' version 1 is not at ready state"
        assert said.reason == "VERSION_OUT_OF_SERVICE"
        assert refused(channel, f"{PREDICTIONS}Predict", predict_request("away", [1.0])).code is said.code
        upload(channel, "away", identity(description="new"))
        stub(channel).RepositoryModelUnload(
            model_name="away", parameters={"unload_dependents": v2.ModelRepositoryParameter(bool_param=True)}
        )
        stub(channel).RepositoryModelLoad(model_name="away")
        assert states(channel, "away") == [("1", "READY"), ("2", "READY")]
        assert infer(channel, row_request("away", [[1.0]])).model_version == "2"


def load_refused(channel: grpc.Channel, name: str, **parameters: Any) -> CallError:
    request = v2.RepositoryModelLoadRequest(
        model_name=name,
        parameters={key.replace("file_", "file:1/network."): value for key, value in parameters.items()},
    )
    return refused(channel, f"{INFERENCE}RepositoryModelLoad", request, timeout=60)


def test_uploads_in_both_forms_and_what_is_wrong_with_others(channel: grpc.Channel) -> None:
    text = v2.ModelRepositoryParameter(string_param='{"name": "oip-json", "platform": "forwardpass"}')
    file = v2.ModelRepositoryParameter(bytes_param=to_json(identity(3)).encode())
    stub(channel).RepositoryModelLoad(model_name="oip-json", parameters={"config": text, "file:1/network.json": file})
    assert stub(channel).ModelMetadata(name="oip-json").inputs[0].shape == [-1, 3]
    broken = v2.ModelRepositoryParameter(bytes_param=b"{")
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    faulty = load_refused(channel, "oip-json", config=text, file_json=broken)
    assert faulty.reason == "INVALID_NETWORK"
    # The clients of the protocol show the sentence only.
    assert faulty.message.startswith("failed to load 'oip-json': the network's spec is not valid: 1 fault: spec")
    assert load_refused(channel, "oip-json", config=text, file_onnx=file).code is invalid
    assert load_refused(channel, "oip-json", config=text, file_json=file, file_safetensors=file).code is invalid
    assert load_refused(channel, "other", config=text, file_json=file).code is invalid
    assert (
        load_refused(channel, "Not A Name", config=v2.ModelRepositoryParameter(string_param="{}"), file_json=file).code
        is invalid
    )
    capitals = load_refused(channel, "DenseNet_ONNX", file_json=file)
    assert capitals.message.startswith(
        "failed to load 'DenseNet_ONNX': network is \"DenseNet_ONNX\"; must be 1 to 63 of a-z"
    )
    assert capitals.message.endswith(
        'there are no capitals, so that no two names differ by them alone; use "densenet_onnx"'
    )
    assert load_refused(channel, "oip-json", config=broken).code is invalid
    assert load_refused(channel, "oip-json", foo=text).code is invalid
    missing = load_refused(channel, "missing")
    assert missing.code is grpc.StatusCode.NOT_FOUND
    assert missing.message.startswith("failed to load 'missing'")
    for method in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"):
        named = getattr(v2, f"{method}Request")(repository_name="models")
        assert refused(channel, f"{INFERENCE}{method}", named).code is invalid


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("parameters: {", "failed to load 'oip-double': the parameter 'config' is not a JSON object"),
        ("[]", "failed to load 'oip-double': the parameter 'config' is not a JSON object"),
        (
            '{"max_batch_size": "16"}',
            'configuration has max_batch_size "16", which cannot be set; it is 1000000 (setting',
        ),
        ('{"max_batch_size": 16}', "configuration has max_batch_size 16, which cannot be set; it is 1000000 (setting"),
        ('{"dynamic_batching": {"max_queue_delay_microseconds": 5}}', "cannot be set; it is {}"),
        ('{"instance_group": []}', "the configuration has 'instance_group', which cannot be set; it may have name, "),
        (
            '{"backend": "onnxruntime"}',
            'configuration has backend "onnxruntime", which cannot be set; it is "forwardpass"',
        ),
        ('{"name": "other"}', 'the configuration has name "other", which cannot be set; it is "oip-double"'),
    ],
)
def test_a_configuration_that_would_be_ignored_is_refused(models: grpc.Channel, config: str, sentence: str) -> None:
    said = load_refused(models, "oip-double", config=v2.ModelRepositoryParameter(string_param=config))
    assert said.code is grpc.StatusCode.INVALID_ARGUMENT
    assert said.message.startswith("failed to load 'oip-double': ")
    assert sentence in said.message


def test_a_configuration_that_is_so_is_accepted(models: grpc.Channel) -> None:
    config = stub(models).ModelConfig(name="oip-double").config
    for own in (
        "{}",
        f'{{"name": "oip-double", "backend": "{config.backend}", "max_batch_size": {config.max_batch_size}}}',
        f'{{"platform": "{config.platform}", "max_batch_size": "{config.max_batch_size}", "dynamic_batching": {{}}}}',
    ):
        text = v2.ModelRepositoryParameter(string_param=own)
        stub(models).RepositoryModelLoad(model_name="oip-double", parameters={"config": text})


@pytest.mark.parametrize("name", ["input-0", "input-1", "input", "INPUT__0", "input_0", "predict"])
def test_a_name_that_says_nothing_is_all_inputs(models: grpc.Channel, name: str) -> None:
    request = infer_request("article-linear", tensor([[2.0, 3.0]], name=name))
    np.testing.assert_array_equal(outputs_of(infer(models, request))["outputs"], [[9.0]])


@pytest.mark.parametrize("name", ["output-0", "output", "OUTPUT__0", "predict"])
def test_a_name_that_says_nothing_is_all_outputs(models: grpc.Channel, name: str) -> None:
    response = infer(models, row_request("oip-double", [[1.0, 2.0]], outputs=[name]))
    np.testing.assert_array_equal(outputs_of(response)[name], [[1.0, 2.0]])


@pytest.mark.parametrize("of", ["request", "input", "output"])
@pytest.mark.parametrize("name", ["foo", "headers", "content_type", "x-request-id", "binary_data_output", LONG_NAME])
def test_other_parameters_change_nothing(models: grpc.Channel, name: str, of: str) -> None:
    response = infer(models, with_parameter(name, "bar", of))
    np.testing.assert_array_equal(outputs_of(response)["outputs"], [[1.0, 2.0]])


@pytest.mark.parametrize("method", ["TraceSetting", "LogSettings"])
def test_what_is_not_offered_says_why(channel: grpc.Channel, method: str) -> None:
    said = refused(channel, f"{INFERENCE}{method}", b"")
    assert said.code is grpc.StatusCode.UNIMPLEMENTED
    assert said.message.startswith(f"{method} is not offered: ")


def test_statistics_count_rows_batches_and_failures(channel: grpc.Channel) -> None:
    upload(channel, "oip-counted", identity())

    def counted() -> v2.ModelStatistics:
        (only,) = stub(channel).ModelStatistics(name="oip-counted", version="1").model_stats
        return v2.ModelStatistics.FromString(only.SerializeToString())

    before = counted()
    assert (before.inference_count, before.execution_count) == (0, 0)
    infer(channel, row_request("oip-counted", [[1.0], [2.0], [3.0]]))
    call(channel, f"{PREDICTIONS}Predict", predict_request("oip-counted", [1.0]))
    refused(channel, INFER, row_request("oip-counted", [[np.nan]]))
    after = counted()
    assert (after.name, after.version) == ("oip-counted", "1")
    assert (after.inference_count, after.execution_count) == (4, 2)
    assert (after.inference_stats.success.count, after.inference_stats.fail.count) == (2, 1)
    assert after.last_inference > 0
    assert [batch.batch_size for batch in after.batch_stats] == [1, 3]
    everything = stub(channel).ModelStatistics().model_stats
    assert "oip-counted" in {one.name for one in everything}
    missing = refused(channel, f"{INFERENCE}ModelStatistics", v2.ModelStatisticsRequest(name="missing"))
    assert missing.code is grpc.StatusCode.NOT_FOUND
    assert missing.message == "Request for unknown model: 'missing' is not found"


def test_layers_need_the_scope_of_traces(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    scopes = {"p": "predict", "pt": "predict,trace", "t": "trace"}
    tokens.write_text("".join(f"{hashlib.sha256(token.encode()).hexdigest()} {scopes[token]}\n" for token in scopes))
    plain = row_request("article-2-hidden", [[1.0, 2.0]], id="plain")
    inside = row_request("article-2-hidden", [[1.0, 2.0]], outputs=["hidden_0.activation"], id="inside")
    denied, unknown = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
    with grpc.insecure_channel(start_server(f"--tokens-file={tokens}").address) as channel:
        bearer = {token: [("authorization", f"Bearer {token}")] for token in scopes}
        for _ in range(2):
            for token, request in (("p", plain), ("pt", plain), ("pt", inside)):
                assert call(channel, INFER, request, metadata=bearer[token], timeout=60)
            assert refused(channel, INFER, inside, metadata=bearer["p"], timeout=60).code is denied
            assert refused(channel, INFER, plain, metadata=bearer["t"], timeout=60).code is denied
            assert refused(channel, INFER, plain, timeout=60).code is unknown
        for token, errors in (("p", [False, True]), ("pt", [False, False])):
            responses = streamed(channel, [plain, inside], metadata=bearer[token])
            assert [bool(response.error_message) for response in responses] == errors
