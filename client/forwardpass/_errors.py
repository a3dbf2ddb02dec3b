"""Errors of a call as the exceptions of `forwardpass.errors`.

Our servers send the reason, the facts and the faults in the details of a `google.rpc.Status`, which decide the class
and its attributes. An error from anywhere else (a proxy, the network, gRPC itself) has a status code alone, which
decides the nearest class.
"""

import re
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

_TOO_LARGE: Final = re.compile(r"(Sent|Received) message larger than max \((\d+) vs\. (\d+)\)")
"""Details by which gRPC rejects a message."""

_STATUS_LOST: Final = "Internal error from Core"
"""Details by which grpc.aio reports a call that ended while it sent a request, in place of the call's own status."""

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
"""Exception for a status code without a reason of ours; for all other codes it is `ForwardpassError`."""

_CODES: Final = {code.value[0]: code for code in Code}

M = TypeVar("M", bound=Message)


def error_from(error: Any, *, target: str, timeout: float | None = None) -> ForwardpassError:
    """Return the exception that a server sent, or else the nearest one.

    Args:
        error: The `grpc.RpcError` of a call that ended.
        target: The server's address, for the message.
        timeout: The timeout of the call in seconds, or None.
    """
    status = sent_status(error)
    if status is not None and _detail(status, ErrorInfo) is not None:
        return error_of_status(status)
    code, details = error.code(), error.details() or ""
    if code is Code.DEADLINE_EXCEEDED:
        details = "Deadline Exceeded"  # which gRPC says in several ways
    if _is_broken_off(code, details):
        sentence = f"the connection to {target} ended in the middle of a call ({details})"
        return UnavailableError(sentence, target=target, code=Code.UNAVAILABLE.name, details=details)
    kind = NEAREST.get(code, ForwardpassError)
    sentence = _sentence(code, details, target, timeout)
    meant = kind(sentence, target=target, code=code.name, details=details)
    meant.facts |= _size_facts(details)
    return meant


def _size_facts(details: str) -> dict[str, str]:
    """Return the facts of a message that gRPC itself rejects for its size, named as a server of ours names them."""
    found = _TOO_LARGE.search(details)
    if found is None:
        return {}
    setting = "max_response_bytes" if found[1] == "Sent" else "max_request_bytes"
    return {"setting": setting, "quotaValue": found[2], "quotaLimit": found[3]}


def is_stream_reset(error: Any) -> bool:
    """Return whether a call's connection, or a proxy's, ended in the middle of the response.

    When a response has begun, neither gRPC nor a proxy makes the call again:
    https://github.com/grpc/proposal/blob/master/A6-client-retries.md#when-retries-are-valid
    """
    if sent_status(error) is not None:
        return False
    code = error.code()
    return _is_broken_off(code, error.details() or "") or (code is Code.UNAVAILABLE and bool(error.initial_metadata()))


def _is_broken_off(code: grpc.StatusCode, details: str) -> bool:
    """Return whether gRPC's own INTERNAL stands for a call that ended with its connection."""
    # What gRPC makes of a reset stream; of a lost connection it makes UNAVAILABLE, as of one that never was.
    return code is Code.INTERNAL and ("RST_STREAM" in details or _STATUS_LOST in details)


def is_status_lost(error: Any) -> bool:
    """Return whether a call ended while it sent a request, so that its status (often of a deadline) is not known."""
    return error.code() is Code.INTERNAL and _STATUS_LOST in (error.details() or "")


def has_server_status(error: Any) -> bool:
    """Return whether a server of ours sent an error, so that the call reached one."""
    return sent_status(error) is not None


def seconds_left(timeout: float | None, begun: float) -> float | None:
    """Return the rest of a timeout in seconds, at least a millisecond; None without a timeout.

    Args:
        timeout: The timeout in seconds, or None.
        begun: The value of `time.monotonic` when the call began.
    """
    return None if timeout is None else max(timeout - (time.monotonic() - begun), 0.001)


def deadline_exceeded(target: str, timeout: float | None) -> DeadlineExceededError:
    """Return the error of a timeout that was over before there was a call; equal to that of a call."""
    code = Code.DEADLINE_EXCEEDED
    sentence = _sentence(code, "Deadline Exceeded", target, timeout)
    return DeadlineExceededError(sentence, target=target, code=code.name, details="Deadline Exceeded")


def error_of_status(status: Status) -> ForwardpassError:
    """Return the exception that a server of ours raised and sent as a status."""
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


def sent_status(error: Any) -> Status | None:
    """Return the status with its details that a server of ours sent with an error, or None."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_HEADER:
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail(status: Status, kind: type[M]) -> M | None:
    """Return the first detail of a message type, or None."""
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


def client_closed() -> RuntimeError:
    """Return the error of a call of a closed client."""
    return RuntimeError("the client is closed; make another one")


def cut_short(target: str, *, is_stream: bool = False) -> UnavailableError:
    """Return the error of a call that a fork cut short: it may not be repeated, or it is a stream that had begun."""
    rest = (
        "which ends streams; start it again"
        if is_stream
        else "which cut it short; it is not repeated by itself, since it may have been carried out"
    )
    return UnavailableError(f"the process forked while a call to {target} was in flight, {rest}", target=target)


def unusable_after_fork(target: str) -> UnavailableError:
    """Return the error of calls in a process that was forked while gRPC could not be stopped."""
    return UnavailableError(
        f"{target} cannot be called from this process: it was forked by an event loop with calls in flight, and gRPC "
        "does not survive that; start processes with multiprocessing's `spawn` or `forkserver`, or fork when no "
        "call is in flight",
        target=target,
    )


def _sentence(code: grpc.StatusCode, details: str, target: str, timeout: float | None) -> str:
    if code is Code.UNAVAILABLE and "unhealthy" in details:
        return f"{target} does not serve now: it is starting or stopping"
    if code is Code.UNAVAILABLE:
        return (
            f"{target} cannot be reached; check that a server runs there, and that it and the client agree "
            f"about TLS{_proxy_hint(target)} ({details})"
        )
    if code is Code.DEADLINE_EXCEEDED:
        within = "in time" if timeout is None else f"within {timeout:g} s"
        return f"{target} did not respond {within}; timeout= gives a call more seconds, and None removes the limit"
    if code is Code.UNIMPLEMENTED:
        return f"{target} has no such method: it is an older server, or another service ({details})"
    if code is Code.RESOURCE_EXHAUSTED and "message larger than max" in details:
        sent = "Sent message" in details
        what, setting = ("response", "max_response_bytes") if sent else ("request", "max_request_bytes")
        return f"the {what} is larger than {target} allows; its setting {setting} is the limit ({details})"
    return f"{target} ended the call with {code.name}: {details}"


def _proxy_hint(target: str) -> str:
    """Return a sentence about the proxy of an address, or an empty text without one."""
    proxy = proxy_of(target)
    if proxy is None:
        return ""
    variable, url, host = proxy
    return (
        f". The calls go through the proxy {url} of the environment variable {variable}; to connect without it, "
        f"add {host} to no_proxy"
    )


def watch_ended(target: str) -> UnavailableError:
    """Return the error of a watch that the server ended: without one it has no end."""
    return UnavailableError(
        f"{target} ended the watch because it stops; watch again to get the current state and the changes after it",
        target=target,
    )


def not_ready(target: str, seconds: float | None) -> DeadlineExceededError:
    """Return the error of a server that was not ready within a timeout."""
    return DeadlineExceededError(
        f"{target} was not ready to serve within {seconds:g} s; check that a server runs there", target=target
    )
