"""`forwardpass view` against real servers: tokens, scopes, and what goes wrong on the way to the server."""

import hashlib
import os
import select
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support import fork_server
from tests.support.plain_http import Http
from tests.support.server_process import ServerProcess

Start = Callable[..., ServerProcess]
READY = "forwardpass view ready on "
ROW = {"tensor": {"values": [2, 3]}}
CALLS = {
    "read": ("GET", "/v1/networks", None),
    "predict": ("POST", "/v1/networks/article-linear:predict", ROW),
    "trace": ("POST", "/v1/networks/article-linear:trace", ROW),
}


@pytest.fixture(scope="session", params=["native"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough: the page is a client, and test_api.py tries it on both."""
    return str(request.param)


@contextmanager
def viewing(target: str, *arguments: str) -> Iterator[Http]:
    """Run the command; yield a connection to the page."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as errors, Path(os.devnull).open("rb") as nothing, os.fdopen(reading) as stdout:
        files = (nothing.fileno(), writing, errors.fileno())
        command = ["--target", target, *arguments]
        process = fork_server.start("forwardpass", command, files=files, environment=os.environ)
        os.close(writing)
        try:
            readable, _, _ = select.select([stdout], [], [], 120)
            line = stdout.readline() if readable else ""
            assert line.startswith(READY), (line, process.poll())
            url, _, named = line.removeprefix(READY).strip().partition(" for ")
            assert named == target
            with closing(Http(url.rstrip("/"))) as http:
                yield http
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
        errors.seek(0)
        assert (code, errors.read()) == (130, b"")


def tokens_file(folder: Path) -> Path:
    """A file with a token for each scope: the scope with an exclamation mark."""
    path = folder / "tokens"
    lines = (f"{hashlib.sha256(f'{scope}!'.encode()).hexdigest()} {scope}\n" for scope in CALLS)
    path.write_text("".join(lines))
    return path


def test_it_needs_no_token_where_the_server_needs_none(start_server: Start) -> None:
    server = start_server()
    with viewing(server.address, "view") as http:
        assert http.get("/config.json").document["target"] == server.address
        assert http.get("/").status == 200
        for method, path, body in CALLS.values():
            assert http(method, path, body).status == 200


def test_each_caller_has_the_rights_of_the_token_that_is_sent(start_server: Start, tmp_path: Path) -> None:
    server = start_server(f"--tokens-file={tokens_file(tmp_path)}", "--view-listen=127.0.0.1:0")
    with viewing(server.address, "view") as by_command, closing(Http(server.view)) as by_server:
        for http in (by_command, by_server):
            assert http.get("/").status == 200
            for scope, (method, path, body) in CALLS.items():
                missing = http(method, path, body)
                assert (missing.status, missing.headers["www-authenticate"]) == (401, "Bearer")
                assert "authorization: Bearer TOKEN" in missing.document["message"]
                assert http(method, path, body, {"Authorization": "Bearer unknown"}).status == 401
                assert http(method, path, body, {"Authorization": "Bearer \xfc"}).status == 401
                for token in CALLS:
                    response = http(method, path, body, {"Authorization": f"Bearer {token}!"})
                    assert response.status == (200 if token == scope else 403)
            assert http.get("/v1/networks:watch").status == 401
            assert http("GET", "/v1/networks:watch", None, {"Authorization": "Bearer trace!"}).status == 403
    assert server.stop() == 0


def test_a_token_of_its_own_is_for_requests_that_have_none(start_server: Start, tmp_path: Path) -> None:
    server = start_server(f"--tokens-file={tokens_file(tmp_path)}")
    with viewing(server.address, "--token", "trace!", "view") as http:
        assert http.get("/config.json").document["hasToken"] is True
        for scope, (method, path, body) in CALLS.items():
            assert http(method, path, body).status == (200 if scope == "trace" else 403)
            assert http(method, path, body, {"Authorization": f"Bearer {scope}!"}).status == 200


def test_a_server_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    target = f"127.0.0.1:{unused_tcp_port}"
    with viewing(target, "view") as http:
        assert http.get("/").status == 200
        for path in ("/v1/networks", "/v1/networks:watch"):
            response = http.get(path)
            assert (response.status, response.document["code"]) == (503, 14)
            assert response.document["message"].startswith(f"{target} cannot be reached; ")


def test_a_token_is_not_sent_unencrypted_over_a_network() -> None:
    with viewing("192.0.2.1:50051", "view") as http:
        response = http("GET", "/v1/networks", None, {"Authorization": "Bearer secret"})
        assert (response.status, response.document["code"]) == (400, 9)
        assert "unencrypted" in response.document["message"]


WRONG = {
    "no address": (("view", "--listen", "nowhere"), "must be HOST:PORT"),
    "another machine's": (("view", "--listen", "192.0.2.1:0"), "cannot listen on 192.0.2.1:0"),
    "a token for all": (("--token", "secret", "view", "--listen", "0.0.0.0:0"), "must be on loopback"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_is_typed_wrongly(case: tuple[tuple[str, ...], str]) -> None:
    arguments, words = case
    ended = fork_server.run("forwardpass", arguments, environment={**os.environ, "COLUMNS": "200"})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
