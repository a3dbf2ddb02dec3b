"""A number of bytes that callers share: each claims bytes before it holds them, and waits where there are none left."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf


def _nothing() -> None:
    """Resume no one."""


@dataclass(kw_only=True, slots=True, eq=False)
class Claim:
    """Bytes that a caller holds, or waits for. `ByteBudget` changes it.

    Attributes:
        caller: The caller.
        size: The bytes.
        resume: Called once, in any thread, if the bytes were waited for: when they are taken, or when they are not
            waited for any more.
        expires: When the caller stops waiting, in seconds of `time.monotonic()`.
        taken: Whether the bytes are held.
        order: Its place among the claims that wait, of all callers.
        has_passed: Whether the bytes were taken before those of an older claim of the caller.
    """

    caller: str
    size: int
    resume: Callable[[], None] = _nothing
    expires: float = inf
    taken: bool = False
    order: int = 0
    has_passed: bool = False

    def end_waiting(self) -> None:
        """Resume who waited, and forget them: a claim that keeps who keeps it stays until garbage is collected."""
        resume, self.resume = self.resume, _nothing
        resume()


@dataclass(slots=True, eq=False)
class _Caller:
    """What one caller holds and waits for.

    Attributes:
        held: The bytes that it holds.
        passed: Those of them that were taken before the bytes of an older claim.
        waiting: The claims that wait, oldest first; the values mean nothing.
        least_waiting: A lower bound of the bytes of the claims that wait, but for the oldest: none of them has fewer.
    """

    held: int = 0
    passed: int = 0
    waiting: OrderedDict[Claim, None] = field(default_factory=OrderedDict)
    least_waiting: float = inf

    @property
    def oldest(self) -> Claim:
        """The claim that has waited for the longest."""
        return next(iter(self.waiting))


class ByteBudget:
    """Bytes that are held, for each caller and in all. May be used in any thread.

    One caller gets at most half of the bytes, so that no caller makes all others wait. If it holds nothing else, it
    gets as many as it needs. A claim passes older ones of its caller if it leaves the oldest of them its part of the
    half: that one has its part as soon as those are released which its caller held before it, so no claim of its
    caller makes it starve. It may still wait for the bytes of other callers.
    """

    def __init__(self, max_bytes: int, *, max_of_caller: int | None = None) -> None:
        """Make a budget of which nothing is held.

        Args:
            max_bytes: The bytes in all.
            max_of_caller: The bytes of one caller; by default half of them.
        """
        self.max_bytes = max_bytes
        self._max_of_caller = max_bytes // 2 if max_of_caller is None else max_of_caller
        self._held = 0
        # Those who hold bytes or wait, and those of them who wait.
        self._callers: dict[str, _Caller] = {}
        self._waiting: dict[str, _Caller] = {}
        self._orders = count()
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """The bytes that are held."""
        return self._held

    @property
    def waiting(self) -> set[str]:
        """The callers who wait."""
        with self._lock:
            return {*self._waiting}

    def waits(self, caller: str) -> bool:
        """Return whether a caller waits."""
        return caller in self._waiting

    def take(self, claim: Claim) -> bool:
        """Take the bytes of a claim if there are as many left, for its caller and in all; return whether it did."""
        with self._lock:
            return self._take_now(claim)

    def take_or_wait(self, claim: Claim) -> bool:
        """Take the bytes of a claim now, or as soon as there are as many left; return whether it did so now."""
        with self._lock:
            if self._take_now(claim):
                claim.resume = _nothing
            else:
                self._wait(claim)
            return claim.taken

    def release(self, claim: Claim) -> None:
        """Give the bytes of a claim back, or stop waiting for them; a second time does nothing."""
        with self._lock:
            if claim.taken:
                claim.taken = False
                self._add(claim, -claim.size)
                ready = self._served()
            elif self._stop_waiting(claim):
                ready = [claim, *self._served()]
            else:
                return
        for each in ready:
            each.end_waiting()

    def resize(self, claim: Claim, size: int) -> None:
        """Let a claim be another number of bytes, whether there are as many left or not; no more if it was released."""
        with self._lock:
            if not claim.taken:
                return
            self._add(claim, size - claim.size)
            claim.size = size
            ready = self._served()
        for each in ready:
            each.end_waiting()

    def end_late(self, now: float) -> None:
        """Resume those who have waited until they expired, without their bytes."""
        if not self._waiting:
            return
        with self._lock:
            late = [claim for caller in self._waiting.values() for claim in caller.waiting if claim.expires <= now]
            for claim in late:
                self._stop_waiting(claim)
            ready = [*late, *self._served()] if late else []
        for claim in ready:
            claim.end_waiting()

    def _take_now(self, claim: Claim) -> bool:
        """Take the bytes of a new claim if there is room for it; the lock is held."""
        caller = self._callers.get(claim.caller, _Caller())
        if caller.waiting:
            fits = self._passes(caller, caller.oldest, claim.size)
        else:
            fits = self._fits(claim.size, caller.held)
        if fits:
            self._take(claim, has_passed=bool(caller.waiting))
        return fits

    def _served(self) -> list[Claim]:
        """Take bytes for those who wait, the oldest first, then those who may pass them; the lock is held."""
        if not self._waiting:
            return []
        ready: list[Claim] = []
        blocked: list[_Caller] = []
        oldest = [(caller.oldest.order, name) for name, caller in self._waiting.items()]
        heapify(oldest)
        while oldest:
            caller = self._waiting[heappop(oldest)[1]]
            claim = caller.oldest
            if not self._fits(claim.size, caller.held):
                blocked.append(caller)
                continue
            self._stop_waiting(claim)
            self._take(claim, has_passed=False)
            ready.append(claim)
            if caller.waiting:
                heappush(oldest, (caller.oldest.order, claim.caller))
        for caller in blocked:
            ready += self._served_before_oldest(caller)
        return ready

    def _served_before_oldest(self, caller: _Caller) -> list[Claim]:
        """Take bytes for claims that may pass the oldest of their caller."""
        older = caller.oldest
        if not self._passes(caller, older, caller.least_waiting):
            return []
        ready: list[Claim] = []
        least = inf
        for claim in [*caller.waiting][1:]:
            if self._passes(caller, older, claim.size):
                self._stop_waiting(claim)
                self._take(claim, has_passed=True)
                ready.append(claim)
            else:
                least = min(least, claim.size)
        caller.least_waiting = least
        return ready

    def _fits(self, size: float, held: int) -> bool:
        """Return whether there is room for bytes of a caller who holds some."""
        in_all = not self._held or self._held + size <= self.max_bytes
        return in_all and (not held or held + size <= self._max_of_caller)

    def _passes(self, caller: _Caller, older: Claim, size: float) -> bool:
        """Return whether there is room for bytes of a caller besides those for which an older claim waits."""
        return self._fits(size, caller.held) and caller.passed + size + older.size <= self._max_of_caller

    def _take(self, claim: Claim, *, has_passed: bool) -> None:
        claim.taken, claim.has_passed = True, has_passed
        self._add(claim, claim.size)

    def _add(self, claim: Claim, size: int) -> None:
        """Count bytes of a claim, or fewer."""
        self._held += size
        caller = self._callers.setdefault(claim.caller, _Caller())
        caller.held += size
        if claim.has_passed:
            caller.passed += size
        self._forget_idle(claim.caller, caller)

    def _wait(self, claim: Claim) -> None:
        caller = self._callers.setdefault(claim.caller, _Caller())
        claim.order = next(self._orders)
        caller.least_waiting = min(caller.least_waiting, claim.size) if caller.waiting else inf
        caller.waiting[claim] = None
        self._waiting[claim.caller] = caller

    def _stop_waiting(self, claim: Claim) -> bool:
        """Let a claim wait no more; return whether it waited."""
        caller = self._waiting.get(claim.caller)
        if caller is None or claim not in caller.waiting:
            return False
        del caller.waiting[claim]
        if not caller.waiting:
            del self._waiting[claim.caller]
        self._forget_idle(claim.caller, caller)
        return True

    def _forget_idle(self, name: str, caller: _Caller) -> None:
        if not caller.held and not caller.waiting:
            self._callers.pop(name, None)
