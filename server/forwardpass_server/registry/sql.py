"""The store on a SQL database, by SQLAlchemy Core."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from forwardpass.errors import (
    AliasMovedError,
    AliasNotFoundError,
    NetworkNotFoundError,
    StoreUnavailableError,
    VersionInUseError,
    VersionNotFoundError,
)
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import NullType

from forwardpass_server.registry import schema, sqlite
from forwardpass_server.registry.moves import earlier_move, forget_moves, note_move, read_moves
from forwardpass_server.registry.rows import count, microseconds, read_networks
from forwardpass_server.registry.state import LATEST
from forwardpass_server.registry.store import Loaded, MoveRow, NetworkRow, StoreOpenError, Written
from forwardpass_server.registry.tables import aliases, networks, registry, versions, withdrawn

log = logging.getLogger(__name__)

_ROW: Final = literal_column("versions.rowid", Integer)
_IS_LARGE: Final = func.length(versions.c.content) > sqlite.PIECE
# Untyped, so that the driver's value arrives as it is, whatever is in the column.
_SMALL: Final[ColumnElement[object]] = type_coerce(case((_IS_LARGE, None), else_=versions.c.content), NullType())
# Made once, since a cold call waits for it.
_CONTENT: Final = (
    select(_ROW.label("row"), _IS_LARGE.label("large"), _SMALL.label("small"))
    .select_from(versions)
    .where(versions.c.name == bindparam("name"), versions.c.number == bindparam("number"))
)

RETRY_SECONDS: Final = 1.0
"""When it makes sense to try again, where the database cannot."""


class SqlStore:
    """Keeps networks in a SQLite file, or in memory with `sqlite://`.

    Rollback journal and `synchronous=EXTRA`: a write is on the disk when it returns, and a
    power cut cannot undo it. The file belongs to one process at a time, since the registry
    keeps a snapshot in memory.
    """

    def __init__(self, url: str, *, busy_seconds: float = 5.0) -> None:
        """Open the database and bring its schema up to date.

        Args:
            url: `sqlite:///FILE`, or `sqlite://`.
            busy_seconds: How long to wait for a lock that another process has.

        Raises:
            StoreOpenError: The URL, the folder, the file or its schema cannot be used, or
                another process has it open.
        """
        address = sqlite.parse(url)
        self._lock = sqlite.lock(address)
        self._engine = sqlite.make_engine(address, busy_seconds=busy_seconds)
        try:
            with self._engine.connect().execution_options(reads=True) as connection:
                current = schema.is_current(connection)
            if not current:
                with self._engine.begin() as connection:
                    schema.migrate(connection)
            sqlite.use_rollback_journal(self._engine)
        except DBAPIError as error:
            self.close()
            raise StoreOpenError(
                f"the database {address.database} cannot be used: {sqlite.reason(error)} ({error.orig})"
            ) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def load(self) -> Loaded:
        """Read everything but the contents."""
        with self._reading() as connection:
            revision = _revision(connection)
            rows = read_networks(connection)
        return Loaded(
            revision=revision,
            networks=tuple(row for row in rows.values() if row.versions),
            deleted=frozenset(row.name for row in rows.values() if not row.versions),
        )

    def content(self, name: str, number: int) -> bytes | None:
        """Read a version's content; see `Store.content`."""
        with self._reading() as connection:
            return _content(connection, name, number)

    def register(self, name: str, digest: str, content: bytes, *, keep_latest: bool) -> Written:
        """Add a version, unless the network has one of this digest; see `Store.register`."""
        with self._writing() as connection:
            network = read_networks(connection, name).get(name)
            for version in network.versions if network else ():
                if version.digest == digest:
                    mended = _mend(connection, name, version.number, content)
                    return _written(connection, name, version.number, changed=mended)
            now = _now()
            number = network.next_version if network else 1
            values = {"next_version": number + 1, "update_us": now}
            if network is None or not network.versions:
                values["create_us"] = now
            if network is None:
                connection.execute(insert(networks).values(name=name, **values))
            else:
                connection.execute(update(networks).where(networks.c.name == name).values(**values))
            added = {"digest": digest, "create_us": now, "size_bytes": len(content)}
            room = func.zeroblob(len(content))
            connection.execute(insert(versions).values(name=name, number=number, content=room, **added))
            _fill(connection, name, number, content)
            if not (keep_latest and network and network.versions):
                _move(connection, name, LATEST, number)
            return _written(connection, name, number, changed=True, created=True)

    def delete_network(self, name: str) -> int:
        """Delete a network, but not its name's row; see `Store.delete_network`."""
        with self._writing() as connection:
            network = _read(connection, name)
            forget_moves(connection, name)
            for table in (aliases, withdrawn, versions):
                connection.execute(delete(table).where(table.c.name == name))
            gone = {"next_version": network.next_version, "update_us": _now()}
            connection.execute(update(networks).where(networks.c.name == name).values(**gone))
            return _next_revision(connection)

    def delete_version(self, name: str, number: int) -> Written:
        """Delete a version; see `Store.delete_version`."""
        with self._writing() as connection:
            network = _read(connection, name)
            _check_deletable(network, number)
            if network.aliases[LATEST] == number:
                left = max(version.number for version in network.versions if version.number != number)
                _move(connection, name, LATEST, left)
            for table in (withdrawn, versions):
                connection.execute(delete(table).where(table.c.name == name, table.c.number == number))
            return _written(connection, name, number, changed=True)

    def set_in_service(self, name: str, *, in_service: bool) -> Written:
        """Take all versions of a network out of service, or into it; see `Store.set_in_service`."""
        with self._writing() as connection:
            network = _read(connection, name)
            changed = [version.number for version in network.versions if version.in_service != in_service]
            connection.execute(delete(withdrawn).where(withdrawn.c.name == name))
            if not in_service:
                rows = [{"name": name, "number": version.number} for version in network.versions]
                connection.execute(insert(withdrawn), rows)
            return _written(connection, name, network.aliases[LATEST], changed=bool(changed))

    def set_alias(self, name: str, alias: str, number: int, *, expected: int | None = None) -> Written:
        """Let an alias name a version; see `Store.set_alias`."""
        with self._writing() as connection:
            network = _read(connection, name)
            if number not in {version.number for version in network.versions}:
                raise _no_version(name, number)
            changed = network.aliases.get(alias) != number
            if changed:
                _check_expected(network, alias, expected)
                _move(connection, name, alias, number)
            return _written(connection, name, number, changed=changed)

    def rollback_alias(self, name: str, alias: str, *, expected: int | None = None) -> Written:
        """Let an alias name again what it named before; see `Store.rollback_alias`."""
        with self._writing() as connection:
            network = _read(connection, name)
            if alias not in network.aliases:
                raise _no_alias(name, alias)
            _check_expected(network, alias, expected)
            earlier = earlier_move(
                name,
                alias,
                read_moves(connection, name, alias),
                now=network.aliases[alias],
                kept={version.number for version in network.versions},
            )
            _move(connection, name, alias, earlier.number, back=earlier.back)
            return _written(connection, name, earlier.number, changed=True)

    def moves(self, name: str, alias: str) -> tuple[MoveRow, ...]:
        """Read the last moves of an alias; see `Store.moves`."""
        with self._reading() as connection:
            return read_moves(connection, name, alias)

    def delete_alias(self, name: str, alias: str) -> Written:
        """Delete an alias; see `Store.delete_alias`."""
        with self._writing() as connection:
            number = _read(connection, name).aliases.get(alias)
            if number is None:
                raise _no_alias(name, alias)
            forget_moves(connection, name, alias)
            connection.execute(delete(aliases).where(aliases.c.name == name, aliases.c.alias == alias))
            return _written(connection, name, number, changed=True)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One transaction that only reads, and hinders no other such."""
        with _typed_errors(), self._engine.connect().execution_options(reads=True) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction that no other writer gets between; committed at the end."""
        with _typed_errors(), self._engine.begin() as connection:
            # SQLite has taken the lock already and ignores this; other databases take it here.
            connection.execute(select(registry.c.revision).with_for_update())
            yield connection


