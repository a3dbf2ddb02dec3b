"""Every operation of a registry in a SQLite file, with an error at each of its system calls in turn.

It runs in a process with the library of `shim.c`, which watches the folder of the databases.
"""

import errno
import json
import os
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final

from forwardpass.errors import NetworkCorruptError, StoreUnavailableError
from forwardpass_server import cli
from forwardpass_server.registry import Registry, SqlStore, StoreOpenError
from forwardpass_server.registry.storage.store import digest_of

from tests.support.faults.shim import Call, Faults
from tests.support.profile_messages import profile_message
from tests.support.sample_networks import tiny

_MAKES_ROOM: Final = Call.OPEN | Call.WRITE | Call.TRUNCATE
_RESTARTS: Final = Call.OPEN | Call.READ | Call.WRITE | Call.SYNC | Call.TRUNCATE
_ANY: Final = _RESTARTS | Call.RENAME | Call.UNLINK


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """An error, the calls that it strikes, and whether it lasts."""

    calls: Call
    error: int
    lasting: bool = False


TROUBLES: Final[Mapping[str, Trouble]] = {
    "ENOSPC from then on": Trouble(calls=_MAKES_ROOM, error=errno.ENOSPC, lasting=True),
    "EIO": Trouble(calls=_ANY, error=errno.EIO),
    "EIO from then on": Trouble(calls=_ANY, error=errno.EIO, lasting=True),
    "EINTR": Trouble(calls=_RESTARTS, error=errno.EINTR),
    "EMFILE": Trouble(calls=Call.OPEN, error=errno.EMFILE),
    "half a write, then none": Trouble(calls=Call.WRITE, error=0, lasting=True),
}

_PROBE: Final = "probe"
"""The alias that every run sets at last, to see that the registry can still be written."""

_LONG: Final = {"description": "x" * 9_000, "metadata": {str(index): "y" * 9_000 for index in range(5)}}
"""Some pages of text."""

_MIGRATING: Final = {"create", "migrate", "move", "restore"}
"""Operations that make all tables, which takes long: only some troubles strike them."""

WRITES: Final[Mapping[str, Callable[[Registry], object]]] = {
    "register a version": lambda registry: registry.register("net", tiny(9, **_LONG)),
    "register a network": lambda registry: registry.register("new", tiny(9)),
    "set an alias": lambda registry: registry.rollout.set_alias("net", "stable", "3"),
    "roll back": lambda registry: registry.rollout.rollback_alias("net", "stable"),
    "delete an alias": lambda registry: registry.rollout.delete_alias("net", "stable"),
    "delete a version": lambda registry: registry.delete_version("net", 3),
    "delete a network": lambda registry: registry.delete_network("net"),
    "set a shadow": lambda registry: registry.rollout.set_shadow("net", "stable", "3", share=1.0),
    "clear a shadow": lambda registry: registry.rollout.clear_shadow("net", "latest"),
    "set a profile": lambda registry: registry.profiles.set("net", "3", profile_message(registry, "net", 3, 10)),
    "take out of service": lambda registry: registry.set_in_service("net", in_service=False),
    "load a version": lambda registry: registry.load_reference("net", "1"),
}
"""What a server does with its registry; the name of each in the figures."""

COMMANDS: Final[Mapping[str, Callable[[Path], list[str]]]] = {
    "migrate": lambda folder: ["migrate", "--database", _url(folder / "new.db")],
    "check": lambda folder: ["check", "--database", _url(folder / "registry.db")],
    "gc": lambda folder: ["gc", "--keep", "1", "--database", _url(folder / "registry.db")],
    "backup": lambda folder: ["backup", "--database", _url(folder / "registry.db"), str(folder / "backup")],
    "move": lambda folder: ["move", "--database", _url(folder / "registry.db"), "--to", _url(folder / "new.db")],
    "restore": lambda folder: ["restore", "--database", _url(folder / "new.db"), str(folder / "registry.db")],
}
"""The commands of `forwardpass-server` on a database, by the folder of their files."""

State = dict[str, Any]


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def make_database(path: Path) -> None:
    """Make a database in which every operation has something to do."""
    with SqlStore(_url(path)) as store:
        registry = Registry.open(store)
        for weight in (1, 2, 3, 4):
            registry.register("net", tiny(weight, **_LONG))
        registry.register("other", tiny(1))
        for number in ("1", "2"):
            registry.rollout.set_alias("net", "stable", number)
        registry.rollout.set_shadow("net", "latest", "1", share=1.0)
        registry.profiles.set("net", "2", profile_message(registry, "net", 2, 10))


def read_state(path: Path) -> State:
    """Read all of a database but its times, and compare every digest; a database that is absent or new has no tables.

    Not by the registry's code: opening a store takes most of the time of a run.
    """
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        state: State = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for (table,) in tables}
        assert [*map(tuple, connection.execute("PRAGMA integrity_check"))] == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    for table in ("versions", "profiles"):
        assert all(digest_of(row["content"]) == row["digest"] for row in state.get(table, ())), "a content is torn"
    return {table: sorted(filter(None, map(_comparable, rows))) for table, rows in state.items()}


def _comparable(row: sqlite3.Row) -> tuple[str, ...]:
    """Return the cells of a row as texts, without times, revisions, and what `_PROBE` changes."""
    cells = {name: row[name] for name in row.keys() if not name.endswith("_us") and name != "revision"}  # noqa: SIM118 - a row's items are its cells
    return () if _PROBE in cells.values() else tuple(map(repr, cells.values()))


