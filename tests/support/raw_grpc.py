"""Raw calls and their rich errors, without our own client."""

from dataclasses import dataclass, field
from typing import Any

import grpc
from forwardpass.v1 import network_pb2, network_service_pb2, prediction_service_pb2, tensor_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

NETWORKS = "/forwardpass.v1.NetworkService/"
PREDICTIONS = "/forwardpass.v1.PredictionService/"
DETAILS: dict[str, Any] = {
    name: getattr(error_details_pb2, name)
    for name in (
        "BadRequest",
        "ErrorInfo",
        "PreconditionFailure",
        "QuotaFailure",
        "RequestInfo",
        "ResourceInfo",
        "RetryInfo",
    )
}


@dataclass(frozen=True, kw_only=True)
class CallError:
    """An error as it came over the wire, its details by the names of their messages."""

    code: grpc.StatusCode
    message: str
    details: dict[str, Any]
    trailers: dict[str, str | bytes] = field(repr=False)

    @property
    def reason(self) -> str:
        return str(self.details["ErrorInfo"].reason)

    @property
    def facts(self) -> dict[str, str]:
        return dict(self.details["ErrorInfo"].metadata)

    @property
    def paths(self) -> list[str]:
        return [violation.field for violation in self.details["BadRequest"].field_violations]


def call(channel: grpc.Channel, method: str, request: Message | bytes, **options: Any) -> bytes:
    """Call a unary method with the bytes of a request; return the bytes of the response."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    multicallable: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return multicallable(data, **{"timeout": 60, **options})


def refused(channel: grpc.Channel, method: str, request: Message | bytes, **options: Any) -> CallError:
    """Call a unary method that must fail; return the decoded error."""
    try:
        response = call(channel, method, request, **options)
    except grpc.RpcError as error:
        return decode(error)
    raise AssertionError(f"the call succeeded: {response!r}")


def decode(error: Any) -> CallError:
    """Decode the details of a failed call."""
    trailers = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailers.get("grpc-status-details-bin", b""))
    assert status.code == error.code().value[0], error
    assert status.message == error.details()
    details = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        details[name] = DETAILS[name]()
        assert packed.Unpack(details[name])
    assert details["ErrorInfo"].domain == "forwardpass.dev"
    assert details["RequestInfo"].request_id == trailers["x-request-id"]
    return CallError(code=error.code(), message=status.message, details=details, trailers=trailers)


def predict_request(network: str, values: object, version: str = "") -> prediction_service_pb2.PredictRequest:
    """A request with readable values: one list for a row, or a list of rows."""
    assert isinstance(values, list)
    rows = values if values and isinstance(values[0], list) else [values]
    tensor = tensor_pb2.Tensor(shape=[len(rows), len(rows[0])], values=[v for row in rows for v in row])
    return prediction_service_pb2.PredictRequest(network=network, version=version, tensor=tensor)


def network_spec(weights: object, **fields: Any) -> network_pb2.NetworkSpec:
    """A spec of one layer."""
    assert isinstance(weights, list)
    layer = network_pb2.Layer(
        weights=tensor_pb2.Tensor(
            shape=[len(weights), len(weights[0])], values=[number for row in weights for number in row]
        )
    )
    return network_pb2.NetworkSpec(inputs=network_pb2.Inputs(width=len(weights[0])), layers=[layer], **fields)


def register(channel: grpc.Channel, name: str, spec: network_pb2.NetworkSpec, **fields: Any) -> Any:
    """Register a spec; return the response."""
    request = network_service_pb2.RegisterNetworkRequest(network=name, spec=spec, **fields)
    response = call(channel, f"{NETWORKS}RegisterNetwork", request)
    return network_service_pb2.RegisterNetworkResponse.FromString(response)
