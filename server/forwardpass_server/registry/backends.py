"""What differs between the databases that a store can be on."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from forwardpass_server.registry.postgres import Postgres
from forwardpass_server.registry.sqlite import Sqlite
from forwardpass_server.registry.store import Notifications, StoreOpenError


class Backend(Protocol):
    """One kind of database.

    Attributes:
        display_name: What to call the database in a sentence; without a password.
        engine: Makes its connections.
        reading: Execution options of a transaction that only reads, and sees one state of the whole database.
        shared: Whether other processes may write too.
    """

    display_name: str
    engine: Engine
    reading: Mapping[str, Any]
    shared: bool

    def prepare(self, connection: Connection) -> None:
        """Let no other process migrate until the end of the transaction."""

    def opened(self) -> None:
        """Do what is left to do when the schema is there."""

    def room(self, content: bytes) -> "ColumnElement[bytes] | bytes":
        """Return what to insert as a content before `fill`."""

    def fill(self, connection: Connection, name: str, number: int, content: bytes) -> None:
        """Write a content where there is room for it, in pieces if it is large."""

    def content(self, connection: Connection, name: str, number: int) -> bytes | None:
        """Read a version's content, in pieces if it is large; see `Store.content`."""

    def announce(self, connection: Connection) -> None:
        """Tell whoever follows that something may have changed, once this transaction is committed."""

    def hints(self) -> Notifications:
        """Return what tells of changes that others announced."""

    def reason(self, error: BaseException) -> str:
        """Say in a few words why the database cannot; the error's own text is for the log."""

    def may_pass(self, error: DBAPIError) -> bool:
        """Say whether a failure to open may end by itself."""

    def compact(self) -> None:
        """Give room that deleted contents had back to the disk."""

    def close(self) -> None:
        """Let go of files and connections."""


_BACKENDS: Final[Mapping[str, Callable[[URL, float], Backend]]] = {"sqlite": Sqlite, "postgresql": Postgres}
_FORMS: Final = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def backend_of(url: str, *, busy_seconds: float) -> Backend:
    """Make the backend of a database's URL; nothing is read or written yet.

    Args:
        url: SQLAlchemy's; never part of a message, since it may have a password.
        busy_seconds: How long to wait for a lock that another process has.

    Raises:
        StoreOpenError: The URL is of no known form, or another process has the file.
    """
    try:
        address = make_url(url)
        kind = address.get_backend_name()
    except (ArgumentError, ValueError):
        raise StoreOpenError(f"the database URL is not of the form {_FORMS}") from None
    if kind not in _BACKENDS:
        raise StoreOpenError(f"a database of the kind {kind!r} is not supported; use {_FORMS}")
    return _BACKENDS[kind](address, busy_seconds)
