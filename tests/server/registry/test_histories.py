"""Concurrent histories on several replicas, some of which are killed, are linearizable.

Each change takes effect at one moment between its request and its response. A read returns the state at the revision in
its response, which is not older than requested: so no caller misses its own change, or one that it has seen before.
"""

import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path

import psycopg
import pytest

from tests.support.linearizability import Operation, linearizable
from tests.support.python_process import start_python
from tests.support.registry_model import NO_ALIAS, NO_NETWORK, READS, Call, State, apply, random_call

CLIENTS, CALLS = 3, 7


def test_checker() -> None:
    def put(state: int, call: str) -> tuple[int, object]:
        return (state, state) if call == "get" else (int(call), "ok")

    def history(*operations: tuple[str, object, float, float]) -> list[Operation[str]]:
        return [
            Operation(call=call, response=response, begun=begun, ended=end) for call, response, begun, end in operations
        ]

    assert linearizable(history(("1", "ok", 0, 1), ("get", 1, 2, 3)), 0, put)
    assert not linearizable(history(("1", "ok", 0, 1), ("get", 0, 2, 3)), 0, put), "old"
    assert linearizable(history(("1", "ok", 0, 3), ("get", 0, 1, 2)), 0, put), "not yet"
    assert linearizable(history(("1", None, 0, inf), ("get", 1, 2, 3)), 0, put), "without a response, but done"
    assert linearizable(history(("1", None, 0, inf), ("get", 0, 2, 3)), 0, put), "or never"
    assert not linearizable(history(("1", None, 0, inf), ("get", 1, 2, 3), ("get", 0, 4, 5)), 0, put), "or both"
    assert not linearizable(history(("1", "ok", 0, 9), ("get", 1, 1, 2), ("get", 0, 3, 4)), 0, put), "undone"


@dataclass
class Replica:
    """The process of a replica, and its socket."""

    pid: int
    path: Path

    def ask(self, line: str) -> str:
        """Return the response to a line; it may be cut, or fail, if the process is killed."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.path))
            with connection.makefile("rw") as file:
                file.write(f"{line}\n")
                file.flush()
                return file.readline()


@pytest.fixture(scope="module")
def zygote() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks replicas; see `tests.support.registry_replica`."""
    with start_python("from tests.support.registry_replica import main; main()", stdin=subprocess.PIPE) as process:
        yield process
        process.communicate(timeout=60)


class Replicas:
    """Two replicas on one database; one that was killed is replaced."""

    def __init__(self, zygote: "subprocess.Popen[str]", url: str, kind: str, folder: Path) -> None:
        self._zygote, self._url, self._kind = zygote, url, kind
        self._paths = (folder / str(number) for number in count())
        self.all = [self.start(), self.start()]

    def start(self) -> Replica:
        path = next(self._paths)
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps([self._url, self._kind, str(path)]) + "\n")
        self._zygote.stdin.flush()
        assert self._zygote.stdout is not None
        return Replica(int(self._zygote.stdout.readline()), path)

    def kill(self, place: int) -> None:
        os.kill(self.all[place].pid, signal.SIGKILL)

    def close(self) -> None:
        for replica in self.all:
            os.kill(replica.pid, signal.SIGKILL)


@contextmanager
def replicas_on(zygote: "subprocess.Popen[str]", url: str, kind: str) -> Iterator[Replicas]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fp-", dir="/tmp"))
        replicas = Replicas(zygote, url, kind, Path(folder))
        stack.callback(replicas.close)
        yield replicas


