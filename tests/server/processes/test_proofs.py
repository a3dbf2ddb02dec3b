"""The promises of a server of several processes, in their long form: processes are killed, and drained, under load."""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import grpc
import numpy as np
import pytest
from forwardpass import Client
from forwardpass.errors import ForwardpassError
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Tensor

from tests.server.processes.conftest import Database
from tests.support.raw_grpc import network_spec, predict_request, register
from tests.support.server_process import ServerProcess, wait_until
from tests.support.worker_processes import connections, is_running, worker_pids

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be shared fairly"),
]

FLAGS = ("--engine", "native", "--processes", "2")
RESTARTS = 20
RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
"""A service config of gRPC, as its documentation has it."""
COMPARISONS = 10_000


class Load:
    """Callers that predict and register until they are stopped, with the retries of our client."""

    def __init__(self, address: str) -> None:
        self.failed: list[str] = []
        self.wrong = self.predicted = 0
        self.acknowledged: dict[int, float] = {}
        self._stopped = threading.Event()
        self._address = address
        self._threads = [threading.Thread(target=self._predict) for _ in range(3)]
        self._threads.append(threading.Thread(target=self._register))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _predict(self) -> None:
        with Client(self._address, timeout=300) as client:
            while not self._stopped.is_set():
                try:
                    self.wrong += client.predict("article-linear", [[2, 3]]).outputs.tolist() != [[9.0]]
                    self.predicted += 1
                except ForwardpassError as error:
                    self.failed.append(repr(error))

    def _register(self) -> None:
        value = 0.0
        with Client(self._address, timeout=300) as client:
            while not self._stopped.is_set():
                value += 1
                content = {"format": "forwardpass.network/1", "inputs": 1, "layers": [{"weights": [[value]]}]}
                try:
                    number = client.register("written", content).version
                    self.acknowledged[number] = value
                    # Over whichever connection.
                    self.wrong += client.predict("written", [[1]], version=number).outputs.tolist() != [[value]]
                except ForwardpassError as error:
                    self.failed.append(repr(error))
                self._stopped.wait(0.05)

    def figures(self, lost: int) -> str:
        """What the callers met."""
        return (
            f"{self.predicted} predictions of our client, {len(self.acknowledged)} registrations; "
            f"{lost} lost, {self.wrong} wrong, {len(self.failed)} failed after retries"
        )

    def lost(self) -> int:
        """The acknowledged versions that are not there, or compute something else."""
        lost = 0
        with Client(self._address, timeout=300) as client:
            for number, value in self.acknowledged.items():
                lost += client.predict("written", [[1]], version=number).outputs.tolist() != [[value]]
        return lost


