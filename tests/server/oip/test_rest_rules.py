"""The rules around every call hold over HTTP as over gRPC: tokens, sizes, deadlines, admission, drain, who has gone."""

import functools
import gzip
import hashlib
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from forwardpass.http_server.statuses import STATUSES
from forwardpass_server.oip import INFERENCE, INFERENCE_SERVICE
from forwardpass_server.oip.rest.endpoints import ENDPOINTS
from forwardpass_server.rpc import declared_scopes
from forwardpass_server.rpc.status import CODES
from forwardpass_server.rpc.tokens_file import SCOPES

from tests.server.oip.conftest import REST
from tests.support import fork_server
from tests.support.plain_http import Http, HttpResponse, infer_body
from tests.support.raw_grpc import network_spec, register
from tests.support.server_process import ServerProcess, wait_until

ROW = np.array([[2.0, 3.0]])
MODEL = "/v2/models/article-linear"
WITHOUT_EXTRA = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "starlette" else find(name, *rest)
from forwardpass_server.cli import main
main(sys.argv[1:])
"""

Start = Callable[..., ServerProcess]
Begin = Callable[..., Http]


def connect(server: ServerProcess) -> "closing[Http]":
    return closing(Http(server.rest))


def test_every_code_has_a_status() -> None:
    assert {*CODES.values()} <= {*STATUSES}
    assert all(400 <= status < 600 for status in STATUSES.values())


def test_the_documents_tell_every_status_and_endpoint() -> None:
    lines = (Path(__file__).parents[3] / "docs" / "reference" / "rest.md").read_text().splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    for code in CODES.values():
        status = STATUSES[code]
        assert any(place.startswith(str(status)) and code.name in row for place, row in rows.items())
    for endpoint in ENDPOINTS:
        assert any(endpoint.method in row for place, row in rows.items() if "/v2" in place)


def test_without_the_extra_the_start_ends_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_EXTRA, "serve", "--listen=127.0.0.1:0", *REST]
    command += [f"--database=sqlite:///{tmp_path}/own.db"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("forwardpass-server: setting rest_listen needs the extra `rest`")
    assert "starlette is not installed; pip install 'forwardpass[rest]'" in ended.stderr


def test_a_second_server_cannot_take_the_port(rest_server: ServerProcess, tmp_path: Path) -> None:
    arguments = ["serve", "--listen=127.0.0.1:0", f"--database=sqlite:///{tmp_path}/own.db"]
    arguments += [f"--rest-listen={rest_server.rest.removeprefix('http://')}"]
    ended = fork_server.run("forwardpass-server", arguments, environment=os.environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tokens(start_server: Start, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    lines = (f"{hashlib.sha256(f'{scope}!'.encode()).hexdigest()} {scope}\n" for scope in SCOPES)
    tokens.write_text("".join(lines))
    server = start_server(*REST, f"--tokens-file={tokens}")
    with connect(server) as http:
        assert http.get("/v2/health/live").status == 200
        assert http.get("/v2/health/ready").status == 200
        refused = http.infer("article-linear", ROW)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert "authorization: Bearer TOKEN" in refused.error
        assert http.get("/v2/models/nobody").status == 401

        body, _ = infer_body(ROW)
        for method, verb, path, content in (
            ("ModelInfer", "POST", f"{MODEL}/infer", body),
            ("ModelMetadata", "GET", MODEL, None),
            ("RepositoryModelUnload", "POST", "/v2/repository/models/article-1-hidden/unload", None),
        ):
            scope = declared_scopes([INFERENCE_SERVICE])[f"/{INFERENCE}/{method}"]
            for token in SCOPES:
                response = http(verb, path, content, {"Authorization": f"Bearer {token}!"})
                assert response.status == (200 if token == scope else 403)
            assert http(verb, path, content, {"Authorization": "Bearer unknown"}).status == 401
        inside, _ = infer_body(ROW, outputs=[{"name": "output.activation"}])
        assert http("POST", f"{MODEL}/infer", inside, {"Authorization": "Bearer predict!"}).status == 403
    assert server.stop() == 0


def test_a_body_that_is_too_large(start_server: Start) -> None:
    server = start_server(*REST, "--max-request-bytes=10000")
    with connect(server) as http:
        for body, headers in (
            (bytes(10_001), {}),
            (bytes(5_000_000), {}),
            (gzip.compress(bytes(5_000_000)), {"Content-Encoding": "gzip"}),
        ):
            refused = http("POST", f"{MODEL}/infer", body, headers)
            assert refused.status == 429
            assert "max_request_bytes" in refused.error
        http.connection.request("POST", f"{MODEL}/infer", iter([bytes(6_000), bytes(6_000)]), encode_chunked=True)
        response = http.connection.getresponse()
        assert (response.status, b"max_request_bytes" in response.read()) == (429, True)
        assert http.infer("article-linear", ROW).output().tolist() == [[9.0]]
    assert server.stop() == 0


def test_only_responses_of_infer_are_compressed(http: Http, rest_channel: grpc.Channel) -> None:
    for number in range(25):
        register(rest_channel, f"one-of-many-{number}", network_spec([[1.0]]))
    for path, method in (("/v2/repository/index", "POST"), ("/v2/models/stats", "GET")):
        index = http(method, path, None, {"Accept-Encoding": "gzip, deflate"})
        assert len(index.body) > 1024
        assert index.document
        assert "content-encoding" not in index.headers
    many = {"name": "inputs", "datatype": "FP64", "shape": [1000, 2], "data": [1] * 2000}
    response = http("POST", f"{MODEL}/infer", {"inputs": [many]}, {"Accept-Encoding": "gzip, deflate"})
    assert response.headers["content-encoding"] == "gzip"


LARGE_REQUESTS = "--max-request-bytes=16777216"


@pytest.fixture
def start_slow(slow_database: Path, start_server: Start, tmp_path: Path) -> Start:
    """Start a server that has that network, by flags."""
    shutil.copy(slow_database, tmp_path)
    return functools.partial(start_server, *REST, "--max-gflop-per-call=1e9", LARGE_REQUESTS)


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begin a call of that network, without reading the response."""
    begun: list[Http] = []

    def start(server: ServerProcess, rows: int) -> Http:
        begun.append(Http(server.rest, timeout=600))
        body, headers = infer_body(np.zeros((rows, 10)), binary=(True, True))
        begun[-1].connection.request("POST", "/v2/models/slow/infer", body, headers)
        return begun[-1]

    yield start
    for connection in begun:
        connection.close()


