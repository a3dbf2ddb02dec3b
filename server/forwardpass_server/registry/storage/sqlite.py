"""The SQLite backend: a file that one process writes, and its worker processes read."""

import fcntl
import logging
import os
import sqlite3
import sys
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

from forwardpass_server.registry.storage.store import Notifications, StoreOpenError
from forwardpass_server.registry.storage.tables import versions
from forwardpass_server.registry.storage.wakeups import Wakeups

log = logging.getLogger(__name__)

# By the names of https://sqlite.org/rescode.html, longer names first.
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
"""Bytes of a content that are read or written at once: the driver blocks other threads meanwhile."""

_ROW: Final = literal_column("versions.rowid", Integer)
_IS_LARGE: Final = func.length(versions.c.content) > PIECE
# Without a type, so that the driver's value arrives unchanged even if the column is damaged.
_SMALL: Final[ColumnElement[object]] = type_coerce(case((_IS_LARGE, None), else_=versions.c.content), NullType())
# Built once, since the first call of a version waits for it.
_CONTENT: Final = (
    select(_ROW.label("row"), _IS_LARGE.label("large"), _SMALL.label("small"))
    .select_from(versions)
    .where(versions.c.name == bindparam("name"), versions.c.number == bindparam("number"))
)


class Sqlite:
    """The backend of a SQLite file, or of memory with `sqlite://`; see `backends.Backend`.

    With a rollback journal and `synchronous=EXTRA`, a write is on the disk when it returns, and a power cut cannot undo
    it. Only one process may open the file to write, since the registry keeps a snapshot of it in memory. Its worker
    processes open it to read.
    """

    def __init__(self, address: URL, lock_timeout: float, *, read_only: bool = False) -> None:
        address = resolved(address)
        self.display_name = str(address.database)
        self.read_options: Mapping[str, Any] = {"read_only": True}
        self.shared = read_only
        self._read_only = read_only
        self._locks = [] if read_only else lock_files(address)
        self.engine = make_engine(address, lock_timeout=lock_timeout, read_only=read_only)

    def lock_for_migration(self, connection: Connection) -> None:
        """Do nothing: a transaction that writes holds the lock already."""

    def finish_open(self) -> None:
        """Switch to the rollback journal, unless the process that writes has done it."""
        if not self._read_only:
            use_rollback_journal(self.engine)

    def placeholder(self, content: bytes) -> ColumnElement[bytes]:
        """Return as many zeros, which `write_content` overwrites."""
        return func.zeroblob(len(content))

    def write_content(self, connection: Connection, name: str, number: int, content: bytes) -> None:
        """Write a content over a placeholder of the same length."""
        [row] = connection.execute(_CONTENT, {"name": name, "number": number})
        write_blob(connection, versions.c.content, row.row, content)

    def read_content(self, connection: Connection, name: str, number: int) -> bytes | None:
        """Read a version's content; it is empty if pages of the file are damaged."""
        for is_last in (False, True):
            try:
                return _read_content(connection, name, number)
            except DBAPIError as error:
                if not _is_damage(error):
                    raise
                # SQLite reports an EIO of the disk as damage too. That may pass, but a version found damaged stays so.
                if is_last:
                    log.exception("the content of network %s version %d cannot be read", name, number)
        return b""

    def notify(self, connection: Connection) -> None:
        """Do nothing: the process that writes tells its worker processes itself."""

    def notifications(self) -> Notifications:
        """Return notifications that nobody sends; the process that writes wakes its worker processes itself."""
        return Wakeups()

    def describe_error(self, error: BaseException) -> str:
        """Return in a few words why the database cannot be used; the error's own text goes to the log."""
        code = _code(error)
        return next((reason for name, reason in _REASONS.items() if code.startswith(name)), "it failed; see the log")

    def is_transient(self, error: DBAPIError) -> bool:
        """Return False: a file that cannot be opened stays so."""
        del error
        return False

    def compact(self) -> None:
        """Rewrite the file without its free pages. This needs as much free space as the file has.

        Raises:
            DBAPIError: The file cannot be written.
        """
        execute_alone(self.engine, "VACUUM")

    def close(self) -> None:
        """Close the file and release its lock."""
        # Before the locks: closing any descriptor of the file would release the POSIX locks that SQLite has on it.
        self.engine.dispose()
        while self._locks:
            os.close(self._locks.pop())


