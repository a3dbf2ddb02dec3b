"""Callers that send half of what they declare, or pack much into little, take a bounded amount of memory.

Each prints a line of figures; docs/explanation/reliability.md has them.
"""

import gzip
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from forwardpass import Client

from tests.support.raw_grpc import NETWORKS, PREDICTIONS
from tests.support.raw_http2 import RawConnection
from tests.support.server_process import ServerProcess, wait_until

MIB = 2**20
HOT, COLD = f"{PREDICTIONS}Predict", f"{NETWORKS}ListNetworks"

pytestmark = pytest.mark.prove


@pytest.mark.parametrize("path", [HOT, COLD], ids=["hot", "cold"])
def test_half_sent_requests(start_server: Callable[..., ServerProcess], engine: str, path: str) -> None:
    server = start_server(f"--max-memory={256 * MIB}", f"--max-request-bytes={16 * MIB}")
    before, peak, sent = server.memory(), 0, 0
    with Client(server.address) as others:
        connections = [RawConnection(server.address) for _ in range(4)]
        for _ in range(12):
            for connection in connections:
                sent += connection.send(connection.begin(path, 8 * MIB + 1), bytes(8 * MIB), seconds=0.5)
                peak = max(peak, server.memory() - before)
                assert others.predict("article-linear", [2, 3]).outputs == [[9.0]]
        for connection in connections:
            connection.close()
        wait_until(lambda: server.memory() - before < 64 * MIB)
    print(f"{engine} {path}: {sent / MIB:.0f} MiB sent, {peak / MIB:.0f} MiB held at most, given back")
    assert peak < 256 * MIB


@pytest.mark.parametrize("path", [HOT, COLD], ids=["hot", "cold"])
def test_bombs(start_server: Callable[..., ServerProcess], engine: str, path: str) -> None:
    if engine == "native" and path == HOT:
        pytest.skip("docs/explanation/reliability.md says so: native has no bound for them")
    server = start_server()
    before, bomb = server.memory(), gzip.compress(bytes(256 * MIB))
    with closing(RawConnection(server.address)) as connection, Client(server.address) as others:
        connection.send(connection.begin(path, len(bomb), compressed=True), bomb)
        began, peak = time.monotonic(), 0
        while time.monotonic() - began < 2:
            peak = max(peak, server.memory() - before)
            assert others.predict("article-linear", [2, 3]).outputs == [[9.0]]
    print(f"{engine} {path}: {len(bomb) / 1024:.0f} KiB that unpack to 256 MiB, {peak / MIB:.0f} MiB held at most")
    assert peak < 64 * MIB
