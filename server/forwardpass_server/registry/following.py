"""Keeps a snapshot near a store that other processes write too.

A thread looks for changes whenever a hint comes, whenever someone cannot wait, and every few
moments in any case: hints make it quick, looking makes it right.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from forwardpass.errors import InternalError, StoreUnavailableError

from forwardpass_server.registry.store import Notifications

log = logging.getLogger(__name__)

Then: TypeAlias = Callable[[Exception | None], None]
"""Told once how it went: None, or why it did not. Called in any thread; must not raise and not take long."""


class Follower:
    """Looks for changes in a thread of its own, until it is closed."""

    def __init__(
        self, look: Callable[[], object], hints: Notifications, *, poll_seconds: float, turned: Callable[[], None]
    ) -> None:
        """Start to follow.

        Args:
            look: Takes in what changed; raises `StoreUnavailableError` when the store cannot be asked.
            hints: What tells of changes; closed at the end.
            poll_seconds: Looks at least as often.
            turned: Called when the store cannot be asked any more, and when it can again.
        """
        self._look = look
        self._turned = turned
        self._hints = hints
        self._poll = poll_seconds
        self._lock = threading.Lock()
        self._waiters: list[Then] = []
        self._closed = False
        self._lost: float | None = None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether the last look got an answer."""
        return self._lost is None

    def look(self, then: Then) -> None:
        """Look now; all that was committed before this call is taken in before `then` is told so."""
        with self._lock:
            closed = self._closed
            if not closed:
                self._waiters.append(then)
        if closed:
            then(StoreUnavailableError("the server is stopping", retry_after=1.0))
        else:
            self._hints.wake()

    def close(self) -> None:
        """End the thread; whoever waits is told."""
        with self._lock:
            self._closed = True
        self._hints.wake()
        self._thread.join()
        self._hints.close()

    def _run(self) -> None:
        while True:
            with self._lock:
                waiters, self._waiters = self._waiters, []
                closed = self._closed
            problem = self._try()
            for then in waiters:
                _call(then, problem)
            if closed:
                return
            self._wait()

    def _wait(self) -> None:
        try:
            self._hints.wait(self._poll, listen=self._lost is None)
        except Exception:  # hints are no more than that
            log.exception("waiting for hints of changes failed")
            time.sleep(self._poll)

    def _try(self) -> Exception | None:
        """Look once; return what was in the way."""
        try:
            self._look()
        except StoreUnavailableError as error:
            if self._lost is None:
                self._lost = time.monotonic()
                log.error("degraded: predictions go on from memory, nothing can be registered: %s", error)  # noqa: TRY400
                self._turned()
            return error
        except Exception:  # this thread must go on, whatever a row has in it
            log.exception("looking for changes failed")
            return InternalError("the server failed to look for changes; its log has the reason")
        if self._lost is not None:
            log.warning("the registry's database is back after %.1f s", time.monotonic() - self._lost)
            self._lost = None
            self._turned()
        return None


def _call(then: Then, problem: Exception | None) -> None:
    try:
        then(problem)
    except Exception:  # whose event loop is closed, for example; the others must hear
        log.exception("whoever waited for changes could not be told")
