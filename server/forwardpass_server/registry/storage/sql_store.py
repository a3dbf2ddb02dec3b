"""The store on a SQL database, with SQLAlchemy Core."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from forwardpass.errors import (
    AliasMovedError,
    AliasNotFoundError,
    NetworkNotFoundError,
    VersionInUseError,
    VersionNotFoundError,
)
from sqlalchemy import Connection, delete, insert, select, update

from forwardpass_server.registry.storage.alias_history import (
    delete_moves,
    find_rollback_target,
    read_moves,
    record_move,
)
from forwardpass_server.registry.storage.database import Database
from forwardpass_server.registry.storage.rows import current_microseconds, read_networks, valid_count
from forwardpass_server.registry.storage.store import (
    LATEST,
    AliasMoveRow,
    NetworkRow,
    Notifications,
    Seed,
    StoredState,
    WriteResult,
    digest_of,
    profile_not_found,
)
from forwardpass_server.registry.storage.tables import (
    aliases,
    networks,
    profiles,
    registry,
    shadows,
    versions,
    withdrawn,
)


class SqlStore:
    """The `Store` on a SQL database.

    Attributes:
        database: The database; commands of operation use its transactions directly.
        shared: Whether other processes may write too.
    """

    def __init__(
        self, url: str, *, lock_timeout: float = 5.0, connect_timeout: float = 0.0, read_only: bool = False
    ) -> None:
        """Open the database and bring its schema up to date.

        Args:
            url: `sqlite:///FILE`, `sqlite://` for memory, or `postgresql://USER@HOST/DATABASE`.
            lock_timeout: Seconds to wait for a lock that another process holds.
            connect_timeout: Seconds to keep trying while a database server cannot be reached.
            read_only: Whether this is a worker process, which only reads what its owner writes: a SQLite file that the
                owner has open can be opened then.

        Raises:
            StoreOpenError: The URL, the folder, the file or its schema cannot be used, or another process has the file
                open.
        """
        self.database = Database(url, lock_timeout=lock_timeout, connect_timeout=connect_timeout, read_only=read_only)
        self._backend = self.database.backend
        self.shared: bool = self._backend.shared

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Close files and connections."""
        self.database.close()

    def read_state(self, since: int = -1) -> StoredState:
        """Read everything except the contents, or what has changed; see `Store.read_state`."""
        with self.database.reading() as connection:
            revision = _read_revision(connection)
            rows = read_networks(connection, since=since) if revision != since else {}
        return StoredState(
            revision=revision,
            networks=tuple(row for row in rows.values() if row.versions),
            deleted=frozenset(row.name for row in rows.values() if not row.versions),
        )

    def read_content(self, name: str, number: int) -> bytes | None:
        """Read a version's content; see `Store.read_content`."""
        with self.database.reading() as connection:
            return self._backend.read_content(connection, name, number)

    def read_contents(self, versions: Sequence[tuple[str, int]]) -> list[bytes | None]:
        """Read the contents of versions; see `Store.read_contents`."""
        with self.database.reading() as connection:
            return [self._backend.read_content(connection, name, number) for name, number in versions]

    def list_alias_moves(self, name: str, alias: str) -> tuple[AliasMoveRow, ...]:
        """Read the last moves of an alias; see `Store.list_alias_moves`."""
        with self.database.reading() as connection:
            return read_moves(connection, name, alias)

    def notifications(self) -> Notifications:
        """Return the notifications of other processes' changes; see `Store.notifications`."""
        return self._backend.notifications()

    def seed(self, seeds: Sequence[Seed]) -> None:
        """Add networks whose names were never registered; see `Store.seed`."""
        with self.database.writing() as connection:
            for seed in seeds:
                if not read_networks(connection, seed.name):
                    self._insert_version(connection, seed.name, None, seed.digest, seed.content)
                    _move_alias(connection, seed.name, LATEST, 1)
                    _finish(connection, seed.name, 1, changed=True, created=True)

    def register(self, name: str, digest: str, content: bytes, *, keep_latest: bool) -> WriteResult:
        """Add a version, or find the one with this digest; see `Store.register`."""
        with self.database.writing() as connection:
            network = read_networks(connection, name).get(name)
            for version in network.versions if network else ():
                if version.digest == digest:
                    repaired = self._repair(connection, name, version.number, content)
                    return _finish(connection, name, version.number, changed=repaired)
            number = self._insert_version(connection, name, network, digest, content)
            if not (keep_latest and network and network.versions):
                _move_alias(connection, name, LATEST, number)
            return _finish(connection, name, number, changed=True, created=True)

    def delete_network(self, name: str) -> int:
        """Delete a network, but keep the row of its name; see `Store.delete_network`."""
        with self.database.writing() as connection:
            network = _read_network(connection, name)
            delete_moves(connection, name)
            for table in (shadows, profiles, aliases, withdrawn, versions):
                connection.execute(delete(table).where(table.c.name == name))
            numbers_used = {"next_version": network.next_version}
            connection.execute(update(networks).where(networks.c.name == name).values(**numbers_used))
            return _advance_revision(connection, name)

    def delete_version(self, name: str, number: int) -> WriteResult:
        """Delete a version; see `Store.delete_version`."""
        with self.database.writing() as connection:
            network = _read_network(connection, name)
            _check_deletable(network, number)
            if network.aliases[LATEST] == number:
                left = max(version.number for version in network.versions if version.number != number)
                _move_alias(connection, name, LATEST, left)
            _delete_shadow(connection, name, str(number))
            for table in (shadows, profiles, withdrawn, versions):
                connection.execute(delete(table).where(table.c.name == name, table.c.number == number))
            return _finish(connection, name, number, changed=True)

    def set_in_service(self, name: str, *, in_service: bool) -> WriteResult:
        """Put all versions into service, or take them out of it; see `Store.set_in_service`."""
        with self.database.writing() as connection:
            network = _read_network(connection, name)
            changed = any(version.in_service != in_service for version in network.versions)
            connection.execute(delete(withdrawn).where(withdrawn.c.name == name))
            if not in_service:
                rows = [{"name": name, "number": version.number} for version in network.versions]
                connection.execute(insert(withdrawn), rows)
            return _finish(connection, name, network.aliases[LATEST], changed=changed)

    def set_alias(self, name: str, alias: str, number: int, *, expected: int | None = None) -> WriteResult:
        """Point an alias at a version; see `Store.set_alias`."""
        with self.database.writing() as connection:
            network = _read_network(connection, name)
            _check_version(network, number)
            changed = network.aliases.get(alias) != number
            if changed:
                _check_expected(network, alias, expected)
                _move_alias(connection, name, alias, number)
            return _finish(connection, name, number, changed=changed)

    def rollback_alias(self, name: str, alias: str, *, expected: int | None = None) -> WriteResult:
        """Point an alias at the version that it named before; see `Store.rollback_alias`."""
        with self.database.writing() as connection:
            network = _read_network(connection, name)
            if alias not in network.aliases:
                raise _alias_not_found(name, alias)
            _check_expected(network, alias, expected)
            target = find_rollback_target(
                name,
                alias,
                read_moves(connection, name, alias),
                current=network.aliases[alias],
                existing={version.number for version in network.versions},
            )
            _move_alias(connection, name, alias, target.number, rollback_to=target.rollback_to)
            return _finish(connection, name, target.number, changed=True)

    def delete_alias(self, name: str, alias: str) -> WriteResult:
        """Delete an alias; see `Store.delete_alias`."""
        with self.database.writing() as connection:
            number = _read_network(connection, name).aliases.get(alias)
            if number is None:
                raise _alias_not_found(name, alias)
            delete_moves(connection, name, alias)
            _delete_shadow(connection, name, alias)
            connection.execute(delete(aliases).where(aliases.c.name == name, aliases.c.alias == alias))
            return _finish(connection, name, number, changed=True)

    def set_shadow(self, name: str, of: str, number: int, *, share: float, tolerance: float) -> WriteResult:
        """Set a shadow; see `Store.set_shadow`."""
        with self.database.writing() as connection:
            network = _read_network(connection, name)
            _check_version(network, number)
            existing = {(row.of, row.number, row.share, row.tolerance) for row in network.shadows}
            changed = (of, number, share, tolerance) not in existing
            if changed:
                _delete_shadow(connection, name, of)
                row = {"number": number, "share": share, "tolerance": tolerance, "set_us": current_microseconds()}
                connection.execute(insert(shadows).values(name=name, of=of, **row))
            return _finish(connection, name, number, changed=changed)

    def clear_shadow(self, name: str, of: str) -> WriteResult:
        """Remove a shadow; see `Store.clear_shadow`."""
        with self.database.writing() as connection:
            number = next((row.number for row in _read_network(connection, name).shadows if row.of == of), 0)
            _delete_shadow(connection, name, of)
            return _finish(connection, name, number, changed=bool(number))

    def set_profile(self, name: str, number: int, content: bytes, *, rows: int) -> WriteResult:
        """Set the profile of a version; see `Store.set_profile`."""
        with self.database.writing() as connection:
            network = _read_network(connection, name)
            _check_version(network, number)
            digest = digest_of(content)
            changed = digest not in {row.digest for row in network.profiles if row.number == number}
            changed = changed or _read_profile(connection, name, number) != content
            if changed:
                _delete_profile(connection, name, number)
                row = {"digest": digest, "rows": rows, "set_us": current_microseconds(), "content": content}
                connection.execute(insert(profiles).values(name=name, number=number, **row))
            return _finish(connection, name, number, changed=changed)

    def read_profile(self, name: str, number: int) -> bytes | None:
        """Read the content of a version's profile; see `Store.read_profile`."""
        with self.database.reading() as connection:
            return _read_profile(connection, name, number)

    def delete_profile(self, name: str, number: int) -> WriteResult:
        """Delete the profile of a version; see `Store.delete_profile`."""
        with self.database.writing() as connection:
            if number not in {row.number for row in _read_network(connection, name).profiles}:
                raise profile_not_found(name, number)
            _delete_profile(connection, name, number)
            return _finish(connection, name, number, changed=True)

    def _insert_version(
        self, connection: Connection, name: str, network: NetworkRow | None, digest: str, content: bytes
    ) -> int:
        """Insert a version, and the network's row if there is none; return the version's number."""
        now = current_microseconds()
        number = network.next_version if network else 1
        values = {"next_version": number + 1, "update_us": now}
        if network is None or not network.versions:
            values["create_us"] = now
        if network is None:
            connection.execute(insert(networks).values(name=name, **values))
        else:
            connection.execute(update(networks).where(networks.c.name == name).values(**values))
        row = {"digest": digest, "create_us": now, "size_bytes": len(content)}
        placeholder = self._backend.placeholder(content)
        connection.execute(insert(versions).values(name=name, number=number, content=placeholder, **row))
        self._backend.write_content(connection, name, number, content)
        return number

    def _repair(self, connection: Connection, name: str, number: int, content: bytes) -> bool:
        """Write a version's content again if the stored one differs; return whether it did."""
        if self._backend.read_content(connection, name, number) == content:
            return False
        query = update(versions).where(versions.c.name == name, versions.c.number == number)
        connection.execute(query.values(content=self._backend.placeholder(content), size_bytes=len(content)))
        self._backend.write_content(connection, name, number, content)
        return True


