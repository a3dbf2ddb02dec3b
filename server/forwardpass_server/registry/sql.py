"""The store on a SQL database, by SQLAlchemy Core."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, repeat
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
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from forwardpass_server.registry import schema
from forwardpass_server.registry.backends import backend_of
from forwardpass_server.registry.moves import earlier_move, forget_moves, note_move, read_moves
from forwardpass_server.registry.rows import count, microseconds, read_networks
from forwardpass_server.registry.state import LATEST
from forwardpass_server.registry.store import Loaded, MoveRow, NetworkRow, Notifications, Seed, StoreOpenError, Written
from forwardpass_server.registry.tables import aliases, networks, registry, shadows, versions, withdrawn

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""When it makes sense to try again, where the database cannot."""

_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts to open; the last one goes on."""

_QUIET: Final = 30.0
"""Seconds before the same complaint about the database is logged again."""


class SqlStore:
    """Keeps networks in a SQL database.

    Attributes:
        backend: What differs between databases.
        shared: Whether other processes may write too.
    """

    def __init__(self, url: str, *, busy_seconds: float = 5.0, patience: float = 0.0) -> None:
        """Open the database and bring its schema up to date.

        Args:
            url: `sqlite:///FILE`, `sqlite://` for memory, or `postgresql://USER@HOST/DATABASE`.
            busy_seconds: How long to wait for a lock that another process has.
            patience: Seconds to try on for while a database on another machine cannot be reached.

        Raises:
            StoreOpenError: The URL, the folder, the file or its schema cannot be used, or
                another process has it open.
        """
        self.backend = backend_of(url, busy_seconds=busy_seconds)
        self._engine = self.backend.engine
        self.shared: bool = self.backend.shared
        self._complained = "", 0.0
        try:
            self._open(patience)
        except BaseException:
            self.close()
            raise

    def _open(self, patience: float) -> None:
        """Do it, and while that may help, again."""
        end = time.monotonic() + patience
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            try:
                with self._engine.connect().execution_options(**self.backend.reading) as connection:
                    current = schema.is_current(connection)
                if not current:
                    with self._engine.begin() as connection:
                        self.backend.prepare(connection)
                        schema.migrate(connection)
                self.backend.opened()
            except DBAPIError as error:
                reason = f"{self.backend.reason(error)} ({_text(error)})"
                said = f"the database {self.backend.display_name} cannot be used: {reason}"
                if not self.backend.may_pass(error) or time.monotonic() + pause > end:
                    tried = f"; tried for {patience:g} s (setting `database_connect_timeout`)" if patience else ""
                    raise StoreOpenError(f"{said}{tried}") from None
                log.warning("%s; trying again", said)
                time.sleep(pause)
            else:
                return

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def load(self, since: int = -1) -> Loaded:
        """Read everything but the contents, or what of it has changed; see `Store.load`."""
        with self.reading() as connection:
            revision = _revision(connection)
            rows = read_networks(connection, since=since) if revision != since else {}
        return Loaded(
            revision=revision,
            networks=tuple(row for row in rows.values() if row.versions),
            deleted=frozenset(row.name for row in rows.values() if not row.versions),
        )

    def content(self, name: str, number: int) -> bytes | None:
        """Read a version's content; see `Store.content`."""
        with self.reading() as connection:
            return self.backend.content(connection, name, number)

    def hints(self) -> Notifications:
        """Return what tells of other processes' changes; see `Store.hints`."""
        return self.backend.hints()

    def seed(self, seeds: Sequence[Seed]) -> None:
        """Add networks whose names were never registered; see `Store.seed`."""
        with self.writing() as connection:
            for seed in seeds:
                if not read_networks(connection, seed.name):
                    self._add(connection, seed.name, None, seed.digest, seed.content)
                    _move(connection, seed.name, LATEST, 1)
                    _written(connection, seed.name, 1, changed=True, created=True)

    def register(self, name: str, digest: str, content: bytes, *, keep_latest: bool) -> Written:
        """Add a version, unless the network has one of this digest; see `Store.register`."""
        with self.writing() as connection:
            network = read_networks(connection, name).get(name)
            for version in network.versions if network else ():
                if version.digest == digest:
                    mended = self._mend(connection, name, version.number, content)
                    return _written(connection, name, version.number, changed=mended)
            number = self._add(connection, name, network, digest, content)
            if not (keep_latest and network and network.versions):
                _move(connection, name, LATEST, number)
            return _written(connection, name, number, changed=True, created=True)

    def delete_network(self, name: str) -> int:
        """Delete a network, but not its name's row; see `Store.delete_network`."""
        with self.writing() as connection:
            network = _read(connection, name)
            forget_moves(connection, name)
            for table in (shadows, aliases, withdrawn, versions):
                connection.execute(delete(table).where(table.c.name == name))
            gone = {"next_version": network.next_version}
            connection.execute(update(networks).where(networks.c.name == name).values(**gone))
            return _touch(connection, name)

    def delete_version(self, name: str, number: int) -> Written:
        """Delete a version; see `Store.delete_version`."""
        with self.writing() as connection:
            network = _read(connection, name)
            _check_deletable(network, number)
            if network.aliases[LATEST] == number:
                left = max(version.number for version in network.versions if version.number != number)
                _move(connection, name, LATEST, left)
            _forget_shadow(connection, name, str(number))
            for table in (shadows, withdrawn, versions):
                connection.execute(delete(table).where(table.c.name == name, table.c.number == number))
            return _written(connection, name, number, changed=True)

    def set_in_service(self, name: str, *, in_service: bool) -> Written:
        """Take all versions of a network out of service, or into it; see `Store.set_in_service`."""
        with self.writing() as connection:
            network = _read(connection, name)
            changed = [version.number for version in network.versions if version.in_service != in_service]
            connection.execute(delete(withdrawn).where(withdrawn.c.name == name))
            if not in_service:
                rows = [{"name": name, "number": version.number} for version in network.versions]
                connection.execute(insert(withdrawn), rows)
            return _written(connection, name, network.aliases[LATEST], changed=bool(changed))

    def set_alias(self, name: str, alias: str, number: int, *, expected: int | None = None) -> Written:
        """Let an alias name a version; see `Store.set_alias`."""
        with self.writing() as connection:
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
        with self.writing() as connection:
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
        with self.reading() as connection:
            return read_moves(connection, name, alias)

    def set_shadow(self, name: str, of: str, number: int, *, share: float, tolerance: float) -> Written:
        """Let a version be computed beside another one; see `Store.set_shadow`."""
        with self.writing() as connection:
            network = _read(connection, name)
            if number not in {version.number for version in network.versions}:
                raise _no_version(name, number)
            known = {(row.of, row.number, row.share, row.tolerance) for row in network.shadows}
            changed = (of, number, share, tolerance) not in known
            if changed:
                _forget_shadow(connection, name, of)
                wanted = {"number": number, "share": share, "tolerance": tolerance, "set_us": _now()}
                connection.execute(insert(shadows).values(name=name, of=of, **wanted))
            return _written(connection, name, number, changed=changed)

    def clear_shadow(self, name: str, of: str) -> Written:
        """End what `set_shadow` began; see `Store.clear_shadow`."""
        with self.writing() as connection:
            number = next((row.number for row in _read(connection, name).shadows if row.of == of), 0)
            _forget_shadow(connection, name, of)
            return _written(connection, name, number, changed=bool(number))

    def delete_alias(self, name: str, alias: str) -> Written:
        """Delete an alias; see `Store.delete_alias`."""
        with self.writing() as connection:
            number = _read(connection, name).aliases.get(alias)
            if number is None:
                raise _no_alias(name, alias)
            forget_moves(connection, name, alias)
            _forget_shadow(connection, name, alias)
            connection.execute(delete(aliases).where(aliases.c.name == name, aliases.c.alias == alias))
            return _written(connection, name, number, changed=True)

    def close(self) -> None:
        """Let go of files and connections."""
        self.backend.close()

    def _add(self, connection: Connection, name: str, network: NetworkRow | None, digest: str, content: bytes) -> int:
        """Add a version to a network, or to a name without one; return its number."""
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
        room = self.backend.room(content)
        connection.execute(insert(versions).values(name=name, number=number, content=room, **added))
        self.backend.fill(connection, name, number, content)
        return number

    def _mend(self, connection: Connection, name: str, number: int, content: bytes) -> bool:
        """Write a version's content anew if it is damaged; return whether it was."""
        if self.backend.content(connection, name, number) == content:
            return False
        query = update(versions).where(versions.c.name == name, versions.c.number == number)
        connection.execute(query.values(content=self.backend.room(content), size_bytes=len(content)))
        self.backend.fill(connection, name, number, content)
        return True

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that only reads, and hinders no other such."""
        options = self.backend.reading
        with self._typed_errors(), self._engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that no other writer gets between; committed at the end."""
        with self._typed_errors(), self._engine.begin() as connection:
            # SQLite has taken the lock already and ignores this; other databases take it here.
            connection.execute(select(registry.c.revision).with_for_update())
            yield connection
            self.backend.announce(connection)

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        """Turn whatever the database says against us into `StoreUnavailableError`."""
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            reason = self.backend.reason(error)
            self._complain(reason, error)
            raise StoreUnavailableError(
                f"the registry's database cannot be used now: {reason}; networks in memory predict on; "
                "try again later, which is safe for a registration",
                retry_after=RETRY_SECONDS,
                cause=reason,
            ) from error

    def _complain(self, reason: str, error: BaseException) -> None:
        """Log a failure, the same one not more often than now and then."""
        said, when = self._complained
        now = time.monotonic()
        if reason != said or now - when >= _QUIET:
            self._complained = reason, now
            log.warning("the registry's database cannot be used now: %s (%s)", reason, _text(error))


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


