"""Base class of both clients: settings, pickling, and the errors of calls. No I/O."""

import time
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, Final, Self

import grpc

from forwardpass._errors import client_closed, cut_short, deadline_exceeded, error_from, is_status_lost, not_ready
from forwardpass._requests.call import Call
from forwardpass._requests.revisions import Revisions
from forwardpass._requests.watching import WatchedNetworks
from forwardpass._transport.connections import AsyncConnection, Connection, Interrupted
from forwardpass._transport.endpoint import Tls, endpoint
from forwardpass._transport.retries import Retries, RetryBudget
from forwardpass.errors import ForwardpassError, OverloadedError, RevisionAheadError, UnauthenticatedError

READY_PAUSE_SECONDS: Final = 0.1
"""Pause between two requests of whether a server is ready."""

_TOKEN: Final = "token"  # noqa: S105 - the name of a setting


class BaseClient:
    """Base class of a client, with its settings and the revisions that it knows."""

    _connection: Connection | AsyncConnection

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        timeout: float | None = 10.0,
        token: str | None = None,
        tls: Tls = False,
        allow_insecure_token: bool = False,
        retries: bool = True,
        coalesce: bool = False,
        connections: int = 1,
        pickle_token: bool = False,
    ) -> None:
        self._settings: dict[str, Any] = {
            "address": address,
            "timeout": timeout,
            _TOKEN: token,
            "tls": tls,
            "allow_insecure_token": allow_insecure_token,
            "retries": retries,
            "coalesce": coalesce,
            "connections": connections,
            "pickle_token": pickle_token,
        }
        self._endpoint = endpoint(
            address,
            timeout=timeout,
            token=token,
            tls=tls,
            allow_insecure_token=allow_insecure_token,
            connections=connections,
        )
        self._budget = RetryBudget() if retries else None
        self._revisions = Revisions()
        self._has_lost_token = False

    @property
    def revision(self) -> int:
        """Highest revision of the registry in any response; later reads see no earlier state."""
        return self._revisions.seen

    def _retries(self, call: Call[Any], limit: float | None, begun: float) -> Retries:
        return Retries(call.method, limit, self._endpoint.timeout, begun=begun, budget=self._budget)

    def _pause_before_watch(self, watched: WatchedNetworks, error: OverloadedError, left: float | None) -> float:
        """Return the seconds to wait before a watch that fell behind goes on.

        Raises:
            OverloadedError: It does not go on: it has not begun, the time is over, or the client repeats no calls.
        """
        pause = error.retry_after or 0.0
        if not watched.has_begun or self._budget is None or (left is not None and pause >= left):
            raise error
        watched.resume()
        return pause

    def _pause_before_retry(self, call: Call[Any], error: Exception, retries: Retries) -> float:
        """Return the seconds to wait before the next attempt of a call.

        Raises:
            ForwardpassError: No attempt follows; the exception for the error.
        """
        call.check()
        if self._connection.is_closed:
            raise client_closed() from error
        if isinstance(error, Interrupted):
            pause = retries.pause_after_interruption()
            if pause is None:
                raise cut_short(self._endpoint.address) from error
            return pause
        meant = self._error_of(error, retries)
        pause = retries.pause_after(error, meant)
        if pause is None:
            retries.note_on(meant)
            raise meant from error
        return pause

    def _end_of_stream(self, error: Exception, retries: Retries) -> Exception:
        """Return the exception for the error of a stream whose response had begun."""
        if self._connection.is_closed:
            return client_closed()
        if isinstance(error, Interrupted):
            return cut_short(self._endpoint.address, is_stream=True)
        return self._error_of(error, retries)

    def _error_of(self, error: Exception, retries: Retries) -> ForwardpassError:
        """Return the exception for a `grpc.RpcError`."""
        if is_status_lost(error) and retries.is_over():
            return deadline_exceeded(self._endpoint.address, retries.limit)
        meant = error_from(error, target=self._endpoint.address, timeout=retries.limit)
        if isinstance(meant, RevisionAheadError):
            self._revisions.forget()
        if isinstance(meant, UnauthenticatedError) and self._has_lost_token:
            meant.add_note("the client was pickled without its token; pickle_token=True takes it along")
        return meant

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        settings = self._settings
        if isinstance(settings["tls"], grpc.ChannelCredentials):
            raise TypeError(
                "a client with grpc.ChannelCredentials cannot be pickled; pass tls= the root certificates as PEM bytes "
                "or as the path of a file"
            )
        has_lost_token = settings[_TOKEN] is not None and not settings["pickle_token"]
        if has_lost_token:
            settings = {**settings, _TOKEN: None}
        return _restore, (type(self), settings, has_lost_token or self._has_lost_token)

    def __copy__(self) -> Self:
        return type(self)(**self._settings)

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return copy(self)

    def __repr__(self) -> str:
        state = ", closed" if self._connection.is_closed else ""
        return f"{type(self).__name__}({self._endpoint.address!r}{state})"


def _restore(kind: type[BaseClient], settings: dict[str, Any], has_lost_token: bool) -> BaseClient:  # noqa: FBT001
    client = kind(**settings)
    client._has_lost_token = has_lost_token  # noqa: SLF001 - of this module's own class
    return client


def countdown(target: str, seconds: float | None) -> Iterator[float | None]:
    """Yield the rest of a timeout at each step, or None without a timeout.

    Raises:
        DeadlineExceededError: The timeout is over.
    """
    end = None if seconds is None else time.monotonic() + seconds
    while end is None or time.monotonic() < end:
        yield None if end is None else max(end - time.monotonic(), 0.001)
    raise not_ready(target, seconds)
