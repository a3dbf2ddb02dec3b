"""A process lets go of its port and its connections while calls are in flight on them."""

import socket
import sys
import threading
from collections.abc import Iterator

import grpc
import pytest
from forwardpass_server.processes import ConnectionDrain

from tests.support.server_process import wait_until

native = pytest.importorskip("pygrpc_native", reason="engine native is not installed")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be shared fairly")

PATH = "/tests.Echo/Echo"


class Front:
    """A front whose calls wait until they are released."""

    def __init__(self) -> None:
        self.front = native.NativeGrpcFront("127.0.0.1:0", [(PATH, False)], reuse_port=True)
        self.address = f"127.0.0.1:{self.front.bound_port}"
        self.waiting = threading.Semaphore(0)
        self.released = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._serve)
        self.front.start()
        self.thread.start()

    def _serve(self) -> None:
        while (events := self.front.recv_batch(1)) is not None:
            for _, number, _, payload, _ in events:
                self.waiting.release()
                self.released.acquire()
                self.front.respond(number, payload)

    def close(self) -> None:
        self.front.close()
        self.thread.join()


def echo_of(channel: grpc.Channel) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(PATH)


@pytest.fixture
def front() -> Iterator[Front]:
    opened = Front()
    yield opened
    opened.close()


def test_a_call_in_flight_ends_and_the_next_one_has_another_connection(front: Front) -> None:
    drain = ConnectionDrain(front.address)
    with grpc.insecure_channel(front.address) as channel:
        echo = echo_of(channel)
        call = echo.future(b"first", timeout=60)
        front.waiting.acquire()
        # The frame is sent when the client's system has received all that was sent before.
        wait_until(lambda: drain.send_goaway() == 1 and len(drain._notified) == 1)
        [peer] = drain._notified
        front.released.release(2)
        assert call.result() == b"first"
        assert echo(b"second", timeout=60) == b"second"
        wait_until(lambda: peer not in drain._sockets.connections())


def test_a_port_is_let_go_and_its_connections_are_not(front: Front) -> None:
    drain = ConnectionDrain(front.address)
    host, _, port = front.address.rpartition(":")
    with grpc.insecure_channel(front.address) as channel:
        echo = echo_of(channel)
        front.released.release(2)
        assert echo(b"first", timeout=60) == b"first"
        drain.stop_accepting()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=60)
        assert echo(b"second", timeout=60) == b"second"


def test_a_drain_ends_when_clients_have_closed_their_connections(front: Front) -> None:
    front.released.release()
    with grpc.insecure_channel(front.address) as channel:
        assert echo_of(channel)(b"first", timeout=60) == b"first"
        assert ConnectionDrain(front.address).run(patience=60) == 0


def test_a_client_that_stays_is_counted(front: Front) -> None:
    host, _, port = front.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60):
        drain = ConnectionDrain(front.address)
        wait_until(lambda: len(drain._sockets.connections()) == 1)
        assert drain.run(patience=0) == 1