def _forget_shadow(connection: Connection, name: str, of: str) -> None:
    connection.execute(delete(shadows).where(shadows.c.name == name, shadows.c.of == of))


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
    revision = _touch(connection, name) if changed else _revision(connection)
    network = _read(connection, name)
    return Written(network=network, number=number, created=created, revision=revision)


def _revision(connection: Connection) -> int:
    revision = connection.execute(select(registry.c.revision)).scalar_one_or_none()
    return count(revision, otherwise=0)


def _touch(connection: Connection, name: str) -> int:
    """Count a change of a network; return the revision after it."""
    revision = _revision(connection) + 1
    connection.execute(update(registry).values(revision=revision))
    connection.execute(update(networks).where(networks.c.name == name).values(update_us=_now(), revision=revision))
    return revision


def _text(error: BaseException) -> str:
    """Return what the driver said, in one line."""
    return " ".join(str(getattr(error, "orig", error)).split())


def _now() -> int:
    return microseconds(datetime.now(UTC))


def _no_alias(name: str, alias: str) -> AliasNotFoundError:
    return AliasNotFoundError(f"network {name!r} has no alias {alias!r}", resourceType="alias", resourceName=alias)


def _no_version(name: str, number: int) -> VersionNotFoundError:
    return VersionNotFoundError(
        f"network {name!r} has no version {number}", resourceType="version", resourceName=f"{name}/{number}"
    )
