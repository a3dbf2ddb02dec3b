"""The port to a kind of database, and the choice of its implementation by URL."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from forwardpass_server.registry.storage.postgres import Postgres
from forwardpass_server.registry.storage.sqlite import Sqlite
from forwardpass_server.registry.storage.store import Notifications, StoreOpenError


class Backend(Protocol):
    """One kind of database: everything in which SQLite and PostgreSQL differ.

    Attributes:
        display_name: The database in error messages and logs; without a password.
        engine: SQLAlchemy's engine.
        read_options: Execution options of a transaction that only reads, from one state of the whole database.
        shared: Whether other processes may write too.
    """

    display_name: str
    engine: Engine
    read_options: Mapping[str, Any]
    shared: bool

    def lock_for_migration(self, connection: Connection) -> None:
        """Keep other processes from migrating until the end of the transaction."""

    def finish_open(self) -> None:
        """Complete the opening once the schema is current."""

    def placeholder(self, content: bytes) -> "ColumnElement[bytes] | bytes":
        """Return the value to insert as a content before `write_content`."""

    def write_content(self, connection: Connection, name: str, number: int, content: bytes) -> None:
        """Write a content over its placeholder, in pieces if it is large."""

    def read_content(self, connection: Connection, name: str, number: int) -> bytes | None:
        """Read a version's content, in pieces if it is large; see `Store.read_content`."""

    def notify(self, connection: Connection) -> None:
        """Notify other processes of a possible change once this transaction is committed."""

    def notifications(self) -> Notifications:
        """Return the notifications of other processes."""

    def describe_error(self, error: BaseException) -> str:
        """Return in a few words why the database cannot be used; the error's own text goes to the log."""

    def is_transient(self, error: DBAPIError) -> bool:
        """Return whether a failure to open may pass, so that trying again makes sense."""

    def compact(self) -> None:
        """Return the space of deleted contents to the disk."""

    def close(self) -> None:
        """Close files and connections."""


_BACKENDS: Final[Mapping[str, Callable[..., Backend]]] = {"sqlite": Sqlite, "postgresql": Postgres}
_FORMS: Final = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def backend_for(url: str, *, lock_timeout: float, read_only: bool = False) -> Backend:
    """Create the backend for a database URL; nothing is read or written yet.

    Args:
        url: SQLAlchemy's URL. It never appears in a message, since it may contain a password.
        lock_timeout: Seconds to wait for a lock that another process holds.
        read_only: Whether this is a worker process, which only reads what its owner writes.

    Raises:
        StoreOpenError: The URL has no known form, or another process uses the file.
    """
    try:
        address = make_url(url)
        kind = address.get_backend_name()
    except (ArgumentError, ValueError):
        raise StoreOpenError(f"the database URL is not of the form {_FORMS}") from None
    if kind not in _BACKENDS:
        raise StoreOpenError(f"a database of the kind {kind!r} is not supported; use {_FORMS}")
    return _BACKENDS[kind](address, lock_timeout, read_only=read_only)
