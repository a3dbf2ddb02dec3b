"""The context of a call, for interceptors and servicers."""

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, TypeAlias

import grpc.aio

REQUEST_ID = "x-request-id"

Credential: TypeAlias = str | tuple[str, ...] | None
"""What says who a caller is: its token; or, if it sends none, the identities of its certificate, as
`identities_of` returns them; or None."""

_IDENTITIES: Final = {"uri": "peer_uri", "dns": "peer_dns"}
"""The kinds of identities in the SAN extension of a certificate, and gRPC's names of them."""
_SAN: Final = "x509_subject_alternative_name"
_COMMON_NAME: Final = "x509_common_name"


@dataclass(frozen=True, kw_only=True, slots=True)
class RpcContext:
    """A call besides its message.

    Attributes:
        method: The full name, for example `/forwardpass.v1.PredictionService/Predict`.
        request_id: The caller's `x-request-id`, or a new one.
        credential: What says who the caller is.
        peer: Where the call came from, as gRPC writes it: `ipv4:192.0.2.1:50000`.
        streaming: Whether the call may stay open: then no server's deadline applies.
        expires: When the caller's deadline passes, in seconds of `time.monotonic()`; or infinity.
        servicer: gRPC's own context; None for a call that came over plain HTTP.
    """

    method: str
    request_id: str
    credential: Credential
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
            credential=token or identities_of(context.auth_context()),
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
    return request_id or f"{random.getrandbits(64):016x}", token


def identities_of(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...] | None:
    """Return the identities of a client certificate that was verified, or None if there is no certificate.

    Args:
        auth_context: What gRPC tells of the connection.

    Returns:
        The names in its SAN extension as `uri:NAME` and `dns:NAME`, or else its common name as `cn:NAME`. The
        kinds are kept apart, since a certificate authority may check one of them and not another.
    """
    if auth_context.get(_SAN):
        names = {kind: auth_context.get(key, ()) for kind, key in _IDENTITIES.items()}
    else:
        names = {"cn": auth_context.get(_COMMON_NAME, ())}
    return tuple(f"{kind}:{name.decode(errors='replace')}" for kind, some in names.items() for name in some) or None


def certificate_identities(certificate: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the identities of a client certificate as `identities_of` does.

    Args:
        certificate: A certificate that was verified, as `ssl.SSLSocket.getpeercert` returns it.
    """
    if "subjectAltName" in certificate:
        names = [(kind.lower(), name) for kind, name in certificate["subjectAltName"]]
        return tuple(f"{kind}:{name}" for wanted in _IDENTITIES for kind, name in names if kind == wanted) or None
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    return tuple(f"cn:{name}" for kind, name in subject if kind == "commonName") or None
