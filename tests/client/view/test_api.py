"""The page's API on real servers: the responses of gRPC, its errors, and what is rejected before it."""

import base64
import json
import socket
import uuid
from contextlib import closing
from typing import Any

import grpc
import pytest
from forwardpass.http_server.statuses import STATUSES
from forwardpass.v1.network_service_pb2 import GetNetworkRequest, GetNetworkResponse, WatchNetworksResponse
from forwardpass.v1.prediction_service_pb2 import PredictResponse, TraceRequest, TraceResponse
from forwardpass.view.bindings import bindings
from forwardpass.view.browser_rules import HEADERS
from google.protobuf import json_format
from google.rpc.status_pb2 import Status

from tests.support.plain_http import Http, HttpResponse
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, network_spec, predict_request, refused, register
from tests.support.server_process import ServerProcess

PREDICT = "/v1/networks/article-2-hidden:predict"
TRACE = "/v1/networks/article-2-hidden:trace"
ROWS = {"rows": {"rows": [{"children": 3, "accounts": 5}, {"children": 1, "accounts": -1}]}}


def status(response: HttpResponse) -> Status:
    """The error in a body, every detail of a type that is known."""
    return json_format.ParseDict(response.document, Status())


def test_a_prediction_and_a_trace_are_those_of_grpc(http: Http, view_server: ServerProcess) -> None:
    request = predict_request("article-2-hidden", [[3.0, 5.0], [1.0, -1.0]])
    with grpc.insecure_channel(view_server.address) as channel:
        prediction = PredictResponse.FromString(call(channel, f"{PREDICTIONS}Predict", request))
        trace_request = TraceRequest(network=request.network, tensor=request.tensor, contributions=True)
        trace = TraceResponse.FromString(call(channel, f"{PREDICTIONS}Trace", trace_request))
        get = GetNetworkRequest(network="article-2-hidden", view="NETWORK_VIEW_FULL")
        network = GetNetworkResponse.FromString(call(channel, f"{NETWORKS}GetNetwork", get))
    assert json_format.ParseDict(http.post(PREDICT, ROWS).document, PredictResponse()) == prediction
    assert json_format.ParseDict(http.post(TRACE, ROWS | {"contributions": True}).document, TraceResponse()) == trace
    for path in (
        "/v1/networks/article-2-hidden?view=NETWORK_VIEW_FULL",
        "/v1/networks/article-2-hidden/versions/1?view=2",
    ):
        assert json_format.ParseDict(http.get(path).document, GetNetworkResponse()) == network


def test_pages_of_a_list(http: Http) -> None:
    first = http.get("/v1/networks?pageSize=1").document
    assert [network["name"] for network in first["networks"]] == ["article-1-hidden"]
    second = http.get(f"/v1/networks?page_size=1&pageToken={first['nextPageToken']}").document
    assert [network["name"] for network in second["networks"]] == ["article-2-hidden"]


@pytest.mark.parametrize(
    ("network", "values"), [("nobody", [1.0, 2.0]), ("article-linear", [1.0, 2.0, 3.0])], ids=["unknown", "shape"]
)
def test_an_error_is_the_status_of_grpc_with_its_details(
    http: Http, view_server: ServerProcess, network: str, values: list[float]
) -> None:
    request_id = str(uuid.uuid4())
    request = predict_request(network, values)
    with grpc.insecure_channel(view_server.address) as channel:
        known = refused(channel, f"{PREDICTIONS}Predict", request, metadata=[("x-request-id", request_id)])
    body = {"tensor": json_format.MessageToDict(request.tensor)}
    response = http("POST", f"/v1/networks/{network}:predict", body, {"x-request-id": request_id})
    assert response.status == STATUSES[known.code]
    assert response.headers["x-request-id"] == request_id
    expected = Status.FromString(known.trailers["grpc-status-details-bin"])
    assert json_format.MessageToDict(status(response)) == json_format.MessageToDict(expected)


