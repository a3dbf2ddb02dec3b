"""The number of cores that this process may use: by its affinity, and by the quota of its container."""

import math
import os
from pathlib import Path
from typing import Final

_QUOTA_V2: Final = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_V1: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
"""Where Linux says the quota of a container, as microseconds of CPU in a period: cgroup v2 and v1."""


def available_cores() -> int:
    """Return the number of cores of the affinity, or of the quota, rounded up, if that is lower; at least 1."""
    return max(1, math.ceil(usable_cores()))


def usable_cores() -> float:
    """Return of how many cores this process may use all the time: those of the affinity, or the quota, if lower."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *(quota / period for quota, period in _quotas())])


def _quotas() -> list[tuple[int, int]]:
    """Return the quota and period of the container, if it has one."""
    found = []
    for text in (_read(_QUOTA_V2), " ".join(map(_read, _QUOTA_V1))):
        numbers = text.split()
        if len(numbers) == 2 and all(number.isdecimal() and int(number) for number in numbers):
            found.append((int(numbers[0]), int(numbers[1])))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
