"""Listen addresses, `HOST:PORT`: their form, who can reach them, and the error of one that cannot be listened on."""

import ipaddress
import socket


class ListenError(Exception):
    """The address cannot be listened on; the sentence says why."""


def is_host_and_port(address: str) -> bool:
    """Return whether a text is `HOST:PORT` with a port from 0 to 65535; 0 takes a free one."""
    host, _, port = address.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and int(port) <= 65_535


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach `HOST:PORT` or `unix:PATH`; of a host that has no address, True."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return _is_loopback(host)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return True
    return all(_is_loopback(str(place[0])) for *_, place in found)


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
