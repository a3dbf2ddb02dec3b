"""A server of several processes does what one process does, over whichever connection it is called."""

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import grpc
import numpy as np
import pytest
from forwardpass import Client
from forwardpass.errors import ForwardpassError
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Tensor
from forwardpass_server.oip.v2 import inference_pb2 as oip

from tests.support import fork_server
from tests.support.raw_grpc import call, network_spec, predict_request, register
from tests.support.server_process import ServerProcess, wait_until
from tests.support.worker_processes import connections, is_running, worker_pids

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be shared fairly")

CONNECTIONS = 24
"""Connections, each of which goes to one of two processes by chance: all of them to one in 1 of 8 million runs."""
DATA_LOSS = grpc.StatusCode.DATA_LOSS
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("processes")
    flags = ("--engine", "native", "--processes", "2", "--metrics-listen", "127.0.0.1:0")
    with ServerProcess(folder, *flags) as process:
        yield process


@pytest.fixture(scope="module")
def channels(server: ServerProcess) -> Iterator[list[grpc.Channel]]:
    """Channels with a connection each, to all processes of the server."""
    with ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1)]
        opened = [stack.enter_context(grpc.insecure_channel(server.address, options)) for _ in range(CONNECTIONS)]
        for channel in opened:
            grpc.channel_ready_future(channel).result(timeout=60)
        assert all(map(connections, worker_pids(server)))
        yield opened


def predict(channel: grpc.Channel, name: str, values: list[float], version: str = "") -> PredictResponse:
    response: PredictResponse = PredictionServiceStub(channel).Predict(
        predict_request(name, values, version), timeout=60
    )
    return response


def code_of(channel: grpc.Channel, name: str, version: str = "") -> grpc.StatusCode:
    """The status of a call with one number."""
    try:
        predict(channel, name, [1.0], version)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def scrape(server: ServerProcess) -> list[str]:
    """The lines of the metrics."""
    host, _, path = server.metrics.removeprefix("http://").partition("/")
    with closing(HTTPConnection(host, timeout=60)) as connection:
        connection.request("GET", f"/{path}")
        return connection.getresponse().read().decode().splitlines()


def test_processes_compute_the_same_bits(channels: list[grpc.Channel]) -> None:
    rng = np.random.default_rng(3)
    register(channels[0], "wide", network_spec(rng.normal(size=(7, 33)).tolist()))
    for count in (1, 5, 40):
        rows = rng.normal(size=(count, 33))
        tensor = Tensor(dtype=DATA_TYPE_FLOAT64, shape=rows.shape, data=rows.astype("<f8").tobytes())
        request = PredictRequest(network="wide", tensor=tensor)
        responses = {
            PredictionServiceStub(c).Predict(request, timeout=60).outputs.SerializeToString() for c in channels
        }
        assert len(responses) == 1


def test_what_is_acknowledged_holds_over_every_connection(channels: list[grpc.Channel]) -> None:
    """Without `min_revision`, which our client sends and others do not know."""
    for value in range(1, 6):
        writer = channels[value]
        done = register(writer, "net", network_spec([[float(value)]]))
        assert {predict(channel, "net", [1.0]).version for channel in channels} == {done.version.version}
        stub = NetworkServiceStub(writer)
        number = str(done.version.version)
        stub.SetAlias(networks.SetAliasRequest(network="net", alias="stable", version=number), timeout=60)
        assert {predict(channel, "net", [1.0], "stable").version for channel in channels} == {done.version.version}
        if value > 1:
            deleted = networks.DeleteVersionRequest(network="net", version=done.version.version - 1)
            stub.DeleteVersion(deleted, timeout=60)
            assert {code_of(channel, "net", str(deleted.version)) for channel in channels} == {NOT_FOUND}
        stub.DeleteAlias(networks.DeleteAliasRequest(network="net", alias="stable"), timeout=60)
        assert {code_of(channel, "net", "stable") for channel in channels} == {NOT_FOUND}
    NetworkServiceStub(channels[0]).DeleteNetwork(networks.DeleteNetworkRequest(network="net"), timeout=60)
    assert {code_of(channel, "net") for channel in channels} == {NOT_FOUND}


