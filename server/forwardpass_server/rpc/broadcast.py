"""Notification of watchers in the event loop of changes that the registry's threads make.

Only names are passed on, never states: a watcher that is slow finds each changed name once,
reads the state of that moment, and misses nothing that still matters. One that falls far behind has to watch again.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from forwardpass.errors import OverloadedError

AT_ONCE: Final = 50
PAUSE_SECONDS: Final = 0.02
"""Listeners that are notified at once, and the seconds until the next ones are; each takes the loop some 0.2 ms."""

MAX_NAMES: Final = 10_000
"""Names of changed networks that a listener keeps for a watcher that does not take them; about a megabyte."""
RETRY_SECONDS: Final = 1.0
"""The seconds after which a watcher that fell behind may watch again."""


class Listener:
    """Collects the names of changed networks for one watcher, up to `MAX_NAMES`."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        """Collect nothing yet.

        Args:
            wanted: Says which names the watcher gets.
        """
        self._wanted = wanted
        self._names: set[str] = set()
        self._changed = asyncio.Event()
        self._closed = False
        self._fell_behind = False

    async def changed(self) -> set[str] | None:
        """Wait for changes; return their names, or None when there will be no more.

        Raises:
            OverloadedError: There are too many: the watcher did not take the earlier ones.
        """
        await self._changed.wait()
        if self._fell_behind:
            raise OverloadedError(
                f"the watch ends because it fell behind by more than {MAX_NAMES:,} changed networks: its responses are "
                "not read fast enough; watch again to get the current state and the changes after it",
                retry_after=RETRY_SECONDS,
                quotaLimit=MAX_NAMES,
            )
        if self._closed:
            return None
        self._changed.clear()
        names, self._names = self._names, set()
        return names

    def tell(self, name: str) -> None:
        """Add a changed name, if the watcher wants it and has not fallen behind."""
        if self._fell_behind or not self._wanted(name):
            return
        self._names.add(name)
        if len(self._names) > MAX_NAMES:
            self._fell_behind = True
            self._names.clear()
        self._changed.set()

    def close(self) -> None:
        """End the watch."""
        self._closed = True
        self._changed.set()


class Broadcast:
    """The listeners of one server; made inside its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: set[Listener] = set()
        self._closed = False

    def publish(self, name: str) -> None:
        """Notify every listener; may be called in any thread."""
        self._loop.call_soon_threadsafe(self._tell, name)

    @contextmanager
    def listen(self, wanted: Callable[[str], bool]) -> Iterator[Listener]:
        """Listen as long as the context lasts, to changes of the names that are wanted."""
        listener = Listener(wanted)
        if self._closed:
            listener.close()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End every watch, present and future."""
        self._closed = True
        for listener in self._listeners:
            listener.close()

    def _tell(self, name: str) -> None:
        """Notify the listeners, a few at a time, so that thousands of them keep no call waiting."""
        listeners = [*self._listeners]
        for start in range(0, len(listeners), AT_ONCE):
            some = listeners[start : start + AT_ONCE]
            if start == 0:
                _tell_all(some, name)
            else:
                self._loop.call_later(start // AT_ONCE * PAUSE_SECONDS, _tell_all, some, name)


def _tell_all(listeners: Sequence[Listener], name: str) -> None:
    for listener in listeners:
        listener.tell(name)
