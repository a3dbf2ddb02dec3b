"""Power that fails at any moment, simulated from recorded calls: what was acknowledged is there, nothing is torn."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forwardpass_server.registry import Registry, SqlStore

from tests.support.faults.power_loss import Disk, write_files
from tests.support.faults.registry_calls import make_database, read_state
from tests.support.faults.shim import Call, Faults, Record, environment, read_records
from tests.support.memory_folder import memory_folder
from tests.support.python_process import start_python
from tests.support.server_process import wait_until

WRITE = "import sys; from tests.support.registry_writer import write; write(sys.argv[1], sys.argv[3])"
BACK_UP = """
import sys
from pathlib import Path
from forwardpass_server.registry import back_up
back_up(f"sqlite:///{sys.argv[1]}", Path(sys.argv[2]))
Path(sys.argv[3]).write_text("done\\n")
"""
LINES = 120
CUTS = 600


@pytest.fixture
def watched(folder: Path) -> Path:
    watched = folder / "watched"
    watched.mkdir()
    return watched


@pytest.fixture
def record(folder: Path, watched: Path) -> Callable[[str, Path, Path], list[Record]]:
    """Run a process that acknowledges by lines of `watched/output`; return its calls."""

    def record(code: str, first: Path, second: Path) -> list[Record]:
        Faults(folder / "control")
        variables = environment(folder / "control", folder=watched, record=folder / "records")
        output = watched / "output"
        with start_python(code, first, second, output, environment=variables) as process:
            try:
                wait_until(
                    lambda: process.poll() is not None or (output.exists() and output.read_text().count("\n") > LINES)
                )
            finally:
                process.kill()
            _, error = process.communicate()
        assert not error
        return [*read_records(folder / "records")]

    return record


def cuts(records: list[Record], count: int, rng: random.Random) -> Iterator[tuple[Disk, list[str]]]:
    """Yield the disk and the acknowledged lines at moments, most of them before or after something was synchronized."""
    syncs = [at for at, each in enumerate(records) if each.call is Call.SYNC]
    near = [near for at in syncs for near in (at, at + 1)]
    chosen = {*rng.choices(near, k=count * 2 // 3), *rng.choices(range(len(records) + 1), k=count // 3)}
    disk = Disk()
    output = ""
    for at, each in enumerate([*records, None]):
        if at in chosen:
            lines = disk.content(output).decode().splitlines(keepends=True) if output else []
            yield disk, [line for line in lines if line.endswith("\n")]
        if each is not None:
            disk.apply(each)
            output = each.path if each.path.endswith("/output") else output


def check_writes(database: Path, lines: list[str]) -> tuple[int, int]:
    """Open a registry after a power loss; return how many acknowledged changes are lost, and how many are torn."""
    registered: dict[int, str] = {}
    deleted: set[int] = set()
    attempted: set[int] = set()
    stable = 0
    for what, number, *digest in map(str.split, lines):
        if what == "registered":
            registered[int(number)] = digest[0]
        elif what == "aliased":
            stable = int(number)
        else:
            (deleted if what == "deleted" else attempted).add(int(number))
    with SqlStore(f"sqlite:///{database}") as store:
        network = Registry.open(store).snapshot.networks.get("net")
    versions = network.versions if network else {}
    aliases = network.aliases if network else {}
    lost = sum(number not in versions and number not in attempted for number in registered)
    lost += len(deleted & versions.keys())
    lost += not stable <= aliases.get("stable", 0) <= max(versions, default=0)
    torn = sum(number in versions and versions[number].digest != digest for number, digest in registered.items())
    read_state(database)
    return lost, torn


@pytest.mark.prove
def test_power_fails_during_writes(record: Callable[..., list[Record]], watched: Path) -> None:
    rng = random.Random(7)
    records = record(WRITE, watched / "registry.db", watched / "unused")
    tried = acknowledged = lost = torn = journals = 0
    for disk, lines in cuts(records, CUTS, rng):
        with memory_folder() as folder:
            files = disk.after_power_loss(rng)
            write_files(files, watched, folder)
            journals += any(name.endswith("-journal") for name in files)
            found = check_writes(folder / "registry.db", lines)
        tried, acknowledged = tried + 1, acknowledged + len(lines)
        lost, torn = lost + found[0], torn + found[1]
    syncs = sum(each.call is Call.SYNC for each in records)
    print(
        f"{tried} power losses among {len(records)} calls with {syncs} fsyncs, {journals} in the middle of a write, "
        f"{acknowledged} acknowledged: lost {lost}, torn {torn}"
    )
    assert (lost, torn) == (0, 0)
    assert journals > tried / 20


@pytest.mark.prove
def test_power_fails_during_a_backup(record: Callable[..., list[Record]], folder: Path, watched: Path) -> None:
    rng = random.Random(8)
    make_database(folder / "registry.db")
    state = read_state(folder / "registry.db")
    tried = present = 0
    for disk, lines in cuts(record(BACK_UP, folder / "registry.db", watched / "backup"), CUTS // 4, rng):
        with memory_folder() as empty:
            write_files(disk.after_power_loss(rng), watched, empty)
            exists = (empty / "backup").exists()
            assert exists or not lines, "an acknowledged backup is there"
            assert not exists or read_state(empty / "backup") == state, "a backup is whole"
        tried, present = tried + 1, present + exists
    print(f"{tried} power losses during a backup: {present} times it was there, whole each time")
    assert 0 < present < tried


@pytest.mark.prove
def test_a_journal_that_is_not_synchronized_is_found(record: Callable[..., list[Record]], watched: Path) -> None:
    """A control: without the fsyncs, the same power losses do lose or tear writes."""
    rng = random.Random(9)
    records = record(WRITE, watched / "registry.db", watched / "unused")
    syncs = [at for at, each in enumerate(records) if each.call is Call.SYNC]
    start = syncs[len(syncs) // 3]  # the tables are there
    careless = [each for at, each in enumerate(records) if at < start or each.call is not Call.SYNC]
    bad = 0
    for disk, lines in cuts(careless, CUTS // 8, rng):
        with memory_folder() as folder:
            write_files(disk.after_power_loss(rng), watched, folder)
            try:
                bad += sum(check_writes(folder / "registry.db", lines)) > 0
            except Exception:  # noqa: BLE001 - whatever it finds
                bad += 1
    assert bad > 10
