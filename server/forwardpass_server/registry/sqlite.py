"""A SQLite file that belongs to this process alone and keeps what it acknowledges."""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    bindparam,
    case,
    create_engine,
    event,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import NullType

from forwardpass_server.registry.store import Notifications, StoreOpenError
from forwardpass_server.registry.tables import versions

log = logging.getLogger(__name__)

# By the names of https://sqlite.org/rescode.html, the longer ones first.
_REASONS: Final = {
    "SQLITE_READONLY_DBMOVED": "its file was moved or deleted",
    "SQLITE_READONLY": "it is read-only",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "another process has it locked",
    "SQLITE_LOCKED": "another process has it locked",
    "SQLITE_IOERR": "the disk fails to read or write",
    "SQLITE_CANTOPEN": "its file cannot be opened",
    "SQLITE_PERM": "its file must not be opened",
    "SQLITE_CORRUPT": "its file is damaged; restore a backup",
    "SQLITE_NOTADB": "its file is not a SQLite database",
}


PIECE: Final = 2**20
"""Bytes that are read or written at once."""

_ROW: Final = literal_column("versions.rowid", Integer)
_IS_LARGE: Final = func.length(versions.c.content) > PIECE
# Untyped, so that the driver's value arrives as it is, whatever is in the column.
_SMALL: Final[ColumnElement[object]] = type_coerce(case((_IS_LARGE, None), else_=versions.c.content), NullType())
# Made once, since a cold call waits for it.
_CONTENT: Final = (
    select(_ROW.label("row"), _IS_LARGE.label("large"), _SMALL.label("small"))
    .select_from(versions)
    .where(versions.c.name == bindparam("name"), versions.c.number == bindparam("number"))
)


class Sqlite:
    """A SQLite file, or memory with `sqlite://`; see `backends.Backend`.

    Rollback journal and `synchronous=EXTRA`: a write is on the disk when it returns, and a
    power cut cannot undo it. The file belongs to one process at a time, since the registry
    keeps a snapshot in memory.
    """

    def __init__(self, address: URL, busy_seconds: float) -> None:
        address = resolved(address)
        self.display_name = str(address.database)
        self.reading: Mapping[str, Any] = {"reads": True}
        self.shared = False
        self._lock = lock(address)
        self.engine = make_engine(address, busy_seconds=busy_seconds)

    def prepare(self, connection: Connection) -> None:
        """Do nothing: a transaction that writes has the lock already."""

    def opened(self) -> None:
        """Leave the write-ahead log."""
        use_rollback_journal(self.engine)

    def room(self, content: bytes) -> ColumnElement[bytes]:
        """Return zeros."""
        return func.zeroblob(len(content))

    def fill(self, connection: Connection, name: str, number: int, content: bytes) -> None:
        """Write a content over one of the same length."""
        [row] = connection.execute(_CONTENT, {"name": name, "number": number})
        write_blob(connection, versions.c.content, row.row, content)

    def content(self, connection: Connection, name: str, number: int) -> bytes | None:
        """Read a version's content; where pages of the file are damaged, it is empty."""
        try:
            found = connection.execute(_CONTENT, {"name": name, "number": number}).one_or_none()
            if found is not None and found.large:
                return read_blob(connection, versions.c.content, found.row)
        except DBAPIError as error:
            if not _is_damage(error):
                raise
            log.exception("the content of network %s version %d cannot be read", name, number)
            return b""
        if found is None:
            return None
        return found.small if isinstance(found.small, bytes) else b""

    def announce(self, connection: Connection) -> None:
        """Do nothing: nobody else has the file."""

    def hints(self) -> Notifications:
        """Refuse: nobody else has the file."""
        raise NotImplementedError

    def reason(self, error: BaseException) -> str:
        """Say in a few words why the database cannot; the error's own text is for the log."""
        code = _code(error)
        return next((words for name, words in _REASONS.items() if code.startswith(name)), "it failed; see the log")

    def may_pass(self, error: DBAPIError) -> bool:
        """Say no: the file is there or it is not."""
        del error
        return False

    def compact(self) -> None:
        """Write the file anew without the pages that are free; needs as much room beside it meanwhile."""
        connection = self.engine.raw_connection()
        try:
            connection.cursor().execute("VACUUM")
        finally:
            connection.close()

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def resolved(address: URL) -> URL:
    """Check the URL of a SQLite database; the path in it becomes absolute, symbolic links followed.

    Raises:
        StoreOpenError: It is not of the form `sqlite:///FILE`, or `sqlite://` for memory.
    """
    if address.query or address.host:
        raise StoreOpenError(
            "a sqlite URL has a file and nothing else: sqlite:///FILE, "
            "with three slashes before a relative path and four before an absolute one"
        )
    if not address.database or address.database == ":memory:":
        return URL.create("sqlite")
    return address.set(database=str(Path(address.database).resolve()))