REJECTED: dict[str, tuple[str, Any, int, str]] = {
    "no such path": ("/v1/nothing", None, 404, "there is nothing at '/v1/nothing'"),
    "out of the folder": ("/../server.py", None, 404, "there is nothing at"),
    "out of the folder, escaped": ("/%2e%2e/server.py", None, 404, "there is nothing at"),
    "an escaped slash": ("/assets%2F..%2F..%2Fserver.py", None, 404, "there is nothing at"),
    "no such parameter": ("/v1/networks?page_siz=3", None, 400, "pageSize, pageToken"),
    "a parameter twice": ("/v1/networks?pageSize=3&page_size=4", None, 400, "given twice"),
    "a parameter of a body": (f"{PREDICT}?version=1", ROWS, 400, "the path takes none"),
    "no number": ("/v1/networks?pageSize=x", None, 400, "the parameter page_size cannot be read"),
    "no JSON": (PREDICT, b'{"tensor', 400, "the body cannot be read"),
    "no object": (PREDICT, [1], 400, "the body cannot be read"),
    "no UTF-8": (PREDICT, b"\xff\xfe", 400, "the body cannot be read"),
    "half a pair": (PREDICT, b'{"version": "\\ud800"}', 400, "the body cannot be read"),
    "an unknown member": (PREDICT, {"netwrk": "x"}, 400, "netwrk"),
    "a member twice": (PREDICT, b'{"version": "1", "version": "2"}', 400, "duplicate key"),
    "deep": (PREDICT, b'{"rows":' + b"[" * 100_000, 400, "the body cannot be read"),
    "deep values": (PREDICT, b'{"rows":{"rows":[{"x":' + b"[" * 500 + b"]" * 500 + b"}]}}", 400, "the body cannot"),
    "a long integer": (PREDICT, b'{"topK": ' + b"9" * 100_000 + b"}", 400, "the body cannot be read"),
    "two names": (PREDICT, {"network": "other"}, 400, "the path says that network is 'article-2-hidden'"),
    "a hostile name": ("/v1/networks/%3Cscript%3E", None, 404, "<script>"),
    "a name that breaks lines": ("/v1/networks/a%0d%0ax:%20y", None, 404, "network"),
    "a missing body": (PREDICT, b"", 400, "inputs"),
}


@pytest.mark.parametrize("case", REJECTED.values(), ids=REJECTED)
def test_what_is_wrong_is_a_status_with_a_sentence(http: Http, case: tuple[str, Any, int, str]) -> None:
    path, body, expected, words = case
    response = http("GET" if body is None else "POST", path, body)
    assert (response.status, response.headers["content-type"]) == (expected, "application/json")
    assert words in status(response).message
    assert len(response.body) < 3_000
    assert response.headers.items() >= HEADERS.items()


def test_methods_that_change_something_are_not_there(http: Http) -> None:
    writes = [binding for binding in bindings() if not binding.only_reads]
    assert {binding.verb for binding in writes} == {"POST", "PUT", "DELETE"}
    for binding in writes:
        path = binding.path.format(network="article-linear", version="1", alias="latest", of="1")
        response = http(binding.verb, path, {} if binding.has_body else None)
        assert (response.status, status(response).code) == (405, grpc.StatusCode.UNIMPLEMENTED.value[0])
        assert binding.method in status(response).message
    assert http("POST", "/v1/networks", {}).headers["allow"] == "GET, HEAD"
    assert http("OPTIONS", TRACE).status == 405
    assert http.get("/v1/networks/article-linear").document["network"]["versionCount"] == 1


def test_every_response_has_the_headers_and_heads_have_no_body(http: Http) -> None:
    for path in ("/", "/v1/networks", "/v1/nothing", "/config.json", "/v1/networks:watch"):
        if path != "/v1/networks:watch":
            got = http.get(path)
            assert got.headers.items() >= HEADERS.items()
        head = http("HEAD", path)
        assert head.headers.items() >= HEADERS.items()
        assert head.body == b""
        assert head.status == (404 if path == "/v1/nothing" else 200)


