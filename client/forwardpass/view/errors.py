"""Errors as responses: a `google.rpc.Status` as JSON, as Envoy sends it too."""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from starlette.responses import Response

from forwardpass._errors import error_from, error_of_status, sent_status
from forwardpass.http_server.statuses import STATUSES

_STATUSES: Final = {code.value[0]: status for code, status in STATUSES.items()}


class GatewayError(Exception):
    """A request is not passed on to the server, or its response is not passed back.

    Attributes:
        status: The code and the sentence.
        http_status: The HTTP status; None for that of the code.
        headers: Headers of the response.
    """

    def __init__(
        self,
        code: StatusCode,
        message: str,
        *,
        http_status: int | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status = Status(code=code.value[0], message=message)
        self.http_status = http_status
        self.headers = headers


def error_response(error: GatewayError) -> Response:
    """Return the response of an error."""
    status = error.status
    headers = {"cache-control": "no-store", **error.headers}
    retry_after = error_of_status(status).retry_after
    if retry_after is not None:
        headers["retry-after"] = str(math.ceil(retry_after))
    if status.code == StatusCode.UNAUTHENTICATED.value[0]:
        headers["www-authenticate"] = "Bearer"
    return Response(
        json.dumps(status_to_dict(status)),
        error.http_status or _STATUSES.get(status.code, 500),
        headers,
        media_type="application/json",
    )


def status_to_dict(status: Status) -> dict[str, Any]:
    """Return a status as protobuf's JSON; without its details if one of them has an unknown type."""
    try:
        document: dict[str, Any] = json_format.MessageToDict(status)
    except (TypeError, ValueError, json_format.Error):
        return {"code": status.code, "message": status.message}
    return document


def from_rpc_error(error: Any, *, target: str, timeout: float | None, max_response_bytes: int) -> GatewayError:
    """Return the error of a call: the status that the server sent, or one for a failure on the way.

    Args:
        error: The `grpc.RpcError` of the call.
        target: The server's address, for the message.
        timeout: The timeout of the call in seconds, or None.
        max_response_bytes: The most bytes of a response that the gateway receives.
    """
    code = error.code()
    status = sent_status(error)
    if status is not None:
        gateway_error = GatewayError(code, status.message)
        gateway_error.status = status
        return gateway_error
    if code is StatusCode.DEADLINE_EXCEEDED:
        within = "in time" if timeout is None else f"within {timeout:g} s"
        return GatewayError(code, f"{target} did not respond {within}")
    if code is StatusCode.RESOURCE_EXHAUSTED and f"vs. {max_response_bytes})" in (error.details() or ""):
        return GatewayError(
            code, f"the response has more than {max_response_bytes:,} bytes, the most that is passed on here"
        )
    return GatewayError(code, error_from(error, target=target).message)
