"""A place for a worker process among those of its owner."""

from typing import TYPE_CHECKING

from forwardpass_server.processes.messages import Counts, Failed, Followed, Opened, Relay, Serving

if TYPE_CHECKING:
    import threading

    from forwardpass_server.processes.worker_process import WorkerProcess


class Place:
    """A place for a worker process, and what is known of the one that is there now; `ProcessPool` has the lock.

    Attributes:
        number: Its place in the shared counts.
        process: The process; None between two of them.
        opened: Whether it has the registry, so that changes wait for it.
        serving: Whether it takes calls.
        relayed: Whether it has passed on everything at the end.
        retiring: Whether another process takes its place, so that it is not replaced when it ends.
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
        self.retiring = False
        self.clear()

    @property
    def is_filled(self) -> bool:
        """Whether there is a process, or will be one again."""
        return self.thread is not None and self.thread.is_alive()

    def clear(self) -> None:
        """Forget the process."""
        self.process: WorkerProcess | None = None
        self.opened = self.serving = self.relayed = False
        self.followed = self.collected = -1
        self.waiting_seconds = 0.0
        self.plans = (0, 0)

    def join(self, timeout: float | None = None) -> None:
        """Wait until no process is here and none will be."""
        if self.thread is not None:
            self.thread.join(timeout)

    def note(self, message: object) -> None:
        """Note a message of the process."""
        if isinstance(message, Opened):
            self.opened = True
            self.followed = message.revision
        elif isinstance(message, Followed):
            self.followed = max(self.followed, message.revision)
        elif isinstance(message, Serving):
            self.serving = True
        elif isinstance(message, Relay):
            self.relayed = True
        elif isinstance(message, Failed):
            self.failure = message.sentence
        elif isinstance(message, Counts):
            self.collected = max(self.collected, message.number)
            self.waiting_seconds, self.plans = message.waiting_seconds, message.plans
