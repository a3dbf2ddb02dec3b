"""Connections that send nothing."""

import http.client
import socket
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

from tests.hostile.attacks.target import ATTACK_SECONDS, Target

CONNECTIONS = 600


def connections(target: Target) -> None:
    """Open 600 connections for gRPC and 600 for HTTP from one address, and call from another meanwhile."""
    place = urlsplit(f"//{target.address}")
    with ExitStack() as stack:
        for where in [(place.hostname or "", place.port or 0), target.http]:
            for _ in range(CONNECTIONS):
                with suppress(OSError):
                    stack.enter_context(socket.create_connection(where, timeout=2))
        ends = time.monotonic() + ATTACK_SECONDS
        while time.monotonic() < ends:
            _call_from_elsewhere(target)
            time.sleep(0.5)


def _call_from_elsewhere(target: Target) -> None:
    """Call over HTTP from an address that has no other connection."""
    host, port = target.http
    connection = http.client.HTTPConnection(host, port, timeout=10, source_address=("127.0.0.2", 0))
    connection.request("GET", "/v2/health/live")
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status in {200, 404}, "Envoy serves no such path"