def test_statistics_and_metrics_are_those_of_all_processes(server: ServerProcess, channels: list[grpc.Channel]) -> None:
    register(channels[0], "counted", network_spec([[2.0]]))
    for channel in channels:
        predict(channel, "counted", [1.0])
        assert code_of(channel, "counted", "7") is NOT_FOUND

    def counted() -> tuple[int, int]:
        request = oip.ModelStatisticsRequest(name="counted")
        response = call(channels[0], "/inference.GRPCInferenceService/ModelStatistics", request)
        [statistics] = oip.ModelStatisticsResponse.FromString(response).model_stats
        return statistics.inference_count, statistics.inference_stats.success.count

    # At once, unless a process is slow: then they are in the next reading.
    wait_until(lambda: counted() == (CONNECTIONS, CONNECTIONS), 120)
    # A call is counted out after its response is sent.
    wait_until(lambda: "forwardpass_calls_in_flight 0.0" in scrape(server), 120)
    wait_until(lambda: f'forwardpass_call_seconds_count{{network="counted"}} {CONNECTIONS}.0' in scrape(server), 120)
    lines = scrape(server)
    [errors] = [line for line in lines if line.startswith('forwardpass_errors_total{reason="VERSION_NOT_FOUND"}')]
    assert float(errors.split()[-1]) >= CONNECTIONS
    [calls] = [line for line in lines if line.startswith('forwardpass_caller_calls_total{caller="_anonymous"}')]
    assert float(calls.split()[-1]) >= 2 * CONNECTIONS


def test_damage_that_one_process_finds_is_repaired_for_all(server: ServerProcess, channels: list[grpc.Channel]) -> None:
    """The owner has the version in memory, where it is whole, and must write it again all the same."""
    register(channels[0], "hurt", network_spec([[3.0]]))
    with closing(sqlite3.connect(server.database, timeout=60)) as database, database:
        database.execute("UPDATE versions SET content = zeroblob(length(content)) WHERE name = 'hurt'")
    assert {code_of(channel, "hurt") for channel in channels} == {DATA_LOSS}
    register(channels[0], "hurt", network_spec([[3.0]]))
    assert {code_of(channel, "hurt") for channel in channels} == {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--engine=grpcio"], "engine grpcio serves in one process; use --engine native, or --processes 1"),
        (["--listen=unix:/tmp/nowhere"], "processes cannot share a Unix socket"),
        (["--database=sqlite://"], "processes cannot share a database in memory"),
        (["--processes=0"], "must be a number from 1 to 1000, or auto"),
        (["--processes=some"], "must be a number from 1 to 1000, or auto"),
    ],
    ids=["grpcio", "unix", "memory", "zero", "word"],
)
def test_where_several_processes_cannot_serve(tmp_path: Path, flags: list[str], reason: str) -> None:
    arguments = ["serve", "--processes=2", f"--database=sqlite:///{tmp_path}/own.db", *flags]
    ended = fork_server.run("forwardpass-server", arguments, environment={**os.environ})
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@contextmanager
def predictions(server: ServerProcess) -> Iterator[list[ForwardpassError]]:
    """Predict with our client in some threads meanwhile; provide the errors that come in spite of its retries."""
    failed: list[ForwardpassError] = []
    stopped = threading.Event()

    def predict_until_stopped(client: Client) -> None:
        while not stopped.is_set():
            try:
                assert client.predict("article-linear", [[2, 3]]).outputs == [[9]]
            except ForwardpassError as error:
                failed.append(error)

    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.address, timeout=120)) for _ in range(4)]
        threads = [threading.Thread(target=predict_until_stopped, args=[client]) for client in clients]
        for thread in threads:
            thread.start()
        try:
            yield failed
        finally:
            stopped.set()
            for thread in threads:
                thread.join()


def test_processes_are_restarted_one_after_another(server: ServerProcess, channels: list[grpc.Channel]) -> None:
    register(channels[0], "kept", network_spec([[5.0]]))
    before = {*worker_pids(server)}
    running: set[int] = set()
    with predictions(server) as failed:
        server.process.send_signal(signal.SIGHUP)

        def restarted() -> bool:
            running.add(len(pids := worker_pids(server)))
            return len(pids) == 2 and not before & {*pids}

        wait_until(restarted, 300)
    assert not failed
    assert running <= {2, 3}, "a new process serves before an old one ends"
    assert {code_of(channel, "kept") for channel in channels} == {grpc.StatusCode.OK}


def test_a_process_that_is_killed_is_replaced_and_all_end_with_their_owner(server: ServerProcess) -> None:
    """Callers repeat what was broken off. This is the last test of the file, since it kills the server."""
    before = worker_pids(server)
    with predictions(server) as failed:
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len({*worker_pids(server)} - {*before}) == 1, 120)
    assert not failed
    pids = worker_pids(server)
    assert len(pids) == 2
    server.kill()
    wait_until(lambda: not any(map(is_running, pids)), 120)
