"""The error table: every exception that may leave the server, and its status on the wire.

The one place that knows status codes. An exception that is not in the table leaves as INTERNAL with a constant
sentence; its traceback goes to the log.
"""

from dataclasses import dataclass
from typing import Final

import grpc
from forwardpass.errors import (
    AliasMovedError,
    AliasNotFoundError,
    DeadlineExceededError,
    DrainingError,
    DtypeMismatchError,
    ExampleFailedError,
    FeatureMismatchError,
    ForwardpassError,
    InternalError,
    InvalidFieldError,
    InvalidNetworkError,
    InvalidTensorError,
    LayerNotFoundError,
    MalformedRequestError,
    MethodNotFoundError,
    MissingValueError,
    NetworkCorruptError,
    NetworkNotFoundError,
    NoEarlierVersionError,
    NonFiniteInputError,
    OutOfRangeError,
    OverloadedError,
    PermissionDeniedError,
    ProfileNotFoundError,
    QuotaExceededError,
    RevisionAheadError,
    ShapeMismatchError,
    StoreUnavailableError,
    UnauthenticatedError,
    UnknownCategoryError,
    VersionInUseError,
    VersionNotFoundError,
    VersionOutOfServiceError,
)
from forwardpass.reasons import DOMAIN, REASONS
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

Code = grpc.StatusCode

CODES: Final[dict[type[ForwardpassError], grpc.StatusCode]] = {
    InvalidNetworkError: Code.INVALID_ARGUMENT,
    ExampleFailedError: Code.FAILED_PRECONDITION,
    MalformedRequestError: Code.INVALID_ARGUMENT,
    InvalidFieldError: Code.INVALID_ARGUMENT,
    ShapeMismatchError: Code.INVALID_ARGUMENT,
    DtypeMismatchError: Code.INVALID_ARGUMENT,
    InvalidTensorError: Code.INVALID_ARGUMENT,
    FeatureMismatchError: Code.INVALID_ARGUMENT,
    NonFiniteInputError: Code.INVALID_ARGUMENT,
    # Not gRPC's OUT_OF_RANGE, which is for the ends of files: https://google.aip.dev/193
    OutOfRangeError: Code.INVALID_ARGUMENT,
    UnknownCategoryError: Code.INVALID_ARGUMENT,
    MissingValueError: Code.INVALID_ARGUMENT,
    NetworkNotFoundError: Code.NOT_FOUND,
    VersionNotFoundError: Code.NOT_FOUND,
    AliasNotFoundError: Code.NOT_FOUND,
    LayerNotFoundError: Code.NOT_FOUND,
    ProfileNotFoundError: Code.NOT_FOUND,
    MethodNotFoundError: Code.UNIMPLEMENTED,
    # What https://google.aip.dev/154 asks for where someone else was quicker.
    AliasMovedError: Code.ABORTED,
    NoEarlierVersionError: Code.FAILED_PRECONDITION,
    VersionInUseError: Code.FAILED_PRECONDITION,
    # Not UNAVAILABLE, as Triton has it: another try would fail too, and clients make one.
    VersionOutOfServiceError: Code.FAILED_PRECONDITION,
    # Not UNAVAILABLE: waiting does not help.
    RevisionAheadError: Code.FAILED_PRECONDITION,
    QuotaExceededError: Code.RESOURCE_EXHAUSTED,
    OverloadedError: Code.UNAVAILABLE,
    StoreUnavailableError: Code.UNAVAILABLE,
    DrainingError: Code.UNAVAILABLE,
    UnauthenticatedError: Code.UNAUTHENTICATED,
    PermissionDeniedError: Code.PERMISSION_DENIED,
    NetworkCorruptError: Code.DATA_LOSS,
    DeadlineExceededError: Code.DEADLINE_EXCEEDED,
    InternalError: Code.INTERNAL,
}
"""The status code of each exception; a test proves that none is missing."""

UNKNOWN_ERROR: Final = "the server failed; its log has the reason under the request id"

