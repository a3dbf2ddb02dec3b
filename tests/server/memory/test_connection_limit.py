"""Of the connections that are too many, the newest of the address that has the most are closed."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from forwardpass_server.memory import Sockets
from forwardpass_server.memory.connection_limit import ConnectionLimit

from tests.support.server_process import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a process's sockets")
Connect = Callable[[str], socket.socket]
FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture
def sockets() -> Sockets:
    return Sockets()


@pytest.fixture
def connect(sockets: Sockets) -> Iterator[Connect]:
    """Connect from an address to a listener of this process; return the client's socket."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sockets.add_port_of(f"127.0.0.1:{listener.getsockname()[1]}")

        def connect(address: str) -> socket.socket:
            client = socket.create_connection(listener.getsockname(), timeout=60, source_address=(address, 0))
            stack.enter_context(client)
            stack.enter_context(listener.accept()[0])
            return client

        yield connect


def is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True


def test_as_many_as_may_be_stay(sockets: Sockets, connect: Connect) -> None:
    clients = [connect(address) for address in (FIRST, SECOND) for _ in range(3)]
    limit = ConnectionLimit(sockets, max_connections=6)
    assert limit.enforce() == 0
    assert all(map(is_open, clients))


def test_one_address_has_half(sockets: Sockets, connect: Connect) -> None:
    known = [connect(FIRST) for _ in range(2)]
    other = connect(SECOND)
    limit = ConnectionLimit(sockets, max_connections=6)
    limit.enforce()
    flood = [connect(FIRST) for _ in range(20)]
    limit.look_again()
    assert limit.enforce() == 19
    wait_until(lambda: sum(map(is_open, flood)) == 1)
    assert all(map(is_open, (*known, other)))


def test_all_addresses_have_the_most_together(sockets: Sockets, connect: Connect) -> None:
    known = [connect(address) for address in (FIRST, SECOND, THIRD)]
    limit = ConnectionLimit(sockets, max_connections=6)
    limit.enforce()
    flood = [connect(address) for _ in range(5) for address in (FIRST, SECOND)]
    limit.look_again()
    assert limit.enforce() == 7
    wait_until(lambda: sum(map(is_open, flood)) == 3)
    assert all(map(is_open, known))
    limit.look_again()
    assert limit.enforce() == 0, "those that were closed do not count"
