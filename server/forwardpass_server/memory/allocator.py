"""glibc's allocator, which keeps freed memory until `malloc_trim` gives it back to the system."""

import ctypes
import sys
from functools import cache
from typing import Any, Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 4
"""Arenas of the process. By default there are eight for each core, and each keeps what was freed in it."""

_REUSED_BYTES: Final = 4 * 2**20
"""The size up to which blocks are taken from freed memory, from the start; an arena keeps twice as much at its end.

glibc begins with 128 KiB, so that the kernel would map and clear the pages of a request of a thousand rows, and of its
activations, again for each call. It goes on to the size of the largest block that was freed, up to 32 MiB, of which
`malloc_trim` gives the pages back.
"""


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


def reuse_blocks() -> None:
    """Give back what the start has freed, and from now on reuse blocks of up to `_REUSED_BYTES`."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)
        # glibc adapts to the largest block that was freed; setting its thresholds would end that (mallopt(3)).
        libc.malloc.restype = ctypes.c_void_p
        libc.free(ctypes.c_void_p(libc.malloc(ctypes.c_size_t(_REUSED_BYTES))))


def give_back() -> None:
    """Give the pages that are free back to the system, of all arenas (malloc_trim(3))."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)
