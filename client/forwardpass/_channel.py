"""Where a client calls and how: address, TLS, token, keepalive and retries, as grpc's own settings.

Both clients open their channel here, so what is said here holds for both.
"""

import ipaddress
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from forwardpass._version import __version__
from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.method_options import has_no_side_effects, is_idempotent, is_stream
from forwardpass.v1 import network_service_pb2, prediction_service_pb2


class Unset(Enum):
    """The type of the value that stands for an option which was not given."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "<unset>"


UNSET: Final = Unset.UNSET
"""Not given: the client's own default holds."""

Timeout: TypeAlias = float | Literal[Unset.UNSET] | None
"""Seconds for a whole call, its retries included; None is no limit, unset the client's default."""

Tls: TypeAlias = bool | bytes | str | PathLike[str] | grpc.ChannelCredentials
"""False is none, True trusts grpc's root certificates, bytes are root certificates in PEM, a path is a
file of those, and `grpc.ChannelCredentials` are anything else, such as certificates of the client."""

SERVICES: Final[tuple[ServiceDescriptor, ...]] = (
    network_service_pb2.DESCRIPTOR.services_by_name["NetworkService"],
    prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
)

HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = b"\x08\x01"
"""`HealthCheckResponse` with `status: SERVING`; the request for the whole server is empty. As bytes, since
grpc_health's messages are none of the client's dependencies and a second copy of them cannot be loaded."""

# https://github.com/grpc/grpc/blob/master/doc/naming.md
_SCHEMES: Final = ("dns", "ipv4", "ipv6", "unix", "unix-abstract")

_MIB: Final = 2**20

