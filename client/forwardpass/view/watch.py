"""The watch of all networks, as lines of JSON."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, Final

from google.protobuf.message import Message

from forwardpass.v1.network_service_pb2 import WatchNetworksRequest
from forwardpass.view.bindings import Binding
from forwardpass.view.errors import GatewayError, status_to_dict
from forwardpass.view.transcoding import to_json

WATCH: Final = Binding(
    method="WatchNetworks",
    verb="GET",
    path="/v1/networks:watch",
    has_body=False,
    request=WatchNetworksRequest,
    only_reads=True,
)
"""The one stream. Its proto declares no path, since Envoy would make one JSON array of it, which never ends."""


async def first_of(changes: AsyncIterator[Message]) -> Message | None:
    """Return the next change, or None at the end."""
    return await anext(changes, None)


async def lines(
    first: Message | None, changes: AsyncGenerator[Message, None], ending: asyncio.Event, heartbeat_seconds: float
) -> AsyncIterator[bytes]:
    """Yield a line for each change; if the watch fails, the last line is the error.

    Args:
        first: The first change.
        changes: Those after it.
        ending: Ends the lines when it is set.
        heartbeat_seconds: Seconds without a change after which an empty line follows.
    """
    ended = asyncio.ensure_future(ending.wait())
    pending: asyncio.Future[Message | None] | None = None
    change = first
    try:
        while change is not None:
            yield to_json(change) + b"\n"
            pending = asyncio.ensure_future(first_of(changes))
            while not await _is_done(heartbeat_seconds, pending, ended):
                yield b"\n"
            if ended.done():
                break
            change = pending.result()
    except GatewayError as error:
        yield json.dumps({"error": status_to_dict(error.status)}).encode() + b"\n"
    finally:
        ended.cancel()
        if pending is not None:
            pending.cancel()
            with suppress(asyncio.CancelledError, GatewayError):
                await pending
        await changes.aclose()


async def _is_done(seconds: float, *waiting: asyncio.Future[Any]) -> bool:
    """Wait until one of several is done, or the seconds are over; return whether one is done."""
    done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)
