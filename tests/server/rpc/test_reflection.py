"""Server reflection as tools use it: both versions, and every kind of name."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as messages

METHOD = "ServerReflection/ServerReflectionInfo"
REFLECTION = "grpc.reflection.v1.ServerReflection"


@pytest.fixture(params=["v1", "v1alpha"])
def ask(request: pytest.FixtureRequest, channel: grpc.Channel) -> Any:
    """Send requests over one stream; the messages of the two versions are the same on the wire."""
    stream = channel.stream_stream(
        f"/grpc.reflection.{request.param}.{METHOD}",
        request_serializer=messages.ServerReflectionRequest.SerializeToString,
        response_deserializer=messages.ServerReflectionResponse.FromString,
    )

    def ask(*fields: dict[str, Any]) -> list[messages.ServerReflectionResponse]:
        return list(stream((messages.ServerReflectionRequest(**each) for each in fields), timeout=60))

    return ask


def files(response: messages.ServerReflectionResponse) -> list[FileDescriptorProto]:
    return [FileDescriptorProto.FromString(file) for file in response.file_descriptor_response.file_descriptor_proto]


def test_every_service_is_listed_and_has_its_files(ask: Any) -> None:
    (response,) = ask({"host": "x", "list_services": ""})
    assert (response.valid_host, response.original_request.host) == ("x", "x")
    names = [service.name for service in response.list_services_response.service]
    assert names == sorted(names)
    assert {REFLECTION, REFLECTION.replace("v1", "v1alpha"), "grpc.health.v1.Health"} < set(names)
    for name, found in zip(names, ask(*({"file_containing_symbol": name} for name in names)), strict=True):
        sent = files(found)
        assert name in {f"{sent[0].package}.{service.name}" for service in sent[0].service}
        # With all that they import, so that a tool needs no further request.
        assert {imported for file in sent for imported in file.dependency} <= {file.name for file in sent}


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("forwardpass.v1.PredictionService.Predict", "forwardpass/v1/prediction_service.proto"),
        ("forwardpass.v1.PredictRequest", "forwardpass/v1/prediction_service.proto"),
        ("forwardpass.v1.PredictRequest.tensor", "forwardpass/v1/prediction_service.proto"),
        ("forwardpass.v1.PredictRequest.inputs", "forwardpass/v1/prediction_service.proto"),
        ("forwardpass.v1.DataType", "forwardpass/v1/tensor.proto"),
        ("forwardpass.v1.DATA_TYPE_FLOAT32", "forwardpass/v1/tensor.proto"),
        ("inference.ModelInput.Format", "forwardpass_server/oip/v2/model_config.proto"),
        ("inference.GRPCInferenceService.ModelInfer", "forwardpass_server/oip/v2/inference.proto"),
        (f"{REFLECTION}.ServerReflectionInfo", "grpc_reflection/v1/reflection.proto"),
        ("grpc.reflection.v1.ServerReflectionRequest.host", "grpc_reflection/v1/reflection.proto"),
        ("google.rpc.Status", "google/rpc/status.proto"),
    ],
)
def test_a_name_is_found_in_its_file(ask: Any, symbol: str, file: str) -> None:
    by_symbol, by_name = ask({"file_containing_symbol": symbol}, {"file_by_filename": file})
    assert [each.name for each in files(by_symbol)][:1] == [file]
    assert files(by_symbol) == files(by_name)


def test_extensions_are_found(ask: Any) -> None:
    of = "google.protobuf.MethodOptions"
    numbers, file = ask(
        {"all_extension_numbers_of_type": of},
        {"file_containing_extension": {"containing_type": of, "extension_number": 72295728}},
    )
    assert 72295728 in numbers.all_extension_numbers_response.extension_number
    assert files(file)[0].name == "google/api/annotations.proto"


@pytest.mark.parametrize(
    "unknown",
    [
        {"file_containing_symbol": "forwardpass.v1.PredictionService.Nothing"},
        {"file_containing_symbol": "forwardpass.v1.PredictRequest.nothing"},
        {"file_containing_symbol": "nothing"},
        {"file_containing_symbol": ""},
        {"file_by_filename": "nothing.proto"},
        {"all_extension_numbers_of_type": "nothing"},
        {"file_containing_extension": {"containing_type": "google.protobuf.MethodOptions", "extension_number": 7}},
        {"file_containing_extension": {"containing_type": "nothing", "extension_number": 7}},
    ],
)
def test_an_unknown_name_is_an_error_and_the_stream_goes_on(ask: Any, unknown: dict[str, Any]) -> None:
    error, after = ask(unknown, {"list_services": ""})
    assert error.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert next(iter(unknown)) in error.error_response.error_message
    assert after.HasField("list_services_response")


def test_an_empty_request_is_an_error(ask: Any) -> None:
    (error,) = ask({})
    assert error.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
