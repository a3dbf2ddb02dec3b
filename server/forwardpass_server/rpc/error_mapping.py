"""Mapping of exceptions to statuses: the one place where all errors are counted and logged."""

import logging
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import grpc
from forwardpass.errors import ForwardpassError
from forwardpass.reasons import REASONS
from google.rpc.error_details_pb2 import RequestInfo
from google.rpc.status_pb2 import Status

from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.context import REQUEST_ID, Credential
from forwardpass_server.rpc.status import CODES, MappedError, map_error

log = logging.getLogger(__name__)

STATUS_TRAILER: Final = "grpc-status-details-bin"
NO_RETRY_TRAILER: Final = ("x-envoy-ratelimited", "true")
"""Tells Envoy, and meshes that are made of it, not to repeat a call although its status is UNAVAILABLE:
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-ratelimited"""
OVERLOADED: Final = "OVERLOADED"

Trailers: TypeAlias = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedError:
    """An error that many calls end with, serialized but for the id of the request.

    Attributes:
        code: The status code.
        message: The message.
        reason: The reason, by which errors are counted.
        details: The serialized `google.rpc.Status` without the `RequestInfo`.
    """

    code: grpc.StatusCode
    message: str
    reason: str
    details: bytes

    def trailers(self, request_id: str) -> Trailers:
        """Return the trailing metadata of a call."""
        # One serialized message after another is both merged, so this adds an element to `details`:
        # https://protobuf.dev/programming-guides/encoding/#last-one-wins
        status = self.details + _request_info_prefix(len(request_id)) + request_id.encode()
        return _trailers(self.reason, status, request_id)


class ErrorMapper:
    """Maps the errors of one server to statuses, and counts them. May be used in any thread."""

    def __init__(self, guard: Guard) -> None:
        """Count nothing yet.

        Args:
            guard: Counts rejections by the caller's name.
        """
        self._guard = guard
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(REASONS, 0)

    def map(self, error: Exception, request_id: str, credential: Credential) -> MappedError:
        """Map an exception to the status that the caller gets; log the traceback of an unknown one."""
        if type(error) not in CODES:
            caller = self._guard.name_of(credential)
            log.error("call failed", exc_info=error, extra={"request_id": request_id, "caller": caller})
        mapped = map_error(error, request_id)
        with self._lock:
            self._counts[mapped.reason] += 1
        self._guard.count_rejection(credential, mapped.reason)
        return mapped

    async def abort(
        self, context: grpc.aio.ServicerContext[Any, Any], error: Exception, request_id: str, credential: Credential
    ) -> None:
        """End a call with an error and all its details; the error has no traceback then."""
        mapped = self.map(error, request_id, credential)
        _forget_frames(error)
        await context.abort(mapped.code, mapped.status.message, trailers_of(mapped, request_id))

    def prepare(self, error: ForwardpassError) -> PreparedError:
        """Serialize an error that many calls are going to end with."""
        mapped = map_error(error, "")
        status = Status(code=mapped.status.code, message=mapped.status.message)
        status.details.extend(each for each in mapped.status.details if not each.Is(RequestInfo.DESCRIPTOR))
        return PreparedError(
            code=mapped.code, message=status.message, reason=mapped.reason, details=status.SerializeToString()
        )

    def count(self, error: PreparedError, credential: Credential, number: int = 1) -> None:
        """Count calls of one caller that end with a prepared error."""
        with self._lock:
            self._counts[error.reason] += number
        self._guard.count_rejection(credential, error.reason, number)

    def add(self, counts: Mapping[str, int]) -> None:
        """Count the errors that another process has counted, by reason."""
        with self._lock:
            for reason, count in counts.items():
                self._counts[reason] += count

    def counted(self) -> dict[str, int]:
        """Return how many errors there were of each reason, those with 0 included."""
        with self._lock:
            return dict(self._counts)


def _forget_frames(error: BaseException) -> None:
    """Clear the frames that an error came through: gRPC keeps them, and so a request, until garbage is collected."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:  # errors may be in a circle
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            each.__traceback__ = None
            left += [each.__context__, each.__cause__]


def trailers_of(mapped: MappedError, request_id: str) -> Trailers:
    """Return the trailing metadata of a call that ends with an error."""
    return _trailers(mapped.reason, mapped.status.SerializeToString(), request_id)


def _trailers(reason: str, status: bytes, request_id: str) -> Trailers:
    trailers = (STATUS_TRAILER, status), (REQUEST_ID, request_id)
    # A proxy that repeats a rejection at once multiplies the load; callers repeat it after the time in `RetryInfo`. A
    # server that stops or lacks its database is only one of several, so there a proxy may try another.
    return (*trailers, NO_RETRY_TRAILER) if reason == OVERLOADED else trailers


@lru_cache(maxsize=256)
def _request_info_prefix(length: int) -> bytes:
    """Return how a `Status` begins that has only a `RequestInfo`; the id, of a length in ASCII, is the rest of it."""
    status = Status()
    status.details.add().Pack(RequestInfo(request_id="x" * length))
    serialized: bytes = status.SerializeToString()
    return serialized[:-length]
