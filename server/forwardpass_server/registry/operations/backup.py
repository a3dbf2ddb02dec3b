"""Backup of a SQLite registry to a file while a server may write to it, with SQLite's online backup.

Pages are copied in groups, between which other processes may write. If one has, SQLite starts again, so the copy is
always one state of the whole database (https://sqlite.org/backup.html).
"""

import os
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy.engine import make_url

from forwardpass_server.registry.storage.sql_store import SqlStore
from forwardpass_server.registry.storage.sqlite import resolved
from forwardpass_server.registry.storage.store import StoreOpenError, digest_of

_PAGES: Final = 256
"""Pages that are copied while writers wait: 1 MiB with SQLite's default page size."""

_MAX_SECONDS: Final = 10.0
"""After this time, writers wait for the rest of the copy, which might never end otherwise."""


class BackupError(Exception):
    """The registry cannot be backed up; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupReport:
    """The contents of a backup.

    Attributes:
        networks: The number of networks.
        versions: The number of versions.
        revision: The registry's revision.
        damaged: The damaged versions as `NAME/NUMBER`, and damaged profiles as `NAME/NUMBER (profile)`; they are
            damaged in the registry too.
    """

    networks: int
    versions: int
    revision: int
    damaged: tuple[str, ...]


def back_up(url: str, path: Path) -> BackupReport:
    """Copy a SQLite registry, which may be in use, to a file, and verify the digest of every content in the copy.

    Args:
        url: The registry's database.
        path: The file to create.

    Raises:
        BackupError: The database is not a SQLite file, the path exists, or one of the two cannot be used.
        StoreOpenError: The URL has no known form, or the database is not a registry.
        StoreUnavailableError: The copy cannot be read.
    """
    source = _source_file(url)
    path = path.absolute()
    if path.exists():
        raise BackupError(f"{path} is there already; name a file that is not")
    part = path.with_name(f".{path.name}.part")
    lock = part.with_name(f"{part.name}.lock")
    try:
        _copy(source, part)
        with SqlStore(f"sqlite:///{part}") as store:
            report = _verify(store)
        _sync(part)
        part.rename(path)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{source} cannot be copied to {path}: {error}") from error
    finally:
        for left in (part, lock):
            with suppress(OSError):  # the next backup overwrites it
                left.unlink()
    return report


def _source_file(url: str) -> Path:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        raise BackupError("the registry is in PostgreSQL; back it up with pg_dump, see docs/how-to/postgres.md")
    path = resolved(address).database
    if not path:
        raise BackupError("the registry is in memory; there is nothing to copy")
    if not Path(path).is_file():
        raise StoreOpenError(f"the database {path} does not exist")
    return Path(path)


def _copy(source: Path, target: Path) -> None:
    """Copy a database file in groups of pages."""
    end = time.monotonic() + _MAX_SECONDS
    reading = sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)
    writing = sqlite3.connect(target)

    def check_time(status: int, remaining: int, total: int) -> None:
        del status, remaining, total
        if time.monotonic() > end:
            raise TimeoutError

    try:
        try:
            reading.backup(writing, pages=_PAGES, progress=check_time, sleep=0.005)
        except TimeoutError:
            reading.backup(writing)
    finally:
        writing.close()
        reading.close()


def _verify(store: SqlStore) -> BackupReport:
    stored = store.read_state()
    numbered = [(row.name, version) for row in stored.networks for version in row.versions]
    damaged = [
        f"{name}/{version.number}"
        for name, version in numbered
        if digest_of(store.read_content(name, version.number) or b"") != version.digest
    ]
    damaged += [
        f"{row.name}/{profile.number} (profile)"
        for row in stored.networks
        for profile in row.profiles
        if digest_of(store.read_profile(row.name, profile.number) or b"") != profile.digest
    ]
    return BackupReport(
        networks=len(stored.networks),
        versions=len(numbered),
        revision=stored.revision,
        damaged=tuple(damaged),
    )


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
