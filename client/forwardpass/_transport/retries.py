"""Repetition of calls: exponential backoff with jitter, until the timeout of the call. No I/O.

gRPC's own retry policy makes at most five attempts, whatever the policy says:
https://github.com/grpc/proposal/blob/master/A6-client-retries.md#validation-of-retrypolicy.
That is less than a second; the restart of a server takes longer.
"""

import random
import time
from typing import Any, Final

from forwardpass._errors import has_server_status, is_stream_reset
from forwardpass._transport.methods import NEVER, REPEATABILITY
from forwardpass.errors import ForwardpassError

FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 0.02
"""Time that is too short for another attempt."""

_PATIENCE_SECONDS: Final = 60.0
"""How long a call is repeated when neither it nor the client has a timeout."""


class RetryBudget:
    """Bound on how often a client repeats calls that a server rejected, so that retries do not keep it overloaded.

    A token bucket with `capacity` tokens, refilled by `per_second`. A call that did not reach a server takes no token.
    """

    def __init__(self, *, capacity: float = 100.0, per_second: float = 10.0) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._tokens = capacity
        self._filled = time.monotonic()

    def take(self) -> bool:
        """Take a token if there is one; return whether there was."""
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
        limit: The timeout of the whole call in seconds, or None.
        patience: How long a call without a timeout is repeated, in seconds, or None.
        begun: The value of `time.monotonic` when the first attempt began.
        budget: The client's budget; None for no repetition of failed calls.
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
        """Return the timeout of the next attempt, at least a millisecond; None without a timeout."""
        return None if self.limit is None else max(self._begun + self.limit - time.monotonic(), 0.001)

    def is_over(self) -> bool:
        """Return whether the timeout of the call has no time left for another attempt."""
        return self.limit is not None and self._begun + self.limit - time.monotonic() < _SHORTEST_SECONDS

    def pause_after_interruption(self) -> float | None:
        """Return the seconds to wait after a fork cut an attempt short; None if the call may not be repeated."""
        self._attempts += 1
        return 0.0 if self._rule.after_interruption else None

    def pause_after(self, error: Any, meant: ForwardpassError) -> float | None:
        """Return the seconds to wait before the next attempt, or None when there is none.

        Args:
            error: The `grpc.RpcError` of the last attempt.
            meant: The exception for the error, with the server's `retry_after`.
        """
        if self._budget is None or not self._may_follow(error):
            return None
        left = self._end - time.monotonic()
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (self._attempts - 1), MAX_PAUSE_SECONDS)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - only spreads calls
        if meant.retry_after is not None:
            pause += meant.retry_after
            if pause > left:
                return None
        # Pauses shorten towards the end, so that the last attempt is made just before the timeout.
        pause = min(pause, left / 2)
        if pause < _SHORTEST_SECONDS and left < FIRST_PAUSE_SECONDS:
            return None
        if has_server_status(error) and not self._budget.take():
            return None
        self._attempts += 1
        return pause

    def note_on(self, meant: ForwardpassError) -> None:
        """Add the number of attempts to the last error."""
        if self._attempts > 1:
            meant.add_note(f"after {self._attempts} attempts in {time.monotonic() - self._begun:.1f} s")

    def _may_follow(self, error: Any) -> bool:
        return error.code() in self._rule.codes or (self._rule.after_reset and is_stream_reset(error))
