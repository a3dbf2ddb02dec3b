"""Rejection of calls before they are read, by both transports: see `serving/shedding.py`.

It is done thousands of times a second where it matters, so everything but the request id is made before.
"""

from bisect import bisect_left
from typing import Final

from forwardpass.errors import OverloadedError

from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.context import Credential
from forwardpass_server.rpc.error_mapping import ErrorMapper, PreparedError
from forwardpass_server.serving import Dispatcher, Method

RETRY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""The times after which callers may try again, rounded up."""


class LoadShedder:
    """Says which calls are rejected unread, and with what. May be used by several threads."""

    def __init__(self, dispatcher: Dispatcher, guard: Guard, error_mapper: ErrorMapper) -> None:
        self._dispatcher = dispatcher
        self._guard = guard
        self._errors = [error_mapper.prepare(_error(seconds)) for seconds in RETRY_SECONDS]

    @property
    def active(self) -> bool:
        """Whether there are calls to reject; otherwise `judge` need not be called."""
        return self._dispatcher.sheds

    def judge(self, method: Method, *, credential: Credential, peer: str, expires: float) -> PreparedError | None:
        """Return with what a call is rejected, or None if it is to be read.

        Args:
            method: The method.
            credential: What says who the caller is.
            peer: The caller's address.
            expires: When the caller stops waiting, in seconds of `time.monotonic()`.
        """
        retry_after = self._dispatcher.shed(self._guard.caller(credential, peer), method, expires)
        if retry_after is None:
            return None
        return self._errors[min(bisect_left(RETRY_SECONDS, retry_after), len(RETRY_SECONDS) - 1)]


def _error(retry_after: float) -> OverloadedError:
    return OverloadedError(
        "calls of this caller and method are rejected unread: as much work waits as can end in time; try again later "
        "or at another server",
        retry_after=retry_after,
    )