def test_processes_are_killed_under_load(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(7)
    with ServerProcess(tmp_path, *FLAGS, *database.flags, "--max-versions", "100000") as server:
        with Load(server.address) as load:
            for _ in range(database.cycles):
                pids = worker_pids(server)
                time.sleep(rng.uniform(0.0, 0.5))
                os.kill(rng.choice(pids), signal.SIGKILL)
                wait_until(lambda pids=pids: len({*worker_pids(server)} - {*pids}) == 1, 300)
                done = load.predicted
                wait_until(lambda done=done: load.predicted > done + 20, 300)
        lost = load.lost()
        with capsys.disabled():
            print(f"\n{database.display_name}, {database.cycles} kills of a worker process: {load.figures(lost)}")
        assert (lost, load.wrong, load.failed) == (0, 0, [])
        assert server.stop() == 0


class StockClient:
    """A grpcio client that predicts in a thread until it is stopped.

    Attributes:
        calls: The calls that were responded to.
        failed: The errors of the others.
    """

    def __init__(self, address: str, *, retries: bool, calls_per_channel: int = 1_000_000_000) -> None:
        self._address = address
        self._options: list[tuple[str, str | int]] = [("grpc.use_local_subchannel_pool", 1)]
        if retries:
            self._options.append(("grpc.service_config", json.dumps(RETRIES)))
        self._calls_per_channel = calls_per_channel
        self._stopped = threading.Event()
        self.calls = 0
        self.failed: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with grpc.insecure_channel(self._address, self._options) as channel:
                stub = PredictionServiceStub(channel)
                for _ in range(self._calls_per_channel):
                    if self._stopped.is_set():
                        break
                    try:
                        stub.Predict(predict_request("article-linear", [2.0, 3.0]), timeout=300)
                        self.calls += 1
                    except grpc.RpcError as error:
                        self.failed.append(f"{error.code()}: {error.details()}")


def test_processes_are_restarted_under_load(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    restarts = min(RESTARTS, database.cycles)
    with ServerProcess(tmp_path, *FLAGS, *database.flags, "--max-versions", "100000") as server:
        stock = {
            "grpcio that retries UNAVAILABLE": [StockClient(server.address, retries=True) for _ in range(2)],
            "grpcio without retries": [StockClient(server.address, retries=False) for _ in range(2)],
            "grpcio without retries, a connection for five calls": [
                StockClient(server.address, retries=False, calls_per_channel=5)
            ],
        }
        with Load(server.address) as load:
            for _ in range(restarts):
                pids = {*worker_pids(server)}
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda pids=pids: len(now := worker_pids(server)) == 2 and not pids & {*now}, 300)
            for clients in stock.values():
                for client in clients:
                    client.stop()
        lost = load.lost()
        results = {
            name: (sum(each.calls for each in clients), [error for each in clients for error in each.failed])
            for name, clients in stock.items()
        }
        with capsys.disabled():
            print(f"\n{database.display_name}, {restarts} restarts of both worker processes: {load.figures(lost)}")
            for name, (calls, failed) in results.items():
                print(f"{name}: {calls} calls, {len(failed)} failed", *failed, sep="\n    ")
        assert (lost, load.wrong, load.failed) == (0, 0, [])
        assert results["grpcio that retries UNAVAILABLE"][1] == []
        assert all(calls > restarts for calls, _ in results.values())
        assert server.stop() == 0


def test_the_owner_is_killed_under_load(tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(8)
    with ServerProcess(tmp_path, *FLAGS, *database.flags, "--max-versions", "100000") as server:
        acknowledged: dict[int, float] = {}
        orphans = 0
        for cycle in range(database.cycles):
            pids = worker_pids(server)
            with ExitStack() as stack:
                channel = stack.enter_context(grpc.insecure_channel(server.address))
                writer = threading.Thread(target=_register_until_killed, args=(channel, cycle * 1000.0, acknowledged))
                writer.start()
                time.sleep(rng.uniform(0.0, 0.5))
                server.kill()
                writer.join()
            wait_until(lambda pids=pids: not any(map(is_running, pids)), 60)
            orphans += sum(map(is_running, pids))
            server.start()
        lost = 0
        with Client(server.address, timeout=300) as client:
            for number, value in acknowledged.items():
                lost += client.predict("crash", [[1]], version=number).outputs.tolist() != [[value]]
        with capsys.disabled():
            print(
                f"\n{database.display_name}, {database.cycles} kills of the owner: {len(acknowledged)} acknowledged, "
                f"{lost} lost, {orphans} orphans"
            )
        assert (lost, orphans) == (0, 0)
        assert acknowledged


def _register_until_killed(channel: grpc.Channel, value: float, acknowledged: dict[int, float]) -> None:
    while True:
        value += 1.0
        try:
            done = register(channel, "crash", network_spec([[value]]))
        except grpc.RpcError:
            return
        acknowledged[done.version.version] = value


@contextmanager
def channels_to(server: ServerProcess, count: int) -> Iterator[list[grpc.Channel]]:
    """Channels with a connection each."""
    with ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1)]
        opened = [stack.enter_context(grpc.insecure_channel(server.address, options)) for _ in range(count)]
        for channel in opened:
            grpc.channel_ready_future(channel).result(timeout=60)
        assert all(map(connections, worker_pids(server)))
        yield opened


