"""The store on a SQL database, by SQLAlchemy Core: SQLite."""

import fcntl
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from forwardpass.errors import (
    AliasNotFoundError,
    NetworkNotFoundError,
    QuotaExceededError,
    StoreUnavailableError,
    VersionInUseError,
    VersionNotFoundError,
)
from sqlalchemy import Connection, Engine, create_engine, delete, event, func, insert, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import StaticPool

from forwardpass_server.registry import schema
from forwardpass_server.registry.state import LATEST
from forwardpass_server.registry.store import Loaded, NetworkRow, StoreOpenError, VersionRow, Written
from forwardpass_server.registry.tables import aliases, networks, registry, versions

BUSY_SECONDS: Final = 5
_ROWS_OF_A_NETWORK: Final = (versions.c.number, versions.c.digest, versions.c.create_us, versions.c.size_bytes)


class SqlStore:
    """Keeps networks in a SQLite file, or in memory with `sqlite://`.

    Rollback journal and `synchronous=EXTRA`: a write is on the disk when it returns, and a
    power cut cannot undo it. The write-ahead log is avoided, since releases of SQLite up to
    3.51.2 can corrupt it (https://sqlite.org/wal.html#walresetbug). The file belongs to one
    process at a time, since the registry keeps a snapshot in memory.
    """

    def __init__(self, url: str) -> None:
        """Open the database and bring its schema up to date.

        Raises:
            StoreOpenError: The URL, the folder, the file or its schema cannot be used, or
                another process has it open.
        """
        address = _parse(url)
        self._lock_file = _locked(address)
        self._one_connection = threading.RLock() if not address.database else None
        self._engine = _engine(address)
        try:
            with self._engine.begin() as connection:
                schema.migrate(connection)
        except (DBAPIError, StoreOpenError) as error:
            self.close()
            if isinstance(error, StoreOpenError):
                raise
            raise StoreOpenError(f"the database {address.database} cannot be used: {error.orig}") from None

    def load(self) -> Loaded:
        """Read everything but the contents."""
        with self._transaction(reads=True) as connection:
            revision = connection.execute(select(registry.c.revision)).scalar_one()
            names = connection.execute(select(networks).order_by(networks.c.name)).all()
            rows: dict[str, list[VersionRow]] = defaultdict(list)
            named: dict[str, dict[str, int]] = defaultdict(dict)
            columns = (versions.c.name, *_ROWS_OF_A_NETWORK)
            for name, *row in connection.execute(select(*columns).order_by(versions.c.name, versions.c.number)):
                rows[name].append(_version(*row))
            for name, alias, number in connection.execute(select(aliases)):
                named[name][alias] = number
        return Loaded(
            revision=revision,
            networks=tuple(
                _network(row, tuple(rows[row.name]), named[row.name]) for row in names if not row.deleted
            ),
            deleted=frozenset(row.name for row in names if row.deleted),
        )

    def content(self, name: str, number: int) -> bytes | None:
        """Read a version's content, or None when there is no such version."""
        with self._transaction(reads=True) as connection:
            query = select(versions.c.content).where(versions.c.name == name, versions.c.number == number)
            return connection.execute(query).scalar_one_or_none()

    def register(
        self, name: str, digest: str, content: bytes, *, keep_latest: bool, max_networks: int, max_versions: int
    ) -> Written:
        """Add a version, unless the network has one of this digest; see `Store.register`."""
        with self._transaction() as connection:
            found = connection.execute(
                select(versions.c.number).where(versions.c.name == name, versions.c.digest == digest)
            ).scalar_one_or_none()
            if found is not None:
                return _written(connection, name, found, created=False)
            row = connection.execute(select(networks).where(networks.c.name == name)).one_or_none()
            _check_room(connection, row, name, max_networks, max_versions)
            now = _now()
            if row is None:
                number = 1
                values = {"name": name, "next_version": 2, "deleted": False, "create_us": now, "update_us": now}
                connection.execute(insert(networks).values(values))
            else:
                number = row.next_version
                changed = {"next_version": number + 1, "deleted": False, "update_us": now}
                if row.deleted:
                    changed["create_us"] = now
                connection.execute(update(networks).where(networks.c.name == name).values(changed))
            connection.execute(
                insert(versions).values(
                    name=name, number=number, digest=digest, create_us=now, size_bytes=len(content), content=content
                )
            )
            if not keep_latest or row is None or row.deleted:
                _point(connection, name, LATEST, number)
            return _written(connection, name, number, created=True)

    def delete_network(self, name: str) -> int:
        """Delete a network, but not its name's row; see `Store.delete_network`."""
        with self._transaction() as connection:
            _touch(connection, name)
            for table in (aliases, versions):
                connection.execute(delete(table).where(table.c.name == name))
            connection.execute(update(networks).where(networks.c.name == name).values(deleted=True))
            return _next_revision(connection)

    def delete_version(self, name: str, number: int) -> Written:
        """Delete a version; see `Store.delete_version`."""
        with self._transaction() as connection:
            _touch(connection, name)
            network = _read(connection, name)
            left = [version.number for version in network.versions if version.number != number]
            if len(left) == len(network.versions):
                raise _no_version(name, number)
            names = sorted(a for a, target in network.aliases.items() if target == number and a != LATEST)
            if names or not left:
                reason = f"the alias {', '.join(names)} names it" if names else "it is the only one"
                advice = "move or delete the alias first" if names else "delete the network instead"
                raise VersionInUseError(
                    f"version {number} of network {name!r} cannot be deleted: {reason}; {advice}",
                    network=name,
                    version=number,
                    aliases=", ".join(names),
                )
            if network.aliases[LATEST] == number:
                _point(connection, name, LATEST, max(left))
            query = delete(versions).where(versions.c.name == name, versions.c.number == number)
            connection.execute(query)
            return _written(connection, name, number, created=False, changed=True)

    def set_alias(self, name: str, alias: str, number: int) -> Written:
        """Let an alias name a version; see `Store.set_alias`."""
        with self._transaction() as connection:
            network = _read(connection, name)
            if number not in {version.number for version in network.versions}:
                raise _no_version(name, number)
            if network.aliases.get(alias) == number:
                return _written(connection, name, number, created=False)
            _touch(connection, name)
            _point(connection, name, alias, number)
            return _written(connection, name, number, created=False, changed=True)

    def delete_alias(self, name: str, alias: str) -> Written:
        """Delete an alias; see `Store.delete_alias`."""
        with self._transaction() as connection:
            _touch(connection, name)
            number = _read(connection, name).aliases.get(alias)
            if number is None:
                raise AliasNotFoundError(
                    f"network {name!r} has no alias {alias!r}", resourceType="alias", resourceName=alias
                )
            connection.execute(delete(aliases).where(aliases.c.name == name, aliases.c.alias == alias))
            return _written(connection, name, number, created=False, changed=True)

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "_engine"):
            self._engine.dispose()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    @contextmanager
    def _transaction(self, *, reads: bool = False) -> Iterator[Connection]:
        """One transaction; whatever the database says against it is `StoreUnavailableError`."""
        engine = self._engine.execution_options(reads=reads)
        if self._one_connection is not None:
            self._one_connection.acquire()
        try:
            with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreUnavailableError(
                f"the registry's database cannot do this now ({error.orig}); nothing was changed; try again later",
                retry_after=1.0,
                cause=error.orig,
            ) from error
        finally:
            if self._one_connection is not None:
                self._one_connection.release()


