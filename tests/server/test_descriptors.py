"""Floods of connections: other callers are served, nothing spins, and the log stays short."""

import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from forwardpass_server.rpc.listening import LISTENERS, RESERVED_DESCRIPTORS, usable_connections

from tests.support.plain_http import Http
from tests.support.raw_grpc import PREDICTIONS, call, predict_request
from tests.support.server_process import ServerProcess, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sets another process's limits")
LISTEN = ("--rest-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0")


def descriptors(server: ServerProcess) -> set[int]:
    return {int(path.name) for path in Path(f"/proc/{server.process.pid}/fd").iterdir()}


def threads(server: ServerProcess) -> int:
    return len([*Path(f"/proc/{server.process.pid}/task").iterdir()])


@contextmanager
def flood(url: str, count: int) -> Iterator[None]:
    """Open connections that send nothing."""
    place = urlsplit(url)
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection((place.hostname or "", place.port or 0), timeout=60))
        yield


def test_without_a_free_descriptor_calls_are_computed(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(*LISTEN, fresh=True)
    with grpc.insecure_channel(server.address) as channel:
        call(channel, "/grpc.health.v1.Health/Check", b"")
        before = len(server.log.read_text().splitlines())
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        limit = max(descriptors(server)) + 3
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
        with flood(server.rest, 40):
            wait_until(lambda: "no connection can be accepted" in server.log.read_text())
            for network in ("article-linear", "article-1-hidden"):
                for method in ("Predict", "Trace"):
                    call(channel, f"{PREDICTIONS}{method}", predict_request(network, [1, 2]))
        written = server.log.read_text().splitlines()[before:]
        assert len(written) < 30, "pauses grow, and lines are limited"
        wait_until(lambda: max(descriptors(server)) < limit - 1)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
    http = Http(server.rest)
    assert http.get("/v2/health/ready").status == 200
    http.connection.close()
    assert server.stop() == 0


def test_connections_are_bounded(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(*LISTEN, "--max-connections=20")
    known, working = len(descriptors(server)), threads(server)
    with flood(server.rest, 60), flood(server.metrics, 60):
        with grpc.insecure_channel(server.address) as channel:
            call(channel, "/grpc.health.v1.Health/Check", b"")
        # Half of each listener's, and the caller's.
        wait_until(lambda: len(descriptors(server)) <= known + 10 + 16 + 8)
        assert threads(server) <= working + 4, "no thread for each connection"
        assert not [line for line in server.log.read_text().splitlines() if '"level": "info"' not in line]
    wait_until(lambda: len(descriptors(server)) <= known + 4)
    http = Http(server.metrics.removesuffix("/metrics"))
    assert http.get("/metrics").status == 200
    http.connection.close()
    assert server.stop() == 0


def test_grpc_connections_are_bounded(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--max-connections=20")
    with grpc.insecure_channel(server.address) as channel:
        call(channel, "/grpc.health.v1.Health/Check", b"")
        known = len(descriptors(server))
        with flood(f"http://{server.address}", 60):
            wait_until(lambda: "or more than half of that from one address" in server.log.read_text())
            wait_until(lambda: len(descriptors(server)) <= known + 10)
            call(channel, "/grpc.health.v1.Health/Check", b"")
    assert server.stop() == 0


def test_a_flood_that_takes_all_descriptors_is_ended(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--max-connections=20")
    with grpc.insecure_channel(server.address) as channel:
        call(channel, "/grpc.health.v1.Health/Check", b"")
        known = len(descriptors(server))
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (max(descriptors(server)) + 16, limits[1]))
        with flood(f"http://{server.address}", 40):
            wait_until(lambda: "or more than half of that from one address" in server.log.read_text())
            wait_until(lambda: len(descriptors(server)) <= known + 10)
            call(channel, f"{PREDICTIONS}Predict", predict_request("article-linear", [1, 2]))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
    assert server.stop() == 0


def test_the_limit_of_descriptors_is_raised(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = line.split()[3:5]
    assert soft == hard


def test_listeners_share_the_descriptors() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = (soft - RESERVED_DESCRIPTORS) // LISTENERS
    assert usable_connections(10**9) == most
    assert usable_connections(5) == min(5, most)