@contextmanager
def _typed_errors() -> Iterator[None]:
    """Turn whatever the database says against us into `StoreUnavailableError`."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        reason = sqlite.reason(error)
        log.warning("the registry's database cannot be used now: %s (%s)", reason, getattr(error, "orig", error))
        raise StoreUnavailableError(
            f"the registry's database cannot be used now: {reason}; networks in memory predict on; "
            "try again later, which is safe for a registration",
            retry_after=RETRY_SECONDS,
            cause=reason,
        ) from error


def _content(connection: Connection, name: str, number: int) -> bytes | None:
    try:
        found = connection.execute(_CONTENT, {"name": name, "number": number}).one_or_none()
        if found is not None and found.large:
            return sqlite.read_blob(connection, versions.c.content, found.row)
    except DBAPIError as error:
        if not sqlite.is_damage(error):
            raise
        log.exception("the content of network %s version %d cannot be read", name, number)
        return b""
    if found is None:
        return None
    return found.small if isinstance(found.small, bytes) else b""


def _mend(connection: Connection, name: str, number: int, content: bytes) -> bool:
    """Write a version's content anew if it is damaged; return whether it was."""
    if _content(connection, name, number) == content:
        return False
    query = update(versions).where(versions.c.name == name, versions.c.number == number)
    connection.execute(query.values(content=func.zeroblob(len(content)), size_bytes=len(content)))
    _fill(connection, name, number, content)
    return True


