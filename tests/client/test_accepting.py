"""Connections are accepted with bounds."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from forwardpass.accepting import Acceptor


class Echo(asyncio.Protocol):
    """Sends back what it receives."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@asynccontextmanager
async def accepting(max_connections: int) -> AsyncIterator[tuple[Acceptor, Callable[[str], "asyncio.Task[bytes]"]]]:
    """An acceptor, and a function that connects from an address and returns what is sent back."""
    listener = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(listener, Echo, max_connections=max_connections)
    acceptor.start()
    writers = []

    async def exchange(address: str) -> bytes:
        reader, writer = await asyncio.open_connection(*listener.getsockname(), local_addr=(address, 0))
        writers.append(writer)
        try:
            writer.write(b"here")
            return await asyncio.wait_for(reader.read(4), 20)
        except ConnectionResetError:
            return b""

    try:
        yield acceptor, lambda address: asyncio.create_task(exchange(address))
    finally:
        await acceptor.stop()
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        while acceptor.connections:
            await asyncio.sleep(0.01)


async def test_an_address_may_have_half_of_the_connections() -> None:
    async with accepting(8) as (acceptor, exchange):
        assert [await exchange("127.0.0.1") for _ in range(7)] == [b"here"] * 4 + [b""] * 3
        assert [await exchange("127.0.0.2") for _ in range(5)] == [b"here"] * 4 + [b""]
        assert await exchange("127.0.0.3") == b"", "all are taken"
        assert acceptor.connections == 8


async def test_who_leaves_makes_room() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(listener, Echo, max_connections=2)
    acceptor.start()
    for _ in range(20):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"here")
        assert await asyncio.wait_for(reader.read(4), 20) == b"here"
        writer.close()
        await writer.wait_closed()
        while acceptor.connections:
            await asyncio.sleep(0.001)
    await acceptor.stop()
