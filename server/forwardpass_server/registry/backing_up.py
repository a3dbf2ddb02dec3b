"""Copies a SQLite registry to a file, also while a server writes to it: SQLite's online backup.

https://sqlite.org/backup.html: pages are copied some at a time, between which others may write; when another
process has written, SQLite begins again, so that the copy is always one state of the whole database.
"""

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy.engine import make_url

from forwardpass_server.registry.content import digest_of
from forwardpass_server.registry.sql import SqlStore
from forwardpass_server.registry.sqlite import resolved
from forwardpass_server.registry.store import StoreOpenError

_PAGES: Final = 256
"""Pages that are copied while writers wait: a megabyte of SQLite's usual ones."""

_PATIENCE: Final = 10.0
"""Seconds after which writers must wait for the whole copy, or it might never end."""


class BackupError(Exception):
    """The registry cannot be backed up; the sentence says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackedUp:
    """What a backup has.

    Attributes:
        networks: How many networks.
        versions: How many versions.
        revision: The registry's.
        damaged: What is damaged, each as `NAME/NUMBER`; so it was in the registry.
    """

    networks: int
    versions: int
    revision: int
    damaged: tuple[str, ...]


def back_up(url: str, path: Path) -> BackedUp:
    """Write a copy of a SQLite registry that may be in use, and compare the digest of every content in it.

    Args:
        url: The registry's database.
        path: Where the copy is to be; there is nothing yet.

    Raises:
        BackupError: The database is not a SQLite file, the path is taken, or one of the two cannot be used.
        StoreOpenError: The URL is of no known form, or what was copied is no registry.
        StoreUnavailableError: The copy cannot be read.
    """
    source = _file_of(url)
    path = path.absolute()
    if path.exists():
        raise BackupError(f"{path} is there already; name a file that is not")
    part = path.with_name(f".{path.name}.part")
    lock = part.with_name(f"{part.name}.lock")
    try:
        _copy(source, part)
        with SqlStore(f"sqlite:///{part}") as store:
            found = _read(store)
        _sync(part)
        part.rename(path)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{source} cannot be copied to {path}: {error}") from error
    finally:
        for left in (part, lock):
            left.unlink(missing_ok=True)
    return found


def _file_of(url: str) -> Path:
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
    """Copy a database file, a few pages at a time."""
    end = time.monotonic() + _PATIENCE
    reading = sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)
    writing = sqlite3.connect(target)

    def look(status: int, remaining: int, total: int) -> None:
        del status, remaining, total
        if time.monotonic() > end:
            raise TimeoutError

    try:
        try:
            reading.backup(writing, pages=_PAGES, progress=look, sleep=0.005)
        except TimeoutError:
            reading.backup(writing)
    finally:
        writing.close()
        reading.close()


def _read(store: SqlStore) -> BackedUp:
    stored = store.load()
    numbered = [(row.name, version) for row in stored.networks for version in row.versions]
    return BackedUp(
        networks=len(stored.networks),
        versions=len(numbered),
        revision=stored.revision,
        damaged=tuple(
            f"{name}/{version.number}"
            for name, version in numbered
            if digest_of(store.content(name, version.number) or b"") != version.digest
        ),
    )


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
