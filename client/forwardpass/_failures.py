"""What went wrong on the wire, as the exceptions of `forwardpass.errors`.

Our servers say why in the details of `google.rpc.Status`, and the class, facts and faults come from
there. Whatever else fails a call (a proxy, the network, grpc itself) has a status code alone, which
decides the nearest class.
"""

import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from forwardpass._transport.proxies import proxy_of
from forwardpass.errors import (
    DeadlineExceededError,
    Fault,
    ForwardpassError,
    InternalError,
    InvalidRequestError,
    MethodNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    UnauthenticatedError,
    UnavailableError,
)
from forwardpass.reasons import DOMAIN, REASONS

STATUS_HEADER: Final = "grpc-status-details-bin"

Code = grpc.StatusCode

NEAREST: Final[Mapping[grpc.StatusCode, type[ForwardpassError]]] = {
    Code.CANCELLED: UnavailableError,
    Code.UNKNOWN: InternalError,
    Code.INVALID_ARGUMENT: InvalidRequestError,
    Code.DEADLINE_EXCEEDED: DeadlineExceededError,
    Code.NOT_FOUND: NotFoundError,
    Code.PERMISSION_DENIED: PermissionDeniedError,
    Code.RESOURCE_EXHAUSTED: QuotaExceededError,
    Code.OUT_OF_RANGE: InvalidRequestError,
    Code.UNIMPLEMENTED: MethodNotFoundError,
    Code.INTERNAL: InternalError,
    Code.UNAVAILABLE: UnavailableError,
    Code.DATA_LOSS: InternalError,
    Code.UNAUTHENTICATED: UnauthenticatedError,
}
"""The exception for a status code without a reason of ours; for others it is `ForwardpassError` itself."""

_CODES: Final = {code.value[0]: code for code in Code}

M = TypeVar("M", bound=Message)


def error_from(error: Any, *, target: str, timeout: float | None = None) -> ForwardpassError:
    """Turn what grpc raised into the exception that the server meant, or the nearest one.

    Args:
        error: A `grpc.RpcError` of a call that ended.
        target: What was called, for the message.
        timeout: How many seconds the call had.
    """
    status = _sent_status(error)
    if status is not None and _detail(status, ErrorInfo) is not None:
        return error_of_status(status)
    code, details = error.code(), error.details() or ""
    if code is Code.DEADLINE_EXCEEDED:
        details = "Deadline Exceeded"  # which gRPC says in several ways
    kind = NEAREST.get(code, ForwardpassError)
    return kind(_sentence(code, details, target, timeout), target=target, code=code.name, details=details)


def is_stream_reset(error: Any) -> bool:
    """Return whether a call's connection, or a proxy's, ended in the middle of the response.

    When a response has begun, neither gRPC nor a proxy tries the call again:
    https://github.com/grpc/proposal/blob/master/A6-client-retries.md#when-retries-are-valid
    """
    if _sent_status(error) is not None:
        return False
    code, details = error.code(), error.details() or ""
    # What gRPC makes of a reset stream; of a lost connection it makes UNAVAILABLE, as of one that never was.
    reset = code is Code.INTERNAL and "RST_STREAM" in details
    # What grpc.aio makes of a call that ended while it sent a request: the call's own status is lost.
    lost = code is Code.INTERNAL and "Internal error from Core" in details
    return reset or lost or (code is Code.UNAVAILABLE and bool(error.initial_metadata()))


def is_told_by_server(error: Any) -> bool:
    """Return whether a server of ours sent an error, so that the call did reach one."""
    return _sent_status(error) is not None


def rest_of(limit: float | None, begun: float) -> float | None:
    """Return the seconds that are left for a call, at least a millisecond, or None without a limit.

    Args:
        limit: How many seconds it had.
        begun: The time of `time.monotonic` when it began.
    """
    return None if limit is None else max(limit - (time.monotonic() - begun), 0.001)


def out_of_time(target: str, timeout: float | None) -> DeadlineExceededError:
    """Make what `error_from` makes of a call whose time ran out, for one that did so before there was a call."""
    code = Code.DEADLINE_EXCEEDED
    sentence = _sentence(code, "Deadline Exceeded", target, timeout)
    return DeadlineExceededError(sentence, target=target, code=code.name, details="Deadline Exceeded")


