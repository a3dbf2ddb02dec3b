"""The PostgreSQL backend: a database that several servers share, each following the others' changes.

Every transaction that writes first locks the only row of the table `registry`, so the database orders all writers, and
the revision counts them in that order. psycopg is imported on use, since it is an optional dependency.
"""

import logging
import os
import select
import threading
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, bindparam, case, create_engine, event, func, text, update
from sqlalchemy import select as query
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from forwardpass_server.registry.storage.store import StoreOpenError
from forwardpass_server.registry.storage.tables import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

log = logging.getLogger(__name__)

PIECE: Final = 2**20
"""Bytes of a content that are sent or received at once."""

_CHANNEL: Final = "forwardpass_registry"
_MIGRATING: Final = 0x666F7277617264
"""The key of the advisory lock for migrations."""

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS. Options in the URL take precedence.
_CONNECTION: Final = {
    "application_name": "forwardpass-server",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",  # milliseconds
}

# A server that stops in the middle of a write, or a lost connection, must not block the writes of other servers.
_SESSION: Final = (
    "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', '60s', false), "
    "set_config('idle_in_transaction_session_timeout', '15s', false)"
)

# By SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html, longer codes first.
_REASONS: Final = {
    "25006": "it is read-only, perhaps a standby",
    "25P03": "the connection was idle for too long in a transaction",
    "28": "it refuses the user or password",
    "3D000": "there is no such database",
    "42501": "its user lacks a permission",
    "42P01": "its tables do not exist",
    "53100": "the disk is full",
    "53300": "it has too many connections",
    "53": "it is short of resources",
    "55P03": "other servers are writing",
    "57014": "a statement took too long",
    "57P": "it is starting or stopping",
    "58": "its disk fails to read or write",
    "08": "the connection was lost",
    "XX001": "it is damaged; restore a backup",
    "XX002": "an index of it is damaged; reindex it",
}

_SIZE: Final = func.length(versions.c.content)
_THIS: Final = (versions.c.name == bindparam("of_name"), versions.c.number == bindparam("of_number"))
# Built once, since the first call of a version waits for it.
_CONTENT: Final = query(
    _SIZE.label("size"), case((_SIZE > PIECE, None), else_=versions.c.content).label("small")
).where(*_THIS)
_PART: Final = query(func.substr(versions.c.content, bindparam("start"), PIECE)).where(*_THIS)
_JOIN: Final = (
    update(versions)
    .where(*_THIS)
    .values(content=text("(SELECT string_agg(piece, ''::bytea ORDER BY place) FROM pieces)"))
)


