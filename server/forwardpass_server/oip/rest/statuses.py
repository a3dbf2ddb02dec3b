"""HTTP statuses of gRPC status codes, and the body of an error."""

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
"""The mapping of https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto for each code of the error
table; a test proves that it is complete."""


def error_response(error: Exception, mapped: MappedError, request_id: str) -> Response:
    """Return the response of an error."""
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
    """Return an error as JSON; the protocol's clients show the field `error`."""
    return JSONResponse({"error": message} | more, status, headers)
