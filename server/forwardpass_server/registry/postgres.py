"""A PostgreSQL database that several servers share, each following what the others write.

Every transaction that writes locks the one row of `registry` first, so the database puts all
writers in one order, and the revision counts in it. psycopg is imported when a database of
this kind is asked for: it is an optional dependency.
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

from forwardpass_server.registry.store import StoreOpenError
from forwardpass_server.registry.tables import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

log = logging.getLogger(__name__)

PIECE: Final = 2**20
"""Bytes of a content that travel at once."""

_CHANNEL: Final = "forwardpass_registry"
_MIGRATING: Final = 0x666F7277617264
"""The advisory lock of whoever migrates: a number of our own."""

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS; what the URL says comes first.
_CONNECTION: Final = {
    "application_name": "forwardpass-server",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",  # milliseconds
}

# A server that stops in the middle of a write, or a lost connection, must not keep the others from writing.
_SESSION: Final = (
    "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', '60s', false), "
    "set_config('idle_in_transaction_session_timeout', '15s', false)"
)

# By SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html, the longer ones first.
_REASONS: Final = {
    "25006": "it is read-only, perhaps a standby",
    "25P03": "the connection was idle for too long in a transaction",
    "28": "it refuses the user or password",
    "3D000": "there is no such database",
    "42501": "its user lacks a permission",
    "42P01": "its tables are gone",
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
# Made once, since a cold call waits for it.
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
    """A PostgreSQL database; see `backends.Backend`."""

    def __init__(self, address: URL, busy_seconds: float) -> None:
        if find_spec("psycopg") is None:
            raise StoreOpenError(
                "a database of the kind 'postgresql' needs the extra `postgres`, which is not installed; "
                "pip install 'forwardpass[postgres]'"
            )
        if address.drivername not in {"postgresql", "postgresql+psycopg"}:
            raise StoreOpenError(f"the driver {address.drivername!r} is not supported; use postgresql://")
        self.reading: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self.shared = True
        port = f":{address.port}" if address.port else ""
        self.display_name = f"{address.database or ''} at {address.host or 'the local socket'}{port}"
        address = address.set(drivername="postgresql+psycopg")
        self.engine = _make_engine(address, busy_seconds)

    def prepare(self, connection: Connection) -> None:
        """Wait until no other process migrates."""
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(query(func.pg_advisory_xact_lock(_MIGRATING)))

    def opened(self) -> None:
        """Warn of settings with which an acknowledged write may be lost."""
        with self.engine.connect() as connection:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                if connection.execute(query(func.current_setting(name))).scalar_one() == "off":
                    log.warning("the database has %s = off: what it acknowledges may be lost in a crash", name)

    def room(self, content: bytes) -> bytes:
        """Return the content if it is small, or nothing."""
        return content if len(content) <= PIECE else b""

    def fill(self, connection: Connection, name: str, number: int, content: bytes) -> None:
        """Send a large content in pieces, which the database joins."""
        if len(content) <= PIECE:
            return
        columns = "(place bigint, piece bytea)"
        connection.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS pieces {columns} ON COMMIT DELETE ROWS"))
        insert = text("INSERT INTO pieces VALUES (:place, :piece)")
        view = memoryview(content)
        for start in range(0, len(view), PIECE):
            connection.execute(insert, {"place": start, "piece": bytes(view[start : start + PIECE])})
        connection.execute(_JOIN, {"of_name": name, "of_number": number})
        connection.execute(text("DELETE FROM pieces"))  # another content may follow

    def content(self, connection: Connection, name: str, number: int) -> bytes | None:
        """Read a version's content; damage of it is for the digest to find."""
        this = {"of_name": name, "of_number": number}
        found = connection.execute(_CONTENT, this).one_or_none()
        if found is None:
            return None
        if found.small is not None:
            return bytes(found.small)
        starts = range(1, found.size + 1, PIECE)
        return b"".join([connection.execute(_PART, {**this, "start": start}).scalar_one() for start in starts])

    def announce(self, connection: Connection) -> None:
        """Notify whoever listens; PostgreSQL does so when the transaction is committed."""
        connection.execute(query(func.pg_notify(_CHANNEL, "")))

    def hints(self) -> "Notifications":
        """Return what listens to the other servers."""
        return Notifications(self.engine)

    def reason(self, error: BaseException) -> str:
        """Say in a few words why the database cannot; the error's own text is for the log."""
        state = _state(error)
        if state is None:  # libpq gives none where it has no connection
            return "it cannot be reached"
        return next((words for code, words in _REASONS.items() if state.startswith(code)), "it failed; see the log")

    def may_pass(self, error: DBAPIError) -> bool:
        """Say whether a failure to open may end by itself: it cannot be reached, or is starting."""
        state = _state(error)
        return state is None or state.startswith(("08", "53", "55P03", "57P"))

    def compact(self) -> None:
        """Do nothing: PostgreSQL's autovacuum does."""

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


class Notifications:
    """Waits for what `Postgres.announce` says, on a connection of its own; see `store.Notifications`.

    While there is no connection, a wait is just that: followers look for themselves.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: psycopg.Connection[Any] | None = None
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._closing = threading.Lock()

    def wait(self, seconds: float, *, listen: bool) -> None:
        """Wait until another server announced a change, or `wake` is called, or so many seconds have passed."""
        if self._connection is None and listen:
            self._listen()
            if self._connection is not None:
                return  # what was announced before must be looked for
        sources = [self._woken] if self._connection is None else [self._woken, self._connection.fileno()]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._connection is not None and len(ready) > (self._woken in ready):
            self._drain()

    def wake(self) -> None:
        """End a wait, or the next one; may be called in any thread."""
        with self._closing:
            if self._wake >= 0:
                with suppress(BlockingIOError):  # it is awake enough
                    os.write(self._wake, b"!")

    def close(self) -> None:
        """Close the connection."""
        with self._closing:
            os.close(self._wake)
            os.close(self._woken)
            self._wake = -1
        self._drop()

    def _listen(self) -> None:
        """Connect, if that is possible now."""
        import psycopg  # noqa: PLC0415 - an optional dependency

        try:
            pooled = self._engine.raw_connection()
            connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment] # of this driver
            pooled.detach()  # it stays ours
            connection.autocommit = True
            connection.execute(f"LISTEN {_CHANNEL}")
        except (psycopg.Error, SQLAlchemyError) as error:
            log.warning("changes are found by looking only, since listening failed: %s", error)
        else:
            self._connection = connection

    def _drain(self) -> None:
        """Take what has arrived off the connection; it says no more than that something did."""
        import psycopg  # noqa: PLC0415 - an optional dependency

        assert self._connection is not None  # noqa: S101 - `wait` has it
        try:
            for _ in self._connection.notifies(timeout=0):
                pass
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _make_engine(address: URL, busy_seconds: float) -> Engine:
    # Prepared statements are left out for the sake of poolers, and a connection that died is found before it is used.
    arguments = {name: value for name, value in _CONNECTION.items() if name not in address.query}
    engine = create_engine(
        address,
        connect_args={**arguments, "prepare_threshold": None},
        pool_pre_ping=True,
        pool_timeout=busy_seconds,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.autocommit = True
        connection.execute(_SESSION, (f"{int(busy_seconds * 1000)}ms",))
        connection.autocommit = False

    return engine


def _state(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state if isinstance(state, str) else None
