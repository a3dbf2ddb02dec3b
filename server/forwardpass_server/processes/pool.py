"""The worker processes as the owner of the registry sees them: it starts them, replaces them, tells them of changes.

A change is acknowledged when every worker process has read it. The owner waits for that where it publishes the change,
before its writer gets the response.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

from forwardpass.listening import ListenError

from forwardpass_server.processes.counts import add_counts
from forwardpass_server.processes.in_flight import OWNER, SharedCounts
from forwardpass_server.processes.messages import (
    Collect,
    Counts,
    Damaged,
    Failed,
    Follow,
    Followed,
    Opened,
    Relay,
    Serving,
    Start,
    Stop,
)
from forwardpass_server.processes.quotas import SharedQuotas
from forwardpass_server.processes.worker_process import WorkerProcess
from forwardpass_server.registry import NetworkChange, Registry
from forwardpass_server.rpc import CallerCounts, ErrorMapper

log = logging.getLogger(__name__)

FOLLOW_SECONDS: Final = 30.0
"""How long a change waits for a worker process; one that has not read it by then is killed, and another one started."""
COLLECT_SECONDS: Final = 5.0
"""How long the reader of counts waits for those of a worker process; later ones are in the next reading."""
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 10.0
PAUSES: Final = (0.0, 0.1, 0.5, 1.0, 5.0)
"""Seconds before a worker process is replaced that ended soon after its start; the last pause repeats."""
SOON_SECONDS: Final = 10.0


class _Place:
    """A place for a worker process, and what is known of the one that is there now; `ProcessPool` has the lock.

    Attributes:
        number: Its place in the shared counts.
        process: The process; None between two of them.
        opened: Whether it has the registry, so that changes wait for it.
        serving: Whether it takes calls.
        relayed: Whether it has passed on everything at the end.
        followed: The revision up to which it has responded.
        collected: The number of the last `Collect` to which it has responded.
        failure: Why the last one could not start.
        waiting_seconds: The work that waited there when it last reported.
        plans: Its compiled versions and their bytes at that time.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.thread: threading.Thread | None = None
        self.failure = ""
        self.clear()

    def clear(self) -> None:
        """Forget the process."""
        self.process: WorkerProcess | None = None
        self.opened = self.serving = self.relayed = False
        self.followed = self.collected = -1
        self.waiting_seconds = 0.0
        self.plans = (0, 0)


