"""Concurrent histories on a server of several processes, some of which are killed, are linearizable.

Each change takes effect at one moment between its request and its response. A read, over whichever connection, returns
the state at the revision in its response, which has every change that was acknowledged, to whomever, before the read
began, and is not older than `min_revision`, which half of the callers send.
"""

import os
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection
from math import inf
from pathlib import Path

import grpc
import pytest
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub

from tests.server.processes.conftest import Database
from tests.support.linearizability import Operation, linearizable
from tests.support.raw_grpc import decode, network_spec, predict_request
from tests.support.registry_model import (
    IN_USE,
    NO_ALIAS,
    NO_NETWORK,
    NO_VERSION,
    READS,
    Call,
    State,
    apply,
    random_call,
)
from tests.support.server_process import ServerProcess, wait_until
from tests.support.worker_processes import connections, worker_pids

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be shared fairly"),
]

FLAGS = ("--engine", "native", "--processes", "2", "--metrics-listen", "127.0.0.1:0")
CLIENTS, CALLS, CONNECTIONS = 3, 7, 12
KILLED_EACH = 5
"""After how many histories a worker process is killed in the midst of the next one."""
SECONDS = 120
OPTIONS = {"timeout": SECONDS, "wait_for_ready": True}
NAMES = {
    "NETWORK_NOT_FOUND": NO_NETWORK,
    "VERSION_NOT_FOUND": NO_VERSION,
    "ALIAS_NOT_FOUND": NO_ALIAS,
    "VERSION_IN_USE": IN_USE,
}
"""The model's names of errors, by their reason."""

PLANTED = """
import threading
from forwardpass_server import cli
from forwardpass_server.processes import ProcessPool

publish = ProcessPool._publish
ProcessPool._publish = lambda self, change: threading.Timer(1.0, publish, [self, change]).start()
cli.main()
"""
"""A server that acknowledges changes before its worker processes have read them."""


def apply_over_the_wire(state: State, call: Call) -> tuple[State, object]:
    """Do a call as `apply` does, with the response that METHODS return.

    The last argument of a read is the lowest revision that it may return.
    """
    method, name, *arguments = call
    if method in READS:
        if state.revision < int(arguments[-1]):
            return state, "too old"
        _, response = apply(state, (method, name, *arguments[:-1]))
        assert isinstance(response, tuple)
        # Errors do not say at which revision they hold.
        return state, (response[1] or NO_NETWORK) if response[1] in (NO_NETWORK, NO_ALIAS, {}) else response
    after, response = apply(state, call)
    if method == "register":
        assert isinstance(response, tuple)
        return after, response[:2]
    if isinstance(response, int):
        return after, dict(after.network(name).aliases)
    return after, response


def register(channel: grpc.Channel, _: int, name: str, weight: str) -> tuple[int, object]:
    request = networks.RegisterNetworkRequest(network=name, spec=network_spec([[float(weight)]]))
    done = NetworkServiceStub(channel).RegisterNetwork(request, **OPTIONS)
    return done.revision, (done.version.version, done.created)


def set_alias(channel: grpc.Channel, _: int, name: str, alias: str, number: str) -> tuple[int, object]:
    request = networks.SetAliasRequest(network=name, alias=alias, version=number)
    done = NetworkServiceStub(channel).SetAlias(request, **OPTIONS)
    return done.revision, dict(done.network.aliases)


def delete_alias(channel: grpc.Channel, _: int, name: str, alias: str) -> tuple[int, object]:
    request = networks.DeleteAliasRequest(network=name, alias=alias)
    done = NetworkServiceStub(channel).DeleteAlias(request, **OPTIONS)
    return done.revision, dict(done.network.aliases)


def delete_version(channel: grpc.Channel, _: int, name: str, number: str) -> tuple[int, object]:
    request = networks.DeleteVersionRequest(network=name, version=int(number))
    done = NetworkServiceStub(channel).DeleteVersion(request, **OPTIONS)
    return done.revision, dict(done.network.aliases)


def delete_network(channel: grpc.Channel, _: int, name: str) -> tuple[int, object]:
    done = NetworkServiceStub(channel).DeleteNetwork(networks.DeleteNetworkRequest(network=name), **OPTIONS)
    return done.revision, {}


def read(channel: grpc.Channel, min_revision: int, name: str) -> tuple[int, object]:
    request = networks.GetNetworkRequest(network=name, min_revision=min_revision)
    found = NetworkServiceStub(channel).GetNetwork(request, **OPTIONS)
    return found.revision, (found.revision, dict(found.network.aliases))


def predict(channel: grpc.Channel, min_revision: int, name: str, alias: str) -> tuple[int, object]:
    request = predict_request(name, [1.0], alias)
    request.min_revision = min_revision
    done = PredictionServiceStub(channel).Predict(request, **OPTIONS)
    [output] = struct.unpack("<d", done.outputs.data)
    return done.revision, (done.revision, str(output))


