"""SIGKILL at any moment: every acknowledged write is kept, and nothing is torn."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from forwardpass import spec
from forwardpass.errors import NetworkCorruptError
from forwardpass_server.registry import Registry, SqlStore

from tests.support.python_process import start_python
from tests.support.sample_networks import tiny
from tests.support.server_process import wait_until


@pytest.fixture(scope="module")
def writers() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks writers; see `tests.support.registry_writer`."""
    code = "from tests.support.registry_writer import main; main()"
    with start_python(code, stdin=subprocess.PIPE) as process:
        yield process
        _, error = process.communicate(timeout=60)
        assert not error


def run_and_kill(writers: "subprocess.Popen[str]", database: Path, seconds: float) -> list[list[str]]:
    """Let a process write for a while after its first line; kill it and return its lines as words."""
    output = database.with_name("output")
    output.write_text("")
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write(json.dumps([str(database), str(output)]) + "\n")
    writers.stdin.flush()
    pid = int(writers.stdout.readline())
    wait_until(lambda: output.read_text().endswith("\n"))
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid))
    return [line.split() for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def computes(registry: Registry, number: int) -> bool:
    try:
        return registry.load_reference("net", str(number)) is not None
    except NetworkCorruptError:
        return False


@pytest.mark.parametrize("cycles", [pytest.param(5, id="quick"), pytest.param(200, id="long", marks=pytest.mark.prove)])
def test_killed_at_any_moment(writers: "subprocess.Popen[str]", database: Path, cycles: int) -> None:
    moments = random.Random(42)
    registered: dict[int, str] = {}
    deleted: set[int] = set()
    attempted: set[int] = set()
    stable = lost = torn = hot = 0
    for _ in range(cycles):
        for what, number, *digest in run_and_kill(writers, database, moments.uniform(0, 0.1)):
            if what == "registered":
                assert int(number) > max(registered, default=0), "no number is given twice"
                registered[int(number)] = digest[0]
            elif what == "aliased":
                stable = int(number)
            else:
                (deleted if what == "deleted" else attempted).add(int(number))
        hot += database.with_name(f"{database.name}-journal").exists()
        with SqlStore(f"sqlite:///{database}") as store:
            registry = Registry.open(store)
            network = registry.network("net")
            for kept, known in registered.items():
                version = network.versions.get(kept)
                lost += version is None and kept not in attempted
                torn += version is not None and version.digest != known
            torn += sum(registry.read_summary(version) is None for version in network.versions.values())
            torn += sum(not computes(registry, number) for number in network.versions)
            lost += len(deleted & network.versions.keys())
            assert network.aliases.get("stable", 0) in {stable, *range(stable, max(network.versions) + 1)}
            last = max(network.versions)
            assert spec.digest(registry.read_spec("net", str(last))) == network.versions[last].digest
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    print(f"{cycles} kills, {hot} in the middle of a write, {len(registered)} acknowledged: lost {lost}, torn {torn}")
    assert (lost, torn) == (0, 0)
    with SqlStore(f"sqlite:///{database}") as store:
        done = Registry.open(store, max_versions=10**6).register("net", tiny())
        assert done.version.number > max(registered)