def test_the_page_is_asked_for_again_and_not_sent_again(http: Http) -> None:
    first = http.get("/")
    assert (first.status, first.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert first.headers["cache-control"] == "no-cache"
    again = http("GET", "/", None, {"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    compressed = http("GET", "/", None, {"Accept-Encoding": "gzip"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert len(compressed.body) < len(first.body)


FOREIGN: dict[str, dict[str, str]] = {
    "another name, as after DNS rebinding": {"Host": "evil.example"},
    "another name with a port": {"Host": "evil.example:80"},
    "no name": {"Host": ""},
    "another origin": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "no origin": {"Origin": "null"},
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "another host of the site": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_pages_of_other_sites_are_rejected(http: Http, headers: dict[str, str]) -> None:
    response = http("POST", PREDICT, ROWS, headers)
    assert (response.status, status(response).code) == (403, grpc.StatusCode.PERMISSION_DENIED.value[0])


def test_the_page_itself_is_not_rejected(http: Http, view_server: ServerProcess) -> None:
    port = view_server.view.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost", "LOCALHOST"):
        assert http("POST", PREDICT, ROWS, {"Host": host, "Origin": f"http://{host}"}).status == 200
        assert http("POST", PREDICT, ROWS, {"Host": host, "Sec-Fetch-Site": "same-origin"}).status == 200
    # A link from another site may lead to the page.
    assert http("GET", "/", None, {"Sec-Fetch-Site": "cross-site"}).status == 200


def test_large_bodies_pass_in_both_directions_and_larger_ones_do_not(http: Http) -> None:
    rows = 50_000
    values = base64.b64encode(bytes(16 * rows)).decode()
    body = {"tensor": {"dtype": "DATA_TYPE_FLOAT64", "shape": [rows, 2], "data": values}}
    assert len(http.post(TRACE, body).body) > 16 * rows
    for size in (17 * 2**20, 200 * 2**20):
        with closing(Http(http.connection.host + f":{http.connection.port}")) as other:
            other.connection.putrequest("POST", TRACE)
            other.connection.putheader("content-length", str(size))
            other.connection.endheaders(b"{")
            response = other.connection.getresponse()
            assert (response.status, json.loads(response.read())["code"]) == (413, 8)
    assert http.get("/config.json").status == 200


def test_a_deadline_is_that_of_the_header(http: Http) -> None:
    assert http("POST", PREDICT, ROWS, {"grpc-timeout": "30S"}).status == 200
    late = http("POST", TRACE, {"tensor": {"shape": [50_000, 2], "values": [1] * 100_000}}, {"grpc-timeout": "1m"})
    assert (late.status, status(late).code) == (504, grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
    for wrong in ("soon", "0S", "5", "123456789S"):
        assert http("POST", PREDICT, ROWS, {"grpc-timeout": wrong}).status == 400


def test_a_watch_is_lines_of_the_state_and_the_changes(http: Http, view_server: ServerProcess) -> None:
    http.connection.request("GET", "/v1/networks:watch?namePrefix=watched-")
    response = http.connection.getresponse()
    assert response.getheader("content-type") == "application/jsonl"
    assert line_of(response)["event"] == "NETWORK_EVENT_SYNCED"
    name = f"watched-{uuid.uuid4().hex}"
    with grpc.insecure_channel(view_server.address) as channel:
        register(channel, name, network_spec([[1.0]]))
    change = json_format.ParseDict(line_of(response), WatchNetworksResponse())
    assert (change.network.name, change.network.latest_version) == (name, 1)


def line_of(response: Any) -> Any:
    """The next line of a watch that is no heartbeat."""
    while not (line := response.readline().strip()):
        pass
    return json.loads(line)


def test_a_watch_that_is_left_ends_on_the_server_too(http: Http, view_server: ServerProcess) -> None:
    for _ in range(120):  # more than there may be at once
        with closing(Http(view_server.view)) as other:
            other.connection.request("GET", "/v1/networks:watch?namePrefix=nobody-")
            response = other.connection.getresponse()
            assert response.status == 200, response.read()
            response.close()
    assert http.get("/config.json").status == 200


def test_requests_that_are_sent_slowly_do_not_hold_up_others(http: Http, view_server: ServerProcess) -> None:
    host, _, port = view_server.view.removeprefix("http://").rpartition(":")
    head = f"POST {TRACE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{{".encode()
    slow = [socket.create_connection((host, int(port)), timeout=60) for _ in range(70)]
    try:
        for connection in slow:
            connection.sendall(head)
        assert http.get("/").status == 200
        assert http.post(TRACE, ROWS).status == 200
    finally:
        for connection in slow:
            connection.close()


def test_what_is_not_http_has_the_headers_too(view_server: ServerProcess) -> None:
    host, _, port = view_server.view.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        response = connection.makefile("rb").read()
    assert response.startswith(b"HTTP/1.1 400")
    assert all(name.encode() in response for name in HEADERS)


def test_config(http: Http) -> None:
    assert http.get("/config.json").document | {"version": ""} == {"version": "", "target": "", "hasToken": False}


def test_the_paths_are_those_of_the_protos() -> None:
    found = {(binding.verb, binding.path): binding.method for binding in bindings() if binding.only_reads}
    assert found["GET", "/v1/networks"] == "ListNetworks"
    assert found["POST", "/v1/networks/{network}:trace"] == "Trace"
