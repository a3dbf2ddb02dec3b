"""Requests of which a part never arrives, or that unpack to more than they are."""

import gzip
import socket
from contextlib import ExitStack, suppress

from tests.hostile.attacks.target import MIB, Target, rounds
from tests.support.raw_grpc import NETWORKS, PREDICTIONS
from tests.support.raw_http2 import RawConnection

BODIES = 150
BODY_BYTES = 3 * MIB


def half_sent(target: Target) -> None:
    """Declare 4 GiB on four connections, and send what is taken."""
    connections = [RawConnection(target.address) for _ in range(4)]
    streams = [connection.begin(f"{PREDICTIONS}Predict", 2**32 - 1) for connection in connections]
    for _ in rounds(0.05):
        for connection, stream in zip(connections, streams, strict=True):
            connection.send(stream, bytes(8 * MIB), seconds=0.2)
    for connection in connections:
        connection.close()


def half_sent_requests(target: Target) -> None:
    """Send requests of 3 MB but for their last byte, on four connections, as many as are taken."""
    connections = [RawConnection(target.address) for _ in range(4)]
    paths = [f"{PREDICTIONS}Predict", f"{NETWORKS}ListNetworks"]
    for _ in rounds():
        for index, connection in enumerate(connections):
            if connection.is_closed:
                connection.close()
                connections[index] = RawConnection(target.address)
            stream = connections[index].begin(paths[index % 2], 3 * MIB + 1)
            connections[index].send(stream, bytes(3 * MIB), seconds=0.2)
    for connection in connections:
        connection.close()


def half_sent_bodies(target: Target) -> None:
    """Send 150 HTTP bodies of 3 MB but for their last byte, each on a connection of its own."""
    head = f"POST {target.predict_path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"content-length: {BODY_BYTES + 1}\r\n\r\n"
    with ExitStack() as stack:
        rest: dict[socket.socket, int] = {}
        for _ in range(BODIES):
            connection = stack.enter_context(socket.create_connection(target.http, timeout=10))
            connection.setblocking(False)
            with suppress(OSError):
                connection.send(head.encode())
            rest[connection] = BODY_BYTES
        for _ in rounds(0.01):
            for connection, size in rest.items():
                with suppress(OSError):
                    rest[connection] -= connection.send(bytes(min(size, MIB // 4)))


def bombs(target: Target) -> None:
    """Send 1 MB of gzip that unpacks to 1 GiB, again and again."""
    bomb = gzip.compress(bytes(1024 * MIB), 1)
    for _ in rounds():
        connection = RawConnection(target.address)
        connection.send(connection.begin(f"{PREDICTIONS}Predict", len(bomb), compressed=True), bomb, seconds=0.5)
        connection.close()