class Client:
    """Calls random networks on random replicas, and records the operations."""

    def __init__(self, replicas: Replicas, names: list[str], rng: random.Random) -> None:
        self._replicas = [*replicas.all]
        self._names = names
        self._rng = rng
        self._seen = 0
        self.operations: list[Operation[Call]] = []
        self.unread = 0
        self.too_old = 0

    def run(self) -> None:
        for _ in range(CALLS):
            self._call(random_call(self._rng, self._names))

    def _call(self, call: Call) -> None:
        begun = time.monotonic()
        response = self._ask(self._rng.choice(self._replicas), call)
        is_read = call[0] in READS
        if response is None or response == "StoreUnavailableError":
            if not is_read:
                self.operations.append(Operation(call=call, begun=begun))
            return
        revision = _revision(response)
        if is_read:
            self.too_old += revision < self._seen
        self._seen = max(self._seen, revision)
        # What is read may be old, but only as old as its revision says, which `apply` returns.
        begun = -inf if is_read else begun
        self.operations.append(Operation(call=call, response=response, begun=begun, ended=time.monotonic()))

    def _ask(self, replica: Replica, call: Call) -> object:
        """Return the response, or None if the replica was killed before."""
        try:
            line = replica.ask(json.dumps({"call": call, "min_revision": self._seen}))
        except OSError:
            line = ""
        if not line.endswith("\n"):  # it was killed; the others live
            self._replicas.remove(replica)
        response = json.loads(line) if line.endswith("\n") else None
        return tuple(response) if isinstance(response, list) else response


def _revision(response: object) -> int:
    if isinstance(response, int):
        return response
    if not isinstance(response, tuple):
        return 0
    return int(response[2] if len(response) == 3 else response[0])


def fenced_revision(connection: psycopg.Connection[tuple[int]]) -> int:
    """Return the revision while no transaction is open: those of killed replicas are committed or rolled back."""
    with connection.transaction():
        row = connection.execute("SELECT revision FROM registry FOR UPDATE").fetchone()
    assert row is not None
    return row[0]


def violations(replicas: Replicas, url: str, histories: Iterable[int], *, kills: bool) -> tuple[int, int, int]:
    """Run histories; return the number that is not linearizable, of all calls, and of calls without a response."""
    found = calls = lost = 0
    with psycopg.connect(url, autocommit=True) as connection:
        for number in histories:
            rng = random.Random(number)
            initial = State(fenced_revision(connection))
            names = [f"h{number}-{letter}" for letter in "ab"]
            clients = [Client(replicas, names, random.Random(rng.random())) for _ in range(CLIENTS)]
            threads = [threading.Thread(target=client.run) for client in clients]
            for thread in threads:
                thread.start()
            if kills:
                time.sleep(rng.uniform(0, 0.15))
                place = rng.randrange(len(replicas.all))
                replicas.kill(place)
            for thread in threads:
                thread.join()
            if kills:
                replicas.all[place] = replicas.start()
            history = [operation for client in clients for operation in client.operations]
            calls += len(history)
            lost += sum(operation.response is None for operation in history)
            wrong = any(client.too_old for client in clients) or not linearizable(history, initial, apply)
            found += wrong
            if wrong:
                print(number, initial, *sorted(history, key=lambda operation: operation.ended), sep="\n")
    return found, calls, lost


@pytest.mark.parametrize("histories", [6, pytest.param(1_000, marks=pytest.mark.prove)])
def test_histories_are_linearizable(
    zygote: "subprocess.Popen[str]", migrated: Callable[[], str], histories: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url = migrated()
    with replicas_on(zygote, url, "right") as replicas:
        found, calls, lost = violations(replicas, url, range(histories), kills=True)
    with capsys.disabled():
        print(
            f"\n{histories} histories, {histories} kills, {calls} calls, {lost} without a response: {found} violations"
        )
    assert calls > 10 * histories
    assert found == 0


def test_a_planted_violation_is_found(zygote: "subprocess.Popen[str]", migrated: Callable[[], str]) -> None:
    url = migrated()
    with replicas_on(zygote, url, "planted") as replicas:
        # Each is another one.
        histories = (violations(replicas, url, [number], kills=False) for number in range(200))
        assert any(found for found, _, _ in histories)


def test_model_answers_for_missing_names() -> None:
    state = State(3)
    assert apply(state, ("predict", "net", "latest")) == (state, (3, NO_NETWORK))
    state, response = apply(state, ("register", "net", "1.0"))
    assert response == (1, True, 4)
    assert apply(state, ("predict", "net", "latest")) == (state, (4, "1.0"))
    assert apply(state, ("predict", "net", "stable")) == (state, (4, NO_ALIAS))