_REASON_OF: Final = {error: reason for reason, error in REASONS.items()}
# Trailers travel in HTTP/2 headers, which proxies and clients bound (8 KiB is common): details in base64, and the
# message once more, where what is not ASCII takes three bytes for one.
_MAX_DETAIL_BYTES: Final = 5_000
_MAX_WIRE_BYTES: Final = 7_700
"""Bytes of the message and the details in the trailers. Where all trailers take more than 8,192, gRPC's soft limit of
metadata, a client replaces some errors, chosen at random, by one of its own."""
_MAX_TEXT_BYTES: Final = (1_000, 250, 60)
"""The most bytes of a single text; the next smaller bound holds where all texts together are too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MappedError:
    """An error as it leaves: the gRPC status code, the reason, and `google.rpc.Status` with its details."""

    code: grpc.StatusCode
    reason: str
    status: Status


def map_error(error: Exception, request_id: str) -> MappedError:
    """Map any exception to the status that the caller gets."""
    if type(error) not in CODES:
        error = InternalError(UNKNOWN_ERROR)
    assert isinstance(error, ForwardpassError)  # noqa: S101 - every key of the table is one
    code = CODES[type(error)]
    for most in _MAX_TEXT_BYTES:
        status = Status(code=code.value[0], message=_shortened(error.message, most))
        for detail in _details(error, request_id, most):
            status.details.add().CopyFrom(_packed(detail))
        _fit(status, error)
        if status.ByteSize() <= _MAX_DETAIL_BYTES and _wire_bytes(status) <= _MAX_WIRE_BYTES:
            break
    return MappedError(code=code, reason=_REASON_OF[type(error)], status=status)


def _details(error: ForwardpassError, request_id: str, most: int) -> list[object]:
    """Return the details of an error, each text shortened to at most `most` bytes."""

    def short(text: str) -> str:
        return _shortened(text, most)

    info = ErrorInfo(reason=_REASON_OF[type(error)], domain=DOMAIN)
    info.metadata.update({name: short(value) for name, value in error.facts.items()})
    details: list[object] = [info, RequestInfo(request_id=request_id)]
    if error.faults:
        if isinstance(error, ExampleFailedError):
            details.append(
                PreconditionFailure(
                    violations=[
                        PreconditionFailure.Violation(
                            type="EXAMPLE",
                            subject=short(fault.path),
                            description=short(fault.message),
                        )
                        for fault in error.faults
                    ]
                )
            )
        else:
            details.append(
                BadRequest(
                    field_violations=[
                        BadRequest.FieldViolation(field=short(fault.path), description=short(fault.message))
                        for fault in error.faults
                    ]
                )
            )
    if isinstance(error, QuotaExceededError):
        subject = f"setting:{error.facts.get('setting', '')}"
        details.append(
            QuotaFailure(violations=[QuotaFailure.Violation(subject=subject, description=short(error.message))])
        )
    if "resourceType" in error.facts:
        details.append(
            ResourceInfo(
                resource_type=f"forwardpass.v1.{error.facts['resourceType']}",
                resource_name=short(error.facts.get("resourceName", "")),
                description=short(error.message),
            )
        )
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    return details


def _packed(message: object) -> Any:
    packed = Any()
    packed.Pack(message)  # type: ignore[arg-type] # every detail is a message
    return packed


def _shortened(text: str, most: int) -> str:
    """Return a text, cut so that it takes at most `most` bytes."""
    encoded = text[: most + 1].encode(errors="replace")
    if len(encoded) <= most:
        return text
    return encoded[: most - len("…".encode())].decode(errors="ignore") + "…"


def _wire_bytes(status: Status) -> int:
    """Return the bytes that a status takes in the trailers, at most.

    Its message is percent-encoded there, and all of it once more in base64.
    """
    text = status.message
    plain = text.isascii() and text.isprintable() and "%" not in text
    size: int = status.ByteSize()
    return len(text.encode(errors="replace")) * (1 if plain else 3) + size * 4 // 3


def _fit(status: Status, error: ForwardpassError) -> None:
    """Drop faults from the end until the details fit into the trailers; say how many were dropped."""
    kept = len(error.faults)
    while status.ByteSize() > _MAX_DETAIL_BYTES and kept > 1:
        kept //= 2
        for detail in status.details:
            for kind, name in ((BadRequest, "field_violations"), (PreconditionFailure, "violations")):
                if detail.Is(kind.DESCRIPTOR):
                    message = kind()
                    detail.Unpack(message)
                    del getattr(message, name)[kept:]
                    detail.Pack(message)
    if kept < len(error.faults):
        status.message += f" (the first {kept} of {len(error.faults)} faults are listed)"
