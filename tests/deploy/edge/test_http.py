"""JSON and grpc-web at the edge: the same responses as over gRPC, errors that can be read, and what is rejected."""

import base64
import struct
import uuid

import grpc
import pytest
from forwardpass.v1.network_service_pb2 import ListNetworksRequest, ListNetworksResponse
from forwardpass.v1.prediction_service_pb2 import PredictResponse, TraceRequest, TraceResponse
from google.protobuf import json_format
from google.rpc.status_pb2 import Status

from tests.deploy.edge.envoy import Edge
from tests.deploy.edge.fleet import Fleet
from tests.deploy.edge.http import Response, ask
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, predict_request, refused
from tests.support.server_process import wait_until

PREDICT = "/v1/networks/article-2-hidden:predict"
ROWS = {"tensor": {"values": [3, 5]}}


def test_a_prediction_and_a_trace_are_those_of_grpc(edge: Edge, fleet: Fleet) -> None:
    rows = {"rows": {"rows": [{"children": 3, "accounts": 5}, {"children": 1, "accounts": -1}]}}
    request = predict_request("article-2-hidden", [[3.0, 5.0], [1.0, -1.0]])
    with grpc.insecure_channel(fleet.addresses[0]) as channel:
        prediction = PredictResponse.FromString(call(channel, f"{PREDICTIONS}Predict", request))
        trace_request = TraceRequest(network=request.network, tensor=request.tensor, contributions=True)
        trace = TraceResponse.FromString(call(channel, f"{PREDICTIONS}Trace", trace_request))
    assert json_format.ParseDict(ask(edge.address, PREDICT, rows).json, PredictResponse()) == prediction
    traced = ask(edge.address, "/v1/networks/article-2-hidden:trace", {**rows, "contributions": True})
    assert json_format.ParseDict(traced.json, TraceResponse()) == trace


def status(response: Response) -> Status:
    """The error in a body, every detail of a type that is known."""
    return json_format.ParseDict(response.json, Status())


@pytest.mark.parametrize(
    ("network", "values", "expected"),
    [("nobody", [1.0, 2.0], 404), ("article-linear", [1.0, 2.0, 3.0], 400), ("article-linear", [1.0, 1e999], 400)],
    ids=["NOT_FOUND", "INVALID_ARGUMENT", "not finite"],
)
def test_an_error_is_the_status_of_grpc_with_its_details(
    edge: Edge, fleet: Fleet, network: str, values: list[float], expected: int
) -> None:
    request_id = str(uuid.uuid4())
    request = predict_request(network, values)
    with grpc.insecure_channel(fleet.addresses[0]) as channel:
        known = refused(channel, f"{PREDICTIONS}Predict", request, metadata=[("x-request-id", request_id)])
    body = {"tensor": json_format.MessageToDict(request.tensor)}
    response = ask(edge.address, f"/v1/networks/{network}:predict", body, headers={"x-request-id": request_id})
    assert response.status == expected
    assert response.headers["x-request-id"] == request_id
    expected_status = Status.FromString(known.trailers["grpc-status-details-bin"])
    # As documents, since maps in packed bytes have no order.
    assert json_format.MessageToDict(status(response)) == json_format.MessageToDict(expected_status)


REFUSED = {
    "no such path": ("/v1/nothing", None, {}, 404, grpc.StatusCode.NOT_FOUND, "/v1/nothing"),
    "no such parameter": ("/v1/networks?page_siz=3", None, {}, 400, grpc.StatusCode.INVALID_ARGUMENT, "page_siz"),
    "no JSON": (PREDICT, b'{"tensor', {}, 400, grpc.StatusCode.INVALID_ARGUMENT, "expected"),
    "no number": (PREDICT, {"tensor": {"shape": "x"}}, {}, 400, grpc.StatusCode.INVALID_ARGUMENT, "shape"),
    "two names": (PREDICT, {"network": "other"}, {}, 400, grpc.StatusCode.INVALID_ARGUMENT, "conflicting"),
    "a foreign page": (
        PREDICT,
        ROWS,
        {"origin": "https://localhost.example.com"},
        403,
        grpc.StatusCode.PERMISSION_DENIED,
        "origin",
    ),
    "long headers": ("/v1/networks", None, {"x-long": "a" * 20_000}, 431, grpc.StatusCode.RESOURCE_EXHAUSTED, ""),
    "an escaped slash": ("/v1/networks/a%2Fb", None, {}, 400, grpc.StatusCode.INVALID_ARGUMENT, ""),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_errors_of_envoy_itself_can_be_read_too(
    edge: Edge, case: tuple[str, object, dict[str, str], int, grpc.StatusCode, str]
) -> None:
    path, body, headers, expected, code, words = case
    response = ask(edge.address, path, body, headers=headers)
    assert response.status == expected
    error = status(response)
    assert error.code == code.value[0]
    assert words in error.message


def test_a_body_beyond_the_limit_is_rejected(edge: Edge) -> None:
    response = ask(edge.address, PREDICT, b" " * (13 * 2**20))
    assert (response.status, status(response).code) == (413, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])


