from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forwardpass_server.registry import Registry, SqlStore, Store


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


PLACES: dict[str, Callable[[Path], Place]] = {
    "sqlite": lambda folder: Place(f"sqlite:///{folder / 'registry.db'}"),
    "memory": lambda _: Place("sqlite://"),
}
"""Every kind of store; the whole suite runs over each."""

FORGETFUL = {"memory"}
"""Those that begin anew when they are opened again."""


@pytest.fixture(params=PLACES.keys() - FORGETFUL)
def lasting_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = PLACES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = PLACES[request.param](tmp_path)
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
