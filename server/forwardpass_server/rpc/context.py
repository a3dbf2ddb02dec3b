"""The context of a call, for interceptors and servicers."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

import grpc.aio

REQUEST_ID = "x-request-id"


@dataclass(frozen=True, kw_only=True, slots=True)
class RpcContext:
    """A call besides its message.

    Attributes:
        method: The full name, for example `/forwardpass.v1.PredictionService/Predict`.
        request_id: The caller's `x-request-id`, or a new one.
        token: The bearer token, or None.
        peer: Where the call came from, as gRPC writes it: `ipv4:192.0.2.1:50000`.
        streaming: Whether the call may stay open: then no server's deadline applies.
        expires: When the caller's deadline passes, in seconds of `time.monotonic()`; or infinity.
        servicer: gRPC's own context; None for a call that came over plain HTTP.
    """

    method: str
    request_id: str
    token: str | None
    peer: str = ""
    streaming: bool = False
    expires: float = inf
    servicer: grpc.aio.ServicerContext[Any, Any] | None = None

    @classmethod
    def of(cls, method: str, context: grpc.aio.ServicerContext[Any, Any], *, streaming: bool) -> "RpcContext":
        """Read a call's metadata."""
        request_id, token = read_metadata(context.invocation_metadata() or ())
        remaining: float | None = context.time_remaining()  # the stubs do not say that it may be None
        return cls(
            method=method,
            request_id=request_id,
            token=token,
            peer=context.peer(),
            streaming=streaming,
            expires=inf if remaining is None else time.monotonic() + remaining,
            servicer=context,
        )


def read_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str, str | None]:
    """Return the request id, made where the caller gave none that is safe to log, and the token."""
    request_id = token = None
    for key, value in metadata:
        if key == REQUEST_ID:
            # grpc-core sends no other bytes back, and fails the call and logs if it should.
            if isinstance(value, str) and len(value) <= 128 and value.isascii() and value.isprintable():
                request_id = value
        elif key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            token = value[7:].strip()
    return request_id or secrets.token_hex(8), token
