"""What is kept in memory of versions, up to so many bytes: what was used longest ago goes first."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from forwardpass_server.registry.state import VersionRuntime

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A value for each of some versions, bounded by bytes. All methods may be called in any thread.

    Values of pinned runtimes count, and stay. The newest value stays too, even if it alone is too large.
    """

    def __init__(self, max_bytes: int, cost: Callable[[Value], int]) -> None:
        """Keep nothing yet.

        Args:
            max_bytes: The bound.
            cost: Says how many bytes a value takes; asked once for each.
        """
        self._max_bytes = max_bytes
        self._cost = cost
        self._lock = threading.Lock()
        self._bytes = 0
        # The one used longest ago first.
        self._values: OrderedDict[VersionRuntime, Value] = OrderedDict()
        self._costs: dict[VersionRuntime, int] = {}

    @property
    def runtimes(self) -> tuple[VersionRuntime, ...]:
        """Whose values are kept, the one used longest ago first."""
        with self._lock:
            return tuple(self._values)

    @property
    def size(self) -> tuple[int, int]:
        """How many values are kept, and how many bytes they take."""
        with self._lock:
            return len(self._values), self._bytes

    def get(self, runtime: VersionRuntime) -> Value | None:
        """Return a version's value if it is kept; it is then the last that goes."""
        with self._lock:
            value = self._values.get(runtime)
            if value is not None:
                self._values.move_to_end(runtime)
            return value

    def put(self, runtime: VersionRuntime, value: Value) -> None:
        """Keep a version's value and let go of others, if they are too many now."""
        cost = self._cost(value)
        with self._lock:
            self._drop(runtime)
            self._values[runtime] = value
            self._costs[runtime] = cost
            self._bytes += cost
            while self._bytes > self._max_bytes:
                oldest = next((other for other in self._values if not other.pinned and other is not runtime), None)
                if oldest is None:
                    break
                self._drop(oldest)

    def forget(self, runtime: VersionRuntime) -> None:
        """Let go of a version's value, if it is kept."""
        with self._lock:
            self._drop(runtime)

    def _drop(self, runtime: VersionRuntime) -> None:
        if self._values.pop(runtime, None) is not None:
            self._bytes -= self._costs.pop(runtime)
