"""SIGKILL of the database or of a server at a random moment during registrations: no acknowledged write is lost."""

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass_server.registry import SqlStore

from tests.support.postgres import Cluster
from tests.support.raw_grpc import network_spec
from tests.support.server_process import ServerProcess

NETWORKS = 10
"""Enough that none of them reaches `max_versions`."""


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


class Writer(threading.Thread):
    """Registers on one server until it is stopped, and continues when a killed server is started again."""

    def __init__(self, server: ServerProcess, number: int) -> None:
        super().__init__()
        self._server = server
        self._value = float(number)
        self._ended = threading.Event()
        self.acknowledged: list[tuple[str, int, str]] = []
        self.codes: set[grpc.StatusCode] = set()

    def run(self) -> None:
        while not self._ended.is_set():
            with grpc.insecure_channel(self._server.address) as channel:
                self._register(NetworkServiceStub(channel))

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _register(self, stub: NetworkServiceStub) -> None:
        """Register until the server cannot be reached."""
        while not self._ended.is_set():
            # Each content is new: the values of the two writers differ.
            self._value += 2
            name = f"crash-{int(self._value) // 2 % NETWORKS}"
            request = networks.RegisterNetworkRequest(network=name, spec=network_spec([[self._value] * 500]))
            try:
                response = stub.RegisterNetwork(request, timeout=60)
            except grpc.RpcError as error:
                self.codes.add(error.code())
                time.sleep(0.02)
                return
            self.acknowledged.append((name, response.version.version, response.version.digest))


@pytest.mark.parametrize("cycles", [2, pytest.param(100, marks=pytest.mark.prove)])
def test_kill_during_registrations(
    mortal: Cluster, tmp_path: Path, cycles: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url, rng = mortal.new_database(), random.Random(3)
    with ExitStack() as stack:
        flags = ("--database", url, "--max-versions", "100000")
        servers = [stack.enter_context(ServerProcess(tmp_path, *flags)) for _ in range(2)]
        writers = [Writer(server, number) for number, server in enumerate(servers, start=1)]
        for writer in writers:
            writer.start()
            stack.callback(writer.stop)
        for cycle in range(cycles):
            done = sum(len(writer.acknowledged) for writer in writers)
            end = time.monotonic() + 60
            while sum(len(writer.acknowledged) for writer in writers) < done + 5:
                assert time.monotonic() < end, "registrations have stopped"
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.1))
            if cycle % 2:
                server = rng.choice(servers)
                server.kill()
                server.start()
            else:
                mortal.kill()
                mortal.start()
        for writer in writers:
            writer.stop()
        acknowledged = [each for writer in writers for each in writer.acknowledged]
        codes = set.union(*(writer.codes for writer in writers))
        with SqlStore(url) as store:
            kept = {
                (row.name, version.number): version.digest
                for row in store.read_state().networks
                for version in row.versions
            }
            lost = sum(kept.get((name, number)) != digest for name, number, digest in acknowledged)
            torn = sum(
                hashlib.sha256(store.read_content(name, number) or b"").hexdigest() != digest
                for (name, number), digest in kept.items()
            )
    with capsys.disabled():
        print(f"\n{cycles} kills, {len(acknowledged)} acknowledged: {lost} lost, {torn} torn")
    assert (lost, torn) == (0, 0)
    assert len({(name, number) for name, number, _ in acknowledged}) == len(acknowledged), "no number is given twice"
    assert codes <= {grpc.StatusCode.UNAVAILABLE}
