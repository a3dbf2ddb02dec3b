"""A number of bytes that callers share: each claims bytes before it holds them, and waits where there are none left."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
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
    """

    caller: str
    size: int
    resume: Callable[[], None] = _nothing
    expires: float = inf
    taken: bool = False

    def end_waiting(self) -> None:
        """Resume who waited, and forget them: a claim that keeps who keeps it stays until garbage is collected."""
        resume, self.resume = self.resume, _nothing
        resume()


class ByteBudget:
    """Bytes that are held, for each caller and in all. May be used in any thread.

    One caller gets at most half of the bytes, so that no caller makes all others wait. If it holds nothing else, it
    gets as many as it needs. Claims of one caller are served in their order.
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
        self._of_caller: Counter[str] = Counter()
        self._waiting: deque[Claim] = deque()
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """The bytes that are held."""
        return self._held

    @property
    def waiting(self) -> set[str]:
        """The callers who wait."""
        with self._lock:
            return {claim.caller for claim in self._waiting}

    def take(self, claim: Claim) -> bool:
        """Take the bytes of a claim if there are as many left, for its caller and in all; return whether it did."""
        with self._lock:
            return not self._waits(claim.caller) and self._take(claim)

    def take_or_wait(self, claim: Claim) -> bool:
        """Take the bytes of a claim now, or as soon as there are as many left; return whether it did so now."""
        with self._lock:
            if self._waits(claim.caller) or not self._take(claim):
                self._waiting.append(claim)
            else:
                claim.resume = _nothing
            return claim.taken

    def release(self, claim: Claim) -> None:
        """Give the bytes of a claim back, or stop waiting for them; a second time does nothing."""
        with self._lock:
            if claim.taken:
                claim.taken = False
                self._add(claim.caller, -claim.size)
                ready = self._served()
            elif claim in self._waiting:
                self._waiting.remove(claim)
                ready = [claim]
            else:
                return
        for each in ready:
            each.end_waiting()

    def resize(self, claim: Claim, size: int) -> None:
        """Let a claim be another number of bytes, whether there are as many left or not; no more if it was released."""
        with self._lock:
            if not claim.taken:
                return
            self._add(claim.caller, size - claim.size)
            claim.size = size
            ready = self._served()
        for each in ready:
            each.end_waiting()

    def end_late(self, now: float) -> None:
        """Resume those who have waited until they expired, without their bytes."""
        if not self._waiting:
            return
        with self._lock:
            late = [claim for claim in self._waiting if claim.expires <= now]
            for claim in late:
                self._waiting.remove(claim)
        for claim in late:
            claim.end_waiting()

    def _served(self) -> list[Claim]:
        """Take bytes for those who wait, the oldest first; the lock is held."""
        ready: list[Claim] = []
        blocked: set[str] = set()
        for _ in range(len(self._waiting)):
            claim = self._waiting.popleft()
            if claim.caller not in blocked and self._take(claim):
                ready.append(claim)
            else:
                blocked.add(claim.caller)
                self._waiting.append(claim)
        return ready

    def _waits(self, caller: str) -> bool:
        return any(claim.caller == caller for claim in self._waiting)

    def _take(self, claim: Claim) -> bool:
        caller, size = claim.caller, claim.size
        of_caller = self._of_caller[caller]
        if self._held + size > self.max_bytes and self._held:
            return False
        if of_caller and of_caller + size > self._max_of_caller:
            return False
        self._add(caller, size)
        claim.taken = True
        return True

    def _add(self, caller: str, size: int) -> None:
        self._held += size
        self._of_caller[caller] += size
        if not self._of_caller[caller]:
            del self._of_caller[caller]
