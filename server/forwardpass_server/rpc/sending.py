"""Responses of grpc.aio: counted from when they are computed until they are sent, which a client may delay for ever."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import grpc

from forwardpass_server.memory import COUNTED_BYTES, Unsent
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.receiving import peer_of

Response = TypeVar("Response")


class Counted(NamedTuple, Generic[Response]):
    """A response of a stream, and what to call once it was sent or is not going to be.

    Attributes:
        response: The response.
        size: Its bytes.
        forget: To be called once.
    """

    response: Response
    size: int
    forget: Callable[[], None]


def count_until_sent(unsent: Unsent, context: grpc.aio.ServicerContext[Any, Any], size: int) -> bool:
    """Count the response of a call until it is sent, which is when gRPC ends the call's task.

    Returns:
        Whether there is room for it. If not, the caller deletes it before it raises `unsent.no_room()`.
    """
    if size < COUNTED_BYTES:
        return True
    forget = _count(unsent, peer_of(context), size)
    if forget is None:
        return False
    done: Any = lambda _: forget()  # noqa: E731 - the stubs have a protocol of their own for it
    context.add_done_callback(done)
    return True


def count(unsent: Unsent, call: RpcContext, size: int) -> Callable[[], None] | None:
    """Count a response of a stream; return what to call once it was sent or is not going to be.

    Returns:
        The function; None if there is no room for the response.
    """
    if size < COUNTED_BYTES or call.servicer is None:
        return nothing
    return _count(unsent, peer_of(call.servicer), size)


def nothing() -> None:
    """Forget a response that was not counted."""


def _count(unsent: Unsent, peer: str, size: int) -> Callable[[], None] | None:
    if not unsent.take(peer, size):
        return None
    timer = asyncio.get_running_loop().call_later(unsent.seconds_for(size), unsent.end_slow, peer)

    def forget() -> None:
        timer.cancel()
        unsent.give_back(peer, size)

    return forget
