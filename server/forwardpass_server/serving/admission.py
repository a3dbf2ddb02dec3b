"""Admission by time: a call is taken on if the work that stands before it leaves it the time that its caller has.

A server that takes on everything ends nothing in time once it has more than it can do: every call waits for
all others. So the work that waits for the workers is counted in seconds, from the floating-point operations of each
task and from how long those of its version took before. A call that would end too late is rejected at once, and its
caller can try elsewhere. A caller waits for its own work, and for others' as far as they have a share too.
"""

import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from cachetools import LRUCache
from forwardpass.errors import OverloadedError

if TYPE_CHECKING:
    from forwardpass_server.serving.batching_policy import BatchingPolicy

MARGIN: Final = 1.25
"""By how much longer than expected a call may take."""
BUSY_MARGIN: Final = 3.0
"""The same once work has waited for a while: a queue that stays serves no one, and the speed may be overrated."""
BUSY_SECONDS: Final = 0.5
"""How long work waits before that; until then it may be a burst."""
WEIGHT: Final = 0.2
"""The weight of a new measurement in the average speed of a version."""
MIN_REQUESTS: Final = 16
"""Requests of a caller that may wait, however many others do."""
MAX_VERSIONS: Final = 1024
"""Versions whose speed is known."""
MIN_RETRY_SECONDS: Final = 0.05
MAX_RETRY_SECONDS: Final = 5.0

_orders = count()


@dataclass(kw_only=True, slots=True, eq=False)
class Work:
    """What a task is to the workers: whose, how much, and how much of it is left. `Admission` changes it.

    Attributes:
        admission: Counts it.
        shares: The part of each caller in it; the parts sum up to 1. It is done in the turn of the first caller.
        requests: The requests of each caller in it; empty when it is counted out.
        bytes: The bytes of them.
        size: The class of its size; 0 as long as that is not known.
        order: Its place among works of its caller and size; None as long as its size is not known.
        flops: Its floating-point operations.
        version: What computes it.
        seconds_left: How long it is expected to take yet.
        seconds_spent: How long it took, since its size is known.
    """

    admission: "Admission"
    shares: Mapping[str, float]
    requests: Mapping[str, int]
    bytes: Mapping[str, int]
    size: int = 0
    order: int | None = None
    flops: int = 0
    version: Hashable = None
    seconds_left: float = 0.0
    seconds_spent: float = 0.0

    @property
    def caller(self) -> str:
        """The caller in whose turn it is done."""
        return next(iter(self.shares))


