from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.postgres import Cluster


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """The database of a server of several processes.

    Attributes:
        display_name: For the figures of a proof.
        flags: The server's flags for it.
        cycles: How often a proof kills or restarts something.
        histories: How many histories a proof makes.
    """

    display_name: str
    flags: tuple[str, ...] = ()
    cycles: int
    histories: int


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    if request.param == "sqlite":
        return Database(display_name="SQLite", cycles=50, histories=100)
    cluster: Cluster = request.getfixturevalue("cluster")
    # A server whose database is busy at its start waits for it.
    flags = ("--database", cluster.new_database(), "--database-connect-timeout", "60")
    return Database(display_name="PostgreSQL", flags=flags, cycles=10, histories=30)
