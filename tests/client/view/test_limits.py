"""The limits of the page, made small: of what is in progress, of what arrives slowly, and of what is not read."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from forwardpass.view import ViewLimits, ViewServer, app, local_endpoint, transcoding

from tests.support.plain_http import HttpResponse
from tests.support.server_process import ServerProcess

PREDICT = b"POST /v1/networks/article-linear:predict HTTP/1.1\r\nHost: localhost\r\n"
TRACE = PREDICT.replace(b":predict", b":trace")
WATCH = b"GET /v1/networks:watch HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMALL = json.dumps({"tensor": {"values": [2, 3]}}).encode()


@pytest.fixture(scope="session", params=["native"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough: these limits are those of the page."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[ServerProcess]:
    """A server of this file's own: pytest would give one of the other tests, on this engine, to their next test."""
    with ServerProcess(tmp_path_factory.mktemp("server"), "--engine", engine) as process:
        yield process


class Connection:
    """One connection to the page."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, head: bytes, body: bytes = b"", *, missing: int = 0) -> None:
        """Send a request, or all of it but some bytes."""
        length = b"Content-Length: %d\r\n\r\n" % (len(body) + missing) if body else b""
        self._writer.write(head + length + body)
        await self._writer.drain()

    async def response(self) -> HttpResponse:
        """Receive a response; of one in chunks only the head."""
        head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 60)).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        length = int(headers.get("content-length", "0"))
        body = await asyncio.wait_for(self._reader.readexactly(length), 60)
        return HttpResponse(int(head[0].split()[1]), headers, body)

    async def line(self) -> bytes:
        """Receive the next line of a body in chunks."""
        while True:
            size = int(await asyncio.wait_for(self._reader.readline(), 60), 16)
            chunk = await self._reader.readexactly(size + 2)
            return chunk[:-2]

    async def is_closed(self) -> bool:
        """Wait for the end of the connection."""
        return await asyncio.wait_for(self._reader.read(), 60) == b""

    def close(self) -> None:
        self._writer.close()


Connect = Callable[[], Any]


@asynccontextmanager
async def viewing(server: ServerProcess, **limits: Any) -> AsyncIterator[tuple[Connect, ViewServer]]:
    """Serve the page in this process; yield what opens connections to it."""
    page = ViewServer(
        local_endpoint(server.address, timeout=60), "127.0.0.1:0", name=server.address, limits=ViewLimits(**limits)
    )
    port = int((await page.start()).rpartition(":")[2])
    opened: list[Connection] = []

    async def connect() -> Connection:
        opened.append(Connection(*await asyncio.open_connection("127.0.0.1", port)))
        return opened[-1]

    try:
        yield connect, page
    finally:
        for connection in opened:
            connection.close()
        await page.stop(30)


def taken(page: ViewServer) -> int:
    """The bytes that requests hold."""
    return page._app._bytes.taken


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in the page."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_bodies_that_arrive_hold_a_bounded_number_of_bytes(server: ServerProcess) -> None:
    async with viewing(server, max_bytes=100_000) as (connect, page):
        for _ in range(2):
            await (await connect()).send(PREDICT, b" " * 45_000, missing=1_000)
        await until(lambda: taken(page) == 90_000)
        third = await connect()
        await third.send(PREDICT, b" " * 45_000, missing=1_000)
        response = await third.response()
        assert response.status == 503
        assert response.headers["retry-after"] == "1"
        assert "as many bytes in progress" in response.document["message"]
        # What is small has room.
        other = await connect()
        await other.send(PREDICT, SMALL)
        assert (await other.response()).status == 200
    assert taken(page) == 0


async def test_a_body_that_does_not_come_is_given_up(server: ServerProcess) -> None:
    async with viewing(server, body_seconds=0.2) as (connect, page):
        connection = await connect()
        await connection.send(PREDICT, b"{", missing=1)
        response = await connection.response()
        assert (response.status, response.document["code"]) == (504, 4)
        assert await connection.is_closed()
        assert taken(page) == 0


async def test_responses_hold_their_bytes_until_they_are_read(server: ServerProcess) -> None:
    rows = 100_000
    data = base64.b64encode(bytes(16 * rows)).decode()
    large = json.dumps({"tensor": {"dtype": "DATA_TYPE_FLOAT64", "shape": [rows, 2], "data": data}}).encode()
    size = 9 * rows * 8  # of a row: the inputs, the output, and of its three nodes the weighted sum and the activation
    # For one response and a half.
    room = 2 * transcoding.estimated_bytes(large) + size * app.RESPONSE_COST * 3 // 2
    async with viewing(server, max_bytes=room) as (connect, page):
        unread = await connect()
        await unread.send(TRACE, large)
        await until(lambda: taken(page) >= size * app.RESPONSE_COST)
        await until(lambda: taken(page) < size * app.RESPONSE_COST + len(large))
        second = await connect()
        await second.send(TRACE, large)
        assert (await second.response()).status == 503
        # At the end of the first one there is room again.
        unread.close()
        await until(lambda: taken(page) == 0)
        third = await connect()
        await third.send(TRACE, large)
        response = await third.response()
        assert (response.status, len(response.body) > size) == (200, True)
        await until(lambda: taken(page) == 0)


async def test_a_body_that_would_become_too_many_objects(server: ServerProcess) -> None:
    values = b",".join([b"1"] * 4_000_000)
    objects = b",".join([b"{}"] * 1_000_000)
    async with viewing(server) as (connect, page):
        for body in (b'{"tensor": {"values": [%b]}}' % values, b'{"rows": {"rows": [%b]}}' % objects):
            connection = await connect()
            await connection.send(PREDICT, body)
            response = await connection.response()
            assert (response.status, response.document["code"]) == (413, 8)
            assert "more values than are accepted here" in response.document["message"]
        assert taken(page) == 0


async def test_one_watch_too_many(server: ServerProcess) -> None:
    async with viewing(server, max_watches=1) as (connect, _):
        first, second = await connect(), await connect()
        await first.send(WATCH)
        assert (await first.response()).status == 200
        await second.send(WATCH)
        response = await second.response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        first.close()
        async with asyncio.timeout(60):
            while response.status == 503:
                await second.send(WATCH)
                response = await second.response()
        assert response.status == 200


async def test_a_watch_without_a_change_has_heartbeats(server: ServerProcess) -> None:
    async with viewing(server, heartbeat_seconds=0.05) as (connect, _):
        connection = await connect()
        await connection.send(WATCH.replace(b":watch", b":watch?namePrefix=nobody-"))
        assert (await connection.response()).status == 200
        assert json.loads(await connection.line())["event"] == "NETWORK_EVENT_SYNCED"
        assert [await connection.line() for _ in range(3)] == [b"\n"] * 3


async def test_watches_end_when_the_page_stops(server: ServerProcess) -> None:
    async with viewing(server) as (connect, page):
        connection = await connect()
        await connection.send(WATCH)
        assert (await connection.response()).status == 200
        async with asyncio.timeout(20):
            await page.stop(60)
        while await connection.line():
            pass


async def test_a_client_that_goes_cancels_its_call(server: ServerProcess) -> None:
    async with viewing(server) as (connect, page):
        for _ in range(100):
            connection = await connect()
            await connection.send(TRACE, SMALL)
            connection.close()
        await until(lambda: taken(page) == 0 and page._app._requests.taken == 0)
        last = await connect()
        await last.send(TRACE, SMALL)
        assert (await last.response()).status == 200