def _finish(connection: Connection, name: str, number: int, *, changed: bool, created: bool = False) -> WriteResult:
    """Advance the revision if the write changed something, and return the network as it is now."""
    revision = _advance_revision(connection, name) if changed else _read_revision(connection)
    network = _read_network(connection, name)
    return WriteResult(network=network, number=number, created=created, revision=revision)


def _advance_revision(connection: Connection, name: str) -> int:
    """Count a change of a network; return the revision after it."""
    revision = _read_revision(connection) + 1
    connection.execute(update(registry).values(revision=revision))
    changed = {"update_us": current_microseconds(), "revision": revision}
    connection.execute(update(networks).where(networks.c.name == name).values(**changed))
    return revision


def _read_revision(connection: Connection) -> int:
    revision = connection.execute(select(registry.c.revision)).scalar_one_or_none()
    return valid_count(revision, default=0)


def _read_network(connection: Connection, name: str) -> NetworkRow:
    network = read_networks(connection, name).get(name)
    if network is None or not network.versions:
        raise NetworkNotFoundError(f"there is no network {name!r}", resourceType="network", resourceName=name)
    return network


def _move_alias(connection: Connection, name: str, alias: str, number: int, *, rollback_to: int | None = None) -> None:
    """Point an alias at a version and record the move; `rollback_to` as in `record_move`."""
    record_move(connection, name, alias, number, rollback_to=rollback_to)
    query = update(aliases).where(aliases.c.name == name, aliases.c.alias == alias).values(number=number)
    if not connection.execute(query).rowcount:
        connection.execute(insert(aliases).values(name=name, alias=alias, number=number))


