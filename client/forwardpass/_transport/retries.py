"""When a call that failed is made again: exponential backoff with jitter, until the call's time is over; no I/O.

gRPC's own retry policy makes at most five attempts, whatever the policy says:
https://github.com/grpc/proposal/blob/master/A6-client-retries.md#validation-of-retrypolicy.
That is less than a second, and a server takes longer to restart.
"""

import random
import time
from typing import Any, Final

from forwardpass._failures import is_stream_reset, is_told_by_server
from forwardpass._transport.methods import NEVER, REPEATABILITY
from forwardpass.errors import ForwardpassError

FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 0.02
"""Less time than this is not worth another attempt."""

_PATIENCE_SECONDS: Final = 60.0
"""How long a call without any time limit is repeated."""


class RetryBudget:
    """Bound on how often a client repeats what a server rejected, so that retries do not keep it overloaded.

    A token bucket: `capacity` at once, then `per_second`. What never reached a server costs it nothing, and
    takes no token.
    """

    def __init__(self, *, capacity: float = 100.0, per_second: float = 10.0) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._tokens = capacity
        self._filled = time.monotonic()

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        now = time.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled) * self._per_second)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Retries:
    """Attempts of one call.

    Args:
        method: The method's name.
        limit: Seconds for the whole call, or None.
        patience: Seconds for which a call without a limit is repeated, or None.
        begun: The time of `time.monotonic` when the first attempt began.
        budget: The client's budget; None repeats nothing that failed.
    """

    def __init__(
        self, method: str, limit: float | None, patience: float | None, *, begun: float, budget: RetryBudget | None
    ) -> None:
        self.limit = limit
        self._rule = REPEATABILITY.get(method, NEVER)
        self._begun = begun
        self._end = begun + (limit or patience or _PATIENCE_SECONDS)
        self._budget = budget
        self._attempts = 1

    def left(self) -> float | None:
        """Return the seconds that are left for the next attempt, at least a millisecond, or None without a limit."""
        return None if self.limit is None else max(self._begun + self.limit - time.monotonic(), 0.001)

    def pause_after_interruption(self) -> float | None:
        """Return the seconds to wait after the client cut an attempt short; None when it may not be repeated."""
        self._attempts += 1
        return 0.0 if self._rule.after_interruption else None

    def pause_after(self, error: Any, failure: ForwardpassError) -> float | None:
        """Return the seconds to wait before the next attempt, or None when there is none.

        Args:
            error: The `grpc.RpcError` of the last attempt.
            failure: The exception that it means, with the server's `retry_after`.
        """
        if self._budget is None or not self._may_follow(error):
            return None
        left = self._end - time.monotonic()
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (self._attempts - 1), MAX_PAUSE_SECONDS)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - only spreads calls
        if failure.retry_after is not None:
            pause += failure.retry_after
            if pause > left:
                return None
        # The shorter the rest of the time, the shorter the pauses: an attempt is made just before the end.
        pause = min(pause, left / 2)
        if pause < _SHORTEST_SECONDS and left < FIRST_PAUSE_SECONDS:
            return None
        if is_told_by_server(error) and not self._budget.take():
            return None
        self._attempts += 1
        return pause

    def note_on(self, failure: ForwardpassError) -> None:
        """Note on the last error how often the call was made."""
        if self._attempts > 1:
            failure.add_note(f"after {self._attempts} attempts in {time.monotonic() - self._begun:.1f} s")

    def _may_follow(self, error: Any) -> bool:
        return error.code() in self._rule.codes or (self._rule.after_reset and is_stream_reset(error))
