"""Behaviour of a database that several servers share."""

import logging
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import psycopg
import pytest
from forwardpass.errors import NetworkCorruptError, NetworkNotFoundError, StoreUnavailableError
from forwardpass_server.registry import NetworkChange, Registry, SqlStore, StoreOpenError
from forwardpass_server.registry.storage import schema
from forwardpass_server.registry.storage.tables import metadata
from sqlalchemy import text

from tests.support.postgres import Cluster
from tests.support.python_process import run_python, start_python
from tests.support.sample_networks import BUILTINS, tiny
from tests.support.server_process import wait_until


@pytest.fixture
def url(migrated: Callable[[], str]) -> str:
    """The URL of a database with empty tables."""
    return migrated()


@pytest.fixture(scope="module")
def mortal() -> Iterator[Cluster]:
    """A cluster that tests may stop if they start it again."""
    with Cluster() as cluster:
        yield cluster


@contextmanager
def opened(url: str, *, follow: bool = False) -> Iterator[Registry]:
    """Open a registry as a server does."""
    with SqlStore(url, lock_timeout=0.3) as store:
        registry = Registry.open(store)
        if follow:
            registry.follow(poll_seconds=0.05)
        try:
            yield registry
        finally:
            registry.close()


@pytest.mark.parametrize("servers", [2, pytest.param(6, marks=pytest.mark.prove)])
def test_servers_open_an_empty_database_at_once(cluster: Cluster, servers: int) -> None:
    code = """if True:
        import sys
        from forwardpass_server.registry import Registry, SqlStore
        import alembic.command, psycopg
        print("ready", flush=True)
        sys.stdin.readline()
        with SqlStore(sys.argv[1]) as store:
            print(*sorted(network.name for network in Registry.open(store).networks()))
    """
    url = cluster.new_database()
    with ExitStack() as stack:
        processes = [stack.enter_context(start_python(code, url, stdin=subprocess.PIPE)) for _ in range(servers)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            assert out.split() == [*BUILTINS]
    with SqlStore(url) as store:
        stored = store.read_state()
        assert stored.revision == len(BUILTINS), "each was added once"
        assert [len(row.versions) for row in stored.networks] == [1] * len(BUILTINS)


def test_migrations_create_the_tables(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with SqlStore(url) as store, store.database._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == schema.HEAD
        storage = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'versions'::regclass AND attname = 'content'"
        assert connection.execute(text(storage)).scalar_one() == "e", "pieces can be read one by one"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql+asyncpg://user:secret@host/db", "'postgresql+asyncpg' is not supported"),
        ("postgresql://user:secret@127.0.0.1:{port}/db", "db at 127.0.0.1:{port} cannot be used: it cannot be reached"),
        ("postgresql://user:secret@[::1/db", "is not of the form"),
    ],
)
def test_rejected_urls(address: str, words: str) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(StoreOpenError) as refused:
            SqlStore(address.format(port=port), connect_timeout=0.2)
    sentence = str(refused.value)
    assert words.format(port=port) in sentence
    assert "\n" not in sentence
    assert "secret" not in sentence


@pytest.mark.prove  # starts processes
def test_without_the_driver() -> None:
    code = """if True:
        import sys
        from forwardpass_server.registry import SqlStore, StoreOpenError
        sys.modules["psycopg"] = None
        import importlib.util
        importlib.util.find_spec = lambda name: None
        import forwardpass_server.registry.storage.postgres as postgres
        postgres.find_spec = importlib.util.find_spec
        try:
            SqlStore("postgresql://user:secret@host/db")
        except StoreOpenError as error:
            print(error)
    """
    assert run_python(code).endswith("pip install 'forwardpass[postgres]'\n")


def test_database_starts_later(mortal: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    url = mortal.new_database()
    mortal.stop()

    def start_when_missed() -> None:
        wait_until(lambda: "trying again" in caplog.text)
        mortal.start()

    late = threading.Thread(target=start_when_missed)
    late.start()
    with SqlStore(url, connect_timeout=60) as store:
        assert len(Registry.open(store).networks()) == len(BUILTINS)
    late.join()


def test_newer_schema_is_rejected(url: str) -> None:
    with SqlStore(url) as store, store.database._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreOpenError, match="newer version"):
        SqlStore(url)


def test_warning_for_settings_that_lose_writes(url: str, caplog: pytest.LogCaptureFixture) -> None:
    SqlStore(url).close()
    assert "fsync = off" in caplog.text, "the setting of the tests' cluster"


