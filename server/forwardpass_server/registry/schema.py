"""Brings a database's schema up to this program's, and refuses one that it does not know."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, column, inspect, select, table

from forwardpass_server.registry.store import StoreOpenError

HEAD: Final = "0001"
"""The revision that the tables of this program have; the newest in `migrations/versions`."""

_VERSION_TABLE: Final = table("alembic_version", column("version_num"))
"""Alembic's own."""


def migrate(connection: Connection) -> None:
    """Apply the migrations that the database lacks, within the connection's transaction.

    Raises:
        StoreOpenError: The database belongs to another program, or has a revision that this
            program does not know; nothing is changed.
    """
    tables = inspect(connection).get_table_names()
    revisions: list[object] = []
    if _VERSION_TABLE.name in tables:
        revisions = list(connection.execute(select(_VERSION_TABLE.c.version_num)).scalars())
    elif tables:
        raise StoreOpenError(
            f"the database is another program's (it has the table {min(tables)!r}); "
            "nothing was changed; use another one"
        )
    if revisions != [HEAD]:
        _upgrade(connection, revisions)


def _upgrade(connection: Connection, revisions: list[object]) -> None:
    # Imported only now, since Alembic takes a tenth of a second that most starts can do without.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if not known.issuperset(revisions):
        raise StoreOpenError(
            f"the database was made by a newer version of forwardpass-server (its schema is {revisions[0]}, "
            f"this program knows up to {HEAD}); nothing was changed; use that version, or another database"
        )
    command.upgrade(config, "head")