def busy(server: ServerProcess) -> bool:
    """Whether there is no room for one more call."""
    with connect(server) as http:
        response = http.infer("article-linear", ROW)
        if response.status == 503:
            assert response.document["reason"] == "OVERLOADED"
            assert int(response.headers["retry-after"]) >= 1
            # Health responds when the server is overloaded.
            assert http.get("/v2/health/ready").status == 200
    return response.status == 503


def test_a_client_that_goes_frees_its_place_and_its_work(start_slow: Start, begin: Begin) -> None:
    server = start_slow("--max-in-flight=8", "--drain-timeout=60")
    # More than there is room for, since a call of `busy` may have a place for a moment.
    calls = [begin(server, 100_000) for _ in range(12)]
    wait_until(lambda: busy(server) and busy(server), 120)
    for connection in calls:
        connection.close()
    wait_until(lambda: not busy(server), 300)
    # The workers are free for others: this one is short, and would else wait for all of those.
    assert begin(server, 20).connection.getresponse().status == 200
    # Were any call still in flight, the drain would wait for it until its timeout and say so.
    assert server.stop() == 0
    assert "calls in flight" not in server.log.read_text()


@contextmanager
def half_sent(server: ServerProcess, count: int) -> Iterator[list[socket.socket]]:
    """Begin requests whose bodies do not come."""
    host, _, port = server.rest.removeprefix("http://").rpartition(":")
    head = f"POST {MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode()
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=120)) for _ in range(count)
        ]
        for connection in connections:
            connection.sendall(head)
        yield connections


