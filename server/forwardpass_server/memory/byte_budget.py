"""A number of bytes that callers share: each takes bytes before it holds them, and waits where there are none left."""

import threading
from collections import Counter, deque
from collections.abc import Callable


class ByteBudget:
    """Bytes that are held, for each caller and in all. May be used in any thread.

    One caller gets at most half of the bytes, so that no caller makes all others wait.
    """

    def __init__(self, max_bytes: int) -> None:
        """Make a budget of which nothing is held."""
        self.max_bytes = max_bytes
        self._held = 0
        self._of_caller: Counter[str] = Counter()
        self._waiting: deque[tuple[str, int, Callable[[], None]]] = deque()
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """The bytes that are held."""
        return self._held

    def take(self, caller: str, size: int) -> bool:
        """Take bytes if there are as many left, for the caller and in all; return whether it did."""
        with self._lock:
            return self._take(caller, size)

    def take_or_wait(self, caller: str, size: int, on_taken: Callable[[], None]) -> None:
        """Take bytes as soon as there are as many left, then call back, in this thread or another.

        A caller that takes more than its half gets them when it holds nothing else.
        """
        with self._lock:
            if not self._take(caller, size):
                self._waiting.append((caller, size, on_taken))
                return
        on_taken()

    def give_back(self, caller: str, size: int) -> None:
        """Give bytes back, and let those take them who wait."""
        ready = []
        with self._lock:
            self._held -= size
            self._of_caller[caller] -= size
            if not self._of_caller[caller]:
                del self._of_caller[caller]
            for _ in range(len(self._waiting)):
                entry = self._waiting.popleft()
                if self._take(*entry[:2]):
                    ready.append(entry[2])
                else:
                    self._waiting.append(entry)
        for on_taken in ready:
            on_taken()

    def _take(self, caller: str, size: int) -> bool:
        of_caller = self._of_caller[caller]
        if self._held + size > self.max_bytes and self._held:
            return False
        if of_caller and of_caller + size > self.max_bytes // 2:
            return False
        self._held += size
        self._of_caller[caller] += size
        return True
