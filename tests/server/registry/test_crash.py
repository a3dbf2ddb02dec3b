"""kill -9 at any moment: what was acknowledged is there, and nothing is torn."""

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from forwardpass import spec
from forwardpass.errors import NetworkCorruptError
from forwardpass_server.registry import Registry, SqlStore

from tests.support.python_process import start_python
from tests.support.sample_networks import tiny

WRITER = """if True:
    import sys, time
    from forwardpass_server.registry import Registry, SqlStore
    from tests.support.sample_networks import tiny

    def say(*words):
        print(*words, flush=True)

    store = SqlStore(f"sqlite:///{sys.argv[1]}")
    registry = Registry.open(store, max_versions=10**6)
    while True:
        # Some pages long, so that there is much to tear.
        spec = tiny(time.time_ns() / 1e9, description="x" * 9_000, metadata={str(i): "y" * 9_000 for i in range(5)})
        version = registry.register("net", spec).version
        say("registered", version.number, version.digest)
        if version.number % 3 == 0:
            registry.set_alias("net", "stable", str(version.number))
            say("aliased", version.number)
        elif version.number % 3 == 2 and version.number > 3:
            say("deleting", version.number)
            registry.delete_version("net", version.number)
            say("deleted", version.number)
"""


def run_and_kill(database: Path, seconds: float) -> list[list[str]]:
    """Let a process write for a while after its first word; kill it, return the words that it got out."""
    with start_python(WRITER, database) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        words = [line.split() for line in [first, *process.stdout] if line.endswith("\n")]
        assert not process.stderr.read()
    return words


def computes(registry: Registry, number: int) -> bool:
    try:
        return registry.load_reference("net", str(number)) is not None
    except NetworkCorruptError:
        return False


@pytest.mark.parametrize(
    "cycles", [pytest.param(10, id="quick"), pytest.param(200, id="long", marks=pytest.mark.prove)]
)
def test_killed_at_any_moment(database: Path, cycles: int) -> None:
    moments = random.Random(42)
    registered: dict[int, str] = {}
    deleted: set[int] = set()
    attempted: set[int] = set()
    stable = lost = torn = hot = 0
    for _ in range(cycles):
        for what, number, *digest in run_and_kill(database, moments.uniform(0, 0.1)):
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
            torn += sum(registry.summary(version) is None for version in network.versions.values())
            torn += sum(not computes(registry, number) for number in network.versions)
            lost += len(deleted & network.versions.keys())
            assert network.aliases.get("stable", 0) in {stable, *range(stable, max(network.versions) + 1)}
            last = max(network.versions)
            assert spec.digest(registry.spec("net", str(last))) == network.versions[last].digest
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    print(f"{cycles} kills, {hot} in the middle of a write, {len(registered)} acknowledged: lost {lost}, torn {torn}")
    assert (lost, torn) == (0, 0)
    with SqlStore(f"sqlite:///{database}") as store:
        done = Registry.open(store, max_versions=10**6).register("net", tiny())
        assert done.version.number > max(registered)
