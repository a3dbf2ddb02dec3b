from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from forwardpass_server.registry import Registry, SqlStore, Store

from tests.support.postgres import Cluster


@dataclass
class Place:
    """Where a store keeps its networks, to open it more than once.

    Attributes:
        url: The database's URL.
    """

    url: str
    _open: ExitStack = field(default_factory=ExitStack)

    def open(self) -> Store:
        """Open the store, after closing it if it is open."""
        self.close()
        return self._open.enter_context(SqlStore(self.url))

    def close(self) -> None:
        self._open.close()


PLACES: dict[str, Callable[[pytest.FixtureRequest, Path], Place]] = {
    "sqlite": lambda _, folder: Place(f"sqlite:///{folder / 'registry.db'}"),
    "memory": lambda *_: Place("sqlite://"),
    "postgres": lambda request, _: Place(request.getfixturevalue("migrated")()),
}
"""Every kind of store; the whole suite runs over each."""

FORGETFUL = {"memory"}
"""Those that begin anew when they are opened again."""


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> Callable[[], str]:
    """Make databases in which the tables are there and empty; each call returns the URL of another."""
    url = cluster.new_database()
    SqlStore(url).close()
    return partial(cluster.new_database, template=url.partition("?")[0].rpartition("/")[2])


@pytest.fixture(params=sorted(PLACES.keys() - FORGETFUL))
def lasting_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = PLACES[request.param](request, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = PLACES[request.param](request, tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry.open(store)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a SQLite database that is not there yet."""
    return tmp_path / "registry.db"