def test_what_is_acknowledged_holds_everywhere(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once over each connection to a server; on another server of the same database from its revision on."""
    changes = 5 * database.cycles
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(tmp_path, *FLAGS, *database.flags, "--max-versions", "100000"))
        channels = stack.enter_context(channels_to(server, 24))
        others = []
        if database.flags:
            (tmp_path / "other").mkdir()
            other = stack.enter_context(ServerProcess(tmp_path / "other", *FLAGS, *database.flags))
            others = stack.enter_context(channels_to(other, 24))
        read = stale = 0
        for value in range(1, changes + 1):
            done = register(channels[value % 24], "net", network_spec([[float(value)]]))
            request = predict_request("net", [1.0])
            calls = [PredictionServiceStub(channel).Predict.future(request, timeout=300) for channel in channels]
            request.min_revision = done.revision
            calls += [PredictionServiceStub(channel).Predict.future(request, timeout=300) for channel in others]
            read += len(calls)
            stale += sum(call.result().version != done.version.version for call in calls)
        with capsys.disabled():
            where = f"over {len(channels + others)} connections"
            print(f"\n{database.display_name}, {changes} changes read {where}: {stale} of {read} stale")
        assert stale == 0
        assert server.stop() == 0


def test_bits_across_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(5)
    with ServerProcess(tmp_path, *FLAGS) as server, channels_to(server, 24) as channels:
        register(channels[0], "wide", network_spec(rng.normal(size=(17, 65)).tolist()))
        compared = differing = 0
        while compared < COMPARISONS:
            rows = rng.normal(size=(int(rng.integers(1, 70)), 65))
            tensor = Tensor(dtype=DATA_TYPE_FLOAT64, shape=rows.shape, data=rows.astype("<f8").tobytes())
            request = PredictRequest(network="wide", tensor=tensor)
            calls = [PredictionServiceStub(channel).Predict.future(request, timeout=60) for channel in channels]
            outputs = [call.result().outputs.SerializeToString() for call in calls]
            compared += len(outputs) - 1
            differing += sum(output != outputs[0] for output in outputs)
        with capsys.disabled():
            print(f"\n{compared} comparisons of bits across processes: {differing} differing")
        assert differing == 0
        assert server.stop() == 0


def test_a_drain_loses_no_call_and_ends_every_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cycles = 10
    ended = lost = calls = 0
    with ServerProcess(tmp_path, *FLAGS, "--lame-duck", "0.5") as server:
        for _ in range(cycles):
            pids = worker_pids(server)
            with channels_to(server, 16) as channels:
                watches = [
                    NetworkServiceStub(channel).WatchNetworks(networks.WatchNetworksRequest(), timeout=300)
                    for channel in channels
                ]
                for watch in watches:
                    while next(watch).event != networks.NETWORK_EVENT_SYNCED:
                        pass
                codes: list[str] = []
                threads = [threading.Thread(target=_predict_until_drained, args=(c, codes)) for c in channels[:6]]
                for thread in threads:
                    thread.start()
                assert server.stop() == 0
                for thread in threads:
                    thread.join()
                for watch in watches:
                    list(watch)
                    ended += watch.code() is grpc.StatusCode.OK
                calls += len(codes)
                lost += sum("broken off" in code for code in codes)
            assert not any(map(is_running, pids))
            server.start()
    with capsys.disabled():
        print(f"\n{cycles} drains: {calls} calls, {lost} lost; {ended} of {cycles * 16} streams ended in order")
    assert (ended, lost) == (cycles * 16, 0)


def _predict_until_drained(channel: grpc.Channel, codes: list[str]) -> None:
    """Predict until the server says that it is stopping, or has stopped."""
    stub = PredictionServiceStub(channel)
    while True:
        try:
            stub.Predict(predict_request("article-linear", [2.0, 3.0]), timeout=60)
        except grpc.RpcError as error:
            expected = ("the server is stopping", "failed to connect")
            codes.append("rejected" if any(map(str(error).__contains__, expected)) else f"broken off: {error}")
            return
        codes.append("ok")
