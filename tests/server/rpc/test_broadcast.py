"""Thousands of watchers are notified a few at a time and share the encoding of a change; slow ones get an error."""

import asyncio
from contextlib import ExitStack, closing
from typing import Any

import grpc
import pytest
from forwardpass.errors import OverloadedError
from forwardpass.spec import Limits
from forwardpass.v1.network_service_pb2 import (
    NETWORK_EVENT_CHANGED,
    NETWORK_EVENT_CURRENT,
    NETWORK_EVENT_SYNCED,
    WatchNetworksRequest,
    WatchNetworksResponse,
)
from forwardpass_server.memory import Arrivals
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc import Guard, NetworkService, broadcast
from forwardpass_server.rpc.broadcast import AT_ONCE, Broadcast, Listener
from forwardpass_server.rpc.context import RpcContext

from tests.support.raw_grpc import NETWORKS, network_spec, register
from tests.support.sample_networks import identity

CALL = RpcContext(method=f"{NETWORKS}WatchNetworks", request_id="", credential=None, streaming=True)


async def test_listeners_are_notified_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "PAUSE_SECONDS", 3_600)
    one = Broadcast()
    with ExitStack() as stack:
        waiting = [asyncio.create_task(stack.enter_context(one.listen(bool)).changed()) for _ in range(3 * AT_ONCE)]
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
        waiting = [asyncio.create_task(stack.enter_context(one.listen(bool)).changed()) for _ in range(3 * AT_ONCE)]
        one.publish("changed")
        assert await asyncio.gather(*waiting) == [{"changed"}] * len(waiting)


async def test_a_listener_keeps_few_names_and_those_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "MAX_NAMES", 2)
    listener = Listener(lambda name: name != "other")
    for name in ("a", "b", "a", "other"):
        listener.tell(name)
    assert await listener.changed() == {"a", "b"}
    for name in ("a", "b", "c", "d"):
        listener.tell(name)
    with pytest.raises(OverloadedError, match="watch again"):
        await listener.changed()


async def test_a_watcher_that_does_not_read_has_to_watch_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "MAX_NAMES", 2)
    with ExitStack() as stack:
        store = stack.enter_context(closing(SqlStore("sqlite://")))
        registry = stack.enter_context(closing(Registry.open(store)))
        one = Broadcast()
        registry.subscribe(lambda change: one.publish(change.name))
        service: Any = stack.enter_context(
            closing(NetworkService(registry, one, Limits(), Arrivals(2**20, 60.0), Guard(None)))
        )
        request = WatchNetworksRequest(name_prefix="net-")
        slow, quick = (service.watch_networks(request, CALL) for _ in range(2))
        assert [_read(await anext(watcher))[0] for watcher in (slow, quick)] == [NETWORK_EVENT_SYNCED] * 2
        for number in range(3):
            registry.register(f"net-{number}", identity())
            # In the thread of the loop, so that the listeners know of the change when this one gets the event.
            assert _read(await anext(quick)) == (NETWORK_EVENT_CHANGED, f"net-{number}")
        with pytest.raises(OverloadedError) as error:
            await anext(slow)
        assert (error.value.retry_after, error.value.facts["quotaLimit"]) == (broadcast.RETRY_SECONDS, "2")
        again = service.watch_networks(request, CALL)
        events = [_read(await anext(again)) for _ in range(4)]
        assert events == [*((NETWORK_EVENT_CURRENT, f"net-{n}") for n in range(3)), (NETWORK_EVENT_SYNCED, "")]
        registry.register("net-3", identity())
        assert _read(await anext(quick)) == (NETWORK_EVENT_CHANGED, "net-3"), "others go on"
        for watcher in (quick, again):
            await watcher.aclose()


def _read(response: WatchNetworksResponse | bytes) -> tuple[int, str]:
    """The event of a response and the name of its network."""
    message = WatchNetworksResponse.FromString(response) if isinstance(response, bytes) else response
    return message.event, message.network.name


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
