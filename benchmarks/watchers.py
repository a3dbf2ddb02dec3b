"""Many watchers of one server, in a thread of their own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from forwardpass import Client, spec
from forwardpass.v1 import network_service_pb2 as networks

WATCH: Final = "/forwardpass.v1.NetworkService/WatchNetworks"
WATCHED: Final = "watched"
STREAMS: Final = 100
"""Watchers per connection."""

TIMEOUT: Final = 300
"""Seconds to wait for the last watcher."""


class _Received:
    """Counts the events that all watchers received."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        """Wait for `count` events, and subtract them."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= count, TIMEOUT):
                raise RuntimeError(f"{self._count} of {count} events were received in {TIMEOUT} s")
            self._count -= count


@contextmanager
def deliver(address: str, watchers: int) -> Iterator[Callable[[], None]]:
    """Open watchers; provide a function that changes a network and returns when every watcher has received it."""
    received = _Received()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(TIMEOUT)

    with Client(address, timeout=60) as client:
        for value in (1.0, 2.0):
            client.register(WATCHED, {"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[value]]}]})
        client.set_alias(WATCHED, "moving", 1)
        opened = run(_open(address, watchers, received))
        received.wait(watchers)  # the state at the start
        turn = 1

        def move() -> None:
            nonlocal turn
            turn = 3 - turn
            client.set_alias(WATCHED, "moving", turn)
            received.wait(watchers)

        try:
            yield move
        finally:
            run(_close(*opened))
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _open(address: str, watchers: int, received: _Received) -> tuple[list[Any], list[asyncio.Task[None]]]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(-(-watchers // STREAMS))]
    tasks = [asyncio.create_task(_watch(channels[number // STREAMS], received)) for number in range(watchers)]
    return channels, tasks


async def _watch(channel: Any, received: _Received) -> None:
    request = networks.WatchNetworksRequest(name_prefix=WATCHED).SerializeToString()
    async for response in channel.unary_stream(WATCH)(request):
        if networks.WatchNetworksResponse.FromString(response).event != networks.NETWORK_EVENT_SYNCED:
            received.add()


async def _close(channels: list[Any], tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for channel in channels:
        await channel.close()
