"""A SQL database: opening it, its transactions, and the translation of its errors."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Final

from forwardpass.errors import StoreUnavailableError
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from forwardpass_server.registry.storage import schema
from forwardpass_server.registry.storage.backends import backend_for
from forwardpass_server.registry.storage.store import StoreOpenError
from forwardpass_server.registry.storage.tables import registry

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""When a caller should try again while the database is unavailable."""

_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts to open; the last pause repeats."""

_LOG_INTERVAL: Final = 30.0
"""Seconds before the same failure of the database is logged again."""


class Database:
    """An open database whose schema is current.

    Attributes:
        backend: Everything that depends on the kind of database.
    """

    def __init__(self, url: str, *, lock_timeout: float, connect_timeout: float, read_only: bool = False) -> None:
        """Open the database and bring its schema up to date; the arguments and errors are those of `SqlStore`."""
        self.backend = backend_for(url, lock_timeout=lock_timeout, read_only=read_only)
        self._engine = self.backend.engine
        self._last_logged = "", 0.0
        try:
            self._open(connect_timeout)
        except BaseException:
            self.close()
            raise

    def _open(self, connect_timeout: float) -> None:
        """Try to open until it works, the error is permanent, or the time is over."""
        end = time.monotonic() + connect_timeout
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            try:
                self._migrate()
                self.backend.finish_open()
            except DBAPIError as error:
                reason = f"{self.backend.describe_error(error)} ({_driver_message(error)})"
                message = f"the database {self.backend.display_name} cannot be used: {reason}"
                if not self.backend.is_transient(error) or time.monotonic() + pause > end:
                    tried = f"; tried for {connect_timeout:g} s (setting `database_connect_timeout`)"
                    raise StoreOpenError(f"{message}{tried if connect_timeout else ''}") from None
                log.warning("%s; trying again", message)
                time.sleep(pause)
            else:
                return

    def _migrate(self) -> None:
        with self._engine.connect().execution_options(**self.backend.read_options) as connection:
            if schema.is_current(connection):
                return
        with self._engine.begin() as connection:
            self.backend.lock_for_migration(connection)
            schema.migrate(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads; it does not block others that read.

        Raises:
            StoreUnavailableError: The database cannot be used now.
        """
        options = self.backend.read_options
        with self._translated_errors(), self._engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that excludes every other writer; it is committed at the end.

        Raises:
            StoreUnavailableError: The database cannot be used now.
        """
        with self._translated_errors(), self._engine.begin() as connection:
            # This locks the row for other writers. SQLite ignores it; there the transaction holds the lock already.
            connection.execute(select(registry.c.revision).with_for_update())
            yield connection
            self.backend.notify(connection)

    def compact(self) -> None:
        """Return the space of deleted contents to the disk.

        Raises:
            StoreUnavailableError: The database cannot be used now.
        """
        with self._translated_errors():
            self.backend.compact()

    def close(self) -> None:
        """Close files and connections."""
        self.backend.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate every error of the database into `StoreUnavailableError`."""
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            reason = self.backend.describe_error(error)
            self._log(reason, error)
            raise StoreUnavailableError(
                f"the registry's database cannot be used now: {reason}; networks in memory predict on; "
                "try again later, which is safe for a registration",
                retry_after=RETRY_SECONDS,
                cause=reason,
            ) from error

    def _log(self, reason: str, error: BaseException) -> None:
        """Log an error; the same reason at most once per `_LOG_INTERVAL`."""
        last_reason, last_time = self._last_logged
        now = time.monotonic()
        if reason != last_reason or now - last_time >= _LOG_INTERVAL:
            self._last_logged = reason, now
            log.warning("the registry's database cannot be used now: %s (%s)", reason, _driver_message(error))


def _driver_message(error: BaseException) -> str:
    """Return the driver's message as one line."""
    return " ".join(str(getattr(error, "orig", error)).split())
