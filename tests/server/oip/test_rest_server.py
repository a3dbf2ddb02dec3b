"""What bounds a connection, with an application that answers a lot, and seconds made short."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from forwardpass_server.oip.rest import server as rest
from forwardpass_server.oip.rest.server import RestServer

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SIZE = 32 * 2**20


class Plenty:
    """Answers every request with more than a socket holds."""

    async def asgi(self, _: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % SIZE)]})
        await send({"type": "http.response.body", "body": bytes(SIZE)})

    def close(self) -> None:
        pass


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[socket.socket, RestServer]]:
    """A connection to a server of its own."""
    server = RestServer(Plenty(), "127.0.0.1:0", certificate=None, key=None)  # type: ignore[arg-type] # what it needs
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
    monkeypatch.setattr(rest, "HEAD_SECONDS", 0.2)
    async with connected() as (connection, _):
        await asyncio.get_running_loop().sock_sendall(connection, begun)
        assert await read_to_the_end(connection) == 0


async def test_a_second_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "HEAD_SECONDS", 0.2)
    async with connected() as (connection, _):
        await asyncio.get_running_loop().sock_sendall(connection, REQUEST + REQUEST[:-2])
        assert await read_to_the_end(connection) > SIZE


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such timeout")
async def test_an_answer_that_is_not_taken_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "UNREAD_SECONDS", 1)
    async with connected() as (connection, server):
        await asyncio.get_running_loop().sock_sendall(connection, REQUEST)
        open_ones = server._server.server_state.connections
        async with asyncio.timeout(60):
            while not open_ones:
                await asyncio.sleep(0.01)
            while open_ones:
                await asyncio.sleep(0.05)