METHODS: dict[str, Callable[..., tuple[int, object]]] = {
    "register": register,
    "set_alias": set_alias,
    "delete_alias": delete_alias,
    "delete_version": delete_version,
    "delete_network": delete_network,
    "read": read,
    "predict": predict,
}


class Caller:
    """Calls random networks over random connections, and records the operations."""

    def __init__(
        self,
        channels: list[grpc.Channel],
        names: list[str],
        rng: random.Random,
        *,
        sends_revision: bool,
    ) -> None:
        self._channels = channels
        self._names = names
        self._rng = rng
        self._seen = 0
        self._sends_revision = sends_revision
        self.operations: list[Operation[Call]] = []

    def run(self) -> None:
        for _ in range(CALLS):
            self._call(random_call(self._rng, self._names))

    def _call(self, call: Call) -> None:
        is_read = call[0] in READS
        min_revision = self._seen if self._sends_revision else 0
        begun = time.monotonic()
        try:
            revision, response = METHODS[call[0]](self._rng.choice(self._channels), min_revision, *call[1:])
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:  # the process was killed
                if not is_read:
                    self.operations.append(Operation(call=call, begun=begun))
                return
            revision, response = 0, NAMES[decode(error).reason]
        self._seen = max(self._seen, revision)
        # A read follows all changes that were acknowledged before it began. What others read by then may be newer.
        ended = inf if is_read else time.monotonic()
        call = (*call, str(min_revision)) if is_read else call
        self.operations.append(Operation(call=call, response=response, begun=begun, ended=ended))


class Connections:
    """Channels with a connection each, to all worker processes of a server."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._stack = ExitStack()
        self.channels: list[grpc.Channel] = []
        self.open()

    def open(self) -> None:
        """Connect anew, when all worker processes take connections."""
        while True:
            self._stack.close()
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
            channels = [grpc.insecure_channel(self._server.address, options) for _ in range(CONNECTIONS)]
            for channel in channels:
                self._stack.callback(channel.close)
                grpc.channel_ready_future(channel).result(timeout=SECONDS)
            if len(pids := worker_pids(self._server)) == 2 and all(map(connections, pids)):
                self.channels = channels
                return
            time.sleep(0.1)

    def close(self) -> None:
        self._stack.close()


def rests(server: ServerProcess) -> bool:
    """Whether no call is in flight: those of killed processes have ended, with or without a change."""
    host, _, path = server.metrics.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=SECONDS)
    connection.request("GET", f"/{path}")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return "forwardpass_calls_in_flight 0.0" in lines


def revision_of(channel: grpc.Channel) -> int:
    revision: int = NetworkServiceStub(channel).ListNetworks(networks.ListNetworksRequest(), timeout=SECONDS).revision
    return revision


def violations(server: ServerProcess, histories: range, *, kills: bool) -> tuple[int, int, int, int]:
    """Run histories by seed; return those that are not linearizable, all calls, calls without a response, kills."""
    found = calls = lost = killed = 0
    opened = Connections(server)
    for number in histories:
        rng = random.Random(number)
        initial = State(revision_of(opened.channels[0]))
        names = [f"h{number}-{letter}" for letter in "ab"]
        callers = [
            Caller(
                opened.channels,
                names,
                random.Random(rng.random()),
                sends_revision=(number + each) % 2 == 0,
            )
            for each in range(CLIENTS)
        ]
        threads = [threading.Thread(target=caller.run) for caller in callers]
        for thread in threads:
            thread.start()
        kill = kills and number % KILLED_EACH == KILLED_EACH - 1
        if kill:
            time.sleep(rng.uniform(0, 0.1))
            os.kill(rng.choice(worker_pids(server)), signal.SIGKILL)
            killed += 1
        for thread in threads:
            thread.join()
        if kill:
            opened.open()
            wait_until(lambda: rests(server), SECONDS)
        history = [operation for caller in callers for operation in caller.operations]
        calls += len(history)
        lost += sum(operation.response is None for operation in history)
        if not linearizable(history, initial, apply_over_the_wire):
            found += 1
            print(number, initial, *sorted(history, key=lambda operation: operation.ended), sep="\n")
    opened.close()
    return found, calls, lost, killed


def test_histories_over_several_processes_are_linearizable(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with ServerProcess(tmp_path, *FLAGS, *database.flags) as server:
        found, calls, lost, killed = violations(server, range(database.histories), kills=True)
        assert server.stop() == 0
    with capsys.disabled():
        print(
            f"\n{database.display_name}, {database.histories} histories over two processes, {killed} kills of one, "
            f"{calls} calls, {lost} without a response: {found} violations"
        )
    assert calls > 10 * database.histories
    assert found == 0


def test_a_change_that_is_acknowledged_too_early_is_found(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *FLAGS, python=("-c", PLANTED)) as server:
        assert any(violations(server, range(seed, seed + 5), kills=False)[0] for seed in range(0, 200, 5))
