"""Receive requests from grpc.aio without its leak.

It loses what it prepared for a message when the task that waits for it is cancelled: about 100 bytes, for good
(https://github.com/grpc/grpc/issues/43360). Where a method has one request, gRPC itself waits for it, in the task that
it cancels. So all methods are registered as having a stream of requests, which is the same on the wire, and wait here.

Waiting here also means that a call is authorized before gRPC receives its request, of which it buffers whatever has
arrived, and that a request which arrives slowly is counted and timed (`Arrivals`).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import grpc
from forwardpass.errors import MalformedRequestError

from forwardpass_server.memory import SOON, Arrivals, MemoryWatch

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


class Receiver:
    """Receives the requests of the grpc.aio server."""

    def __init__(self, arrivals: Arrivals, watch: MemoryWatch, *, max_request_bytes: int) -> None:
        """Make a receiver.

        Args:
            arrivals: The requests that are arriving.
            watch: Counts the messages that were received, while memory is high.
            max_request_bytes: The largest request, which gRPC itself enforces.
        """
        self._arrivals = arrivals
        self._watch = watch
        self._max_request_bytes = max_request_bytes

    async def one(self, context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
        """Wait for the one message of a call; return None when the caller sends none.

        Raises:
            DeadlineExceededError: It does not arrive in time.
            OverloadedError: Too many requests are arriving slowly.
        """
        loop = asyncio.get_running_loop()
        message: asyncio.Future[Any] = loop.create_future()
        # A task of its own, which is not cancelled with the waiting; it ends with the call, at the latest.
        asyncio.ensure_future(context.read()).add_done_callback(partial(_deliver, message))
        end: list[Callable[[], None]] = []
        timer = loop.call_later(SOON, self._count, context, message, end)
        try:
            received = await message
        finally:
            timer.cancel()
            for forget in end:
                forget()
        if received is grpc.aio.EOF:
            # That is also how gRPC announces that the caller disconnected; the cancellation follows.
            await asyncio.sleep(FOLLOWS_WITHIN)
            return None
        if self._watch.armed:
            self._watch.note_given(peer_of(context), len(received))
        return received  # type: ignore[no-any-return] # gRPC's stubs do not say that it is bytes

    async def each(self, context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
        """Wait for the next message of a stream; return None when there will be none."""
        received = await receive(context)
        if received is not None and self._watch.armed:
            self._watch.note_given(peer_of(context), len(received))
        return received

    def _count(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        message: "asyncio.Future[Any]",
        end: list[Callable[[], None]],
    ) -> None:
        """Count a request that does not arrive at once; it may become as large as any."""

        def give_up(error: Exception) -> None:
            if not message.done():
                message.set_exception(error)

        caller = host_of(peer_of(context))
        arrival = self._arrivals.begin(caller, give_up, self._max_request_bytes)
        end.append(partial(self._arrivals.end, arrival))


def peer_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return the address of the caller: `HOST:PORT`, `[HOST]:PORT`, or that of the private socket."""
    return address_of(context.peer())


def address_of(peer: str) -> str:
    """Return an address of gRPC, `ipv4:HOST:PORT` or `ipv6:%5BHOST%5D:PORT`, as `HOST:PORT` or `[HOST]:PORT`."""
    return unquote(peer).partition(":")[2]


def host_of(peer: str) -> str:
    """Return an address without its port."""
    return peer.rpartition(":")[0]


def _deliver(message: "asyncio.Future[Any]", reading: "asyncio.Future[Any]") -> None:
    """Hand over what was read, if the call still waits for it."""
    error = None if reading.cancelled() else reading.exception()
    if message.done():
        return
    if reading.cancelled():
        message.cancel()
    elif error is not None:
        message.set_exception(error)
    else:
        message.set_result(reading.result())


def no_request(method: str) -> MalformedRequestError:
    """Make the error of a call that ended before its one request."""
    return MalformedRequestError("the call has no request; send one message", method=method)
