"""How the setting `max_memory` is shared out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CGROUP_FILES: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says the limit of a container: cgroup v2 and v1."""
_LEAST: Final = 256 * 2**20
_MOST: Final = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryShares:
    """The bytes for each kind of memory that callers make the server hold.

    Attributes:
        max_memory: The bytes in all, beside the plans in memory and what an idle server takes.
    """

    max_memory: int

    @property
    def arrivals(self) -> int:
        """Bytes of requests that are arriving: an eighth."""
        return self.max_memory // 8

    @property
    def uploads(self) -> int:
        """Bytes of networks that are uploaded: 9 of 32 parts, since one network may take 285 MB."""
        return 9 * self.max_memory // 32

    @property
    def page(self) -> int:
        """Bytes of the requests and responses of the page: 6 of 32 parts."""
        return 6 * self.max_memory // 32

    @property
    def waiting(self) -> int:
        """Bytes of requests that wait for the workers: an eighth."""
        return self.max_memory // 8

    @property
    def responses(self) -> int:
        """Bytes of responses from before they are computed until they are sent: 6 of 32 parts."""
        return 6 * self.max_memory // 32

    @property
    def computing(self) -> int:
        """Bytes of large responses that are being computed: 3 of 32 parts."""
        return 3 * self.max_memory // 32


def default_max_memory() -> int:
    """Return a quarter of the container's or machine's memory, from 256 MiB to 1 GiB."""
    return min(max(available_bytes() // 4, _LEAST), _MOST)


def available_bytes() -> int:
    """Return the bytes of memory of the container, or of the machine if the container has no limit."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _CGROUP_FILES:
        try:
            limit = Path(name).read_text().strip()
        except OSError:
            continue
        if limit.isdecimal():
            sizes.append(int(limit))
    return min(sizes)
