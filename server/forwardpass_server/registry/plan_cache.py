"""Byte-bounded LRU cache of loaded versions, with pinning."""

import sys
import threading
from collections.abc import Callable
from operator import itemgetter
from typing import TypeAlias

from cachetools import Cache, LRUCache

from forwardpass_server.registry.loaded_version import LoadedVersion
from forwardpass_server.registry.state import VersionRuntime

_Entry: TypeAlias = tuple[LoadedVersion, int]
"""A loaded version and its size in bytes, which is computed before the lock is taken."""


class PlanCache:
    """Byte-bounded LRU cache of loaded versions. All methods may be called in any thread.

    Pinned versions count towards the bound and are never evicted. Nor is the version that was put last, even if it
    exceeds the bound alone.
    """

    def __init__(self, max_bytes: int, getsizeof: Callable[[LoadedVersion], int]) -> None:
        """Create an empty cache.

        Args:
            max_bytes: The bound.
            getsizeof: Returns the bytes that a loaded version takes; called once for each.
        """
        self._max_bytes = max_bytes
        self._getsizeof = getsizeof
        self._lock = threading.Lock()
        # Neither has a bound of its own: `put` bounds the two together.
        self._pinned: Cache[VersionRuntime, _Entry] = Cache(sys.maxsize, itemgetter(1))
        self._unpinned: LRUCache[VersionRuntime, _Entry] = LRUCache(sys.maxsize, itemgetter(1))
        # A version that is used again and again is found here, without the lock: it is the most recent one already.
        self._last_used: tuple[VersionRuntime | None, LoadedVersion | None] = (None, None)

    @property
    def size(self) -> tuple[int, int]:
        """The number of loaded versions, and the bytes they take."""
        with self._lock:
            return len(self._pinned) + len(self._unpinned), self._bytes()

    def __contains__(self, runtime: VersionRuntime) -> bool:
        """Return whether a version is loaded, without marking it as used."""
        with self._lock:
            return runtime in self._pinned or runtime in self._unpinned

    def get(self, runtime: VersionRuntime) -> LoadedVersion | None:
        """Return a loaded version, or None; it becomes the most recently used."""
        last_used, loaded = self._last_used
        if last_used is runtime:
            return loaded
        with self._lock:
            entry = self._unpinned.get(runtime) or self._pinned.get(runtime)
            if entry is None:
                return None
            self._last_used = runtime, entry[0]
            return entry[0]

    def put(self, runtime: VersionRuntime, loaded: LoadedVersion) -> None:
        """Add or replace a loaded version, and evict the least recently used ones beyond the bound."""
        entry = loaded, self._getsizeof(loaded)
        with self._lock:
            self._delete(runtime)
            (self._pinned if runtime.pinned else self._unpinned)[runtime] = entry
            self._last_used = runtime, loaded
            evictable = len(self._unpinned) - (not runtime.pinned)
            while evictable and self._bytes() > self._max_bytes:
                self._unpinned.popitem()
                evictable -= 1

    def pin(self, runtime: VersionRuntime, *, pinned: bool) -> None:
        """Pin a version or unpin it, whether or not it is loaded now."""
        with self._lock:
            runtime.pinned = pinned
            source, target = (self._unpinned, self._pinned) if pinned else (self._pinned, self._unpinned)
            entry = source.pop(runtime, None)
            if entry is not None:
                target[runtime] = entry

    def delete(self, runtime: VersionRuntime) -> None:
        """Delete a version if it is loaded."""
        with self._lock:
            self._delete(runtime)

    def _bytes(self) -> int:
        return int(self._pinned.currsize + self._unpinned.currsize)

    def _delete(self, runtime: VersionRuntime) -> None:
        self._pinned.pop(runtime, None)
        self._unpinned.pop(runtime, None)
        if self._last_used[0] is runtime:
            self._last_used = (None, None)
