"""Notifications without a source: a follower that others wake, and that polls besides."""

import threading


class Wakeups:
    """Ends waits when `wake` is called; see `store.Notifications`."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, seconds: float, *, listen: bool) -> None:
        """Wait until `wake` is called or the time is over."""
        del listen
        if self._woken.wait(seconds):
            self._woken.clear()

    def wake(self) -> None:
        """End the current wait, or the next one. May be called in any thread."""
        self._woken.set()

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
