"""Connections of HTTP: their bounds, tried with a large response and short times, and offers of HTTP/2."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPResponse
from typing import Any

import pytest
from forwardpass.http_server import HttpServer, protocol
from forwardpass.http_server import server as http_server

from tests.support.server_process import ServerProcess

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SIZE = 32 * 2**20


class Plenty:
    """Responds to every request with more than a socket holds."""

    async def asgi(self, _: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % SIZE)]})
        await send({"type": "http.response.body", "body": bytes(SIZE)})

    def close(self) -> None:
        pass


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[socket.socket, HttpServer]]:
    """A connection to a server of its own."""
    server = HttpServer(Plenty(), "127.0.0.1:0")
    port = int((await server.start()).rpartition(":")[2])
    try:
        with socket.socket() as connection:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            yield connection, server
    finally:
        await server.stop(60)


async def read_to_the_end(connection: socket.socket) -> int:
    """Read until the server ends the connection; return how many bytes came."""
    loop, size = asyncio.get_running_loop(), 0
    try:
        while data := await asyncio.wait_for(loop.sock_recv(connection, 2**20), 60):
            size += len(data)
    except ConnectionResetError:
        pass
    return size


@pytest.mark.parametrize("begun", [b"", REQUEST[:-2]], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with connected() as (connection, _):
        await asyncio.get_running_loop().sock_sendall(connection, begun)
        assert await read_to_the_end(connection) == 0


async def test_a_second_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected() as (connection, _):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, REQUEST)
        assert await loop.sock_recv(connection, 1)
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
        await loop.sock_sendall(connection, REQUEST[:-2])
        assert await read_to_the_end(connection) > SIZE


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such timeout")
async def test_an_answer_that_is_not_taken_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "UNREAD_SECONDS", 1)
    async with connected() as (connection, server):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, REQUEST)
        assert await loop.sock_recv(connection, 1)
        open_ones = server._server.server_state.connections
        async with asyncio.timeout(60):
            while open_ones:
                await asyncio.sleep(0.05)


INFER = json.dumps({"inputs": [{"name": "inputs", "datatype": "FP64", "shape": [1, 2], "data": [2, 3]}]}).encode()
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
LINE = b"POST /v2/models/article-linear/infer HTTP/1.1\r\nHost: x\r\n"
WHOLE = LINE + OFFER + b"Content-Length: %d\r\n\r\n" % len(INFER) + INFER
CHUNKED = LINE + OFFER + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(INFER), INFER)
GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n" + OFFER + b"\r\n"
WEBSOCKET = GET.replace(b"h2c", b"websocket")


@pytest.mark.parametrize(
    "parts",
    [
        [WHOLE],
        [WHOLE[:-1], WHOLE[-1:]],
        [WHOLE[: -len(INFER)], INFER],
        [WHOLE[: -len(INFER) - 1], WHOLE[-len(INFER) - 1 :]],
        [LINE, WHOLE[len(LINE) :]],
        [CHUNKED],
        [CHUNKED[:200], CHUNKED[200:]],
        [WHOLE.replace(OFFER, b"") + WHOLE + CHUNKED],
        [WHOLE + WHOLE[:300], WHOLE[300:]],
        [GET + WHOLE + GET],
        [WEBSOCKET + WHOLE],
    ],
    ids=["whole", "end", "body", "head", "line", "chunked", "in a chunk", "pipelined", "next", "get", "websocket"],
)
def test_an_offer_of_another_protocol_is_declined(rest_server: ServerProcess, parts: list[bytes]) -> None:
    before = rest_server.log.read_text()
    host, _, port = rest_server.rest.removeprefix("http://").partition(":")
    requests = b"".join(parts).split(b" HTTP/1.1\r\n")[:-1]
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
            if len(parts) > 1:
                time.sleep(0.1)  # so that the server reads them one after the other
        responses = connection.makefile("rb")
        for request in requests:
            response = HTTPResponse(OneOfMany(responses))  # type: ignore[arg-type] # all that it needs of a socket
            response.begin()
            document = json.loads(response.read())
            assert (response.status, response.version) == (200, 11)
            if request.endswith(b"/infer"):
                assert document["outputs"][0]["data"] == [9.0]
            else:
                assert document == {"live": True}
    assert rest_server.log.read_text() == before


class OneOfMany:
    """A socket from which several responses are read, one after the other."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, _: str) -> Any:
        return Unclosed(self._file)


class Unclosed:
    """A file that stays open for the next response."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        pass


def test_many_offers_in_one_packet(rest_server: ServerProcess) -> None:
    host, _, port = rest_server.rest.removeprefix("http://").partition(":")
    short = b"GET /v2/health/live HTTP/1.1\r\nUpgrade:x\r\nConnection:upgrade\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(short * 1_500)
        responses, size = b"", 0
        while responses.count(b'{"live":true}') < 1_500:
            responses += connection.recv(2**20)
            assert len(responses) > size, responses[-200:]
            size = len(responses)


def test_a_request_for_proxies_is_refused(rest_server: ServerProcess) -> None:
    host, _, port = rest_server.rest.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_curl_that_offers_http_2(rest_server: ServerProcess) -> None:
    command = ["curl", "-sS", "--http2", "--max-time", "60", "-w", "%{http_version} %{http_code}", "-d", INFER.decode()]
    url = f"{rest_server.rest}/v2/models/article-linear/infer"
    said = subprocess.run([*command, url, "--next", *command[1:], url], capture_output=True, text=True, check=True)
    assert (said.stdout.count('"data":[9.0]'), said.stdout.count("}1.1 200")) == (2, 2), said
