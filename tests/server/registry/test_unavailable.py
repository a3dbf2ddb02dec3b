"""A database that cannot be written or read: typed errors, an unchanged snapshot, and recovery without a restart."""

import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from forwardpass.errors import StoreUnavailableError
from forwardpass_server.registry import NetworkChange, Registry, SqlStore
from forwardpass_server.registry.storage.store import AliasMoveRow, Notifications, Seed, StoredState, WriteResult

from tests.support.python_process import let_others_pass, run_python, start_python
from tests.support.sample_networks import tiny


@contextmanager
def pragma(store: SqlStore, trouble: str, relief: str) -> Iterator[None]:
    """Set a PRAGMA on the store's connection; a single thread always gets the same one from the pool."""
    with store.database._engine.connect().execution_options(read_only=True) as connection:
        [before] = connection.exec_driver_sql(f"PRAGMA {relief.partition('=')[0]}").one()
        connection.exec_driver_sql(f"PRAGMA {trouble}")
    yield
    with store.database._engine.connect().execution_options(read_only=True) as connection:
        connection.exec_driver_sql(f"PRAGMA {relief.format(before)}")


@contextmanager
def disk_full(store: SqlStore, _: Path) -> Iterator[None]:
    with pragma(store, "max_page_count=1", "max_page_count={}"):
        yield


@contextmanager
def read_only(store: SqlStore, _: Path) -> Iterator[None]:
    with pragma(store, "query_only=ON", "query_only=OFF"):
        yield


