"""Memory for copies that live as long as one product: a block for each thread, used again and again.

A new array of some hundred kilobytes costs more than the copy that is written to it: its pages are mapped and cleared
first.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

_MAX_VIEWS: Final = 256
"""The most views of a block that are kept: about 50 KiB."""

_Views: TypeAlias = tuple[npt.NDArray[Any], ...]


class _Block(threading.local):
    """The block of a thread, and views of it by key."""

    def __init__(self) -> None:
        self.numbers: npt.NDArray[np.float64] = np.empty(0)
        self.views: dict[Hashable, _Views] = {}


_block: Final = _Block()


def scratch(key: Hashable, make: Callable[[npt.NDArray[np.float64]], _Views], size_bytes: int) -> _Views:
    """Return views of this thread's block, which other calls of the thread overwrite.

    Args:
        key: Equal for calls with the same `make` and size only. Threads keep it, so it must not have the weights of a
            network, which would stay in memory after it.
        make: Returns the views of a block of at least that size.
        size_bytes: How much of the block the views take.
    """
    views = _block.views.get(key)
    if views is None:
        if _block.numbers.nbytes < size_bytes:
            _block.numbers = np.empty(-(-size_bytes // 8))
            _block.views.clear()
        elif len(_block.views) >= _MAX_VIEWS:
            _block.views.clear()
        views = _block.views[key] = make(_block.numbers)
    return views
