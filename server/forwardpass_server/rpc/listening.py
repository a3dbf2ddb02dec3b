"""Listen addresses: whether one can be bound, said in the same sentence for every engine."""

import contextlib
import errno
import os
import resource
import socket
import stat
from pathlib import Path
from typing import Final

from forwardpass.listening import ListenError

UNIX: Final = "unix:"
"""Begins the address of a Unix socket."""

_ABSENT: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""Errors that one of a host's several addresses may have, since a machine may have no IPv6."""


ADMIN_CONNECTIONS: Final = 32
"""Connections of the listener for administration."""
RESERVED_DESCRIPTORS: Final = 64 + ADMIN_CONNECTIONS
"""Descriptors that are not for callers' connections: files, the database, the event loop, administration."""
LISTENERS: Final = 3
"""Listeners that share the descriptors: gRPC, HTTP and the page."""


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as the system lets it have; shells and services start it with fewer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def usable_connections(wanted: int) -> int:
    """Return how many connections a listener may have: as many as are wanted, if there are descriptors for them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (soft - RESERVED_DESCRIPTORS) // LISTENERS))


def check_address(address: str) -> None:
    """Bind `HOST:PORT` or `unix:PATH`, and release it again.

    grpc-core prints lines of its own about an address that it cannot bind, and raises an error without the reason.

    Raises:
        ListenError: It is in use, or it is not of this machine.
    """
    try:
        if address.startswith(UNIX):
            _check_path(address.removeprefix(UNIX))
        else:
            _check_host(*address.rpartition(":")[::2])
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None


def _check_path(path: str) -> None:
    try:
        if stat.S_ISSOCK(Path(path).lstat().st_mode):
            return  # both engines replace the file of a socket
    except FileNotFoundError:
        pass
    with socket.socket(socket.AF_UNIX) as probe:
        probe.bind(path)
    os.unlink(path)  # noqa: PTH108 - a path with a null byte is an error of bind


def _check_host(host: str, port: str) -> None:
    skipped: OSError | None = None
    bound = False
    for family, kind, protocol, _, place in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
            bound = True
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            skipped = error
    if skipped is not None and not bound:
        raise skipped
