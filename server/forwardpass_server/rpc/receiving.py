"""Receive requests from grpc.aio without its leak.

It loses what it prepared for a message when the task that waits for it is cancelled: about 100 bytes, for good
(https://github.com/grpc/grpc/issues/43360). Where a method has one request, gRPC itself waits for it, in the task that
it cancels. So all methods are registered as having a stream of requests, which is the same on the wire, and wait here.
"""

import asyncio
from typing import Any, Final

import grpc
from forwardpass.errors import MalformedRequestError

FOLLOWS_WITHIN: Final = 0.05
"""Seconds in which a cancellation follows the end of a call's messages."""


async def receive(context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
    """Wait for the next message of a call; return None when there will be none."""
    # A task of its own, which is not cancelled with the waiting; it ends with the call, at the latest.
    reading = asyncio.ensure_future(context.read())
    try:
        message: Any = await asyncio.shield(reading)
    except asyncio.CancelledError:
        reading.add_done_callback(_forget)
        raise
    return None if message is grpc.aio.EOF else message


def _forget(reading: "asyncio.Future[Any]") -> None:
    """Retrieve an exception that no one awaits, so that asyncio does not log it."""
    if not reading.cancelled():
        reading.exception()


async def receive_one(context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
    """Wait for the one message of a call; return None when the caller sends none."""
    message = await receive(context)
    if message is None:
        # That is also how gRPC announces that the caller disconnected; the cancellation follows.
        await asyncio.sleep(FOLLOWS_WITHIN)
    return message


def no_request(method: str) -> MalformedRequestError:
    """Make the error of a call that ended before its one request."""
    return MalformedRequestError("the call has no request; send one message", method=method)