def _parse(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        raise StoreOpenError(f"the database URL {url!r} is not of the form sqlite:///FILE") from None
    if address.get_backend_name() != "sqlite":
        raise StoreOpenError(f"the database {address.get_backend_name()} is not supported; use sqlite:///FILE")
    if address.database == ":memory:":
        address = address.set(database=None)
    return address


def _locked(address: URL) -> int | None:
    """Take the file's lock for this process; the kernel lets it go when the process ends, however it ends."""
    if not address.database:
        return None
    path = Path(f"{address.database}.lock")
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreOpenError(f"the database {address.database} cannot be used: {error.strerror}: {path}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StoreOpenError(
            f"the database {address.database} is in use by another forwardpass-server; stop it, or use another file"
        ) from None
    return lock


def _engine(address: URL) -> Engine:
    arguments: dict[str, Any] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = (
        create_engine(address, connect_args=arguments)
        if address.database
        else create_engine(address, connect_args=arguments, poolclass=StaticPool)
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # no transactions but those begun below
        for pragma in ("journal_mode=DELETE", "synchronous=EXTRA", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # Take the write lock at once: two transactions that read first and write later would deadlock.
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _check_room(connection: Connection, row: Any, name: str, max_networks: int, max_versions: int) -> None:
    if row is None or row.deleted:
        count = connection.execute(
            select(func.count()).select_from(networks).where(~networks.c.deleted)
        ).scalar_one()
        what, limit, setting, advice = "networks", max_networks, "max_networks", "delete one that is not used"
    else:
        count = connection.execute(
            select(func.count()).select_from(versions).where(versions.c.name == name)
        ).scalar_one()
        what, limit, setting = f"versions of network {name!r}", max_versions, "max_versions"
        advice = "delete one that is not used"
    if count >= limit:
        raise QuotaExceededError(
            f"there are {count:,} {what}, as many as the server keeps (setting `{setting}`); {advice}",
            quotaValue=count,
            quotaLimit=limit,
            setting=setting,
            subject=what,
        )


def _touch(connection: Connection, name: str) -> None:
    """Note that a network changes now; it must be there."""
    query = update(networks).where(networks.c.name == name, ~networks.c.deleted).values(update_us=_now())
    if not connection.execute(query).rowcount:
        raise _no_network(name)


def _point(connection: Connection, name: str, alias: str, number: int) -> None:
    query = update(aliases).where(aliases.c.name == name, aliases.c.alias == alias).values(number=number)
    if not connection.execute(query).rowcount:
        connection.execute(insert(aliases).values(name=name, alias=alias, number=number))


def _read(connection: Connection, name: str) -> NetworkRow:
    row = connection.execute(select(networks).where(networks.c.name == name, ~networks.c.deleted)).one_or_none()
    if row is None:
        raise _no_network(name)
    of_network = versions.c.name == name
    rows = connection.execute(select(*_ROWS_OF_A_NETWORK).where(of_network).order_by(versions.c.number))
    named = connection.execute(select(aliases.c.alias, aliases.c.number).where(aliases.c.name == name))
    return _network(row, tuple(_version(*version) for version in rows), {a: n for a, n in named})


def _written(
    connection: Connection, name: str, number: int, *, created: bool, changed: bool | None = None
) -> Written:
    changed = created if changed is None else changed
    revision = _next_revision(connection) if changed else _revision(connection)
    return Written(network=_read(connection, name), number=number, created=created, revision=revision)


def _revision(connection: Connection) -> int:
    revision: int = connection.execute(select(registry.c.revision)).scalar_one()
    return revision


def _next_revision(connection: Connection) -> int:
    connection.execute(update(registry).values(revision=registry.c.revision + 1))
    return _revision(connection)


def _network(row: Any, rows: tuple[VersionRow, ...], named: dict[str, int]) -> NetworkRow:
    return NetworkRow(
        name=row.name,
        create_time=_time(row.create_us),
        update_time=_time(row.update_us),
        versions=rows,
        aliases=named,
    )


def _version(number: int, digest: str, create_us: int, size_bytes: int) -> VersionRow:
    return VersionRow(number=number, digest=digest, create_time=_time(create_us), size_bytes=size_bytes)


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1e6)


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _no_network(name: str) -> NetworkNotFoundError:
    return NetworkNotFoundError(f"there is no network {name!r}", resourceType="network", resourceName=name)


def _no_version(name: str, number: int) -> VersionNotFoundError:
    return VersionNotFoundError(
        f"network {name!r} has no version {number}", resourceType="version", resourceName=f"{name}/{number}"
    )
