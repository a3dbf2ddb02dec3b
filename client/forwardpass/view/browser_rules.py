"""Rules of browsers: the headers of every response, and which requests a page of another site has sent.

A page of another site may let a browser send requests to a server that only this machine or network reaches. It
cannot read the responses, unless its name resolves to the server's address (DNS rebinding).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from grpc import StatusCode

from forwardpass._transport.addresses import is_loopback_host
from forwardpass.view.errors import GatewayError

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)
"""The headers of every response."""

_OWN_SITES: Final = frozenset({"same-origin", "none"})


def check_host(headers: Mapping[str, str], listen_host: str) -> None:
    """Check the header `Host` of a request to a server that listens on loopback.

    Args:
        headers: The headers of the request.
        listen_host: The host at which the server listens, a name for this machine too.

    Raises:
        GatewayError: It names another host, as after DNS rebinding.
    """
    host = _host_of(headers.get("host", ""))
    if not is_loopback_host(host) and host != listen_host.lower():
        raise GatewayError(
            StatusCode.PERMISSION_DENIED,
            f"the request is for the host {host!r:.80}; the page listens on loopback and is served for localhost only",
        )


def check_origin(headers: Mapping[str, str]) -> None:
    """Check that no page of another site has sent a request.

    Browsers say so by `Sec-Fetch-Site`, or, over plain HTTP to other hosts than localhost, by `Origin` alone.

    Raises:
        GatewayError: A page of another site has sent it.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        is_own = site in _OWN_SITES
    else:
        is_own = origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()
    if not is_own:
        sender = origin or "another site"
        raise GatewayError(
            StatusCode.PERMISSION_DENIED,
            f"a page of {sender!r:.80} has sent the request; only the page that is served here may",
        )


def _host_of(value: str) -> str:
    """Return the host of a header `Host`, without its port."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal():
        host = value
    return host.strip("[]").lower()
