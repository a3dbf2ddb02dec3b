from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from forwardpass_server.registry import Registry, SqlStore, Store
from forwardpass_server.registry.storage import schema
from forwardpass_server.registry.storage.tables import metadata
from forwardpass_server.registry.storage.tables import registry as revision_table

from tests.support.memory_folder import memory_folder
from tests.support.postgres import Cluster


@dataclass
class Place:
    """The database of a store, which can be opened more than once.

    Attributes:
        url: The database's URL.
    """

    url: str
    _open: ExitStack = field(default_factory=ExitStack)

    def open(self) -> Store:
        """Open the store, after closing it if it is open."""
        self.close()
        # On a busy machine a thread may hold a lock for seconds.
        return self._open.enter_context(SqlStore(self.url, lock_timeout=60))

    def close(self) -> None:
        self._open.close()


PLACES: dict[str, Callable[[pytest.FixtureRequest, Path], Place]] = {
    "sqlite": lambda _, folder: Place(f"sqlite:///{folder / 'registry.db'}"),
    "memory": lambda *_: Place("sqlite://"),
    "postgres": lambda request, _: Place(request.getfixturevalue("migrated")()),
}
"""Every kind of store; the tests run on each of them."""

FORGETFUL = {"memory"}
"""Stores that lose their networks when they are closed."""


class DatabasePool:
    """Pool of databases with empty tables: emptying one is faster than creating one."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._free: list[str] = []
        url = cluster.new_database()
        SqlStore(url).close()
        self._template = url.partition("?")[0].rpartition("/")[2]

    def take(self) -> str:
        """Return the URL of a database that no other test uses."""
        return self._free.pop() if self._free else self._cluster.new_database(self._template)

    def give_back(self, url: str) -> None:
        """Empty a database for the next test; a database that cannot be emptied is not used again."""
        name = url.partition("?")[0].rpartition("/")[2]
        statements = [
            f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables) if table is not revision_table
        ]
        statements += ["UPDATE registry SET revision = 0", f"UPDATE alembic_version SET version_num = '{schema.HEAD}'"]
        try:
            self._cluster.execute("; ".join(["SET lock_timeout = '5s'", *statements]), name)
        except psycopg.Error:
            return
        self._free.append(url)


@pytest.fixture(scope="session")
def database_pool(cluster: Cluster) -> DatabasePool:
    return DatabasePool(cluster)


@pytest.fixture
def migrated(database_pool: DatabasePool) -> Iterator[Callable[[], str]]:
    """Provide databases with empty tables; each call returns the URL of another one."""
    taken: list[str] = []

    def take() -> str:
        taken.append(database_pool.take())
        return taken[-1]

    yield take
    for url in taken:
        database_pool.give_back(url)


@pytest.fixture(params=sorted(PLACES.keys() - FORGETFUL))
def lasting_place(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    made = PLACES[request.param](request, folder)
    yield made
    made.close()


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    made = PLACES[request.param](request, folder)
    yield made
    made.close()


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry.open(store)


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder


@pytest.fixture
def database(folder: Path) -> Path:
    """The path of a SQLite database that does not exist yet."""
    return folder / "registry.db"