class Admission:
    """The work that waits for the workers, by caller. May be used by several threads.

    Attributes:
        rejected: When a call was rejected last, by the clock; minus infinity if none was.
    """

    def __init__(
        self,
        workers: int,
        policy: "BatchingPolicy",
        max_requests: int,
        clock: Callable[[], float] = time.monotonic,
        weights: Mapping[str, float] = MappingProxyType({}),
        max_bytes: int = 2**30,
    ) -> None:
        """Make an admission.

        Args:
            workers: How many threads do the work.
            policy: Says how long work usually takes.
            max_requests: Requests that may wait in all. Each of n callers may have one part of n + 1, so that there is
                room for one more; a caller with a weight counts as that many.
            clock: Returns the time in seconds.
            weights: The weights of callers; those that are not in it have 1.
            max_bytes: Bytes of requests that may wait in all, of which callers have such parts too.
        """
        self._workers = workers
        self._step_flops = policy.step_flops
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._total = 0.0
        self._seconds: dict[str, float] = {}
        self._requests: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self._total_bytes = 0
        self._weights = weights
        # Of the callers whose requests wait.
        self._weight = 0.0
        self._clock = clock
        self._idle = clock()
        self.rejected = -inf
        self._speeds: LRUCache[Hashable, float] = LRUCache(MAX_VERSIONS)

    @property
    def seconds(self) -> float:
        """The work that waits, in seconds of one worker."""
        return self._total

    def admit(
        self,
        callers: Sequence[str],
        expires: Sequence[float],
        flops: Sequence[int],
        version: Hashable,
        sizes: Sequence[int],
        *,
        into: Work | None = None,
    ) -> tuple[Work | None, list[OverloadedError | None]]:
        """Take on requests that are computed together, as far as they end in time.

        Args:
            callers: Whose each request is.
            expires: When the caller of each stops waiting, in seconds of `time.monotonic()`.
            flops: The floating-point operations of each.
            version: What computes them.
            sizes: The bytes of each request.
            into: Work of the same caller and version, not begun, which those that are taken on join.

        Returns:
            The work that those which are taken on are, or None; and for each request None, or why it is rejected.
        """
        now = self._clock()
        seconds: dict[str, float] = {}
        requests: dict[str, int] = {}
        held: dict[str, int] = {}
        errors: list[OverloadedError | None] = []
        total = 0
        with self._lock:
            speed = self._speed(version)
            for caller, end, operations, size in zip(callers, expires, flops, sizes, strict=True):
                own = operations * speed
                error = self._rejection(caller, own, end - now, now, size)
                if error is None:
                    self._count(caller, own, 1, size)
                    seconds[caller] = seconds.get(caller, 0.0) + own
                    requests[caller] = requests.get(caller, 0) + 1
                    held[caller] = held.get(caller, 0) + size
                    total += operations
                errors.append(error)
            if not seconds:
                return None, errors
            # Those of the caller who waits for the least come first, and take the others along.
            first = min(seconds, key=self._seconds.__getitem__) if len(seconds) > 1 else next(iter(seconds))
            if into is not None:
                (caller,) = seconds
                into.requests = {caller: into.requests[caller] + requests[caller]}
                into.bytes = {caller: into.bytes[caller] + held[caller]}
                into.flops += total
                into.seconds_left += seconds[caller]
                return into, errors
        whole = sum(seconds.values())
        shares = {first: seconds[first] / whole} | {caller: part / whole for caller, part in seconds.items()}
        work = Work(admission=self, shares=shares, requests=requests, bytes=held)
        self._declare(work, total, whole, version)
        return work, errors

    def retry_after(
        self, caller: str, flops: int, version: Hashable, expires: float, *, ahead: int = 0
    ) -> float | None:
        """Return the seconds after which to send a request again that would be rejected now; None if it would not.

        Args:
            caller: Whose it is.
            flops: Its floating-point operations.
            version: What computes it.
            expires: When the caller stops waiting, in seconds of `time.monotonic()`.
            ahead: Requests like it that come before it and are not taken on yet.
        """
        now = self._clock()
        with self._lock:
            seconds, remaining = (ahead + 1) * flops * self._speed(version), expires - now
            if self._requests_are_used(caller, -ahead):
                return _retry_after(self._seconds.get(caller, 0.0) / self._workers)
            expected = self._expected(caller, seconds, now)
            if expected is None and ahead:
                expected = seconds / self._workers
            if expected is None or expected * self._margin(now) <= remaining:
                return None
            self.rejected = now
            return _retry_after(expected * self._margin(now) - remaining)

    def begin(self, caller: str, size: int) -> Work:
        """Take on a request of some bytes whose work is not known yet.

        Raises:
            OverloadedError: Too many bytes wait.
        """
        with self._lock:
            if self._bytes_are_used(caller, size):
                raise self._no_room_for_bytes(caller)
            self._count(caller, 0.0, 1, size)
        return Work(admission=self, shares={caller: 1.0}, requests={caller: 1}, bytes={caller: size})

    def declare(self, work: Work, flops: int, version: Hashable, expires: float) -> None:
        """Say how much work that was begun is.

        Raises:
            OverloadedError: It would end too late.
        """
        now = self._clock()
        with self._lock:
            seconds = flops * self._speed(version)
            error = self._rejection(work.caller, seconds, expires - now, now, waiting=1)
            if error is not None:
                raise error
            self._count(work.caller, seconds)
        self._declare(work, flops, seconds, version)

    def spend(self, work: Work, seconds: float) -> None:
        """Count time that was spent on some work."""
        work.seconds_spent += seconds
        spent = min(seconds, work.seconds_left)
        if spent > 0.0:
            with self._lock:
                work.seconds_left -= spent
                for caller, share in work.shares.items():
                    self._count(caller, -spent * share)

    def end(self, work: Work, *, done: bool) -> None:
        """Count work out; may be called more than once.

        Args:
            work: The work.
            done: Whether all of it was computed, so that its speed is known.
        """
        with self._lock:
            left, work.seconds_left = work.seconds_left, 0.0
            requests, work.requests = work.requests, {}
            for caller, number in requests.items():
                self._count(caller, -left * work.shares[caller], -number, -work.bytes[caller])
            if done and requests and work.flops:
                measured, known = max(work.seconds_spent, 1e-9) / work.flops, self._speeds.get(work.version)
                self._speeds[work.version] = measured if known is None else known + WEIGHT * (measured - known)

    def _declare(self, work: Work, flops: int, seconds: float, version: Hashable) -> None:
        work.flops, work.version, work.seconds_left, work.seconds_spent = flops, version, seconds, 0.0
        # A class for each factor of eight.
        work.size = 1 + (flops // self._step_flops).bit_length() // 3
        work.order = next(_orders)

    def _rejection(
        self, caller: str, seconds: float, remaining: float, now: float, size: int = 0, waiting: int = 0
    ) -> OverloadedError | None:
        """Return why work of a caller, who waits for some more seconds, is not taken on, or None."""
        if self._bytes_are_used(caller, size):
            return self._no_room_for_bytes(caller)
        if self._requests_are_used(caller, waiting):
            own, count_of_own = self._seconds[caller], self._requests[caller] - waiting
            return OverloadedError(
                f"{count_of_own} calls of this caller are waiting, which is its share of the {self._max_requests} that "
                "the server accepts (setting `max_in_flight`); try again later",
                retry_after=_retry_after(own / self._workers),
                quotaLimit=self._max_requests,
                setting="max_in_flight",
            )
        expected, margin = self._expected(caller, seconds, now), self._margin(now)
        if expected is None or expected * margin <= remaining:
            return None
        self.rejected = now
        return OverloadedError(
            f"the call would wait for {expected:.2g} s of work, and its caller waits {max(remaining, 0.0):.2g} s; "
            "try again later or at another server",
            retry_after=_retry_after(expected * margin - remaining),
            waitSeconds=round(expected, 3),
        )

    def _no_room_for_bytes(self, caller: str) -> OverloadedError:
        return OverloadedError(
            f"requests of this caller that wait hold {self._bytes.get(caller, 0):,} bytes, its share of the "
            f"{self._max_bytes:,} that the server accepts (an eighth of the setting `max_memory`); try again later, or "
            "send smaller calls",
            retry_after=_retry_after(self._seconds.get(caller, 0.0) / self._workers),
            quotaLimit=self._max_bytes,
            setting="max_memory",
        )

    def _bytes_are_used(self, caller: str, size: int) -> bool:
        """Return whether as many bytes of a caller wait as may; one that has none waiting may send any request."""
        own = self._bytes.get(caller, 0)
        if not own or not size:
            return False
        weight, active = self._shares(caller)
        return own + size > self._max_bytes * weight / (active + 1.0) or self._total_bytes + size > self._max_bytes

    def _requests_are_used(self, caller: str, waiting: int) -> bool:
        """Return whether as many calls of a caller wait as may, without some of them."""
        weight, active = self._shares(caller)
        share = max(MIN_REQUESTS, int(self._max_requests * weight / (active + 1.0)))
        return self._requests.get(caller, 0) - waiting >= share

    def _expected(self, caller: str, seconds: float, now: float) -> float | None:
        """Return how long work of a caller would take with what stands before it; None if nothing does."""
        if self._total <= 0.0:
            self._idle = now
            return None  # however slow the version was the last time
        own, (weight, active) = self._seconds.get(caller, 0.0), self._shares(caller)
        return min(self._total + seconds, (own + seconds) * (active / weight)) / self._workers

    def _shares(self, caller: str) -> tuple[float, float]:
        """Return the weight of a caller, and that of all who have a share, with this one."""
        weight = self._weights.get(caller, 1.0)
        return weight, self._weight + (0.0 if caller in self._requests else weight)

    def _margin(self, now: float) -> float:
        return MARGIN if now - self._idle < BUSY_SECONDS else BUSY_MARGIN

    def _speed(self, version: Hashable) -> float:
        """Return the seconds of a floating-point operation."""
        return self._speeds.get(version, 1e-3 / self._step_flops)

    def _count(self, caller: str, seconds: float, requests: int = 0, size: int = 0) -> None:
        if size:
            self._total_bytes += size
            self._bytes[caller] = self._bytes.get(caller, 0) + size
        left, before = self._requests.get(caller, 0) + requests, self._seconds.get(caller, 0.0)
        if left > 0:
            if caller not in self._requests:
                self._weight += self._weights.get(caller, 1.0)
            self._requests[caller] = left
            after = self._seconds[caller] = max(0.0, before + seconds)
        else:
            if self._requests.pop(caller, None) is not None:
                self._weight -= self._weights.get(caller, 1.0)
            self._seconds.pop(caller, None)
            self._total_bytes -= self._bytes.pop(caller, 0)
            after = 0.0
        # No rounding stays when nothing waits.
        self._total, self._weight = (self._total + after - before, self._weight) if self._requests else (0.0, 0.0)


Admit: TypeAlias = Callable[[int, int, Hashable], Awaitable[None]]
"""Takes on a request, given the bytes of its response, its floating-point operations and what computes it.

It waits until there is room to send the response, and raises if the request would end too late."""


def _retry_after(seconds: float) -> float:
    return min(max(seconds, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)
