"""Folders in memory: a database writes to them without waiting for a disk."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the folders in it have random names
PARENT = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
"""Where the folders are; on a disk if the system has no shared memory."""


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Provide a new folder, and delete it at the end."""
    with tempfile.TemporaryDirectory(prefix="fp-", dir=PARENT, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
