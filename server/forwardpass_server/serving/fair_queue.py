"""Queue of the workers' tasks: callers take turns by the time they have used, and what was begun first ends first.

A caller that sends much waits for its own work, not others for it. Among the tasks of one caller, those of each size
take turns too, so that short work passes long work; tasks of one size are done one after the other, since tasks that
share their time all end late. This is fair queueing by attained service, as Linux schedules processes: the turn goes to
the caller that has used the least, and lasts for a while, so that tasks of usual length are done in one. The time of a
caller with weight w counts 1 / w, so that it gets w times the time of others.
"""

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")


class FairQueue(Generic[Item]):
    """Items by caller and size. Not for several threads."""

    def __init__(self, turn_seconds: float, weights: Mapping[str, float] = MappingProxyType({})) -> None:
        """Make a queue.

        Args:
            turn_seconds: By how much a caller may have used more than another before that one has its turn.
            weights: The weights of callers; those that are not in it have 1.
        """
        self._turn_seconds = turn_seconds
        self._weights = weights
        self._length = 0
        self._callers = self._turns()

    def push(self, item: Item, *, caller: str, size: int, order: int) -> None:
        """Add an item.

        Args:
            item: The item.
            caller: Whose it is.
            size: The class of its size; classes take turns.
            order: Its place among the items of this caller and size, unlike that of any other.
        """
        if not self._length:
            self._callers = self._turns()
        self._length += 1
        sizes = self._callers.enter(caller, lambda: _Turns[int, list[tuple[int, Item]]](self._turn_seconds))
        heappush(sizes.enter(size, list), (order, item))

    def pop(self) -> Item:
        """Remove the item whose turn it is."""
        self._length -= 1
        return heappop(self._callers.leave().leave())[1]

    def charge(self, caller: str, size: int, seconds: float) -> None:
        """Count the time that an item took."""
        sizes = self._callers.charge(caller, seconds / self._weights.get(caller, 1.0))
        if sizes is not None:
            sizes.charge(size, seconds)

    def __len__(self) -> int:
        return self._length

    def _turns(self) -> "_Turns[str, _Turns[int, list[tuple[int, Item]]]]":
        return _Turns(self._turn_seconds)


Key = TypeVar("Key", str, int)


class _Turns(Generic[Key, Content]):
    """Contents that take turns; each has used some time, and a new one as much as the one whose turn it is."""

    def __init__(self, turn_seconds: float) -> None:
        self._turn_seconds = turn_seconds
        self._contents: dict[Key, Content] = {}
        self._used: dict[Key, float] = {}
        self._waiting: dict[Key, int] = {}
        self._now = 0.0
        self._last: Key | None = None

    def enter(self, key: Key, make: Callable[[], Content]) -> Content:
        """Return a content into which one more item is put."""
        if key not in self._contents:
            self._contents[key] = make()
        if key not in self._waiting:
            # Time in which it had nothing to do is not saved up.
            self._used[key] = max(self._used.get(key, 0.0), self._now)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        return self._contents[key]

    def leave(self) -> Content:
        """Return the content whose turn it is, from which an item is taken."""
        waiting, used = self._waiting, self._used
        key = min(waiting, key=used.__getitem__)
        if self._last in waiting and used[self._last] < used[key] + self._turn_seconds:
            key = self._last
        self._last = key
        self._now = max(self._now, used[key])
        content = self._contents[key]
        waiting[key] -= 1
        if not waiting[key]:
            del waiting[key]
            self._forget(key)
        return content

    def charge(self, key: Key, seconds: float) -> Content | None:
        """Count time that a content used, if it is known still."""
        if key not in self._used:
            return None
        self._used[key] += seconds
        return self._contents[key]

    def _forget(self, current: Key) -> None:
        """Forget contents that are empty and have used no more than others, if there are many."""
        if len(self._contents) <= 2 * len(self._waiting) + 16:
            return
        known = [key for key in self._contents if key not in self._waiting and key != current]
        for key in known:
            if self._used[key] <= self._now:
                del self._contents[key], self._used[key]
