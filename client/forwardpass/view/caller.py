"""The sender of a request: token, request id and deadline of the call that the request becomes."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from grpc import StatusCode

from forwardpass.view.errors import GatewayError

REQUEST_ID: Final = "x-request-id"
AUTHORIZATION: Final = "authorization"

_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
_SENDABLE: Final = re.compile(r"[ -~]*")
_TIMEOUT: Final = re.compile(r"(0*[1-9][0-9]*)([HMSmun])")
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """The sender of a request.

    Attributes:
        request_id: Identifies the request in the server's log.
        authorization: The header `Authorization`, or None.
        timeout: Seconds after which the call is to end, or None.
    """

    request_id: str
    authorization: str | None = field(repr=False)
    timeout: float | None


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the request id that a request has, or a new one."""
    given = headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def caller_of(headers: Mapping[str, str], request_id: str) -> Caller:
    """Read the headers of a request.

    Raises:
        GatewayError: A header cannot be sent on.
    """
    authorization = headers.get(AUTHORIZATION)
    if authorization is not None and not _SENDABLE.fullmatch(authorization):
        raise GatewayError(StatusCode.UNAUTHENTICATED, "the token has characters that no token has")
    return Caller(request_id=request_id, authorization=authorization, timeout=_timeout(headers.get("grpc-timeout")))


def _timeout(value: str | None) -> float | None:
    if value is None:
        return None
    match = _TIMEOUT.fullmatch(value)
    if match is None or len(value) > 9:
        raise GatewayError(
            StatusCode.INVALID_ARGUMENT,
            f"the header grpc-timeout is {value!r:.40}; must be a number and a unit, as 500m (ms) or 5S (s)",
        )
    return float(match[1]) * _SECONDS[match[2]]
