"""Follower of a store that other processes write: refreshes the snapshot in a thread of its own.

It refreshes after each notification, on request, and at least every `poll_seconds`: notifications make it fast, polling
makes it reliable.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from forwardpass.errors import InternalError, StoreUnavailableError

from forwardpass_server.registry.storage.store import Notifications

log = logging.getLogger(__name__)

OnRefreshed: TypeAlias = Callable[[Exception | None], None]
"""Called once after a refresh, with its error or None. Called in any thread; must not raise and must return soon."""


class Follower:
    """Thread that refreshes the snapshot until it is closed."""

    def __init__(
        self,
        refresh: Callable[[], object],
        notifications: Notifications,
        *,
        poll_seconds: float,
        on_reachability_change: Callable[[], None],
    ) -> None:
        """Start the thread.

        Args:
            refresh: Reads and applies changes; raises `StoreUnavailableError` if the store cannot be read.
            notifications: Wakes the thread; closed by `close`.
            poll_seconds: The longest time between two refreshes.
            on_reachability_change: Called when the store becomes unreachable, and when it is reachable again.
        """
        self._refresh = refresh
        self._on_reachability_change = on_reachability_change
        self._notifications = notifications
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._waiting: list[OnRefreshed] = []
        self._closed = False
        self._unreachable_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    @property
    def is_reachable(self) -> bool:
        """Whether the last refresh reached the store."""
        return self._unreachable_since is None

    def refresh(self, on_refreshed: OnRefreshed) -> None:
        """Refresh now; everything that was committed before this call is applied before the callback."""
        with self._lock:
            closed = self._closed
            if not closed:
                self._waiting.append(on_refreshed)
        if closed:
            on_refreshed(StoreUnavailableError("the server is stopping", retry_after=1.0))
        else:
            self._notifications.wake()

    def close(self) -> None:
        """Stop the thread after a last refresh for those who wait."""
        with self._lock:
            self._closed = True
        self._notifications.wake()
        self._thread.join()
        self._notifications.close()

    def _run(self) -> None:
        while True:
            with self._lock:
                waiting, self._waiting = self._waiting, []
                closed = self._closed
            error = self._try_refresh()
            for on_refreshed in waiting:
                _call(on_refreshed, error)
            if closed:
                return
            self._wait()

    def _wait(self) -> None:
        try:
            self._notifications.wait(self._poll_seconds, listen=self._unreachable_since is None)
        except Exception:  # notifications are optional; polling goes on
            log.exception("waiting for notifications of changes failed")
            time.sleep(self._poll_seconds)

    def _try_refresh(self) -> Exception | None:
        """Refresh once; return the error, or None."""
        try:
            self._refresh()
        except StoreUnavailableError as error:
            if self._unreachable_since is None:
                self._unreachable_since = time.monotonic()
                log.error("degraded: predictions go on from memory, nothing can be registered: %s", error)  # noqa: TRY400
                self._on_reachability_change()
            return error
        except Exception:  # the thread must go on, whatever a row contains
            log.exception("reading changes failed")
            return InternalError("the server failed to read changes; its log has the reason")
        if self._unreachable_since is not None:
            log.warning("the registry's database is back after %.1f s", time.monotonic() - self._unreachable_since)
            self._unreachable_since = None
            self._on_reachability_change()
        return None


def _call(on_refreshed: OnRefreshed, error: Exception | None) -> None:
    try:
        on_refreshed(error)
    except Exception:  # for example, its event loop is closed; the others must still be called
        log.exception("a caller that waited for changes could not be notified")
