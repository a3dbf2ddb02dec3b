"""Addresses of servers, which gRPC calls targets."""

import ipaddress
from typing import Final

from forwardpass.errors import Fault, InvalidFieldError

# https://github.com/grpc/grpc/blob/master/doc/naming.md
_SCHEMES: Final = ("dns", "ipv4", "ipv6", "unix", "unix-abstract")


def is_local(address: str) -> bool:
    """Return whether an address is this machine, by its text alone."""
    scheme, _, rest = address.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return True
    places = (rest if scheme in _SCHEMES else address).rpartition("/")[2].split(",")
    return all(is_loopback_host(place.rpartition(":")[0].strip("[]")) for place in places)


def is_loopback_host(host: str) -> bool:
    """Return whether a host is this machine alone."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(address: str) -> str | None:
    """Return the host of an address, or None where it has none or several."""
    scheme, _, rest = address.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return None
    place = (rest if scheme in _SCHEMES else address).rpartition("/")[2]
    return None if "," in place else place.rpartition(":")[0].strip("[]")


def check_address(address: object) -> None:
    """Check that an address is one that a client can call.

    Raises:
        InvalidFieldError: It has no port, is a URL, or has characters that no address has.
    """
    if not isinstance(address, str) or not address or not address.isprintable() or " " in address:
        raise _invalid(f"is {address!r}; must be HOST:PORT, for example localhost:50051")
    if address.partition(":")[0] in _SCHEMES:
        return
    if "://" in address:
        near = address.partition("://")[2].strip("/")
        raise _invalid(f"is {address!r}; must be HOST:PORT without a scheme, {near!r}")
    host, _, port = address.rpartition(":")
    bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or bare or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise _invalid(f"is {address!r}; must be HOST:PORT, for example localhost:50051")


def _invalid(message: str) -> InvalidFieldError:
    fault = Fault(path="address", message=message)
    return InvalidFieldError(f"address {message}", faults=[fault], field="address")
