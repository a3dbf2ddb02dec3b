"""Ports that nobody takes between two servers of a test.

The system gives a port of its own range to every socket that binds port 0 or connects, so one of that range may be
gone when a server is to listen on it again.
"""

import random
import socket
import sys
from pathlib import Path
from typing import Final

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 20_000


_reserved: list[socket.socket] = []


def free_port() -> int:
    """Return a port that nothing listens on at any address, and that neither the system nor this gives to others."""
    highest = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    candidates = range(_LOWEST, highest) if highest > _LOWEST else range(_LOWEST, 60_000)
    while True:
        port = random.SystemRandom().choice(candidates)
        with socket.socket() as probe:
            try:
                _reserve(port)
                probe.bind(("0.0.0.0", port))  # noqa: S104 - nobody can connect
            except OSError:
                continue
            return port


def _reserve(port: int) -> None:
    """Hold a name in the kernel until this process ends, where there are such names; one process at a time has it."""
    if sys.platform != "linux":
        return
    reserved = socket.socket(socket.AF_UNIX)
    try:
        reserved.bind(f"\0forwardpass-test-port-{port}")
    except OSError:
        reserved.close()
        raise
    _reserved.append(reserved)
