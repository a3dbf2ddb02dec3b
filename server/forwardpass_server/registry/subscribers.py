"""Callbacks for changes of networks."""

import logging
import threading
from collections.abc import Callable

from forwardpass_server.registry.state import NetworkChange

log = logging.getLogger(__name__)


class Subscribers:
    """Callbacks that are called after each change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: tuple[Callable[[NetworkChange], None], ...] = ()

    def add(self, callback: Callable[[NetworkChange], None]) -> Callable[[], None]:
        """Add a callback; return a function that removes it."""
        with self._lock:
            self._callbacks = (*self._callbacks, callback)

        def remove() -> None:
            with self._lock:
                self._callbacks = tuple(other for other in self._callbacks if other is not callback)

        return remove

    def notify(self, change: NetworkChange) -> None:
        """Call every callback; their errors are logged."""
        for callback in self._callbacks:
            try:
                callback(change)
            except Exception:  # the change is committed, so its writer must not get an error
                log.exception("a subscriber failed at the change of network %s", change.name)
