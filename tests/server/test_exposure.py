"""A server that others can reach is closed to them unless its operator says otherwise, and tells no names."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from forwardpass.listening import is_loopback
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest, PredictManyResponse
from forwardpass_server.registry import SqlStore, StoreOpenError
from forwardpass_server.rpc import Guard, TokensFileError
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.plain_http import Http
from tests.support.python_process import let_others_pass
from tests.support.raw_grpc import PREDICTIONS, call, predict_request, refused
from tests.support.server_process import ServerProcess

OPEN = ("--listen=0.0.0.0:0", "--rest-listen=[::]:0")
NEAR = "article-linea"
"""Not a network, but nearly one."""
HEALTH = "/grpc.health.v1.Health/Check"
MISSPELLED_DELETE = b"\n\x0darticle-linea"


def tokens_file(folder: Path, *scopes: str) -> Path:
    """Make a tokens file whose tokens are called as their scopes are."""
    path = folder / "tokens"
    path.write_text("".join(f"{hashlib.sha256(scope.encode()).hexdigest()} {scope}\n" for scope in scopes))
    return path


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:0", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("::1:1", True),
        ("localhost:1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("unix:/tmp/socket", True),
        ("no.such.host.invalid:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.0.2.1:1", False),
        ("[::ffff:192.0.2.1]:1", False),
        ("[fe80::1%eth0]:1", False),
    ],
)
def test_is_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize("flag", OPEN)
def test_an_open_server_without_tokens_is_refused(flag: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "forwardpass_server", "serve", flag, f"--database=sqlite:///{tmp_path}/own.db"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    name, _, address = flag.removeprefix("--").replace("-", "_").partition("=")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"other machines can reach {address} (setting {name})" in ended.stderr
    assert "--insecure" in ended.stderr
    assert not [*tmp_path.iterdir()], "nothing was opened"


def test_an_open_server_that_is_allowed_warns_at_every_start(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(*OPEN, "--insecure", "--log-level=warning")
    for starts in (1, 2):
        warnings = [line for line in server.log.read_text().splitlines() if '"level": "warning"' in line]
        assert sum("everyone who reaches it may do everything" in line for line in warnings) == starts
        assert server.stop() == 0
        server.start()


def test_a_closed_server_may_be_open_to_others(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = start_server(*OPEN, f"--tokens-file={tokens_file(tmp_path, 'read')}", "--log-level=warning")
    assert "who reaches it" not in server.log.read_text()


def test_a_tokens_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tokens_file(tmp_path, "read")
    path.chmod(0o644)
    Guard.from_file(path, {})  # in a folder that others may not enter
    let_others_pass(path)
    with pytest.raises(TokensFileError, match=f"run `chmod o= {path}`"):
        Guard.from_file(path, {})
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(TokensFileError, match="every user"):
        Guard.from_file(link, {})
    subprocess.run(["/bin/chmod", "o=", str(path)], check=True)
    assert Guard.from_file(link, {}).closed


def test_names_are_for_callers_who_may_read(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    tokens = tokens_file(tmp_path, "predict", "predict,read", "write")
    server = start_server(f"--tokens-file={tokens}", "--rest-listen=127.0.0.1:0")
    with grpc.insecure_channel(server.address) as channel:

        def options(scopes: str) -> dict[str, Any]:
            return {"metadata": [("authorization", f"Bearer {scopes}")]}

        request = predict_request(NEAR, [1, 2])
        many = PredictManyRequest(requests=[request])
        for scopes, is_named in (("predict", False), ("predict,read", True)):
            error = refused(channel, f"{PREDICTIONS}Predict", request, **options(scopes))
            assert error.reason == "NETWORK_NOT_FOUND"
            assert ("article-linear" in error.facts["nearest"]) == is_named
            assert ("did you mean" in error.message) == is_named
            results = PredictManyResponse.FromString(
                call(channel, f"{PREDICTIONS}PredictMany", many, **options(scopes))
            )
            assert ("did you mean" in results.results[0].error.message) == is_named
            infer = {"inputs": [{"name": "inputs", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
            http = Http(server.rest)
            response = http.post(f"/v2/models/{NEAR}/infer", infer, authorization=f"Bearer {scopes}")
            http.connection.close()
            assert response.status == 404
            assert "article-linear" not in response.error, "Triton's sentence, which names no others"
        delete = "/forwardpass.v1.NetworkService/DeleteNetwork"
        assert refused(channel, delete, MISSPELLED_DELETE, **options("write")).facts["nearest"] == ""


def test_health_of_networks_is_for_callers_who_may_read(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = start_server(f"--tokens-file={tokens_file(tmp_path, 'predict', 'read')}")
    with grpc.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for network in ("article-linear", "nowhere"):
            request = health_pb2.HealthCheckRequest(service=f"forwardpass.v1.network/{network}")
            for token, reason in (("", "UNAUTHENTICATED"), ("predict", "PERMISSION_DENIED")):
                metadata = [("authorization", f"Bearer {token}")] if token else []
                assert refused(channel, HEALTH, request, metadata=metadata).reason == reason
                with pytest.raises(grpc.RpcError) as caught:
                    next(stub.Watch(request, metadata=metadata, timeout=60))
                code: Any = caught.value
                assert code.code().name == reason
            metadata = [("authorization", "Bearer read")]
            state = next(stub.Watch(request, metadata=metadata, timeout=60)).status
            known = network == "article-linear"
            service = health_pb2.HealthCheckResponse
            assert state == (service.SERVING if known else service.SERVICE_UNKNOWN)
            if known:
                assert call(channel, HEALTH, request, metadata=metadata) == b"\x08\x01"
        assert call(channel, HEALTH, b"") == b"\x08\x01", "its own health needs no token"


@pytest.mark.skipif(sys.platform != "linux", reason="flock and SQLite's locks exclude each other elsewhere")
def test_a_database_with_two_names_is_used_by_one_server(tmp_path: Path) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    with SqlStore(f"sqlite:///{first}"):
        second.hardlink_to(first)
        code = "import sys; from forwardpass_server.registry import SqlStore; SqlStore(sys.argv[1])"
        ended = subprocess.run(
            [sys.executable, "-c", code, f"sqlite:///{second}"], capture_output=True, text=True, timeout=60, check=False
        )
        assert "StoreOpenError" in ended.stderr
        assert f"the database {second} is in use by another forwardpass-server" in ended.stderr
    with SqlStore(f"sqlite:///{second}"), pytest.raises(StoreOpenError, match="in use"):
        SqlStore(f"sqlite:///{first}")
