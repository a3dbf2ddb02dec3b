"""Errors over HTTP: the status for each code of gRPC, and the body."""

import math
from collections.abc import Mapping
from typing import Any, Final

from forwardpass.errors import ForwardpassError
from grpc import StatusCode
from starlette.responses import JSONResponse, Response

from forwardpass_server.rpc.context import REQUEST_ID
from forwardpass_server.rpc.status import MappedError

STATUSES: Final[dict[StatusCode, int]] = {
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ABORTED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.INTERNAL: 500,
    StatusCode.DATA_LOSS: 500,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}
"""As https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto maps them; a test proves that none
of the error table's codes is missing."""


def error_response(error: Exception, mapped: MappedError, request_id: str) -> Response:
    """Say an error to the caller."""
    headers = {REQUEST_ID: request_id}
    if isinstance(error, ForwardpassError) and error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if mapped.code is StatusCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return sentence(
        STATUSES[mapped.code],
        mapped.status.message,
        headers,
        reason=mapped.reason,
    )


def sentence(status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """RawResponse with an error as the protocol has it; its clients show the member `error`."""
    return JSONResponse({"error": message} | more, status, headers)