@contextmanager
def file_too_large(_: SqlStore, database: Path) -> Iterator[None]:
    """Limit the size of files; SQLite reports that as a failing disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (database.stat().st_size, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def locked(_: SqlStore, database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def moved(_: SqlStore, database: Path) -> Iterator[None]:
    elsewhere = database.rename(database.with_suffix(".moved"))
    yield
    elsewhere.rename(database)


@contextmanager
def no_tables(_: SqlStore, database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database)) as other:
        other.execute("ALTER TABLE aliases RENAME TO away")
    yield
    with closing(sqlite3.connect(database)) as other:
        other.execute("ALTER TABLE away RENAME TO aliases")


Trouble = Callable[[SqlStore, Path], AbstractContextManager[None]]
TROUBLES: dict[str, tuple[Trouble, str]] = {
    "disk full": (disk_full, "the disk is full"),
    "read-only": (read_only, "it is read-only"),
    "file too large": (file_too_large, "the disk fails"),
    "locked": (locked, "another process has it locked"),
    "moved": (moved, "its file was moved or deleted"),
    "no tables": (no_tables, "it failed"),
}


@pytest.mark.parametrize(("trouble", "cause"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_and_recovery(database: Path, trouble: Trouble, cause: str) -> None:
    large = tiny(2, description="word " * 1_900)
    with SqlStore(f"sqlite:///{database}", lock_timeout=0.05) as store:
        registry = Registry.open(store)
        registry.register("net", tiny(1))
        registry.register("other", tiny(1))
        changes: list[NetworkChange] = []
        registry.subscribe(changes.append)
        before, revision = registry.networks(), registry.revision
        with trouble(store, database):
            for _ in range(3):
                with pytest.raises(StoreUnavailableError, match=cause) as unavailable:
                    registry.register("net", large)
                assert unavailable.value.retry_after == 1.0
                assert unavailable.value.facts["cause"].startswith(cause)
                assert str(database) not in str(unavailable.value)
            if trouble not in {disk_full, file_too_large}:  # a deletion needs no more room
                for call in (
                    lambda: registry.delete_network("other"),
                    lambda: registry.rollout.set_alias("net", "stable", "1"),
                ):
                    with pytest.raises(StoreUnavailableError):
                        call()
            assert registry.networks() == before
            assert registry.revision == revision
            assert not changes
            assert registry.load_reference("net", "").version == 1
            assert not registry.register("net", tiny(1)).created, "existing content needs no database"
            assert registry.register("net", tiny(3), validate_only=True).version.number == 0
        done = registry.register("net", large)
        assert (done.version.number, done.created, done.revision) == (2, True, revision + 1)
        assert registry.read_spec("net", "") == large
        after = registry.networks()
    with SqlStore(f"sqlite:///{database}") as store:
        assert Registry.open(store).networks() == after


def test_a_database_that_cannot_be_compacted(database: Path) -> None:
    with SqlStore(f"sqlite:///{database}", lock_timeout=0.0) as store:
        with locked(store, database), pytest.raises(StoreUnavailableError, match="another process has it locked"):
            store.database.compact()
        store.database.compact()


@pytest.mark.prove  # `test_trouble_and_recovery` is its short form
def test_writes_that_fail_at_any_size(database: Path) -> None:
    """Limit the size of files, and raise the limit in small steps until a registration succeeds."""
    code = """if True:
        import logging, resource, signal, sqlite3, sys
        from forwardpass.errors import StoreUnavailableError
        from forwardpass_server.registry import Registry, SqlStore
        from tests.support.sample_networks import tiny
        logging.disable()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        spec = tiny(2, description="x" * 9_000, metadata={str(index): "y" * 9_000 for index in range(5)})
        refused = 0
        with SqlStore(f"sqlite:///{sys.argv[1]}") as store:
            registry = Registry.open(store)
            before = registry.networks()
            for limit in range(0, 10**6, 2048):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                try:
                    done = registry.register("net", spec)
                    break
                except StoreUnavailableError:
                    refused += 1
                    assert registry.networks() == before
                    assert registry.load_reference("article-linear", "")
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                connection = sqlite3.connect(sys.argv[1])
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert connection.execute("SELECT count(*) FROM versions").fetchone() == (3,)
                connection.close()
            assert registry.read_spec("net", "") == spec
            print(refused, done.version.number, done.created)
    """
    refused, *done = run_python(code, database).split()
    assert int(refused) > 30
    assert done == ["1", "True"]


def test_read_while_another_process_writes(database: Path) -> None:
    with SqlStore(f"sqlite:///{database}", lock_timeout=0.05) as store:
        registry = Registry.open(store)
        registry.load_reference("article-linear", "")
        with locked(store, database):
            with pytest.raises(StoreUnavailableError):
                registry.read_spec("article-linear", "")
            assert registry.load_reference("article-linear", "").version == 1
        assert registry.read_spec("article-linear", "") is not None


def test_wait_for_a_short_lock(database: Path) -> None:
    code = """if True:
        import sqlite3, sys, time
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        print("locked", flush=True)
        time.sleep(0.3)
        connection.execute("COMMIT")
        connection.close()
    """
    with SqlStore(f"sqlite:///{database}", lock_timeout=30) as store:
        registry = Registry.open(store)
        with start_python(code, database) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "locked\n"
            assert registry.register("net", tiny()).created
            other.communicate()


def test_read_only_file(database: Path) -> None:
    with SqlStore(f"sqlite:///{database}") as store:
        Registry.open(store).register("net", tiny(7))
    content = database.read_bytes()
    for path in (database, database.parent):
        path.chmod(path.stat().st_mode | 0o555)
    database.with_name(f"{database.name}.lock").chmod(0o666)
    code = """if True:
        import os, sys
        from forwardpass.errors import StoreUnavailableError
        from forwardpass_server.registry import Registry, SqlStore
        from tests.support.sample_networks import tiny
        if os.geteuid() == 0:  # who may do everything
            with SqlStore("sqlite://") as store:
                Registry.open(store).read_spec("article-linear", "")  # imports what root alone may read
            os.setuid(65534)
        with SqlStore(f"sqlite:///{sys.argv[1]}") as store:
            registry = Registry.open(store)
            try:
                registry.register("net", tiny(8))
            except StoreUnavailableError as error:
                print(error.facts["cause"], registry.load_reference("net", "").plan.layers[0].weights.tolist())
    """
    database.chmod(0o444)
    let_others_pass(database)
    assert run_python(code, database) == "it is read-only [[7.0]]\n"
    assert database.read_bytes() == content


class LosesConfirmations:
    """A store that commits and then, while `losing`, raises instead of confirming."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.losing = False
        self.shared = False

    def read_state(self, since: int = -1) -> StoredState:
        return self._store.read_state(since)

    def notifications(self) -> Notifications:
        return self._store.notifications()

    def seed(self, seeds: Sequence[Seed]) -> None:
        self._store.seed(seeds)

    def read_content(self, name: str, number: int) -> bytes | None:
        return self._store.read_content(name, number)

    def read_contents(self, versions: Sequence[tuple[str, int]]) -> list[bytes | None]:
        return self._store.read_contents(versions)

    def register(self, name: str, digest: str, content: bytes, *, keep_latest: bool) -> WriteResult:
        return self._lose(self._store.register(name, digest, content, keep_latest=keep_latest))

    def delete_network(self, name: str) -> int:
        revision = self._store.delete_network(name)
        if self.losing:
            raise StoreUnavailableError("lost")
        return revision

    def delete_version(self, name: str, number: int) -> WriteResult:
        return self._lose(self._store.delete_version(name, number))

    def set_in_service(self, name: str, *, in_service: bool) -> WriteResult:
        return self._lose(self._store.set_in_service(name, in_service=in_service))

    def set_alias(self, name: str, alias: str, number: int, *, expected: int | None = None) -> WriteResult:
        return self._lose(self._store.set_alias(name, alias, number, expected=expected))

    def rollback_alias(self, name: str, alias: str, *, expected: int | None = None) -> WriteResult:
        return self._lose(self._store.rollback_alias(name, alias, expected=expected))

    def list_alias_moves(self, name: str, alias: str) -> tuple[AliasMoveRow, ...]:
        return self._store.list_alias_moves(name, alias)

    def set_shadow(self, name: str, of: str, number: int, *, share: float, tolerance: float) -> WriteResult:
        return self._lose(self._store.set_shadow(name, of, number, share=share, tolerance=tolerance))

    def clear_shadow(self, name: str, of: str) -> WriteResult:
        return self._lose(self._store.clear_shadow(name, of))

    def set_profile(self, name: str, number: int, content: bytes, *, rows: int) -> WriteResult:
        return self._lose(self._store.set_profile(name, number, content, rows=rows))

    def read_profile(self, name: str, number: int) -> bytes | None:
        return self._store.read_profile(name, number)

    def delete_profile(self, name: str, number: int) -> WriteResult:
        return self._lose(self._store.delete_profile(name, number))

    def delete_alias(self, name: str, alias: str) -> WriteResult:
        return self._lose(self._store.delete_alias(name, alias))

    def close(self) -> None:
        self._store.close()

    def _lose(self, written: WriteResult) -> WriteResult:
        if self.losing:
            raise StoreUnavailableError("lost")
        return written


def test_lost_confirmations() -> None:
    with SqlStore("sqlite://") as inner:
        store = LosesConfirmations(inner)
        registry = Registry.open(store)
        registry.register("gone", tiny(1))
        registry.register("net", tiny(1))
        changes: list[NetworkChange] = []
        registry.subscribe(changes.append)
        store.losing = True
        for call in (
            lambda: registry.register("net", tiny(2)),
            lambda: registry.delete_network("gone"),
            lambda: registry.rollout.set_alias("net", "stable", "1"),
        ):
            with pytest.raises(StoreUnavailableError):
                call()
        store.losing = False
        # The retry finds the version, and so does every other writer.
        again = registry.register("net", tiny(2))
        assert (again.version.number, again.created) == (2, False)
        registry.register("other", tiny(1))
        stored = inner.read_state()
        assert registry.revision == stored.revision
        assert {network.name: dict(network.aliases) for network in registry.networks()} == {
            row.name: dict(row.aliases) for row in stored.networks
        }
        assert [change.name for change in changes if change.network is None] == ["gone"]
        revisions = [change.revision for change in changes]
        assert revisions == sorted(revisions)
        # The last change of each network is its final state.
        states = {change.name: change.network for change in changes}
        assert states["net"] == registry.network("net")
