"""Copies a registry from one database to another: all of it, or nothing."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, insert, select, update

from forwardpass_server.registry.content import digest_of
from forwardpass_server.registry.sql import SqlStore
from forwardpass_server.registry.tables import metadata, networks, registry, versions

_ROWS: Final = 500
"""So many rows are written by one statement."""


class MoveError(Exception):
    """The registry cannot be moved; the sentence says why. The database that it was to go to is as it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What was copied, and found the same when it was read again."""

    networks: int
    versions: int
    size_bytes: int
    revision: int


def move(source: SqlStore, target: SqlStore) -> Moved:
    """Copy everything, numbers, times and revision too, in one transaction; then read it again and compare.

    Every content must have its digest, where it is read and where it was written.

    Args:
        source: Where the registry is; it stays as it is. Nobody else may write to it meanwhile.
        target: Where it is to be: a database that never had a network.

    Raises:
        MoveError: The target has networks, a content is damaged, or what was written is not what was read.
        StoreUnavailableError: A database cannot.
    """
    with source.reading() as reading, target.writing() as writing:
        if writing.execute(select(networks.c.name).limit(1)).first() is not None:
            raise MoveError("the database to move to has networks already; nothing was changed; use an empty one")
        for table in metadata.sorted_tables:
            if table is versions:
                size_bytes = _copy_contents(reading, writing, source, target)
            elif table is registry:
                revision = reading.execute(select(registry.c.revision)).scalar_one()
                writing.execute(update(registry).values(revision=revision))
            else:
                _insert(writing, table, _rows(reading, table))
        counted = {table.name: _compare(reading, writing, table) for table in metadata.sorted_tables}
    return Moved(
        networks=counted[networks.name],
        versions=counted[versions.name],
        size_bytes=size_bytes,
        revision=revision,
    )


def _copy_contents(reading: Connection, writing: Connection, source: SqlStore, target: SqlStore) -> int:
    """Copy the versions, one at a time; return the bytes of their contents."""
    size = 0
    for row in _rows(reading, versions):
        name, number = row["name"], row["number"]
        content = source.backend.content(reading, name, number)
        if content is None or digest_of(content) != row["digest"]:
            raise MoveError(
                f"the content of network {name!r} version {number} is damaged; register it again or delete it, "
                "then move; nothing was changed"
            )
        writing.execute(insert(versions).values(content=target.backend.room(content), **row))
        target.backend.fill(writing, name, number, content)
        if digest_of(target.backend.content(writing, name, number) or b"") != row["digest"]:
            raise MoveError(f"network {name!r} version {number} was not written as it was read; nothing was changed")
        size += len(content)
    return size


def _insert(writing: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS):
        writing.execute(insert(table), rows[start : start + _ROWS])


def _compare(reading: Connection, writing: Connection, table: Table) -> int:
    """Compare a table, but for contents; return how many rows it has."""
    before, after = _rows(reading, table), _rows(writing, table)
    if before != after:
        raise MoveError(f"the table {table.name!r} was not written as it was read; nothing was changed")
    return len(after)


def _rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    """Return the rows of a table without contents, in an order that is the same in every database."""
    columns = [column for column in table.columns if column is not versions.c.content]
    rows = [dict(row._mapping) for row in connection.execute(select(*columns))]  # noqa: SLF001 - SQLAlchemy's public name
    return sorted(rows, key=lambda row: [row[column.name] for column in table.primary_key.columns])
