"""The kernel's figures of a connection, and the end of one."""

import socket
import sys
from collections.abc import Iterator

import pytest
from forwardpass_server.memory import Sockets, peer_of

from tests.support.server_process import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and struct tcp_info")


@pytest.fixture
def pair() -> Iterator[tuple[Sockets, socket.socket, socket.socket]]:
    """The connections of a port, a client and the server's side of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sockets = Sockets()
        sockets.add_port_of(f"127.0.0.1:{listener.getsockname()[1]}")
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                yield sockets, client, accepted


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1:80"),
        (("2001:db8::1", 80, 0, 0), "[2001:db8::1]:80"),
    ],
)
def test_a_peer_has_one_address_whatever_the_socket(name: tuple[object, ...], peer: str) -> None:
    assert peer_of(name) == peer


def test_bytes_are_counted(pair: tuple[Sockets, socket.socket, socket.socket]) -> None:
    sockets, client, server = pair
    client.sendall(bytes(1_000))
    assert len(server.recv(1_000, socket.MSG_WAITALL)) == 1_000
    server.sendall(bytes(300))
    assert len(client.recv(300, socket.MSG_WAITALL)) == 300
    host, port = client.getsockname()
    # The kernel counts the SYN too, and the client may acknowledge what it has read a moment later.
    wait_until(lambda: next(iter(sockets.connections().values())).acked >= 300)
    (found,) = sockets.connections().values()
    assert (found.peer, found.received) == (f"{host}:{port}", 1_000)
    assert found.acked in range(300, 302)


def test_a_connection_is_closed(pair: tuple[Sockets, socket.socket, socket.socket]) -> None:
    sockets, client, _ = pair
    (found,) = sockets.connections().values()
    sockets.close(found)
    assert client.recv(1) == b""


def test_other_ports_are_left_alone(pair: tuple[Sockets, socket.socket, socket.socket]) -> None:
    assert not Sockets().connections()
    assert pair[0].connections()
