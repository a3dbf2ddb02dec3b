"""The composition root of a worker process: responds to hot calls, and follows the owner of the registry.

`python -m forwardpass_server.worker SOCKET COUNTS QUOTAS` with three inherited file descriptors; `WorkerProcess` starts
it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any, Final

from forwardpass.listening import ListenError

from forwardpass_server import logs
from forwardpass_server.memory import limit_arenas
from forwardpass_server.oip import INFER, INFERENCE_SERVICE
from forwardpass_server.processes import (
    Collect,
    ConnectionDrain,
    Counter,
    Damaged,
    Failed,
    Follow,
    Followed,
    Opened,
    Relay,
    Retire,
    Retired,
    Serving,
    SharedCounts,
    SharedInFlight,
    SharedQuotas,
    Start,
    Stop,
)
from forwardpass_server.registry import NetworkChange, SqlStore, StoreOpenError, VersionRuntime
from forwardpass_server.rpc import (
    HOT_PREDICTIONS,
    PREDICTION_SERVICE,
    ErrorMapper,
    NativeTransport,
    Service,
    TokensFileError,
    cores,
    open_front,
)
from forwardpass_server.serving import BatchingPolicy, Workers
from forwardpass_server.settings import Settings
from forwardpass_server.startup import (
    freeze_garbage,
    make_dispatcher,
    make_guard,
    memory_bounds,
    open_registry,
    prepare,
)

log = logging.getLogger(__name__)

REPORT_SECONDS: Final = 2.0
"""How often counts are sent unasked: a process that is killed loses those of this time."""
DAMAGE_SECONDS: Final = 15.0
"""How long the error of a damaged version waits until the owner knows of the damage."""


class Worker:
    """One worker process."""

    def __init__(self, owner: Connection, start: Start, counts: SharedCounts, quotas: SharedQuotas) -> None:
        """Open the registry.

        Raises:
            StoreOpenError: The database cannot be used.
            TokensFileError: The tokens file cannot be used.
        """
        settings = Settings.model_validate_json(start.settings)
        # Each process has its part of what callers may take.
        self._settings = settings = settings.model_copy(
            update={
                "max_memory": settings.memory.max_memory // start.processes,
                "max_connections": -(-settings.max_connections // start.processes),
            }
        )
        self._start = start
        self._owner = owner
        self._sending = threading.Lock()
        limit_arenas()
        prepare(settings)
        guard = make_guard(settings, start.tokens)
        guard.share_quotas(quotas.quota)
        store = SqlStore(settings.database, connect_timeout=settings.database_connect_timeout, read_only=True)
        self._registry = registry = open_registry(settings, store)
        self._reported: set[VersionRuntime] = set()
        self._known = threading.Event()
        registry.subscribe(self._report_damage)
        policy = BatchingPolicy()
        _, _, unsent, self._watch = memory_bounds(settings, registry)
        workers = Workers(policy.workers(-(-cores() // start.processes)), guard.weights)
        self._dispatcher = make_dispatcher(settings, registry, unsent, workers, policy)
        error_mapper = ErrorMapper(guard)
        self._counter = Counter(registry, error_mapper, guard.counts, self._dispatcher.admission)
        hot = Service(PREDICTION_SERVICE, None, HOT_PREDICTIONS), Service(INFERENCE_SERVICE, None, {INFER.name: INFER})
        self._transport_arguments: dict[str, Any] = {
            "hot": {path: method for service in hot for path, method in service.hot_paths.items()},
            "direct": {},
            "guard": guard,
            "error_mapper": error_mapper,
            "in_flight": SharedInFlight(settings.max_in_flight, counts, start.place),
            "policy": policy,
            "watch": self._watch,
            "unsent": unsent,
            "max_request_bytes": settings.max_request_bytes,
            "call_timeout": settings.call_timeout,
            "sharing": start.processes,
        }
        self._transport: NativeTransport | None = None

    def run(self) -> None:
        """Serve until the owner says that it is enough, or ends."""
        self._send(Opened(revision=self._registry.revision))
        while True:
            if not self._owner.poll(REPORT_SECONDS):
                self._send(self._counter.collect(0))
                continue
            message = self._owner.recv()
            if isinstance(message, Follow):
                self._follow(message.revision)
            elif isinstance(message, Collect):
                self._send(self._counter.collect(message.number))
            elif isinstance(message, Damaged):
                self._known.set()
            elif isinstance(message, Relay):
                if self._transport is not None:
                    asyncio.run(self._transport.relay_all(self._start.address))
                self._send(message)
            elif isinstance(message, Retire):
                # Beside the changes, for which callers wait.
                threading.Thread(target=self._retire, args=[message.patience], name="retire", daemon=True).start()
            elif isinstance(message, Stop):
                self._send(self._counter.collect(0))
                self._stop()
                return

    def _follow(self, revision: int) -> None:
        """Read changes and say so; listen after the first ones."""
        if self._transport is None:
            done = threading.Event()
            self._registry.refresh(lambda _: done.set())
            done.wait()
            self._send(Followed(revision=revision))
            self._listen()
            self._send(Serving())
        else:
            self._registry.refresh(lambda _: self._send(Followed(revision=revision)))

    def _listen(self) -> None:
        front = open_front(self._start.address, sharing=self._start.processes)
        front.set_fallback(self._start.fallback)
        self._transport = NativeTransport(front, self._dispatcher, **self._transport_arguments)
        self._transport.start()
        freeze_garbage()
        self._watch.start(self._start.address)

    def _retire(self, patience: float) -> None:
        """Let go of all connections, and say so; the owner responds with `Stop`."""
        left = 0
        try:
            if self._transport is not None:
                left = ConnectionDrain(self._start.address).run(patience)
        finally:  # without it, the owner would wait until its patience ends
            with contextlib.suppress(OSError):  # the owner has ended, and so does this process
                self._send(Retired(connections=left))

    def _stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._watch.stop()
        self._dispatcher.abandon()
        self._dispatcher.close()
        self._registry.close()

    def _report_damage(self, change: NetworkChange) -> None:
        """Tell the owner of a version that was found damaged, before the caller hears of it."""
        for version in change.network.versions.values() if change.network else ():
            if version.runtime.damaged and version.runtime not in self._reported:
                self._reported.add(version.runtime)
                self._known.clear()
                self._send(
                    Damaged(
                        network=version.network,
                        number=version.number,
                        digest=version.digest,
                        revision=change.revision,
                    )
                )
                self._known.wait(DAMAGE_SECONDS)

    def _send(self, message: object) -> None:
        with self._sending:
            self._owner.send(message)


def main(socket: str, counts: str, quotas: str) -> None:
    """Run a worker process.

    Args:
        socket: The file descriptor of the socket to the owner.
        counts: The file descriptor of the shared counts.
        quotas: The file descriptor of the shared quotas.
    """
    # The owner says when to end; a terminal and service managers signal all processes of a server.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    owner = Connection(int(socket))
    try:
        start: Start = owner.recv()
        logs.configure(Settings.model_validate_json(start.settings).log_level)
        try:
            Worker(owner, start, SharedCounts(int(counts)), SharedQuotas(int(quotas))).run()
        except (StoreOpenError, TokensFileError, ListenError, OSError) as error:
            owner.send(Failed(sentence=str(error)))
    except (EOFError, ConnectionError):
        # The owner has ended, and nobody waits for what is in flight.
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
