"""Moves the connections of a worker process to others that share its port, without a lost call.

pygrpc-native closes its port and its connections at once, so this module does the rest by the kernel, which lets a
process use each of its own sockets. New connections go to the other processes, and each client of an old one gets a
GOAWAY frame: it finishes its calls there, and begins new ones over a new connection (RFC 9113, section 6.8).
"""

import array
import ctypes
import fcntl
import os
import socket
import struct
import termios
import time
from contextlib import suppress
from typing import Final

from forwardpass_server.memory import Sockets

GOAWAY: Final = struct.pack(">I", 8)[1:] + b"\x07\x00" + struct.pack(">III", 0, 2**31 - 1, 0)
"""A frame of 8 bytes for connection 0: all streams so far are served, and there is no error."""
HANDSHAKE_SECONDS: Final = 0.5
"""How long clients have that are connecting. Those whose first packet is dropped send it again after one second."""
_LOOK_SECONDS: Final = 0.02
_SETTINGS_BYTES: Final = 9
"""The least that a server sends before any other frame."""
_MAX_UNACKED_BYTES: Final = 4096
"""While a client's system has more than this to receive, the front may have the rest of a frame to send: it waits when
the socket's buffer is full, and goes on when a third of that is free, which is tens of kilobytes."""

_SO_ATTACH_FILTER: Final = 26
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte of flags of the TCP header
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # without ACK, SYN asks for a new connection
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)
"""A filter in classic BPF (networking/filter of the kernel's documentation)."""


class ConnectionDrain:
    """Drains the connections of this process to one port."""

    def __init__(self, address: str) -> None:
        """Make a drain.

        Args:
            address: Where the process listens, `HOST:PORT`.
        """
        self._sockets = Sockets()
        self._sockets.add_port_of(address)
        self._notified: set[str] = set()

    def run(self, patience: float) -> int:
        """Stop accepting, and wait until the clients have closed their connections.

        Args:
            patience: Seconds to wait for them.

        Returns:
            The number of connections that are still open.
        """
        end = time.monotonic() + patience
        self.stop_accepting()
        while (left := self.send_goaway()) and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        return left

    def stop_accepting(self) -> None:
        """Close the port for this process, once all connections that clients have begun are accepted.

        A connection that nobody has accepted is reset when its port is closed. So the first packets of new connections
        are dropped for a moment, which clients send again, to another process then.
        """
        listeners = self._sockets.listeners()
        for descriptor in listeners:
            _drop_new_connections(descriptor)
        time.sleep(HANDSHAKE_SECONDS if listeners else 0.0)
        for descriptor in listeners:
            # Not closed, since the front would close the number again; it waits for connections to this one in vain.
            with socket.socket() as nothing:
                os.dup2(nothing.fileno(), descriptor, inheritable=False)

    def send_goaway(self) -> int:
        """Send the frame to each client that has not got it and reads; return the number of open connections."""
        connections = self._sockets.connections()
        self._notified &= connections.keys()
        for peer, connection in connections.items():
            if peer not in self._notified and connection.acked >= _SETTINGS_BYTES:
                with self._sockets.borrow(connection) as same:
                    if same is not None and _unacked(same) <= _MAX_UNACKED_BYTES and _send(same, GOAWAY):
                        self._notified.add(peer)
        return len(connections)


def _drop_new_connections(descriptor: int) -> None:
    """Drop the packets with which clients begin connections to a listener."""
    lines = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN))
    program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(lines))
    # Where the kernel has no such filters, a client that connects in this moment has to try again.
    with socket.socket(fileno=os.dup(descriptor)) as same, suppress(OSError):
        same.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _unacked(connection: socket.socket) -> int:
    """Return how many bytes were sent that the other side's system has not received."""
    count = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, count)
    return count[0]


def _send(connection: socket.socket, frame: bytes) -> bool:
    """Send a frame as a whole, or nothing."""
    try:
        return connection.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == len(frame)
    except OSError:
        return False
