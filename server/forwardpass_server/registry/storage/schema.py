"""Migration of a database to this program's schema, and rejection of a schema that it does not know.

Alembic is imported only when a migration is needed, since a usual start is faster without it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, column, inspect, select, table

from forwardpass_server.registry.storage.store import StoreOpenError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0005"
"""The schema revision of this program's tables: the newest in `migrations/versions`."""

_VERSION_TABLE: Final = table("alembic_version", column("version_num"))
"""Alembic's own table."""


def is_current(connection: Connection) -> bool:
    """Return whether the database has this program's schema; if not, migrations are missing.

    Raises:
        StoreOpenError: The database belongs to another program, or has a schema that this program does not know.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return False
    if _VERSION_TABLE.name not in tables:
        raise StoreOpenError(
            f"the database is another program's (it has the table {min(tables)!r}); "
            "nothing was changed; use another one"
        )
    revisions = connection.execute(select(_VERSION_TABLE.c.version_num)).scalars().all()
    if revisions == [HEAD]:
        return True
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see the module's docstring

    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if not known.issuperset(revisions):
        raise StoreOpenError(
            f"the database was made by a newer version of forwardpass-server (its schema is {revisions[0]}, "
            f"this program knows up to {HEAD}); nothing was changed; use that version, or another database"
        )
    return False


def migrate(connection: Connection) -> None:
    """Apply the missing migrations within the connection's transaction.

    The transaction must hold the migration lock, since another process may be about to migrate too.

    Raises:
        StoreOpenError: As `is_current` does; nothing is changed.
    """
    if not is_current(connection):
        from alembic import command  # noqa: PLC0415 - see the module's docstring

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see the module's docstring

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