def test_large_bodies_pass_in_both_directions(edge: Edge) -> None:
    rows = 120_000
    values = base64.b64encode(struct.pack("<2d", 3, 5) * rows).decode()
    body = {"tensor": {"dtype": "DATA_TYPE_FLOAT64", "shape": [rows, 2], "data": values}}
    response = ask(edge.address, "/v1/networks/article-2-hidden:trace", body)
    assert response.status == 200, response.body[:1000]
    trace = json_format.ParseDict(response.json, TraceResponse())
    assert trace.outputs.data == struct.pack("<d", 182) * rows


def framed(flags: int, message: bytes) -> bytes:
    """A frame of gRPC and grpc-web: flags, length, message."""
    return struct.pack(">BI", flags, len(message)) + message


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """The frames of a body."""
    found = []
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        found.append((flags, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def decoded(text: bytes) -> bytes:
    """The bytes of a text in base64 that may be padded anywhere, since each piece was encoded by itself."""
    return b"".join(base64.b64decode(text[start : start + 4]) for start in range(0, len(text), 4))


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_grpc_web(edge: Edge, *, text: bool) -> None:
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"

    def called(method: str, message: bytes) -> tuple[bytes, dict[str, str]]:
        body = framed(0, message)
        headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1", "origin": "http://localhost:8000"}
        response = ask(edge.address, method, base64.b64encode(body) if text else body, headers=headers)
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == "http://localhost:8000"
        if "grpc-status" in response.headers:  # an error that came alone
            return b"", dict(response.headers)
        came = frames(decoded(response.body) if text else response.body)
        assert [flags for flags, _ in came] == [0, 0x80]
        return came[0][1], dict(line.split(":", 1) for line in came[1][1].decode().split("\r\n") if line)

    message, trailers = called(f"{NETWORKS}ListNetworks", ListNetworksRequest(page_size=1).SerializeToString())
    assert ListNetworksResponse.FromString(message).networks[0].name == "article-1-hidden"
    assert trailers["grpc-status"] == "0"
    message, trailers = called(f"{PREDICTIONS}Predict", predict_request("nobody", [1, 2]).SerializeToString())
    assert (message, trailers["grpc-status"]) == (b"", str(grpc.StatusCode.NOT_FOUND.value[0]))
    packed = trailers["grpc-status-details-bin"]
    assert "nobody" in Status.FromString(base64.b64decode(packed + "==")).message


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:8000", True),
        ("https://127.0.0.1", True),
        ("http://example.com", False),
        ("http://localhost.example.com", False),
        ("null", False),
    ],
)
def test_a_browser_asks_first(edge: Edge, origin: str, *, allowed: bool) -> None:
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-grpc-web"}
    response = ask(edge.address, f"{PREDICTIONS}Predict", method="OPTIONS", headers={"origin": origin, **preflight})
    assert (response.headers.get("access-control-allow-origin") == origin) is allowed
    if allowed:
        assert "x-grpc-web" in response.headers["access-control-allow-headers"]
        assert "grpc-status-details-bin" in response.headers["access-control-expose-headers"]


def test_the_access_log_tells_each_call_and_no_secret(edge: Edge) -> None:
    request_id = str(uuid.uuid4())
    ask(edge.address, PREDICT, ROWS, headers={"x-request-id": request_id, "authorization": "Bearer wonderful"})
    wait_until(lambda: any(line["request_id"] == request_id for line in edge.calls()))
    (line,) = [line for line in edge.calls() if line["request_id"] == request_id]
    assert line["path"] == PREDICT
    assert line["method"] == f"{PREDICTIONS}Predict"
    assert (line["status"], line["grpc_status"], line["attempts"]) == (200, "OK", 1)
    assert line["server"].startswith("127.0.0.")
    assert "wonderful" not in edge.access_log.read_text()


def test_health_for_a_balancer_before_envoy(edge: Edge) -> None:
    assert ask(edge.address, "/healthz").status == 200
