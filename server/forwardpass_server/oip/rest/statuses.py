"""The HTTP response of an error."""

import math
from collections.abc import Mapping
from typing import Any

from forwardpass.errors import ForwardpassError
from forwardpass.http_server.statuses import STATUSES
from grpc import StatusCode
from starlette.responses import JSONResponse, Response

from forwardpass_server.rpc.context import REQUEST_ID
from forwardpass_server.rpc.status import MappedError


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
