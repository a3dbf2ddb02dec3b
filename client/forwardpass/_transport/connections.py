"""Connections of a client, for threads and for asyncio: opened at the first call, and again after a fork.

A call enters `in_flight` before it reads `methods`, and leaves it at its end. A fork clears `methods` before it reads
`in_flight`. So either the fork sees the call, or the call sees the fork.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import grpc
import grpc.aio

from forwardpass._errors import client_closed, unusable_after_fork
from forwardpass._transport.endpoint import Endpoint
from forwardpass._transport.forks import FORKS
from forwardpass._transport.methods import NEVER, REPEATABILITY, methods

_PAUSE_SECONDS: Final = 0.001
_CLOSE_SECONDS: Final = 1.0
_POLLER: Final = "(_poll_wrapper)"
"""End of the name of the thread that waits for events of gRPC, for all channels of `grpc.aio`."""

_ABANDONED: Final[list[object]] = []
"""Objects of gRPC that a forked child never frees, since that may need a lock that is never released."""


class Interrupted(Exception):  # noqa: N818 - not an error of the call
    """A fork cut a call short."""


class Connection:
    """Connection for threads.

    Args:
        endpoint: The settings.
        reset: Called in a forked child, to replace what belongs to the parent's threads.

    Attributes:
        methods: A callable for each method; None without a channel.
        in_flight: The calls for which a thread waits, with the name of their method.
        is_closed: Whether the client was closed.
    """

    __slots__ = (
        "__weakref__",
        "_channel",
        "_endpoint",
        "_interrupted",
        "_reset",
        "_running",
        "in_flight",
        "is_closed",
        "methods",
    )

    def __init__(self, endpoint: Endpoint, reset: Callable[[], None]) -> None:
        self.methods: dict[str, Any] | None = None
        self.in_flight: dict[object, str] = {}
        self.is_closed = False
        self._endpoint = endpoint
        self._reset = reset
        self._channel: Any = None
        self._running: set[Any] = set()
        self._interrupted: WeakSet[Any] = WeakSet()
        FORKS.watch(self)

    def open(self, call: object = None, method: str = "") -> dict[str, Any]:
        """Open the channel for a call that finds none; wait while the process forks.

        Raises:
            RuntimeError: The client is closed.
            UnavailableError: gRPC does not work in this process, which was forked with calls in flight.
        """
        self.in_flight.pop(call, None)
        with FORKS.lock:
            if self.is_closed:
                raise client_closed()
            if FORKS.is_unsafe:
                raise unusable_after_fork(self._endpoint.address)
            if self.methods is None:
                FORKS.keep_grpc_up()
                self._channel = self._endpoint.open_channel(grpc)
                self.methods = methods(self._channel)
            if call is not None:
                self.in_flight[call] = method
            return self.methods

    def start(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Start a stream, or a call whose response comes later; keep it until it ends."""
        with FORKS.lock:
            starter = self.open()[method]
            running = getattr(starter, "future", starter)(*arguments, **options)
            self._running.add(running)
        running.add_done_callback(self._running.discard)
        return running

    def was_interrupted(self, call: object) -> bool:
        """Return whether a fork cut a call short, and forget it."""
        if call not in self._interrupted:
            return False
        self._interrupted.discard(call)
        return True

    def close(self) -> None:
        """Close the channel; calls in flight raise an error."""
        with FORKS.lock:
            self.is_closed = True
            channel, self._channel, self.methods = self._channel, None, None
            if channel is not None:
                channel.close()

    def suspend(self) -> None:
        """Make new calls wait."""
        self.methods = None

    def has_calls(self, *, that_may_not_be_repeated: bool = False) -> bool:
        """Return whether calls are in flight."""
        if that_may_not_be_repeated:
            return not all(map(_may_be_repeated, list(self.in_flight.values())))
        return bool(self.in_flight or self._running)

    def is_stuck(self) -> bool:
        """Return False: other threads go on while one waits."""
        return False

    def is_left_open(self) -> bool:
        """Return False: no thread of gRPC runs without a call."""
        return False

    def interrupt(self) -> None:
        """Cut short the calls in flight and close the channel."""
        self._interrupted.update([*self.in_flight, *self._running])
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def forget(self) -> None:
        """Begin anew in a forked child."""
        _ABANDONED.append((self.in_flight, self._running, self._interrupted, self._channel))
        self.methods = self._channel = None
        self.in_flight, self._running, self._interrupted = {}, set(), WeakSet()
        self._reset()