def lock(address: URL) -> int | None:
    """Lock a database for this process, by a file beside it; return that file's descriptor.

    The kernel lets the lock go when the process ends, however it ends. The file stays: if it
    were deleted, two processes could each lock one of the same name.

    Raises:
        StoreOpenError: Another process has the lock, or the folder cannot be written.
    """
    if not address.database:
        return None
    path = Path(address.database)
    try:
        is_folder, has_folder = path.is_dir(), path.parent.is_dir()
    except OSError as error:  # before Python 3.14, where a folder above may not be searched
        raise StoreOpenError(f"the database {path} cannot be reached: {error.strerror}") from None
    if is_folder:
        raise StoreOpenError(f"the database {path} is a folder; name a file")
    if not has_folder:
        raise StoreOpenError(f"the database's folder {path.parent} does not exist; make it, or name another file")
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreOpenError(f"the database's lock {lock_path} cannot be opened: {error.strerror}") from None
    try:
        # Not POSIX locks: SQLite has those, and a process loses them all when it closes one descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreOpenError(
            f"the database {path} is in use by another forwardpass-server; stop that one, or use another file"
        ) from None
    return descriptor


def make_engine(address: URL, *, busy_seconds: float) -> Engine:
    """Make the engine; nothing is opened yet.

    Args:
        address: From `resolved`.
        busy_seconds: How long to wait for a lock that another process has.
    """
    arguments: dict[str, Any] = {"timeout": busy_seconds, "check_same_thread": False}
    if address.database:
        engine = create_engine(address, connect_args=arguments, poolclass=QueuePool)
    else:  # what is in memory belongs to one connection
        engine = create_engine(address, connect_args=arguments, poolclass=QueuePool, pool_size=1, max_overflow=0)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # no transactions but those begun below
        connection.text_factory = _text
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # Take the write lock at once: two transactions that read first and write later would deadlock.
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def use_rollback_journal(engine: Engine) -> None:
    """Leave the write-ahead log, if the file came with one: it is kept in the file, for every connection.

    Releases up to 3.51.2 can corrupt it (https://sqlite.org/wal.html#walresetbug).
    """
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()


def read_blob(connection: Connection, column: Column[Any], row: int) -> bytes:
    """Read a value of bytes in pieces: the driver would copy a whole one while every other thread waits.

    Raises:
        DBAPIError: The database cannot.
    """
    with _blob(connection, column, row, readonly=True) as blob:
        return b"".join(iter(lambda: blob.read(PIECE), b""))


def write_blob(connection: Connection, column: Column[Any], row: int, value: bytes) -> None:
    """Write a value of bytes in pieces, over one of the same length; raises as `read_blob` does."""
    view = memoryview(value)
    with _blob(connection, column, row, readonly=False) as blob:
        for start in range(0, len(view), PIECE):
            blob.write(view[start : start + PIECE])


@contextmanager
def _blob(connection: Connection, column: Column[Any], row: int, *, readonly: bool) -> Iterator[sqlite3.Blob]:
    driver: Any = connection.connection.driver_connection
    try:
        with driver.blobopen(column.table.name, column.name, row, readonly=readonly) as blob:
            yield blob
    except sqlite3.Error as error:
        raise DBAPIError(None, None, error) from error


def _is_damage(error: DBAPIError) -> bool:
    """Say whether pages of the file make no sense, as opposed to a failure that may pass."""
    return _code(error).startswith("SQLITE_CORRUPT")


def _code(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))


def _text(raw: bytes) -> str:
    """Decode a text; bytes that are damaged must not make the whole query fail."""
    return raw.decode("utf-8", "replace")
