"""Arrivals at a rate: every call is made, and a pause of the server is in the latencies of all calls of that time."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from forwardpass import Client

from benchmarks import networks
from benchmarks.open_loop import open_loop
from benchmarks.raw_connections import GrpcConnection, HttpConnection
from benchmarks.server import INFER
from tests.support.server_process import ServerProcess

PAUSE_SECONDS = 0.5


@contextmanager
def responding(response: bytes, *, pause_at: float = float("inf")) -> Iterator[str]:
    """Serve one connection, with one response to each request; pause once, some seconds after its first byte."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        pause, received = None, b""
        with connection:
            while chunk := connection.recv(65_536):
                pause = pause or time.monotonic() + pause_at
                if time.monotonic() > pause:
                    time.sleep(PAUSE_SECONDS)
                    pause = float("inf")
                received += chunk
                while b"\r\n\r\n" in received:
                    _, _, received = received.partition(b"\r\n\r\n")
                    connection.sendall(response)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        thread.join()
        listening.close()


def test_every_call_ends(server: ServerProcess) -> None:
    name = f"net-{networks.label(networks.MIDDLE)}"
    with Client(server.address, timeout=60) as client:
        client.register(name, networks.network(networks.MIDDLE))
    connections = [GrpcConnection(server.address, INFER, networks.infer_request(networks.MIDDLE)) for _ in range(2)]
    try:
        found = open_loop(connections, rate=200, seconds=0.4, warm_up=0.1)
        assert sum(len(connection.calls) for connection in connections) == 100
        assert all(each.scheduled <= each.begun <= each.ended for c in connections for each in c.calls)
        assert 0 < found.p50 <= found.p99 <= found.p999
    finally:
        for connection in connections:
            connection.close()


def test_errors_are_no_latencies(server: ServerProcess) -> None:
    with pytest.raises(ConnectionError, match="responded with an error"):
        GrpcConnection(server.address, INFER, b"")


def test_pause_delays_every_call_that_arrives_meanwhile() -> None:
    response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    with (
        responding(response, pause_at=0.2) as address,
        closing(HttpConnection(address, "/", b"")) as connection,
    ):
        open_loop([connection], rate=200, seconds=0.8, warm_up=0.0)
        delayed = [each for each in connection.calls if each.ended - each.scheduled > PAUSE_SECONDS / 5]
        # 100 arrive in the pause, on average; 80 of them at least 100 ms before its end. A caller who waits has one.
        assert len(connection.calls) == 160
        assert len(delayed) > 40


def test_http_errors_fail() -> None:
    with (
        responding(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n") as address,
        closing(HttpConnection(address, "/", b"")) as connection,
        pytest.raises(RuntimeError, match="5 of 5 calls failed"),
    ):
        open_loop([connection], rate=50, seconds=0.1, warm_up=0.0)
