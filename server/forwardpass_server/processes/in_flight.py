"""The calls in flight of several processes, in memory that they share.

Each process writes its own number and reads all of them, so no lock is shared, and none is left locked by a process
that was killed.
"""

import mmap
import os
from typing import Final

from forwardpass_server.rpc import InFlight

OWNER: Final = 1
"""The place of the owner; 0 says whether the server drains, and worker processes have the places after it."""
_ITEM_BYTES: Final = 8


class SharedCounts:
    """A number for each process. A number is read and written as a whole, as aligned words of memory are.

    Attributes:
        descriptor: The file descriptor of the memory, which a worker process inherits.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        self._numbers = memoryview(self._memory).cast("q")

    @classmethod
    def create(cls, processes: int) -> "SharedCounts":
        """Make the memory for an owner, some worker processes and one that takes the place of another, all zero."""
        descriptor = os.memfd_create("forwardpass-in-flight")
        os.ftruncate(descriptor, (OWNER + 1 + processes + 1) * _ITEM_BYTES)
        return cls(descriptor)

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._numbers[0] != 0

    @draining.setter
    def draining(self, value: bool) -> None:
        self._numbers[0] = int(value)

    @property
    def total(self) -> int:
        """The calls in flight of all processes."""
        return sum(self._numbers[OWNER:])

    def set(self, place: int, calls: int) -> None:
        """Set the calls in flight of a process."""
        self._numbers[place] = calls


class SharedInFlight(InFlight):
    """Counts the calls in flight of one process, and admits new ones by what all processes have."""

    def __init__(self, limit: int, counts: SharedCounts, place: int = OWNER) -> None:
        self._counts = counts
        self._place = place
        super().__init__(limit)

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._counts.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        if value:
            self._counts.draining = True

    @property
    def total(self) -> int:
        """The calls in flight of all processes."""
        return self._counts.total

    def enter(self, count: int = 1) -> int:
        """Count calls in, up to the limit; see `InFlight.enter`."""
        with self._lock:
            room = max(0, min(count, self.limit - self._counts.total))
            self.count += room
            self._counts.set(self._place, self.count)
        try:
            # Only now: the owner stops when nothing is in flight, and it must not miss these.
            self.check_open()
        except BaseException:
            self.leave(room)
            raise
        return room

    def leave(self, count: int = 1) -> None:
        """Count calls out."""
        with self._lock:
            self.count -= count
            self._counts.set(self._place, self.count)