def _delete_shadow(connection: Connection, name: str, of: str) -> None:
    connection.execute(delete(shadows).where(shadows.c.name == name, shadows.c.of == of))


def _read_profile(connection: Connection, name: str, number: int) -> bytes | None:
    query = select(profiles.c.content).where(profiles.c.name == name, profiles.c.number == number)
    content: object = connection.execute(query).scalar_one_or_none()
    return content if content is None or isinstance(content, bytes) else b""


def _delete_profile(connection: Connection, name: str, number: int) -> None:
    connection.execute(delete(profiles).where(profiles.c.name == name, profiles.c.number == number))


def _check_version(network: NetworkRow, number: int) -> None:
    if number not in {version.number for version in network.versions}:
        raise VersionNotFoundError(
            f"network {network.name!r} has no version {number}",
            resourceType="version",
            resourceName=f"{network.name}/{number}",
        )


def _check_deletable(network: NetworkRow, number: int) -> None:
    _check_version(network, number)
    names = sorted(alias for alias, named in network.aliases.items() if named == number and alias != LATEST)
    if not names and len(network.versions) > 1:
        return
    reason = f"the alias {', '.join(names)} names it" if names else "it is the only one"
    advice = "move or delete the alias first" if names else "delete the network instead"
    raise VersionInUseError(
        f"version {number} of network {network.name!r} cannot be deleted: {reason}; {advice}",
        network=network.name,
        version=number,
        aliases=", ".join(names),
    )


def _check_expected(network: NetworkRow, alias: str, expected: int | None) -> None:
    actual = network.aliases.get(alias, 0)
    if expected is None or actual == expected:
        return
    found = f"names version {actual}" if actual else "does not exist"
    condition = f"and not version {expected}" if expected else "though it should not exist"
    raise AliasMovedError(
        f"alias {alias!r} of network {network.name!r} {found}, {condition}; nothing was changed; "
        "look at what it names now and try again",
        network=network.name,
        alias=alias,
        expected=expected,
        actual=actual,
    )


def _alias_not_found(name: str, alias: str) -> AliasNotFoundError:
    return AliasNotFoundError(f"network {name!r} has no alias {alias!r}", resourceType="alias", resourceName=alias)
