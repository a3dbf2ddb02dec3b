"""Thousands of watchers are notified a few at a time, and share the encoding of a change."""

import asyncio
from contextlib import ExitStack

import grpc
from forwardpass.v1.network_service_pb2 import WatchNetworksResponse
from forwardpass_server.rpc.broadcast import AT_ONCE, Broadcast

from tests.support.raw_grpc import NETWORKS, network_spec, register


async def test_all_listeners_are_notified_and_others_run_between() -> None:
    broadcast = Broadcast()
    with ExitStack() as stack:
        listeners = [stack.enter_context(broadcast.listen()) for _ in range(3 * AT_ONCE)]
        waiting = [asyncio.create_task(listener.changed()) for listener in listeners]
        await asyncio.sleep(0)
        broadcast.publish("changed")
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert sum(task.done() for task in waiting) <= AT_ONCE
        assert await asyncio.gather(*waiting) == [{"changed"}] * len(listeners)


def test_watchers_are_sent_the_same_event(channel: grpc.Channel) -> None:
    open_: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"{NETWORKS}WatchNetworks")
    watchers = [open_(b"\x0a\x07watched", timeout=60) for _ in range(5)]
    for watcher in watchers:
        next(watcher)  # synced: there is no such network yet
    register(channel, "watched", network_spec([[2.0]]))
    events = {next(watcher) for watcher in watchers}
    assert len(events) == 1
    assert WatchNetworksResponse.FromString(events.pop()).network.name == "watched"
    for watcher in watchers:
        watcher.cancel()
