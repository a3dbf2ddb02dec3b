"""Responses that a client does not read: they are counted until the kernel has sent them, and then for no longer."""

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from forwardpass_server.memory import Sockets, Unsent
from forwardpass_server.memory import unsent as unsent_module

MIB = 2**20


@pytest.fixture
def pair() -> Iterator[tuple[Sockets, socket.socket, socket.socket, str]]:
    """The connections of a port, a client, the server's side of it, and the client's address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sockets = Sockets()
        sockets.add_port_of(f"127.0.0.1:{listener.getsockname()[1]}")
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                host, port = client.getsockname()
                yield sockets, client, accepted, f"{host}:{port}"


def test_one_caller_holds_half() -> None:
    unsent = Unsent(Sockets(), max_bytes=10 * MIB, seconds=30.0)
    first = unsent.take("a", 5 * MIB)
    assert first is not None
    assert unsent.take("a", MIB) is None
    assert unsent.take("b", 5 * MIB) is not None
    assert unsent.take("c", MIB) is None
    assert "max_memory" in str(unsent.no_room())
    unsent.release(first)
    assert unsent.take("c", MIB) is not None
    assert unsent.held == 6 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads struct tcp_info")
def test_a_response_is_counted_until_the_client_has_it(pair: tuple[Sockets, socket.socket, socket.socket, str]) -> None:
    sockets, client, server, peer = pair
    unsent = Unsent(sockets, max_bytes=10 * MIB, seconds=30.0)
    claim = unsent.take("caller", MIB)
    assert claim is not None
    unsent.watch(claim, peer, unsent.received(peer))
    unsent.update()
    assert unsent.held == MIB, "nothing was sent yet"
    _send(server, client, MIB)
    while unsent.held:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            client.recv(MIB)
        unsent.update()


@pytest.mark.skipif(sys.platform != "linux", reason="reads struct tcp_info")
def test_nothing_is_counted_when_the_client_has_several_responses(
    pair: tuple[Sockets, socket.socket, socket.socket, str],
) -> None:
    sockets, client, server, peer = pair
    unsent = Unsent(sockets, max_bytes=10 * MIB, seconds=30.0)
    before = unsent.received(peer)
    assert before is not None
    for _ in range(3):
        claim, received = unsent.take("caller", MIB), unsent.received(peer)
        assert claim is not None
        _send(server, client, MIB)
        unsent.watch(claim, peer, received)
    client.setblocking(False)
    while (unsent.received(peer) or 0) < before + 3 * MIB:
        with contextlib.suppress(BlockingIOError):
            client.recv(MIB)
    unsent.update()
    assert unsent.held == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads struct tcp_info")
def test_a_connection_that_reads_nothing_is_closed(pair: tuple[Sockets, socket.socket, socket.socket, str]) -> None:
    sockets, client, _, peer = pair
    unsent = Unsent(sockets, max_bytes=10 * MIB, seconds=0.0)
    claim = unsent.take("caller", MIB)
    assert claim is not None
    unsent.watch(claim, peer, unsent.received(peer))
    unsent.update()
    client.settimeout(60)
    assert client.recv(1) == b"", "it was closed"


@pytest.mark.skipif(sys.platform != "linux", reason="reads struct tcp_info")
@pytest.mark.parametrize("waits", ["no one", "its own caller", "another"])
def test_a_connection_that_reads_nothing_is_closed_sooner_if_another_caller_waits(
    pair: tuple[Sockets, socket.socket, socket.socket, str], waits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets, client, _, peer = pair
    monkeypatch.setattr(unsent_module, "IMPATIENT_SECONDS", 0.0)
    unsent = Unsent(sockets, max_bytes=2 * MIB, seconds=3_600.0)
    assert unsent.take("caller", MIB) is not None
    if waits != "no one":
        assert unsent.take("caller" if waits == "its own caller" else "another", 2 * MIB) is None
    with unsent.sending("caller", peer):
        unsent.update()
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            assert client.recv(1) == b""
            assert waits == "another"
            return
        assert waits != "another"
    unsent.update()
    assert not unsent._progress, "the response was sent"


@pytest.mark.skipif(sys.platform != "linux", reason="reads struct tcp_info")
def test_the_time_without_progress_begins_with_the_first_unsent_response(
    pair: tuple[Sockets, socket.socket, socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets, client, _, peer = pair
    unsent = Unsent(sockets, max_bytes=10 * MIB, seconds=30.0)
    with unsent.sending("caller", peer):
        pass
    later = time.monotonic() + 60.0
    monkeypatch.setattr(unsent_module, "time", SimpleNamespace(monotonic=lambda: later))
    with unsent.sending("caller", peer):
        unsent.update()
    client.setblocking(False)
    with pytest.raises(BlockingIOError):  # a connection that is closed has an end
        client.recv(1)


def test_where_the_kernel_does_not_tell_nothing_is_held() -> None:
    unsent = Unsent(Sockets(), max_bytes=10 * MIB, seconds=30.0)
    claim = unsent.take("caller", MIB)
    assert claim is not None
    unsent.watch(claim, "unknown:1", unsent.received("unknown:1"))
    assert unsent.held == 0


def _send(server: socket.socket, client: socket.socket, size: int) -> None:
    """Send bytes to a client, which reads only as many of them as makes room for the others."""
    server.setblocking(False)
    sent = 0
    while sent < size:
        try:
            sent += server.send(bytes(size - sent))
        except BlockingIOError:
            client.recv(MIB)
