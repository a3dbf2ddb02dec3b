"""Forks: every connection is closed just before the process forks, and opened anew after the fork.

gRPC's threads do not exist in a forked child, and a lock that such a thread held is never released there:
https://github.com/grpc/grpc/blob/master/doc/fork_support.md. A child is safe only if no thread was inside gRPC during
the fork. So before a fork new calls wait, calls in flight have a moment to end, and the rest are cut short. After the
fork the calls that may be repeated are repeated; their callers do not notice.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakSet

import grpc

GRACE_SECONDS: Final = 0.5
"""How long a fork waits for calls in flight that may be repeated."""

MAX_WAIT_SECONDS: Final = 5.0
"""How long a fork waits for calls in flight that may not be repeated."""

_POLL_SECONDS: Final = 0.001
_NOWHERE: Final = "unix:/dev/null"


class Forkable(Protocol):
    """Connection that can be closed for a fork."""

    def suspend(self) -> None:
        """Make new calls wait."""

    def has_calls(self, *, that_may_not_be_repeated: bool = False) -> bool:
        """Return whether calls are in flight that end while this thread waits."""

    def is_stuck(self) -> bool:
        """Return whether calls are in flight that cannot end while this thread waits."""

    def is_left_open(self) -> bool:
        """Return whether threads of gRPC still run for an interrupted connection."""

    def interrupt(self) -> None:
        """Cut short the calls in flight and close the channel."""

    def forget(self) -> None:
        """Begin anew in a forked child."""


class _Forks:
    """Forks of this process.

    Attributes:
        is_unsafe: Whether this process was forked with calls in flight that could not be ended.
        is_under_way: Whether a fork is about to happen.
    """

    def __init__(self) -> None:
        self.is_unsafe = False
        self.is_under_way = False
        self._lock = threading.RLock()
        self._connections: WeakSet[Forkable] = WeakSet()
        self._were_left = False
        self._anchor: object = None
        register = getattr(os, "register_at_fork", None)
        if register is not None:
            register(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    @property
    def lock(self) -> Any:
        """Lock that a fork holds from just before it until just after it, and that opening a channel needs."""
        return self._lock

    def watch(self, connection: Forkable) -> None:
        """Close a connection before every later fork, also while its first call opens it."""
        with self._lock:
            self._connections.add(connection)

    def keep_grpc_up(self) -> None:
        """Keep gRPC up between two channels; the lock is held.

        gRPC shuts down after its last channel, in a separate thread, and a fork at that moment can wait for ever. A
        channel that never connects keeps it up.
        """
        if self._anchor is None:
            self._anchor = grpc.insecure_channel(_NOWHERE)

    def _before(self) -> None:
        self._lock.acquire()
        self.is_under_way = True
        connections = list(self._connections)
        for connection in connections:
            connection.suspend()
        begun = time.monotonic()
        self._wait(lambda: any(each.has_calls() for each in connections), begun + GRACE_SECONDS)
        self._wait(
            lambda: any(each.has_calls(that_may_not_be_repeated=True) for each in connections),
            begun + MAX_WAIT_SECONDS,
        )
        are_stuck = any(connection.is_stuck() for connection in connections)
        for connection in connections:
            connection.interrupt()
        if not are_stuck:
            self._wait(lambda: any(map(_is_busy, connections)), time.monotonic() + MAX_WAIT_SECONDS)
        self._were_left = are_stuck or any(map(_is_busy, connections))

    def _in_parent(self) -> None:
        self.is_under_way = False
        self._lock.release()

    def _in_child(self) -> None:
        self._lock = threading.RLock()
        self.is_under_way = False
        self.is_unsafe = self.is_unsafe or self._were_left
        for connection in list(self._connections):
            connection.forget()

    def _wait(self, condition: Callable[[], bool], end: float) -> None:
        """Wait while a condition holds, but no longer than until a time of `time.monotonic`."""
        while condition() and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)


def _is_busy(connection: Forkable) -> bool:
    return connection.has_calls() or connection.is_left_open()


FORKS: Final = _Forks()
"""Forks of this process; global, since a fork concerns the process as a whole."""