class AsyncConnection:
    """Connection for the tasks of one event loop; arguments and attributes are those of `Connection`.

    Attributes:
        in_flight: The calls with one response, with the name of their method.
        running: The calls of gRPC, streams included, which can be cancelled.
    """

    __slots__ = (
        "__weakref__",
        "_channel",
        "_endpoint",
        "_interrupted",
        "_loop",
        "_reset",
        "_thread",
        "_was_open",
        "in_flight",
        "is_closed",
        "methods",
        "running",
    )

    def __init__(self, endpoint: Endpoint, reset: Callable[[], None]) -> None:
        self.methods: dict[str, Any] | None = None
        self.in_flight: dict[object, str] = {}
        self.running: dict[object, Any] = {}
        self.is_closed = False
        self._endpoint = endpoint
        self._reset = reset
        self._channel: Any = None
        self._interrupted: WeakSet[Any] = WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._was_open = False
        FORKS.watch(self)

    async def open(self, call: object, method: str) -> dict[str, Any]:
        """Open the channel for a call that finds none; not earlier, since a channel belongs to the running event loop.

        Raises:
            RuntimeError: The client is closed, or belongs to another event loop.
            UnavailableError: gRPC does not work in this process, which was forked with calls in flight.
        """
        self.in_flight.pop(call, None)
        self.check()
        while not FORKS.lock.acquire(blocking=False):  # noqa: ASYNC110 - a fork knows no event loop
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            self.check()
            if FORKS.is_unsafe:
                raise unusable_after_fork(self._endpoint.address)
            if self.methods is None:
                FORKS.keep_grpc_up()
                self._thread = threading.get_ident()
                self._channel = self._endpoint.open_channel(grpc.aio)
                self.methods = methods(self._channel)
            self.in_flight[call] = method
            return self.methods
        finally:
            FORKS.lock.release()

    def check(self) -> None:
        """Raise an error if the client is closed, or belongs to another event loop."""
        if self.is_closed:
            raise client_closed()
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if loop is not self._loop:
            raise RuntimeError("the client was first used in another event loop; make one for each loop")

    def end(self, call: object) -> None:
        """Remove a call that has ended."""
        self.in_flight.pop(call, None)
        self.running.pop(call, None)

    def was_interrupted(self, call: object) -> bool:
        """Return whether a fork cut a call short, and forget it."""
        if call not in self._interrupted:
            return False
        self._interrupted.discard(call)
        return True

    async def close(self) -> None:
        """Close the channel; calls in flight raise an error."""
        self.is_closed = True
        channel, self._channel, self.methods = self._channel, None, None
        if channel is not None:
            await channel.close()

    def suspend(self) -> None:
        """Make new calls wait."""
        self.methods = None

    def has_calls(self, *, that_may_not_be_repeated: bool = False) -> bool:
        """Return whether calls are in flight that the event loop ends while this thread waits."""
        if not self._loop_goes_on():
            return False
        if that_may_not_be_repeated:
            return not all(map(_may_be_repeated, list(self.in_flight.values())))
        return bool(self.in_flight)

    def is_stuck(self) -> bool:
        """Return whether calls are in flight whose event loop cannot go on while this thread waits."""
        return bool(self.in_flight or self.running) and not self._loop_goes_on()

    def is_left_open(self) -> bool:
        """Return whether gRPC's thread of all asynchronous channels still runs; it ends with the last channel."""
        if not self._was_open:
            return False
        return any(thread.name.endswith(_POLLER) for thread in threading.enumerate())

    def interrupt(self) -> None:
        """Cut short the calls in flight and close the channel."""
        self._interrupted.update([*self.in_flight, *self.running])
        channel, self._channel = self._channel, None
        self._was_open = channel is not None
        if channel is None:
            return
        if self._loop is not None and self._loop_goes_on():
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(channel.close(), self._loop).result(_CLOSE_SECONDS)
        else:
            with suppress(StopIteration):
                # Without a grace period it awaits nothing, and so needs no event loop.
                channel.close().send(None)

    def forget(self) -> None:
        """Begin anew in a forked child, and in its own event loop."""
        _ABANDONED.append((self.in_flight, self.running, self._interrupted, self._channel))
        self.methods = self._channel = self._loop = None
        self.in_flight, self.running, self._interrupted = {}, {}, WeakSet()
        self._reset()

    def _loop_goes_on(self) -> bool:
        if self._loop is None:  # its first call is about to begin, in another thread
            return True
        return self._loop.is_running() and threading.get_ident() != self._thread


def _may_be_repeated(method: str) -> bool:
    return REPEATABILITY.get(method, NEVER).after_interruption