def _fill(connection: Connection, name: str, number: int, content: bytes) -> None:
    """Write a content where there is room for it."""
    [row] = connection.execute(_CONTENT, {"name": name, "number": number})
    sqlite.write_blob(connection, versions.c.content, row.row, content)


def _check_deletable(network: NetworkRow, number: int) -> None:
    numbers = {version.number for version in network.versions}
    if number not in numbers:
        raise _no_version(network.name, number)
    names = sorted(alias for alias, named in network.aliases.items() if named == number and alias != LATEST)
    if not names and len(numbers) > 1:
        return
    reason = f"the alias {', '.join(names)} names it" if names else "it is the only one"
    advice = "move or delete the alias first" if names else "delete the network instead"
    raise VersionInUseError(
        f"version {number} of network {network.name!r} cannot be deleted: {reason}; {advice}",
        network=network.name,
        version=number,
        aliases=", ".join(names),
    )


def _read(connection: Connection, name: str) -> NetworkRow:
    network = read_networks(connection, name).get(name)
    if network is None or not network.versions:
        raise NetworkNotFoundError(f"there is no network {name!r}", resourceType="network", resourceName=name)
    return network


def _check_expected(network: NetworkRow, alias: str, expected: int | None) -> None:
    actual = network.aliases.get(alias, 0)
    if expected is None or actual == expected:
        return
    found = f"names version {actual}" if actual else "does not exist"
    wanted = f"and not version {expected}" if expected else "though it should not exist"
    raise AliasMovedError(
        f"alias {alias!r} of network {network.name!r} {found}, {wanted}; nothing was changed; "
        "look at what it names now and try again",
        network=network.name,
        alias=alias,
        expected=expected,
        actual=actual,
    )


def _move(connection: Connection, name: str, alias: str, number: int, *, back: int | None = None) -> None:
    """Let an alias name a version, and note it; `back` as in `note_move`."""
    note_move(connection, name, alias, number, back=back)
    query = update(aliases).where(aliases.c.name == name, aliases.c.alias == alias).values(number=number)
    if not connection.execute(query).rowcount:
        connection.execute(insert(aliases).values(name=name, alias=alias, number=number))


def _written(connection: Connection, name: str, number: int, *, changed: bool, created: bool = False) -> Written:
    if changed:
        touched = update(networks).where(networks.c.name == name).values(update_us=_now())
        connection.execute(touched)
    revision = _next_revision(connection) if changed else _revision(connection)
    network = _read(connection, name)
    return Written(network=network, number=number, created=created, revision=revision)


def _revision(connection: Connection) -> int:
    revision = connection.execute(select(registry.c.revision)).scalar_one_or_none()
    return count(revision, otherwise=0)


def _next_revision(connection: Connection) -> int:
    revision = _revision(connection) + 1
    connection.execute(update(registry).values(revision=revision))
    return revision


def _now() -> int:
    return microseconds(datetime.now(UTC))


def _no_alias(name: str, alias: str) -> AliasNotFoundError:
    return AliasNotFoundError(f"network {name!r} has no alias {alias!r}", resourceType="alias", resourceName=alias)


def _no_version(name: str, number: int) -> VersionNotFoundError:
    return VersionNotFoundError(
        f"network {name!r} has no version {number}", resourceType="version", resourceName=f"{name}/{number}"
    )