def error_of_status(status: Status) -> ForwardpassError:
    """Turn a status that a server of ours made into the exception that it raised there."""
    info = _detail(status, ErrorInfo)
    ours = info is not None and info.domain == DOMAIN
    by_code = NEAREST.get(_CODES.get(status.code, Code.UNKNOWN), ForwardpassError)
    kind = REASONS.get(info.reason, by_code) if info is not None and ours else by_code
    request, retry = _detail(status, RequestInfo), _detail(status, RetryInfo)
    error = kind(
        status.message,
        faults=_faults(status),
        retry_after=None if retry is None else retry.retry_delay.ToTimedelta().total_seconds(),
        request_id=(request.request_id or None) if request is not None else None,
    )
    if info is not None:
        # Assigned, for names from the wire need not be names of Python's.
        error.facts = dict(sorted(info.metadata.items()))
        if info.reason not in REASONS or not ours:
            error.facts["reason"] = f"{info.domain}/{info.reason}"
    return error


def _sent_status(error: Any) -> Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_HEADER:
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail(status: Status, kind: type[M]) -> M | None:
    """Return the first detail of a kind, or None."""
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            message = kind()
            try:
                packed.Unpack(message)
            except DecodeError:
                return None
            return message
    return None


def _faults(status: Status) -> list[Fault]:
    request, condition = _detail(status, BadRequest), _detail(status, PreconditionFailure)
    faults = []
    if request is not None:
        faults += [Fault(path=part.field, message=part.description) for part in request.field_violations]
    if condition is not None:
        faults += [Fault(path=part.subject, message=part.description) for part in condition.violations]
    return faults


def closed() -> RuntimeError:
    """Make what is raised when a closed client is used."""
    return RuntimeError("the client is closed; make another one")


def interrupted(target: str, *, is_stream: bool = False) -> UnavailableError:
    """Make what is raised when a fork cut short a call that may not be repeated, or a stream that had begun."""
    rest = (
        "which ends streams; start it again"
        if is_stream
        else "which cut it short; it is not repeated by itself, since it may have been carried out"
    )
    return UnavailableError(f"the process forked while a call to {target} was in flight, {rest}", target=target)


def unusable_after_fork(target: str) -> UnavailableError:
    """Make what is raised in a process that was forked while gRPC could not be stopped."""
    return UnavailableError(
        f"{target} cannot be called from this process: it was forked by an event loop with calls in flight, and gRPC "
        "does not survive that; start processes with multiprocessing's `spawn` or `forkserver`, or fork when no "
        "call is in flight",
        target=target,
    )


def _sentence(code: grpc.StatusCode, details: str, target: str, timeout: float | None) -> str:
    if code is Code.UNAVAILABLE and "unhealthy" in details:
        return f"{target} says that it does not serve now: it is starting or stopping"
    if code is Code.UNAVAILABLE:
        return (
            f"{target} cannot be reached; check that a server runs there, and that it and the client agree "
            f"about TLS{_proxy_hint(target)} ({details})"
        )
    if code is Code.DEADLINE_EXCEEDED:
        within = "in time" if timeout is None else f"within {timeout:g} s"
        return f"{target} did not answer {within}; timeout= gives a call more seconds, or with None all it needs"
    if code is Code.UNIMPLEMENTED:
        return f"{target} has no such method: it is an older server, or another service ({details})"
    if code is Code.RESOURCE_EXHAUSTED and "message larger than max" in details:
        sent = "Sent message" in details
        what, setting = ("response", "max_response_bytes") if sent else ("request", "max_request_bytes")
        return f"the {what} is larger than {target} allows; its setting {setting} is the limit ({details})"
    return f"{target} failed the call with {code.name}: {details}"


def _proxy_hint(target: str) -> str:
    """Name the proxy through which gRPC calls a target, if there is one."""
    proxy = proxy_of(target)
    if proxy is None:
        return ""
    variable, url, host = proxy
    return (
        f". The calls go through the proxy {url} of the environment variable {variable}; where that is not wanted, "
        f"add {host} to no_proxy"
    )
