"""Requests of as many parts as they can have, which take far more memory than bytes."""

import contextlib
import http.client
from collections.abc import Callable
from functools import partial
from typing import Final

import grpc
from forwardpass.v1.network_pb2 import Inputs, NetworkSpec
from forwardpass.v1.network_service_pb2 import RegisterNetworkRequest
from forwardpass.v1.prediction_service_pb2 import PredictRequest, TraceRequest
from forwardpass.v1.tensor_pb2 import Columns, Rows
from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest
from google.protobuf.struct_pb2 import Struct

from tests.hostile.attacks.target import MIB, Target, rounds
from tests.support.raw_grpc import NETWORKS, PREDICTIONS

SIZE: Final = 16 * MIB - 1024
JSON_BYTES: Final = 8 * MIB


def empty_messages(target: Target) -> None:
    """Send requests of 2 MB that are a million empty rows, again and again."""
    rows = Rows()
    rows.rows.extend([Struct()] * 1_000)
    # Messages that follow one another are one.
    request = PredictRequest(network="article-linear", rows=rows).SerializeToString() * 1_000
    _send(f"{PREDICTIONS}Predict", request, target)


def field(number: int, data: bytes) -> bytes:
    """Encode a field of a message: https://protobuf.dev/programming-guides/encoding/."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _empty(message: type, name: str, size: int = SIZE) -> bytes:
    """Encode a repeated field of messages without a field, as often as the size allows."""
    return field(message.DESCRIPTOR.fields_by_name[name].number, b"") * (size // 2)  # type: ignore[attr-defined]


def _within(message: type, name: str, data: bytes) -> bytes:
    return field(message.DESCRIPTOR.fields_by_name[name].number, data)  # type: ignore[attr-defined]


def _spec(data: bytes) -> bytes:
    return RegisterNetworkRequest(network="hostile").SerializeToString() + _within(RegisterNetworkRequest, "spec", data)


def _send(method: str, request: bytes, target: Target) -> None:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(target.address, options=options) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        for _ in rounds():
            with contextlib.suppress(grpc.RpcError):
                call(request, timeout=30)


_REQUESTS: Final[dict[str, Callable[[], tuple[str, bytes]]]] = {
    "columns": lambda: (
        f"{PREDICTIONS}Predict",
        PredictRequest(network="article-linear").SerializeToString()
        + _within(PredictRequest, "columns", _empty(Columns, "columns")),
    ),
    "trace_layers": lambda: (
        f"{PREDICTIONS}Trace",
        TraceRequest(network="article-linear").SerializeToString() + _empty(TraceRequest, "layers"),
    ),
    "infer_inputs": lambda: (
        "/inference.GRPCInferenceService/ModelInfer",
        ModelInferRequest(model_name="article-linear").SerializeToString() + _empty(ModelInferRequest, "inputs"),
    ),
    "spec_layers": lambda: (f"{NETWORKS}RegisterNetwork", _spec(_empty(NetworkSpec, "layers"))),
    "spec_examples": lambda: (f"{NETWORKS}RegisterNetwork", _spec(_empty(NetworkSpec, "examples"))),
    "spec_features": lambda: (
        f"{NETWORKS}RegisterNetwork",
        _spec(_within(NetworkSpec, "inputs", _empty(Inputs, "features"))),
    ),
}
"""Methods and requests of 16 MB that are eight million empty messages. They are made when they are sent."""


def _send_parts(name: str, target: Target) -> None:
    _send(*_REQUESTS[name](), target)


PARTS: Final[dict[str, Callable[[Target], None]]] = {name: partial(_send_parts, name) for name in _REQUESTS}
"""Attacks that send one of them again and again."""


def json_objects(target: Target) -> None:
    """Send bodies of 8 MB that are millions of empty objects over HTTP, again and again."""
    begin, end = b'{"inputs": [', b"{}]}"
    if target.predict_path.endswith(":predict"):
        begin, end = b'{"rows": {"rows": [', b"{}]}}"
    body = begin + b"{}," * (JSON_BYTES // 3) + end
    host, port = target.http
    for _ in rounds():
        connection = http.client.HTTPConnection(host, port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", target.predict_path, body, {"content-type": "application/json"})
            connection.getresponse().read()
        connection.close()