def test_call_timeout(start_slow: Start) -> None:
    server = start_slow("--max-in-flight=1", "--call-timeout=2")
    # Bodies that do not come take no place.
    with half_sent(server, 20), connect(server) as http:
        refused = http.infer("slow", np.zeros((100_000, 10)), binary=(True, True))
        assert refused.status == 504
        assert "call_timeout" in refused.error
        wait_until(lambda: http.infer("article-linear", ROW).status == 200, 300)
    assert server.stop() == 0


def test_a_body_that_does_not_come(start_server: Start) -> None:
    server = start_server(*REST, "--receive-timeout=0.5")
    with half_sent(server, 5) as connections:
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 504")
    assert server.stop() == 0


def test_callers_leave_a_server_before_it_stops(start_server: Start) -> None:
    """Each response of a lame duck closes its connection, as load balancers and clients expect."""
    server = start_server(*REST, "--lame-duck=600")
    strange: list[Any] = []
    counts = [0] * 4

    def load(index: int) -> None:
        """Call until a response closes the connection."""
        try:
            with connect(server) as http:
                response = HttpResponse(200, {}, b"")
                while response.headers.get("connection") != "close":
                    response = http.infer("article-linear", ROW, binary=(index % 2 == 0, index % 2 == 1))
                    assert response.output().tolist() == [[9.0]]
                    counts[index] += 1
        except Exception as error:  # noqa: BLE001 - a call that is lost, however
            strange.append(error)

    threads = [threading.Thread(target=load, args=[index]) for index in range(4)]
    with connect(server) as http:
        assert http.get("/v2/health/ready").status == 200
        for thread in threads:
            thread.start()
        wait_until(lambda: strange or min(counts) >= 20, 120)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: http.get("/v2/health/ready").status == 400)
        assert http.get("/v2/health/live").status == 200
        for thread in threads:
            thread.join()
    assert not strange
    server.kill()


def test_calls_in_flight_end_before_the_server_does(start_slow: Start, begin: Begin) -> None:
    server = start_slow("--max-in-flight=2", "--drain-timeout=300")
    idle = Http(server.rest)
    assert idle.get("/v2/health/live").status == 200

    def are_in_flight(calls: list[Http]) -> bool:
        """Whether a third call is refused, and these have no response then; else they are read to their end."""
        is_refused = begin(server, 1_000).connection.getresponse().status == 503
        if is_refused and not select.select([call.connection.sock for call in calls], [], [], 0)[0]:
            return True
        for call in calls:
            call.connection.getresponse().read()
        return False

    # On a busy machine they may be done before it is known that they have begun.
    calls = [begin(server, 1_000) for _ in range(2)]
    while not are_in_flight(calls):
        calls = [begin(server, 1_000) for _ in range(2)]
    server.process.send_signal(signal.SIGTERM)
    responses = [call.connection.getresponse() for call in calls]
    assert [response.status for response in responses] == [200, 200]
    assert all(len(response.read()) > 1_000 * 8 for response in responses)
    assert server.wait() == 0
    assert "calls in flight" not in server.log.read_text()
    idle.close()


def test_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and is not here")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    flags = [f"--tls-key={key}", f"--tls-certificate={certificate}", "--rest-listen=localhost:0"]
    with ServerProcess(tmp_path, "--engine=grpcio", *flags) as server:
        assert server.rest.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=str(certificate))
        address = server.rest.removeprefix("https://")
        with closing(HTTPSConnection(address, context=context, timeout=120)) as connection:
            connection.request("GET", "/v2/health/ready")
            assert connection.getresponse().read() == b'{"ready":true}'
        assert server.stop() == 0
