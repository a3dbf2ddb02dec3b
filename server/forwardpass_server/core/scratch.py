"""Memory for values that live as long as one step: a block for each thread, used again and again.

A new array of some hundred kilobytes costs more than the copy that is written to it: its pages are mapped and cleared
first. For a lone row even making views of an array takes as long as the copy, so that views are kept, too.
"""

import threading
from collections.abc import Callable, Hashable
from math import prod
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array

_MAX_VIEWS: Final = 256
"""The most keys whose views of a block are kept: of small convolutions 0.4 KB each, of a graph up to 26 KB."""

_ALIGNMENT: Final = 64
"""Where arrays begin, in bytes: at a line of the cache, which a vector instruction reads at once."""

Allocate: TypeAlias = Callable[[tuple[int, ...], "np.dtype[Any]"], Array]
"""Returns an array of a shape and dtype whose numbers are not set."""

_Views = TypeVar("_Views")


class Scratch(threading.local):
    """A block of memory for each thread, and views of it by key. All keys share the memory."""

    def __init__(self) -> None:
        """Begin a block of a thread; `threading.local` calls this for each."""
        self._block = _aligned(0)
        self._views: dict[Hashable, Any] = {}

    def views(self, key: Hashable, make: Callable[[Allocate], _Views]) -> _Views:
        """Return views of this thread's block, which later calls of the thread with another key overwrite.

        Args:
            key: Equal for calls with the same `make` only. Threads keep it and the views, so neither must have the
                weights of a network, which would stay in memory after it.
            make: Allocates arrays of the block, and returns views of them. It must not set their numbers.
        """
        views: _Views | None = self._views.get(key)
        return self._make(key, make) if views is None else views

    def _make(self, key: Hashable, make: Callable[[Allocate], _Views]) -> _Views:
        parts = _Parts(self._block)
        views = make(parts.allocate)
        if parts.used > len(self._block):
            self._views.clear()
            self._block = _aligned(parts.used)
            views = make(_Parts(self._block).allocate)
        elif len(self._views) >= _MAX_VIEWS:
            self._views.clear()
        self._views[key] = views
        return views


class _Parts:
    """The parts of a block, one after the other.

    Attributes:
        used: The bytes of all parts, which may be more than the block has.
    """

    def __init__(self, block: npt.NDArray[np.uint8]) -> None:
        self._block = block
        self.used = 0

    def allocate(self, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> Array:
        start, end = self.used, self.used + prod(shape) * dtype.itemsize
        self.used = -(-end // _ALIGNMENT) * _ALIGNMENT
        if end > len(self._block):  # of addresses only, to learn the size of the block
            return np.empty(shape, dtype)
        return self._block[start:end].view(dtype).reshape(shape)


def _aligned(size_bytes: int) -> npt.NDArray[np.uint8]:
    block = np.empty(size_bytes + _ALIGNMENT, np.uint8)
    start = -block.ctypes.data % _ALIGNMENT
    return block[start : start + size_bytes]


copies: Final = Scratch()
"""For the copies of a convolution, and what follows them within one step."""
