"""Commands on a registry's database, each a function of the settings."""

from collections.abc import Callable
from pathlib import Path

from forwardpass_server.registry import (
    BackupReport,
    CopyReport,
    SqlStore,
    StoreOpenError,
    back_up,
    collect_garbage,
    copy_registry,
    verify,
)
from forwardpass_server.settings import Settings


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, and end.

    Raises:
        StoreOpenError: The database cannot be used.
    """
    SqlStore(settings.database, connect_timeout=settings.database_connect_timeout).close()


def check(settings: Settings, say: Callable[[str], None]) -> int:
    """Read every stored version and report the damaged ones; return their number.

    Raises:
        StoreOpenError: The database cannot be used.
        StoreUnavailableError: It cannot be read.
    """
    damaged = count = 0
    with SqlStore(settings.database) as store:
        for name, problem in verify(store, numerics=settings.numerics):
            count += 1
            if problem is not None:
                damaged += 1
                say(f"{name}: {problem}")
    say(f"{count} versions checked, {damaged} damaged")
    return damaged


def move(settings: Settings, to: str) -> CopyReport:
    """Copy the registry to another database, which must be empty; the source is not changed.

    Raises:
        StoreOpenError: A database cannot be used.
        StoreUnavailableError: It cannot be read or written.
        CopyError: The registry cannot be moved.
    """
    with SqlStore(settings.database) as source, SqlStore(to) as target:
        return copy_registry(source, target)


def backup(settings: Settings, path: Path) -> BackupReport:
    """Write a copy of a SQLite registry, which a server may have in use.

    Raises:
        BackupError: It cannot be copied.
        StoreOpenError: The database cannot be used.
        StoreUnavailableError: The copy cannot be read.
    """
    return back_up(settings.database, path)


def restore(settings: Settings, path: Path) -> CopyReport:
    """Restore a backup to the settings' database, which must be empty; the file is not changed.

    Raises:
        StoreOpenError: The file or the database cannot be used.
        StoreUnavailableError: One of them cannot be read or written.
        CopyError: The database is not empty, or the backup is damaged.
    """
    if not path.is_file():
        raise StoreOpenError(f"the backup {path} does not exist")
    with SqlStore(f"sqlite:///{path}") as source, SqlStore(settings.database) as target:
        return copy_registry(source, target)


def collect(settings: Settings, keep: int, *, dry_run: bool) -> list[str]:
    """Delete old versions that no alias and no shadow names; return their names.

    Raises:
        StoreOpenError: The database cannot be used.
        StoreUnavailableError: It cannot be read or written.
    """
    with SqlStore(settings.database) as store:
        return collect_garbage(store, keep, dry_run=dry_run)
