"""Settings of a client as those of gRPC: address, TLS, token and keepalive; the same for both clients."""

import json
import math
from dataclasses import dataclass, field
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import grpc
import grpc.aio

from forwardpass._transport.addresses import check_address, is_local
from forwardpass._transport.channel_pool import AsyncChannelPool, ChannelPool
from forwardpass._version import __version__
from forwardpass.errors import Fault, InvalidFieldError


class Unset(Enum):
    """Type of the value of an option that the caller did not set."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "<unset>"


UNSET: Final = Unset.UNSET
"""Not set: the client's default applies."""

Timeout: TypeAlias = float | Literal[Unset.UNSET] | None
"""Seconds for a whole call with its repetitions; None is no limit, `UNSET` the client's default."""

Tls: TypeAlias = bool | bytes | str | PathLike[str] | grpc.ChannelCredentials
"""False is no TLS, True trusts gRPC's root certificates, bytes are root certificates in PEM, a path is a file of these,
and `grpc.ChannelCredentials` are anything else, such as a certificate of the client."""

MAX_CONNECTIONS: Final = 1_000
"""Connections of one client."""

_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", -1),  # the server bounds its responses; a trace may be large
    ("grpc.max_send_message_length", -1),  # the server bounds its requests
    # `retries` repeats calls; gRPC would keep a copy of each request.
    ("grpc.enable_retries", 0),
    # Below a server's minimum of 20 s between pings, and only while calls are in flight.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),  # 120 s by default: too long after a server's restart
    # Each client has its own connections, which end with it.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Everything that a channel and its calls need.

    Attributes:
        address: The address of the server, which gRPC calls the target.
        credentials: The credentials of TLS, or None without TLS.
        options: The arguments of the channel.
        headers: The metadata of every call; not in the repr, since it has the token.
        timeout: The default timeout in seconds, or None.
        connections: The number of connections between which calls take turns.
    """

    address: str
    credentials: grpc.ChannelCredentials | None = field(repr=False)
    options: tuple[tuple[str, str | int], ...] = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    timeout: float | None
    connections: int = 1

    def open_channel(self, library: Any) -> Any:
        """Open a channel of `grpc` or of `grpc.aio`, whose functions are the same, or a pool of several."""
        if self.connections == 1:
            return self._open_channel(library)
        pool = AsyncChannelPool if library is grpc.aio else ChannelPool
        return pool(lambda: self._open_channel(library), self.connections)

    def _open_channel(self, library: Any) -> Any:
        if self.credentials is None:
            return library.insecure_channel(self.address, options=self.options)
        return library.secure_channel(self.address, self.credentials, options=self.options)

    def limit(self, timeout: Timeout, more: float = 0.0) -> float | None:
        """Return the timeout of a call in seconds, or None.

        Args:
            timeout: The timeout that the caller set.
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
    connections: object = 1,
) -> Endpoint:
    """Check the settings of a client.

    Raises:
        InvalidFieldError: The address has no port or is a URL, the timeout is not a positive number, the token
            cannot be sent, or it would be sent unencrypted over a network, or the number of connections is not valid.
        OSError: The file of root certificates cannot be read.
    """
    check_address(address)
    if isinstance(connections, bool) or not isinstance(connections, int) or not 1 <= connections <= MAX_CONNECTIONS:
        raise _invalid("connections", f"is {connections!r}; must be a whole number from 1 to {MAX_CONNECTIONS}")
    credentials = _credentials(tls)
    headers = () if token is None else (("authorization", f"Bearer {_checked_token(token)}"),)
    local = is_local(address)
    if headers and credentials is None and not local and not allow_insecure_token:
        raise _invalid(
            "token",
            f"would be sent to {address} unencrypted; use tls=True, or "
            "allow_insecure_token=True when the network itself is private",
        )
    options: list[tuple[str, str | int]] = [
        *_OPTIONS,
        ("grpc.primary_user_agent", f"forwardpass-python/{__version__}"),
        ("grpc.service_config", json.dumps(service_config())),
    ]
    if local:
        options.append(("grpc.enable_http_proxy", 0))
    if address.startswith(("ipv4:", "ipv6:")):
        # gRPC derives an invalid authority from a list of addresses, which strict servers reject:
        # https://www.rfc-editor.org/rfc/rfc3986#section-3.2
        options.append(("grpc.default_authority", address.partition(":")[2].partition(",")[0]))
    return Endpoint(
        address=address,
        credentials=credentials,
        options=tuple(options),
        headers=headers,
        timeout=checked_timeout(timeout),
        connections=connections,
    )


def service_config() -> dict[str, Any]:
    """Return gRPC's service config: load balancing and health checking.

    See https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto
    """
    return {
        # Calls go to every address of the name, but for those that say NOT_SERVING since they drain.
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
    }


def checked_timeout(timeout: object) -> float | None:
    """Return a valid timeout in seconds, or None.

    Raises:
        InvalidFieldError: The timeout is not a positive number.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise _invalid("timeout", f"is {timeout!r}; must be seconds above 0, or None for no limit")
    return timeout


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


def _invalid(name: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{name} {message}", faults=[Fault(path=name, message=message)], field=name)