def resolved(address: URL) -> URL:
    """Check the URL of a SQLite database, and make its path absolute with symbolic links resolved.

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


def lock_files(address: URL) -> list[int]:
    """Lock a database for this process; return the descriptors of the locks.

    One lock is on a file beside it, of the same name and `.lock`. On Linux another one is on the database itself, which
    may have a second name: a hard link. The kernel releases the locks when the process ends, however it ends. The lock
    file stays: if it were deleted, two processes could each lock a file of the same name.

    Raises:
        StoreOpenError: Another process holds a lock, or the folder cannot be written.
    """
    if not address.database:
        return []
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
        locks = [_locked(lock_path, path)]
    except OSError as error:
        raise StoreOpenError(f"the database's lock {lock_path} cannot be opened: {error.strerror}") from None
    # Elsewhere than on Linux, flock and the POSIX locks of SQLite on one file exclude each other.
    if sys.platform == "linux":
        try:
            locks.append(_locked(path, path))
        except StoreOpenError:
            os.close(locks.pop())
            raise
        except OSError:
            pass  # SQLite says why it cannot be opened
    return locks


def _locked(path: Path, database: Path) -> int:
    """Lock a file, which is made if there is none; return its descriptor.

    Raises:
        StoreOpenError: Another process has locked it.
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Not POSIX locks: SQLite uses those, and a process loses all of them when it closes one descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreOpenError(
            f"the database {database} is in use by another forwardpass-server; stop that one, or use another file"
        ) from None
    return descriptor


def make_engine(address: URL, *, lock_timeout: float, read_only: bool = False) -> Engine:
    """Create the engine; nothing is opened yet.

    Args:
        address: From `resolved`.
        lock_timeout: Seconds to wait for a lock that another process holds.
        read_only: Whether connections reject every write.
    """
    arguments: dict[str, Any] = {"timeout": lock_timeout, "check_same_thread": False}
    if address.database:
        engine = create_engine(address, connect_args=arguments, poolclass=QueuePool)
    else:  # a database in memory belongs to one connection
        engine = create_engine(address, connect_args=arguments, poolclass=QueuePool, pool_size=1, max_overflow=0)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # all transactions begin below
        connection.text_factory = _text
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("PRAGMA foreign_keys=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # Take the write lock at the start: two transactions that read first and write later would deadlock.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def use_rollback_journal(engine: Engine) -> None:
    """Switch from the write-ahead log to the rollback journal; the file stores the mode for every connection.

    SQLite up to 3.51.2 can corrupt a file with a write-ahead log (https://sqlite.org/wal.html#walresetbug).
    """
    execute_alone(engine, "PRAGMA journal_mode=DELETE")


def execute_alone(engine: Engine, statement: str) -> None:
    """Execute a statement that must not be in a transaction.

    Raises:
        DBAPIError: It cannot be executed.
    """
    connection = engine.raw_connection()
    try:
        connection.cursor().execute(statement)
    except sqlite3.Error as error:
        raise DBAPIError(statement, None, error) from error
    finally:
        connection.close()


def _read_content(connection: Connection, name: str, number: int) -> bytes | None:
    """Read a version's content; it is empty if the column has no bytes.

    Raises:
        DBAPIError: The database cannot be read.
    """
    found = connection.execute(_CONTENT, {"name": name, "number": number}).one_or_none()
    if found is None:
        return None
    if found.large:
        return read_blob(connection, versions.c.content, found.row)
    return found.small if isinstance(found.small, bytes) else b""


def read_blob(connection: Connection, column: Column[Any], row: int) -> bytes:
    """Read a value of bytes in pieces: the driver would block every other thread while it copies a whole one.

    Raises:
        DBAPIError: The database cannot be read.
    """
    with _blob(connection, column, row, readonly=True) as blob:
        return b"".join(iter(lambda: blob.read(PIECE), b""))


def write_blob(connection: Connection, column: Column[Any], row: int, value: bytes) -> None:
    """Write a value of bytes in pieces over one of the same length; raises as `read_blob` does."""
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
    """Return whether pages of the file are damaged, as opposed to a failure that may pass."""
    return _code(error).startswith("SQLITE_CORRUPT")


def _code(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))


def _text(raw: bytes) -> str:
    """Decode a text; damaged bytes must not make the whole query fail."""
    return raw.decode("utf-8", "replace")
