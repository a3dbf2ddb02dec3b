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
    Follow,
    Opened,
    Relay,
    Retire,
    Retired,
    Start,
    Stop,
)
from forwardpass_server.processes.place import Place
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
        patience: float,
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
            patience: Seconds that the connections of a process have to end that is restarted.
        """
        self._settings = settings
        self._tokens = tokens
        self._quotas = quotas
        self._registry = registry
        self._error_mapper = error_mapper
        self._caller_counts = caller_counts
        self._counts = counts
        self._changed = threading.Condition()
        self._processes = processes
        # One more, for a process that is to take the place of another.
        self._places = [Place(OWNER + 1 + number) for number in range(processes + 1)]
        self._numbers = count(1)
        self._patience = patience
        self._stopping = False
        self._restart_wanted = False
        self._restarting = False
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
        places = self._places[: self._processes]
        for place in places:
            self._fill(place)
        with self._changed:
            self._changed.wait_for(
                lambda: all(place.serving or place.failure for place in places), timeout=START_SECONDS
            )
            failures = [place.failure or "it takes too long" for place in places if not place.serving]
        if failures:
            self.stop()
            raise ListenError(f"a worker process cannot start: {failures[0]}")
        return port

    def restart(self) -> None:
        """Replace the processes one after another, without a lost call; again if that goes on already.

        A new process takes calls before an old one lets go of its connections. It returns at once.
        """
        with self._changed:
            self._restart_wanted = True
            if not self._restarting and not self._stopping:
                self._restarting = True
                threading.Thread(target=self._restart, name="restart", daemon=True).start()

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
            place.join(max(0.0, end - time.monotonic()))
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

    def _send_all(self, message: object, is_meant: Callable[[Place], bool]) -> Sequence[Place]:
        """Send a message to the processes that it is meant for; return their places."""
        with self._changed:
            meant = [(place, place.process) for place in self._places if is_meant(place)]
        for _, process in meant:
            if process is not None:
                process.send(message)
        return [place for place, _ in meant]

    def _restart(self) -> None:
        while True:
            with self._changed:
                if self._stopping or not self._restart_wanted:
                    self._restarting = False
                    return
                self._restart_wanted = False
                places = [place for place in self._places if place.is_filled]
            if all(map(self._replace, places)):
                log.info("%d worker processes are restarted", len(places))

    def _replace(self, old: Place) -> bool:
        """Start another process, then let an old one go; return whether that was done."""
        new = next(place for place in self._places if not place.is_filled)
        self._fill(new)
        with self._changed:
            self._changed.wait_for(lambda: bool(new.serving or new.failure or self._stopping), timeout=START_SECONDS)
            done = new.serving and not self._stopping
            if not done and not self._stopping:
                log.error("worker processes are not restarted: %s", new.failure or "a new one takes too long")
        self._retire(old if done else new)
        return done

    def _retire(self, place: Place) -> None:
        """Wait until a process has let go of its connections and has ended; it is not replaced."""
        with self._changed:
            place.retiring = True
            process = place.process
            self._changed.notify_all()
        if process is not None:
            process.send(Retire(patience=self._patience))
        place.join(self._patience + STOP_SECONDS)
        if process is not None:
            process.kill()
        place.join()

    def _fill(self, place: Place) -> None:
        """Start a process in a place, and keep the place filled until it retires or the server stops."""
        place.failure, place.retiring = "", False
        place.thread = threading.Thread(target=self._keep, args=[place], name="process", daemon=True)
        place.thread.start()

    def _keep(self, place: Place) -> None:
        quick_ends = 0
        while True:
            started = time.monotonic()
            with self._changed:
                if self._is_over(place):
                    return
                try:
                    place.process = process = WorkerProcess(self._counts.descriptor, self._quotas.descriptor)
                except OSError as error:
                    log.error("a worker process cannot be started: %s", error)  # noqa: TRY400 - the sentence says it
                    place.failure = str(error)
                    self._changed.notify_all()
                    self._changed.wait_for(partial(self._is_over, place), timeout=PAUSES[-1])
                    continue
                place.failure = ""
            process.send(
                Start(
                    settings=self._settings,
                    tokens=self._tokens,
                    address=self._address,
                    fallback=self._fallback,
                    processes=self._processes,
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
                if self._is_over(place):
                    return
                quick_ends = quick_ends + 1 if time.monotonic() - started < SOON_SECONDS else 0
                pause = PAUSES[min(quick_ends, len(PAUSES) - 1)]
                log.error("worker process %d ended with code %d; another one is started", process.pid, code)
                self._changed.wait_for(partial(self._is_over, place), timeout=pause)

    def _is_over(self, place: Place) -> bool:
        """Whether no other process will be in a place."""
        return self._stopping or place.retiring

    def _receive(self, place: Place, process: WorkerProcess, message: object) -> None:
        if isinstance(message, Counts):
            add_counts(message, self._registry, self._error_mapper, self._caller_counts)
        elif isinstance(message, Damaged):
            self._registry.note_damage(message.network, message.number, message.digest, message.revision)
            process.send(message)
            # Not in this thread: a change may hold the registry while it waits for this process.
            threading.Thread(target=self._registry.announce, args=[message.network], daemon=True).start()
        with self._changed:
            place.note(message)
            self._changed.notify_all()
        if isinstance(message, Opened):
            # Every change after this one waits for the process.
            process.send(Follow(revision=self._registry.revision))
        elif isinstance(message, Retired):
            if message.connections:
                log.warning("worker process %d ends with %d open connections", process.pid, message.connections)
            process.send(Stop())


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
