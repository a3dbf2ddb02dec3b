"""Interceptors: the rules around every call, in one visible order.

An interceptor is a function from a call to an asynchronous context manager: what it does before and after the call
stands before and after its `yield`. `app.py` lists them in their order.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import grpc
from forwardpass.errors import (
    DeadlineExceededError,
    DrainingError,
    ForwardpassError,
    NetworkNotFoundError,
    OverloadedError,
    QuotaExceededError,
)

from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.error_mapping import ErrorMapper

Interceptor: TypeAlias = Callable[[RpcContext], AbstractAsyncContextManager[None]]


class InFlight:
    """Counts the calls in flight, and admits new ones or not. May be used in any thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self.draining = False
        self._lock = threading.Lock()

    def check_open(self) -> None:
        """Admit a call unless the server is stopping.

        Raises:
            DrainingError: The server is stopping.
        """
        if self.draining:
            raise DrainingError("the server is stopping; try again at another replica", retry_after=1.0)

    def enter(self, count: int = 1) -> int:
        """Count calls in, up to the limit; return how many there is room for.

        Raises:
            DrainingError: The server is stopping.
        """
        self.check_open()
        with self._lock:
            room = max(0, min(count, self.limit - self.count))
            self.count += room
        return room

    @property
    def total(self) -> int:
        """The calls in flight of the whole server."""
        return self.count

    def overloaded(self) -> OverloadedError:
        """Make the error of a call for which there is no room."""
        return OverloadedError(
            f"{self.limit} calls are waiting, as many as the server accepts (setting `max_in_flight`); try again later",
            retry_after=0.1,
            quotaLimit=self.limit,
            setting="max_in_flight",
        )

    def leave(self, count: int = 1) -> None:
        """Count calls out."""
        with self._lock:
            self.count -= count

    async def idle(self) -> None:
        """Wait until no call is in flight."""
        while self.total:  # noqa: ASYNC110 - calls end in other threads
            await asyncio.sleep(0.005)


def too_large(size: int, limit: int) -> QuotaExceededError:
    """Make the error of a request that is too large."""
    return QuotaExceededError(
        f"the request has {size:,} bytes; the server accepts {limit:,} "
        "(setting `max_request_bytes`); send fewer rows in each call",
        quotaValue=size,
        quotaLimit=limit,
        setting="max_request_bytes",
    )


def errors(error_mapper: ErrorMapper) -> Interceptor:
    """End a gRPC call that raises with the status of its error; HTTP has statuses of its own."""

    @asynccontextmanager
    async def around(call: RpcContext) -> AsyncIterator[None]:
        try:
            yield
        except (grpc.aio.AbortError, grpc.aio.InternalError):  # InternalError: the caller has gone, so gRPC cannot send
            raise
        # CancelledError is no Exception, and must stay on its way: gRPC leaks when it is swallowed.
        except Exception as error:
            if call.servicer is None:
                raise
            await error_mapper.abort(call.servicer, error, call.request_id, call.credential)

    return around


def admission(in_flight: InFlight) -> Interceptor:
    """Reject calls beyond the limit, or while the server is stopping. Streams that stay open do not count."""

    @asynccontextmanager
    async def around(call: RpcContext) -> AsyncIterator[None]:
        if call.streaming:
            in_flight.check_open()
            yield
            return
        if not in_flight.enter():
            raise in_flight.overloaded()
        try:
            yield
        finally:
            in_flight.leave()

    return around


def authorization(guard: Guard) -> Interceptor:
    """Reject calls that the caller may not make, and keep what it may not learn out of errors."""

    @asynccontextmanager
    async def around(call: RpcContext) -> AsyncIterator[None]:
        guard.check(call.method, call.credential)
        try:
            yield
        except NetworkNotFoundError as error:
            raise guard.without_names(error, call.credential) from None

    return around


def deadline(seconds: float) -> Interceptor:
    """End a call after some seconds, if its own deadline is not sooner; streams may stay open."""

    @asynccontextmanager
    async def around(call: RpcContext) -> AsyncIterator[None]:
        if call.streaming:
            yield
            return
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            if isinstance(error, ForwardpassError):
                raise
            raise DeadlineExceededError(
                f"the server gave the call up after {seconds:g} s (setting `call_timeout`)", seconds=seconds
            ) from None

    return around


@asynccontextmanager
async def around_all(interceptors: Sequence[Interceptor], call: RpcContext) -> AsyncIterator[None]:
    """Enter every interceptor, the first one outermost."""
    async with AsyncExitStack() as stack:
        for interceptor in interceptors:
            await stack.enter_async_context(interceptor(call))
        yield