class Postgres:
    """The backend of a PostgreSQL database; see `backends.Backend`."""

    def __init__(self, address: URL, lock_timeout: float, *, read_only: bool = False) -> None:
        del read_only  # every server may write
        if find_spec("psycopg") is None:
            raise StoreOpenError(
                "a database of the kind 'postgresql' needs the extra `postgres`, which is not installed; "
                "pip install 'forwardpass[postgres]'"
            )
        if address.drivername not in {"postgresql", "postgresql+psycopg"}:
            raise StoreOpenError(f"the driver {address.drivername!r} is not supported; use postgresql://")
        self.read_options: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self.shared = True
        port = f":{address.port}" if address.port else ""
        self.display_name = f"{address.database or ''} at {address.host or 'the local socket'}{port}"
        address = address.set(drivername="postgresql+psycopg")
        self.engine = _make_engine(address, lock_timeout)

    def lock_for_migration(self, connection: Connection) -> None:
        """Wait until no other process migrates, and hold the lock until the end of the transaction."""
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(query(func.pg_advisory_xact_lock(_MIGRATING)))

    def finish_open(self) -> None:
        """Log a warning for settings with which an acknowledged write may be lost."""
        with self.engine.connect() as connection:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                if connection.execute(query(func.current_setting(name))).scalar_one() == "off":
                    log.warning("the database has %s = off: what it acknowledges may be lost in a crash", name)

    def placeholder(self, content: bytes) -> bytes:
        """Return the content itself if it is small, else nothing."""
        return content if len(content) <= PIECE else b""

    def write_content(self, connection: Connection, name: str, number: int, content: bytes) -> None:
        """Send a large content in pieces; the database joins them."""
        if len(content) <= PIECE:
            return
        columns = "(place bigint, piece bytea)"
        connection.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS pieces {columns} ON COMMIT DELETE ROWS"))
        insert = text("INSERT INTO pieces VALUES (:place, :piece)")
        view = memoryview(content)
        for start in range(0, len(view), PIECE):
            connection.execute(insert, {"place": start, "piece": bytes(view[start : start + PIECE])})
        connection.execute(_JOIN, {"of_name": name, "of_number": number})
        connection.execute(text("DELETE FROM pieces"))  # another content may follow in this transaction

    def read_content(self, connection: Connection, name: str, number: int) -> bytes | None:
        """Read a version's content; the caller finds damage by the digest."""
        this = {"of_name": name, "of_number": number}
        found = connection.execute(_CONTENT, this).one_or_none()
        if found is None:
            return None
        if found.small is not None:
            return bytes(found.small)
        starts = range(1, found.size + 1, PIECE)
        return b"".join([connection.execute(_PART, {**this, "start": start}).scalar_one() for start in starts])

    def notify(self, connection: Connection) -> None:
        """Notify the other servers; PostgreSQL sends it when the transaction is committed."""
        connection.execute(query(func.pg_notify(_CHANNEL, "")))

    def notifications(self) -> "Notifications":
        """Return the notifications of the other servers."""
        return Notifications(self.engine)

    def describe_error(self, error: BaseException) -> str:
        """Return in a few words why the database cannot be used; the error's own text goes to the log."""
        state = _state(error)
        if state is None:  # libpq sets none without a connection
            return "it cannot be reached"
        return next((reason for code, reason in _REASONS.items() if state.startswith(code)), "it failed; see the log")

    def is_transient(self, error: DBAPIError) -> bool:
        """Return True if the database cannot be reached, is starting, or is short of resources."""
        state = _state(error)
        return state is None or state.startswith(("08", "53", "55P03", "57P"))

    def compact(self) -> None:
        """Do nothing: PostgreSQL's autovacuum does it."""

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


class Notifications:
    """Listener for `Postgres.notify` on a connection of its own; see `store.Notifications`.

    Without a connection, a wait just lets the time pass, after which followers poll.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: psycopg.Connection[Any] | None = None
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._closing = threading.Lock()

    def wait(self, seconds: float, *, listen: bool) -> None:
        """Wait until another server announces a change, `wake` is called, or the time is over."""
        if self._connection is None and listen:
            self._listen()
            if self._connection is not None:
                return  # changes of before were not heard; the caller must poll for them
        sources = [self._woken] if self._connection is None else [self._woken, self._connection.fileno()]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._connection is not None and len(ready) > (self._woken in ready):
            self._drain()

    def wake(self) -> None:
        """End the current wait, or the next one. May be called in any thread."""
        with self._closing:
            if self._wake >= 0:
                with suppress(BlockingIOError):  # the pipe is full: the wait ends anyway
                    os.write(self._wake, b"!")

    def close(self) -> None:
        """Close the connection."""
        with self._closing:
            os.close(self._wake)
            os.close(self._woken)
            self._wake = -1
        self._drop()

    def _listen(self) -> None:
        """Connect and listen, if that is possible now."""
        import psycopg  # noqa: PLC0415 - an optional dependency

        try:
            pooled = self._engine.raw_connection()
            connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment] # of this driver
            pooled.detach()  # it must not return to the pool
            connection.autocommit = True
            connection.execute(f"LISTEN {_CHANNEL}")
        except (psycopg.Error, SQLAlchemyError) as error:
            log.warning("changes are found by polling only, since listening failed: %s", error)
        else:
            self._connection = connection

    def _drain(self) -> None:
        """Read the notifications that have arrived; they carry no information."""
        import psycopg  # noqa: PLC0415 - an optional dependency

        assert self._connection is not None  # noqa: S101 - `wait` checks it
        try:
            for _ in self._connection.notifies(timeout=0):
                pass
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _make_engine(address: URL, lock_timeout: float) -> Engine:
    # Without prepared statements it works behind connection poolers. A dead connection is found before it is used.
    arguments = {name: value for name, value in _CONNECTION.items() if name not in address.query}
    engine = create_engine(
        address,
        connect_args={**arguments, "prepare_threshold": None},
        pool_pre_ping=True,
        pool_timeout=lock_timeout,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.autocommit = True
        connection.execute(_SESSION, (f"{int(lock_timeout * 1000)}ms",))
        connection.autocommit = False

    return engine


def _state(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state if isinstance(state, str) else None
