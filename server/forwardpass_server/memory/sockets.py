"""The TCP connections of this process, as the kernel knows them: on Linux only, elsewhere there are none.

No engine tells how much it holds for a connection, and pygrpc-native cannot close one. The kernel counts the
bytes of every socket, and a process may shut down each of its own.
"""

import errno
import os
import resource
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/proc/self/fd")
_TCP_INFO_BYTES: Final = 232
_ACKED: Final = 120
_RECEIVED: Final = 128
"""Offsets in `struct tcp_info` of tcpi_bytes_acked and tcpi_bytes_received, unsigned 64-bit numbers (Linux 4.2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A connection of a client.

    Attributes:
        peer: The client's address, `HOST:PORT` or `[HOST]:PORT`.
        descriptor: The file descriptor of the socket.
        received: The bytes that were received in all.
        acked: The bytes that were sent in all and that the client's system has received.
    """

    peer: str
    descriptor: int
    received: int
    acked: int


class Sockets:
    """The connections that clients have opened to some ports of this process."""

    def __init__(self) -> None:
        self._ports: set[int] = set()
        self._known: dict[str, int] = {}

    def add_port_of(self, address: str) -> None:
        """Add the port of a listen address, `HOST:PORT`; nothing for a Unix socket, whose clients are local."""
        port = address.rpartition(":")[2]
        if port.isdecimal() and not address.startswith("unix:"):
            self._ports.add(int(port))

    def find(self, peer: str) -> Connection | None:
        """Return the connection of a client, or None; quick where it was found before, and for a Unix socket."""
        if not peer.rpartition(":")[2].isdecimal():
            return None
        known = self._known.get(peer)
        if known is not None:
            found = self._look_at(known)
            if found is not None and found.peer == peer:
                return found
        return self.connections().get(peer)

    def connections(self) -> dict[str, Connection]:
        """Return the connections by the addresses of their clients."""
        found = {}
        for descriptor in _socket_descriptors():
            connection = self._look_at(descriptor)
            if connection is not None:
                found[connection.peer] = connection
        self._known = {peer: connection.descriptor for peer, connection in found.items()}
        return found

    def listeners(self) -> list[int]:
        """Return the descriptors of the sockets that take connections to the ports."""
        return [descriptor for descriptor in _socket_descriptors() if self._listens(descriptor)]

    def close(self, connection: Connection) -> None:
        """Shut a connection down both ways; its engine then frees what it holds for it."""
        with self.borrow(connection) as same, suppress(OSError):
            if same is not None:
                same.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def borrow(self, connection: Connection) -> Iterator[socket.socket | None]:
        """Provide the socket of a connection, which stays its engine's; None if it has ended."""
        with ExitStack() as stack:
            same: socket.socket | None
            try:
                same = stack.enter_context(_borrowed(connection.descriptor))
                if peer_of(same.getpeername()) != connection.peer:
                    same = None
            except OSError:
                same = None
            yield same

    def _listens(self, descriptor: int) -> bool:
        try:
            with _borrowed(descriptor) as same:
                return (
                    same.family in {socket.AF_INET, socket.AF_INET6}
                    and bool(same.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                    and same.getsockname()[1] in self._ports
                )
        except OSError:
            return False

    def _look_at(self, descriptor: int) -> Connection | None:
        try:
            with _borrowed(descriptor) as same:
                if same.family not in {socket.AF_INET, socket.AF_INET6} or same.type != socket.SOCK_STREAM:
                    return None
                if same.getsockname()[1] not in self._ports:
                    return None
                peer = peer_of(same.getpeername())
                info = same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            return None
        if len(info) < _RECEIVED + 8:
            return None
        acked, received = struct.unpack_from("=QQ", info, _ACKED)
        return Connection(peer=peer, descriptor=descriptor, received=received, acked=acked)


def descriptor_count() -> int:
    """Return how many file descriptors this process has; where it has as many as it may, that number; else 0."""
    try:
        return len(os.listdir(_DESCRIPTORS))  # noqa: PTH208 - names only, and many
    except OSError as error:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if error.errno == errno.EMFILE else 0


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Provide a socket by its descriptor; the descriptor stays open and its owner's."""
    try:
        copy = os.dup(descriptor)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        # There is no descriptor for another one. That of the owner may be closed and used again meanwhile, which
        # shuts a wrong connection down in the worst case.
        same = socket.socket(fileno=descriptor)
        try:
            yield same
        finally:
            same.detach()
        return
    try:
        same = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with same:
        yield same


def _socket_descriptors() -> list[int]:
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - names only, and many
    except OSError as error:
        # Listing takes a descriptor. Where there is none left, all numbers are in use.
        return [*filter(_is_socket, range(descriptor_count()))] if error.errno == errno.EMFILE else []
    found = []
    for name in names:
        try:
            if os.readlink(f"{_DESCRIPTORS}/{name}").startswith("socket:"):  # noqa: PTH115 - as above
                found.append(int(name))
        except OSError:
            continue
    return found


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def peer_of(name: tuple[object, ...]) -> str:
    """Return the address of a peer as the engines write it."""
    host, port = str(name[0]).removeprefix("::ffff:"), name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