_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", -1),  # the server bounds its answers; a trace may be large
    ("grpc.max_send_message_length", -1),  # the server says what it accepts
    # A call is retried only while its request is within this buffer, 256 KiB by default.
    ("grpc.per_rpc_retry_buffer_size", 32 * _MIB),
    # Below a server's minimum of 20 s between pings, and only while calls are in flight.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # 120 s by default: too long after a server's restart
    # A client's connections are its own, and end with it.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """All that is needed to open a channel and to make calls on it.

    Attributes:
        address: What grpc calls the target.
        credentials: For TLS, or None without.
        options: The channel's arguments.
        headers: The metadata of every call; never shown, since it has the token.
        timeout: The default, in seconds.
        repeatable: The methods with one request and one answer that have no effect, or none without retries.
    """

    address: str
    credentials: grpc.ChannelCredentials | None = field(repr=False)
    options: tuple[tuple[str, str | int], ...] = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    timeout: float | None
    repeatable: frozenset[str] = field(repr=False)

    def open(self, library: Any) -> Any:
        """Open a channel of `grpc` or of `grpc.aio`, which have the same functions."""
        if self.credentials is None:
            return library.insecure_channel(self.address, options=self.options)
        return library.secure_channel(self.address, self.credentials, options=self.options)

    def limit(self, timeout: Timeout, more: float = 0.0) -> float | None:
        """Return the seconds for a call, or None.

        Args:
            timeout: What the caller said.
            more: Seconds that the call needs beyond the client's default.

        Raises:
            InvalidFieldError: The timeout is not a positive number of seconds.
        """
        if timeout is UNSET:
            return None if self.timeout is None else self.timeout + more
        return checked_timeout(timeout)


def endpoint(
    address: str,
    *,
    timeout: float | None,
    token: str | None,
    tls: Tls,
    allow_insecure_token: bool,
    retries: bool,
) -> Endpoint:
    """Check what a client was made with.

    Raises:
        InvalidFieldError: The address has no port or is a URL, the timeout is not a positive number, or
            the token cannot be sent or would be sent in the clear over a network.
        OSError: The file of root certificates cannot be read.
    """
    _check_address(address)
    credentials = _credentials(tls)
    headers = () if token is None else (("authorization", f"Bearer {_checked_token(token)}"),)
    local = is_local(address)
    if headers and credentials is None and not local and not allow_insecure_token:
        raise _invalid(
            "token",
            f"would travel to {address} unencrypted, for everyone on the way to read; use tls=True, or "
            "allow_insecure_token=True when the network itself is private",
        )
    options: list[tuple[str, str | int]] = [
        *_OPTIONS,
        ("grpc.primary_user_agent", f"forwardpass-python/{__version__}"),
        ("grpc.service_config", json.dumps(service_config(retries=retries))),
    ]
    if local:
        options.append(("grpc.enable_http_proxy", 0))
    if address.startswith(("ipv4:", "ipv6:")):
        # Of a list of addresses grpc would make an authority that is none, and strict servers refuse it:
        # https://www.rfc-editor.org/rfc/rfc3986#section-3.2
        options.append(("grpc.default_authority", address.partition(":")[2].partition(",")[0]))
    return Endpoint(
        address=address,
        credentials=credentials,
        options=tuple(options),
        headers=headers,
        timeout=checked_timeout(timeout),
        repeatable=frozenset(_repeatable()) if retries else frozenset(),
    )


def methods(channel: Any) -> dict[str, Any]:
    """Return what calls each method, by the method's name; `Check` is the health check."""
    calls = {"Check": channel.unary_unary(HEALTH_CHECK)}
    for service in SERVICES:
        for method in service.methods:
            kind = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}"
            calls[method.name] = getattr(channel, kind)(
                f"/{service.full_name}/{method.name}",
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
    return calls


def service_config(*, retries: bool) -> dict[str, Any]:
    """Make grpc's service config: balancing, health checking, and retries by idempotency.

    See https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto
    """
    config: dict[str, Any] = {
        # Every address of the name is used, and one that says NOT_SERVING, since it drains, is left alone.
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
    }
    if retries:
        # No more retries once most calls fail: they would keep an overloaded server down.
        config["retryThrottling"] = {"maxTokens": 1000, "tokenRatio": 0.1}
        config["methodConfig"] = [
            {"name": [{"service": service.full_name, "method": method.name}], "retryPolicy": policy}
            for service in SERVICES
            for method in service.methods
            if (policy := _retry_policy(method)) is not None
        ]
    return config


def _repeatable() -> Iterator[str]:
    for service in SERVICES:
        for method in service.methods:
            if has_no_side_effects(method) and not is_stream(method):
                yield method.name


def _retry_policy(method: MethodDescriptor) -> Mapping[str, Any] | None:
    if has_no_side_effects(method):
        # A server of grpc that stops may end a call as CANCELLED: https://github.com/grpc/grpc/issues/41785
        codes = ["UNAVAILABLE", "CANCELLED"]
    elif is_idempotent(method) and not method.client_streaming:
        codes = ["UNAVAILABLE"]
    else:
        return None
    return {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": codes,
    }


def is_local(address: str) -> bool:
    """Return whether a target is this machine, by its text alone."""
    scheme, _, rest = address.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return True
    places = (rest if scheme in _SCHEMES else address).rpartition("/")[2].split(",")
    return all(_is_loopback(place.rpartition(":")[0].strip("[]")) for place in places)


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_timeout(timeout: object) -> float | None:
    """Return a timeout in seconds that is right, or None.

    Raises:
        InvalidFieldError: It is not a positive number.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise _invalid("timeout", f"is {timeout!r}; needed are seconds above 0, or None for no limit")
    return timeout


def _check_address(address: object) -> None:
    if not isinstance(address, str) or not address or not address.isprintable() or " " in address:
        raise _invalid("address", f"is {address!r}; needed is HOST:PORT, for example localhost:50051")
    if address.partition(":")[0] in _SCHEMES:
        return
    if "://" in address:
        near = address.partition("://")[2].strip("/")
        raise _invalid("address", f"is {address!r}; needed is HOST:PORT without a scheme, {near!r}")
    host, _, port = address.rpartition(":")
    bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or bare or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise _invalid("address", f"is {address!r}; needed is HOST:PORT, for example localhost:50051")


def _credentials(tls: Tls) -> grpc.ChannelCredentials | None:
    if isinstance(tls, grpc.ChannelCredentials):
        return tls
    if isinstance(tls, bool):
        return grpc.ssl_channel_credentials() if tls else None
    return grpc.ssl_channel_credentials(tls if isinstance(tls, bytes) else Path(tls).read_bytes())


def _checked_token(token: object) -> str:
    if not isinstance(token, str) or not token or not all("!" <= character <= "~" for character in token):
        raise _invalid("token", "has characters that cannot be sent, or none; it is ASCII without spaces")
    return token


def _arity(streaming: bool) -> str:  # noqa: FBT001 - a descriptor's flag
    return "stream" if streaming else "unary"


def _invalid(name: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{name} {message}", faults=[Fault(path=name, message=message)], field=name)
