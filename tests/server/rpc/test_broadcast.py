"""Thousands of watchers are notified a few at a time, and share the encoding of a change."""

import asyncio
from contextlib import ExitStack

import grpc
import pytest
from forwardpass.v1.network_service_pb2 import WatchNetworksResponse
from forwardpass_server.rpc import broadcast
from forwardpass_server.rpc.broadcast import AT_ONCE, Broadcast

from tests.support.raw_grpc import NETWORKS, network_spec, register


async def test_listeners_are_notified_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "PAUSE_SECONDS", 3_600)
    one = Broadcast()
    with ExitStack() as stack:
        waiting = [asyncio.create_task(stack.enter_context(one.listen()).changed()) for _ in range(3 * AT_ONCE)]
        one.publish("changed")
        done, later = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < AT_ONCE:
            more, later = await asyncio.wait(later, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert (len(done), len(later)) == (AT_ONCE, 2 * AT_ONCE)
        for task in later:
            task.cancel()


async def test_all_listeners_are_notified() -> None:
    one = Broadcast()
    with ExitStack() as stack:
        waiting = [asyncio.create_task(stack.enter_context(one.listen()).changed()) for _ in range(3 * AT_ONCE)]
        one.publish("changed")
        assert await asyncio.gather(*waiting) == [{"changed"}] * len(waiting)


def test_watchers_are_sent_the_same_event(channel: grpc.Channel) -> None:
    open_: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"{NETWORKS}WatchNetworks")
    watchers = [open_(b"\x0a\x09one-event", timeout=60) for _ in range(5)]
    for watcher in watchers:
        next(watcher)  # synced: there is no such network yet
    register(channel, "one-event", network_spec([[2.0]]))
    events = {next(watcher) for watcher in watchers}
    assert len(events) == 1
    assert WatchNetworksResponse.FromString(events.pop()).network.name == "one-event"
    for watcher in watchers:
        watcher.cancel()