def test_changes_reach_other_registries(url: str) -> None:
    with opened(url) as one, opened(url, follow=True) as other:
        changes: list[NetworkChange] = []
        other.subscribe(changes.append)
        one.register("net", tiny(1))
        one.register("net", tiny(2))
        one.rollout.set_alias("net", "stable", "1")
        one.set_in_service("net", in_service=False)
        revision = one.delete_network("article-linear")
        wait_until(lambda: other.revision == revision)
        assert other.networks() == one.networks()
        assert {change.name for change in changes} == {"net", "article-linear"}
        assert [change.revision for change in changes] == sorted(change.revision for change in changes)
        one.set_in_service("net", in_service=True)
        wait_until(lambda: other.revision == one.revision)
        assert other.read_spec("net", "stable") == tiny(1)
        # A version that did not change stays the same object, with its loaded plan.
        assert other.version("net", "1") is other.version("net", "stable")
        before = other.version("net", "1").runtime
        one.rollout.set_alias("net", "canary", "2")
        wait_until(lambda: other.revision == one.revision)
        assert other.version("net", "1").runtime is before


def test_writers_with_outdated_snapshots(url: str) -> None:
    with opened(url) as one, opened(url) as other:
        one.register("net", tiny(1))
        found = other.register("net", tiny(1))
        assert (found.version.number, found.created) == (1, False)
        assert other.register("net", tiny(2)).version.number == 2
        assert one.register("net", tiny(3)).version.number == 3
        assert one.network("net").aliases == {"latest": 3}
        other.rollout.set_alias("net", "stable", "3")
        one.delete_network("net")
        # Its snapshot still has the version; it must not report the deleted version as registered.
        again = other.register("net", tiny(3))
        assert (again.version.number, again.created) == (4, True)
        with pytest.raises(NetworkNotFoundError):
            one.delete_network("nothing")
        assert one.revision == other.revision == again.revision


def test_repair_reaches_other_registries(url: str) -> None:
    with opened(url) as one, opened(url, follow=True) as other:
        one.register("net", tiny(1))
        wait_until(lambda: other.revision == one.revision)
        with SqlStore(url) as store, store.database._engine.begin() as connection:
            connection.execute(text("UPDATE versions SET content = 'x' WHERE name = 'net'"))
        with pytest.raises(NetworkCorruptError):
            other.load_reference("net", "")
        assert other.is_damaged(other.version("net", ""))
        with opened(url) as third:
            assert not third.register("net", tiny(1)).created
            wait_until(lambda: other.revision == third.revision)
        assert not other.is_damaged(other.version("net", ""))
        assert other.load_reference("net", "").version == 1


@contextmanager
def locked(url: str) -> Iterator[None]:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT * FROM registry FOR UPDATE")
        yield


@contextmanager
def no_tables(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE aliases RENAME TO away")
        yield
        connection.execute("ALTER TABLE away RENAME TO aliases")


Trouble = Callable[[str], AbstractContextManager[None]]
TROUBLES: dict[str, tuple[Trouble, str]] = {
    "locked": (locked, "other servers are writing"),
    "no tables": (no_tables, "its tables do not exist"),
}


@pytest.mark.parametrize(("trouble", "cause"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_and_recovery(url: str, trouble: Trouble, cause: str) -> None:
    with opened(url) as registry:
        registry.register("net", tiny(1))
        before = registry.snapshot
        with trouble(url):
            with pytest.raises(StoreUnavailableError, match=cause) as unavailable:
                registry.register("net", tiny(2))
            assert unavailable.value.retry_after == 1.0
            assert registry.snapshot is before
            assert registry.load_reference("net", "").version == 1
        assert registry.register("net", tiny(2)).version.number == 2


def test_database_stops_and_starts_again(mortal: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with opened(mortal.new_database(), follow=True) as one:
        one.register("net", tiny(1))
        changes: list[NetworkChange] = []
        one.subscribe(changes.append)
        assert one.database_reachable
        mortal.kill()
        with pytest.raises(StoreUnavailableError, match=r"cannot be reached|was lost|starting or stopping"):
            one.register("net", tiny(2))
        assert one.load_reference("net", "").version == 1, "from memory"
        wait_until(lambda: len(changes) == 1)
        assert "degraded" in caplog.text
        assert not one.database_reachable
        mortal.start()
        wait_until(lambda: len(changes) == 2)
        assert "is back after" in caplog.text
        assert one.database_reachable
        assert {change.name for change in changes} == {""}
        assert one.register("net", tiny(2)).version.number == 2
