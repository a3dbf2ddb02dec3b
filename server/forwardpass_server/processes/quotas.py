"""The quotas of tokens, in memory that several processes share: a token's calls are counted wherever they come in.

Each call of a token with a quota locks its part of the memory for some microseconds. The kernel releases the lock of a
process that is killed.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Callable
from typing import Final

from forwardpass_server.rpc import CallQuota

_QUOTA_BYTES: Final = 16
"""Two numbers for each token: the calls that are left, and when that was so."""


class SharedQuotas:
    """The memory of the quotas of one server.

    Attributes:
        descriptor: The file descriptor of the memory, which a worker process inherits.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)

    @classmethod
    def create(cls, tokens: int) -> "SharedQuotas":
        """Make the memory for some tokens."""
        descriptor = os.memfd_create("forwardpass-quotas")
        os.ftruncate(descriptor, max(1, tokens) * _QUOTA_BYTES)
        return cls(descriptor)

    def quota(self, place: int, own: CallQuota) -> "SharedCallQuota":
        """Return the shared quota of a token, given its place in the tokens file and its own quota."""
        start = place * _QUOTA_BYTES
        numbers = memoryview(self._memory)[start : start + _QUOTA_BYTES].cast("d")
        return SharedCallQuota(own.calls_per_second, numbers, self.descriptor, start)


class SharedCallQuota(CallQuota):
    """Quota of the calls of a token in all processes."""

    def __init__(
        self,
        calls_per_second: float,
        numbers: "memoryview[float]",
        descriptor: int,
        start: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a quota.

        Args:
            calls_per_second: The rate, above 0.
            numbers: The calls that are left and when that was so; both 0 before the first call.
            descriptor: The file descriptor of the memory, whose bytes are locked meanwhile.
            start: Where the numbers are in it.
            clock: Returns the time in seconds; the same in all processes.
        """
        super().__init__(calls_per_second, clock)
        self._numbers = numbers
        self._descriptor = descriptor
        self._start = start

    def _take(self) -> float:
        # Of the bytes of this token; its threads exclude each other by the lock of this object.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _QUOTA_BYTES, self._start)
        try:
            left, filled = self._numbers
            if filled > 0.0:  # else no process has counted a call, and the quota is as full as it was made
                self._left, self._filled = left, filled
            seconds = super()._take()
            self._numbers[0], self._numbers[1] = self._left, self._filled
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _QUOTA_BYTES, self._start)
        return seconds
