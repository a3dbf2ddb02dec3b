"""What both clients share: their settings, their pickles, and what becomes of a call that failed; no I/O."""

from collections.abc import Callable
from copy import copy
from typing import Any, Final, Self

import grpc

from forwardpass._calls import Call
from forwardpass._failures import closed, error_from, interrupted
from forwardpass._revisions import Revisions
from forwardpass._transport.connections import AsyncConnection, Connection, Interrupted
from forwardpass._transport.endpoint import Tls, endpoint
from forwardpass._transport.retries import Retries, RetryBudget
from forwardpass.errors import ForwardpassError, RevisionAheadError, UnauthenticatedError

_TOKEN: Final = "token"  # noqa: S105 - the name of a setting


class BaseClient:
    """Settings of a client and its view of the registry; the heirs make the calls."""

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
            "pickle_token": pickle_token,
        }
        self._endpoint = endpoint(
            address, timeout=timeout, token=token, tls=tls, allow_insecure_token=allow_insecure_token
        )
        self._budget = RetryBudget() if retries else None
        self._revisions = Revisions()
        self._has_lost_token = False

    @property
    def revision(self) -> int:
        """The highest revision of the registry in any response; what is read from the registry later is no older."""
        return self._revisions.seen

    def _retries(self, call: Call[Any], limit: float | None, begun: float) -> Retries:
        return Retries(call.method, limit, self._endpoint.timeout, begun=begun, budget=self._budget)

    def _pause_before_retry(self, call: Call[Any], error: Exception, retries: Retries) -> float:
        """Return the seconds to wait before a call is made again.

        Raises:
            ForwardpassError: It is not made again; what the error means.
        """
        call.check()
        if self._connection.is_closed:
            raise closed() from error
        if isinstance(error, Interrupted):
            pause = retries.pause_after_interruption()
            if pause is None:
                raise interrupted(self._endpoint.address) from error
            return pause
        failure = self._failure(error, retries.limit)
        pause = retries.pause_after(error, failure)
        if pause is None:
            retries.note_on(failure)
            raise failure from error
        return pause

    def _end_of_stream(self, error: Exception, limit: float | None) -> Exception:
        """Return the exception for a stream that failed after its response had begun."""
        if self._connection.is_closed:
            return closed()
        if isinstance(error, Interrupted):
            return interrupted(self._endpoint.address, is_stream=True)
        return self._failure(error, limit)

    def _failure(self, error: Exception, limit: float | None) -> ForwardpassError:
        """Return the exception that a `grpc.RpcError` means."""
        failure = error_from(error, target=self._endpoint.address, timeout=limit)
        if isinstance(failure, RevisionAheadError):
            self._revisions.forget()
        if isinstance(failure, UnauthenticatedError) and self._has_lost_token:
            failure.add_note("the client was pickled without its token; pickle_token=True takes it along")
        return failure

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        settings = self._settings
        if isinstance(settings["tls"], grpc.ChannelCredentials):
            raise TypeError(
                "grpc.ChannelCredentials cannot be pickled, and so neither can a client that has them; pass tls= the "
                "root certificates as PEM bytes or the path of a file"
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
