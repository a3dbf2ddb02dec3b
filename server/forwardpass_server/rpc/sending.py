"""Responses of grpc.aio: counted from when they are computed until they are sent, which a client may delay for ever."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import grpc

from forwardpass_server.memory import COUNTED_BYTES, Claim, Unsent
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.receiving import peer_of

Response = TypeVar("Response")


class Counted(NamedTuple, Generic[Response]):
    """A response, and what to call once it was sent or is not going to be.

    Attributes:
        response: The response.
        size: Its bytes; 0 if it is so small that it is not counted.
        forget: To be called once.
        claim: What it is counted as, which `forget` releases; None if it is not counted.
    """

    response: Response
    size: int
    forget: Callable[[], None]
    claim: Claim | None = None


def nothing() -> None:
    """Forget a response that was not counted."""


def count(unsent: Unsent, caller: str, response: bytes, claim: Claim | None = None) -> Counted[bytes] | None:
    """Count a response; return None if there is no room for it.

    Args:
        unsent: The responses that are not yet sent.
        caller: Whose it is.
        response: The response.
        claim: The room that was reserved for it.
    """
    size = len(response)
    if size < COUNTED_BYTES:
        if claim is not None:
            unsent.release(claim)
        return Counted(response, 0, nothing)
    if claim is not None:
        unsent.resize(claim, size)
    else:
        claim = unsent.take(caller, size)
    return None if claim is None else Counted(response, size, partial(unsent.release, claim), claim)


def forget_when_sent(unsent: Unsent, context: grpc.aio.ServicerContext[Any, Any], counted: Counted[bytes]) -> None:
    """Forget the response of a call when it is sent, which is when gRPC ends the call's task."""
    if counted.size:
        forget = timed(unsent, peer_of(context), counted).forget
        done: Any = lambda _: forget()  # noqa: E731 - the stubs have a protocol of their own for it
        context.add_done_callback(done)


def timed(unsent: Unsent, peer: str, counted: Counted[Response]) -> Counted[Response]:
    """Return a response that is to be sent now; the connection is closed if its client reads it too slowly."""
    if not counted.size:
        return counted
    timer = asyncio.get_running_loop().call_later(unsent.seconds_for(counted.size), unsent.end_slow, peer)
    until_sent = ExitStack()
    if counted.claim is not None:
        until_sent.enter_context(unsent.sending(counted.claim.caller, peer))

    release = counted.forget  # not `counted`: gRPC keeps `forget` with its call until garbage is collected

    def forget() -> None:
        timer.cancel()
        until_sent.close()
        release()

    return counted._replace(forget=forget)


def peer_of_call(call: RpcContext) -> str:
    """Return the address of a call's connection; an empty text for a call over HTTP."""
    return "" if call.servicer is None else peer_of(call.servicer)
