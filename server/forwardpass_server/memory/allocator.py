"""glibc's allocator, which keeps freed memory until `malloc_trim` gives it back to the system."""

import ctypes
import sys
from functools import cache
from typing import Any, Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 4
"""Arenas of the process. By default there are eight for each core, and each keeps what was freed in it."""


@cache
def _libc() -> Any:
    """Return glibc, or None on a system with another C library."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None


def limit_arenas() -> None:
    """Keep what is freed in a few arenas only; to be called before threads are started."""
    if (libc := _libc()) is not None:
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give the pages that are free back to the system, of all arenas (malloc_trim(3))."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)