@dataclass(kw_only=True, slots=True)
class Figures:
    """Counts of one operation: runs with a fault, errors that callers got, and changes made in spite of one."""

    runs: int = 0
    errors: int = 0
    applied: int = 0


def try_write(folder: Path, faults: Faults, name: str, trouble: Trouble, figures: Figures) -> None:
    """Let each call of a write fail; the registry is used further, closed, and opened again."""
    template, database = folder / "template.db", folder / "registry.db"
    before = read_state(template)
    shutil.copyfile(template, database)
    with SqlStore(_url(database)) as store:
        WRITES[name](Registry.open(store))
    after = read_state(database)
    number = 0
    while True:
        number += 1
        shutil.copyfile(template, database)
        with SqlStore(_url(database), lock_timeout=0.1) as store:
            registry = Registry.open(store)
            known = registry.networks()
            faults.arm(number, trouble.calls, trouble.error, lasting=trouble.lasting)
            failed = False
            try:
                WRITES[name](registry)
            except StoreUnavailableError as error:
                assert str(database) not in str(error)
                assert registry.networks() == known, "the snapshot stays as it is"
                failed = True
            except NetworkCorruptError:
                assert trouble.lasting, "an error that passes is no damage"
                failed = True
            finally:
                faults.disarm()
            registry.rollout.set_alias("other", _PROBE, "1")
            in_memory = registry.networks()
        state = read_state(database)
        assert state == after or (failed and state == before), (name, trouble, number)
        with SqlStore(_url(database)) as store:
            assert Registry.open(store).networks() == in_memory, "what is in memory is what is stored"
        if not faults.failed:
            return
        figures.runs += 1
        figures.errors += failed
        figures.applied += failed and before != state


def try_open(folder: Path, faults: Faults, name: str, trouble: Trouble, figures: Figures) -> None:
    """Let each call fail that opens a registry, which is there or is new."""
    template, database = folder / "template.db", folder / "registry.db"
    number = 0
    while True:
        number += 1
        for left in folder.glob("registry.db*"):
            left.unlink()
        if name == "open":
            shutil.copyfile(template, database)
        before = read_state(database)
        faults.arm(number, trouble.calls, trouble.error, lasting=trouble.lasting)
        failed = False
        try:
            with SqlStore(_url(database), lock_timeout=0.1) as store:
                Registry.open(store)
        except StoreOpenError:
            failed = True
        finally:
            faults.disarm()
        if before:
            assert read_state(database) == before
        with SqlStore(_url(database)) as store:
            Registry.open(store).register("net", tiny(5))
        if not faults.failed:
            return
        figures.runs += 1
        figures.errors += failed


def try_command(folder: Path, faults: Faults, name: str, trouble: Trouble, figures: Figures) -> None:
    """Let each call of a command fail: it succeeds or ends with a sentence, and its target is whole or as it was."""
    template, database = folder / "template.db", folder / "registry.db"
    before = read_state(template)
    number = 0
    while True:
        number += 1
        for left in (*folder.glob("*registry.db*"), *folder.glob("*new.db*"), *folder.glob("*backup*")):
            left.unlink()
        shutil.copyfile(template, database)
        out, err = StringIO(), StringIO()
        faults.arm(number, trouble.calls, trouble.error, lasting=trouble.lasting)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                cli.main(COMMANDS[name](folder))
        except SystemExit as end:
            code = end.code
        finally:
            faults.disarm()
        said = [line for line in err.getvalue().splitlines() if not line.startswith("{")]
        assert code in {0, 1, 2}, (code, said)
        # Code 1 says on stdout what is damaged.
        assert len(said) == (code == 2), (name, trouble, number, code, said, out.getvalue())
        _check_command(folder, name, before, succeeded=code == 0)
        if not faults.failed:
            assert code == 0, said
            return
        figures.runs += 1
        figures.errors += code != 0


def _check_command(folder: Path, name: str, before: State, *, succeeded: bool) -> None:
    """Compare the files of a command with what it promises."""
    source = read_state(folder / "registry.db")
    if name == "gc":
        assert source["aliases"] == before["aliases"]
        return
    assert source == before, "the source is not changed"
    target = {"backup": "backup", "move": "new.db", "restore": "new.db"}.get(name)
    if target is not None:
        copied = read_state(folder / target)
        assert copied == before or (not succeeded and not copied.get("versions"))


def main() -> None:
    """Try the operations named on the command line, in a folder, and print their figures as JSON."""
    folder = Path(os.environ["FAULTS_FOLDER"])
    faults = Faults.of_this_process()
    make_database(folder / "template.db")
    totals: Counter[str] = Counter()
    for name in sys.argv[1:]:
        attempt = try_write if name in WRITES else try_command if name in COMMANDS else try_open
        for title, trouble in TROUBLES.items():
            if name in _MIGRATING and title not in {"ENOSPC from then on", "EIO"}:
                continue
            figures = Figures()
            try:
                attempt(folder, faults, name, trouble, figures)
            except BaseException as error:
                faults.disarm()
                error.add_note(f"{name}, {title}, call {figures.runs + 1}")
                raise
            totals.update(runs=figures.runs, errors=figures.errors, applied=figures.applied)
    print(json.dumps(totals))