class ProcessPool:
    """The worker processes of a server. All methods may be called in any thread."""

    def __init__(
        self,
        processes: int,
        settings: str,
        tokens: str | None,
        registry: Registry,
        error_mapper: ErrorMapper,
        caller_counts: CallerCounts,
        *,
        counts: SharedCounts,
        quotas: SharedQuotas,
    ) -> None:
        """Make a pool; `start` starts the processes.

        Args:
            processes: Their number.
            settings: All settings as JSON.
            tokens: The text of the tokens file; None without one.
            registry: The registry that they follow.
            error_mapper: Counts their errors too.
            caller_counts: Counts their calls by the caller's name too.
            counts: The calls in flight of all processes.
            quotas: The quotas of tokens, of all processes.
        """
        self._settings = settings
        self._tokens = tokens
        self._quotas = quotas
        self._registry = registry
        self._error_mapper = error_mapper
        self._caller_counts = caller_counts
        self._counts = counts
        self._changed = threading.Condition()
        self._places = [_Place(OWNER + 1 + number) for number in range(processes)]
        self._numbers = count(1)
        self._stopping = False
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def waiting_seconds(self) -> float:
        """The work that waits in them, as they reported it last."""
        return sum(place.waiting_seconds for place in self._places)

    @property
    def plans(self) -> tuple[int, int]:
        """Their compiled versions and the bytes of those, as they reported it last."""
        versions, sizes = zip(*(place.plans for place in self._places), strict=True)
        return sum(versions), sum(sizes)

    def start(self, address: str, fallback: str) -> int:
        """Start the processes; see `rpc.server.HotProcesses`."""
        self._listener, port = _reserve(address)
        self._address = f"{address.rpartition(':')[0]}:{port}"
        self._fallback = fallback
        self._unsubscribe = self._registry.subscribe(self._publish)
        for place in self._places:
            place.thread = threading.Thread(target=self._keep, args=[place], name="process", daemon=True)
            place.thread.start()
        with self._changed:
            self._changed.wait_for(
                lambda: all(place.serving or place.failure for place in self._places), timeout=START_SECONDS
            )
            failures = [place.failure or "it takes too long" for place in self._places if not place.serving]
        if failures:
            self.stop()
            raise ListenError(f"a worker process cannot start: {failures[0]}")
        return port

    def relay_all(self) -> None:
        """Wait until all have passed on what was sent through them; see `rpc.server.HotProcesses`."""
        places = self._send_all(Relay(), lambda place: place.serving)
        with self._changed:
            self._changed.wait_for(
                lambda: all(place.relayed or not place.serving for place in places), timeout=STOP_SECONDS
            )

    def stop(self) -> None:
        """End the processes; see `rpc.server.HotProcesses`."""
        with self._changed:
            self._stopping = True
            processes = [place.process for place in self._places if place.process is not None]
            self._changed.notify_all()
        for process in processes:
            process.send(Stop())
        end = time.monotonic() + STOP_SECONDS
        for place in self._places:
            if place.thread is not None:
                place.thread.join(max(0.0, end - time.monotonic()))
        for process in processes:
            process.kill()
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._listener.close()

    def collect(self) -> None:
        """Add what the processes have counted until now to the counts of this process."""
        number = next(self._numbers)
        places = self._send_all(Collect(number=number), lambda place: place.serving)
        with self._changed:
            self._changed.wait_for(
                lambda: all(place.collected >= number or not place.serving for place in places), timeout=COLLECT_SECONDS
            )

    def _publish(self, change: NetworkChange) -> None:
        """Wait until all processes have read a change; called before its writer gets the response."""
        revision = change.revision
        places = self._send_all(Follow(revision=revision), lambda place: place.opened and place.followed < revision)
        with self._changed:
            self._changed.wait_for(
                lambda: all(place.followed >= revision or not place.opened for place in places), timeout=FOLLOW_SECONDS
            )
            late = [place.process for place in places if place.opened and place.followed < revision]
        for process in late:
            if process is not None:
                log.error("worker process %d does not follow changes; another one is started", process.pid)
                process.kill()

    def _send_all(self, message: object, is_meant: Callable[[_Place], bool]) -> Sequence[_Place]:
        """Send a message to the processes that it is meant for; return their places."""
        with self._changed:
            meant = [(place, place.process) for place in self._places if is_meant(place)]
        for _, process in meant:
            if process is not None:
                process.send(message)
        return [place for place, _ in meant]

    def _keep(self, place: _Place) -> None:
        """Keep a place filled until the server stops."""
        quick_ends = 0
        while True:
            started = time.monotonic()
            with self._changed:
                if self._stopping:
                    return
                try:
                    place.process = process = WorkerProcess(self._counts.descriptor, self._quotas.descriptor)
                except OSError as error:
                    log.error("a worker process cannot be started: %s", error)  # noqa: TRY400 - the sentence says it
                    place.failure = str(error)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._stopping, timeout=PAUSES[-1])
                    continue
                place.failure = ""
            process.send(
                Start(
                    settings=self._settings,
                    tokens=self._tokens,
                    address=self._address,
                    fallback=self._fallback,
                    processes=len(self._places),
                    place=place.number,
                )
            )
            process.receive_all(partial(self._receive, place, process))
            code = process.wait()
            with self._changed:
                place.failure = place.failure or f"it ended with code {code}"
                place.clear()
                self._counts.set(place.number, 0)
                self._changed.notify_all()
                if self._stopping:
                    return
                quick_ends = quick_ends + 1 if time.monotonic() - started < SOON_SECONDS else 0
                pause = PAUSES[min(quick_ends, len(PAUSES) - 1)]
                log.error("worker process %d ended with code %d; another one is started", process.pid, code)
                self._changed.wait_for(lambda: self._stopping, timeout=pause)

    def _receive(self, place: _Place, process: WorkerProcess, message: object) -> None:
        if isinstance(message, Counts):
            add_counts(message, self._registry, self._error_mapper, self._caller_counts)
        elif isinstance(message, Damaged):
            self._registry.note_damage(message.network, message.number, message.digest, message.revision)
            process.send(message)
            # Not in this thread: a change may hold the registry while it waits for this process.
            threading.Thread(target=self._registry.announce, args=[message.network], daemon=True).start()
        with self._changed:
            if isinstance(message, Opened):
                place.opened = True
                place.followed = message.revision
            elif isinstance(message, Followed):
                place.followed = max(place.followed, message.revision)
            elif isinstance(message, Serving):
                place.serving = True
            elif isinstance(message, Relay):
                place.relayed = True
            elif isinstance(message, Failed):
                place.failure = message.sentence
            elif isinstance(message, Counts):
                place.collected = max(place.collected, message.number)
                place.waiting_seconds, place.plans = message.waiting_seconds, message.plans
            self._changed.notify_all()
        if isinstance(message, Opened):
            # Every change after this one waits for the process.
            process.send(Follow(revision=self._registry.revision))


def _reserve(address: str) -> tuple[socket.socket, int]:
    """Bind a socket to a port that processes may share; return it and the real port. It takes no connections itself.

    Raises:
        ListenError: The address is in use or not of this machine.
    """
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        reserved = socket.socket(family, kind, protocol)
        try:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind(place)
        except OSError:
            reserved.close()
            raise
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None
    return reserved, reserved.getsockname()[1]
