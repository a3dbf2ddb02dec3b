"""Brings a database's schema up to this program's, and refuses one that is ahead of it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from forwardpass_server.registry.store import StoreOpenError


def migrate(connection: Connection) -> None:
    """Apply the migrations that the database lacks.

    Raises:
        StoreOpenError: The database has a revision that this program does not know; nothing is changed.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise StoreOpenError(
            f"the database was made by a newer version of forwardpass-server (schema {current}, this program knows "
            f"up to {scripts.get_current_head()}); nothing was changed; use that version or another database"
        )
    if current != scripts.get_current_head():
        command.upgrade(config, "head")
