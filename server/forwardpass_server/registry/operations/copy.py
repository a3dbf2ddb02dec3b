"""Copy of a whole registry from one database to another, in one transaction."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, Table, insert, select, update

from forwardpass_server.registry.storage.sql_store import SqlStore
from forwardpass_server.registry.storage.store import digest_of
from forwardpass_server.registry.storage.tables import metadata, networks, profiles, registry, versions

_ROWS: Final = 500
"""The number of rows that one statement inserts."""


class CopyError(Exception):
    """The registry cannot be copied; the message says why. The target database is unchanged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyReport:
    """Counts of a copy that was verified by reading it again."""

    networks: int
    versions: int
    size_bytes: int
    revision: int


def copy_registry(source: SqlStore, target: SqlStore) -> CopyReport:
    """Copy everything, including numbers, times and the revision, in one transaction; then read it again and compare.

    The digest of every content is verified in the source and in the target.

    Args:
        source: The registry; it is not changed. Nothing else may write to it meanwhile.
        target: An empty database: one that never had a network.

    Raises:
        CopyError: The target has networks, a content is damaged, or the copy differs from the source.
        StoreUnavailableError: One of the databases cannot be used.
    """
    with source.database.reading() as reading, target.database.writing() as writing:
        if writing.execute(select(networks.c.name).limit(1)).first() is not None:
            raise CopyError("the database to move to has networks already; nothing was changed; use an empty one")
        for table in metadata.sorted_tables:
            if table is versions:
                size_bytes = _copy_contents(reading, writing, source, target)
            elif table is profiles:
                _copy_profiles(reading, writing)
            elif table is registry:
                revision = reading.execute(select(registry.c.revision)).scalar_one()
                writing.execute(update(registry).values(revision=revision))
            else:
                _insert(writing, table, _rows(reading, table))
        counts = {table.name: _compare(reading, writing, table) for table in metadata.sorted_tables}
    return CopyReport(
        networks=counts[networks.name],
        versions=counts[versions.name],
        size_bytes=size_bytes,
        revision=revision,
    )


def _copy_contents(reading: Connection, writing: Connection, source: SqlStore, target: SqlStore) -> int:
    """Copy the versions, one at a time; return the total size of their contents."""
    read_from, write_to = source.database.backend, target.database.backend
    size = 0
    for row in _rows(reading, versions):
        name, number = row["name"], row["number"]
        content = read_from.read_content(reading, name, number)
        if content is None or digest_of(content) != row["digest"]:
            raise CopyError(
                f"the content of network {name!r} version {number} is damaged; register it again or delete it, "
                "then move; nothing was changed"
            )
        writing.execute(insert(versions).values(content=write_to.placeholder(content), **row))
        write_to.write_content(writing, name, number, content)
        if digest_of(write_to.read_content(writing, name, number) or b"") != row["digest"]:
            raise CopyError(f"network {name!r} version {number} was not written as it was read; nothing was changed")
        size += len(content)
    return size


def _copy_profiles(reading: Connection, writing: Connection) -> None:
    """Copy the profiles, one at a time."""
    for row in _rows(reading, profiles):
        query = select(profiles.c.content).where(profiles.c.name == row["name"], profiles.c.number == row["number"])
        content = reading.execute(query).scalar_one()
        if not isinstance(content, bytes) or digest_of(content) != row["digest"]:
            raise CopyError(
                f"the profile of network {row['name']!r} version {row['number']} is damaged; profile the version again "
                "or delete the profile, then move; nothing was changed"
            )
        writing.execute(insert(profiles).values(content=content, **row))
        if digest_of(writing.execute(query).scalar_one()) != row["digest"]:
            raise CopyError(
                f"the profile of network {row['name']!r} version {row['number']} was not written as it was read; "
                "nothing was changed"
            )


def _insert(writing: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS):
        writing.execute(insert(table), rows[start : start + _ROWS])


def _compare(reading: Connection, writing: Connection, table: Table) -> int:
    """Compare the rows of a table, without contents; return their number."""
    before, after = _rows(reading, table), _rows(writing, table)
    if before != after:
        raise CopyError(f"the table {table.name!r} was not written as it was read; nothing was changed")
    return len(after)


def _rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    """Read the rows of a table without contents, in the same order from every database."""
    columns = [column for column in table.columns if not isinstance(column.type, LargeBinary)]
    rows = [dict(row._mapping) for row in connection.execute(select(*columns))]  # noqa: SLF001 - part of SQLAlchemy's public API
    return sorted(rows, key=lambda row: [row[column.name] for column in table.primary_key.columns])
