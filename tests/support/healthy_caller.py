"""A healthy caller in a process of its own: `python -m tests.support.healthy_caller ADDRESS`.

Every 20 milliseconds it predicts one row, and lists networks half of that time later, until its input ends; then it
prints the latencies in seconds and the errors.
"""

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from forwardpass import Client
from forwardpass.errors import ForwardpassError

from tests.support.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Latencies:
    """What a healthy caller saw.

    Attributes:
        seconds: How long each prediction took that succeeded, the shortest first.
        list_seconds: The same of each list of networks.
        errors: The errors of the others.
    """

    seconds: tuple[float, ...]
    list_seconds: tuple[float, ...]
    errors: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of calls."""
        return len(self.seconds) + len(self.list_seconds) + len(self.errors)

    @property
    def success(self) -> float:
        """The part of the calls that succeeded."""
        return 1 - len(self.errors) / max(self.count, 1)

    @property
    def p99(self) -> float:
        """The seconds within which 99 of 100 predictions ended."""
        return _p99(self.seconds)

    @property
    def list_p99(self) -> float:
        """The seconds within which 99 of 100 lists ended."""
        return _p99(self.list_seconds)


class HealthyCaller:
    """The process; a context, at whose end it has ended."""

    def __init__(self, address: str) -> None:
        command = [sys.executable, "-m", "tests.support.healthy_caller", address]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def end(self) -> Latencies:
        """Let it end; return what it saw."""
        output, _ = self._process.communicate(timeout=120)
        seen = json.loads(output)
        return Latencies(
            seconds=tuple(sorted(seen["seconds"])),
            list_seconds=tuple(sorted(seen["list_seconds"])),
            errors=tuple(seen["errors"]),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _p99(seconds: tuple[float, ...]) -> float:
    return seconds[int(0.99 * len(seconds))] if seconds else float("inf")


def _set_at_end_of_input(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main(address: str) -> None:
    """Make calls until the standard input ends."""
    ended = threading.Event()
    errors: list[str] = []
    with Client(address, timeout=10) as client:
        calls: tuple[tuple[str, Callable[[], object]], ...] = (
            ("seconds", lambda: client.predict("article-linear", [2, 3])),
            ("list_seconds", lambda: [*client.networks()]),
        )
        taken: dict[str, list[float]] = {name: [] for name, _ in calls}
        for _, call in calls:
            call()
        print("ready", flush=True)
        threading.Thread(target=_set_at_end_of_input, args=(ended,), daemon=True).start()
        while not ended.is_set():
            for name, call in calls:
                ended.wait(PERIOD_SECONDS / len(calls))
                began = time.monotonic()
                try:
                    call()
                    taken[name].append(time.monotonic() - began)
                except ForwardpassError as error:
                    errors.append(f"{type(error).__name__}: {error}")
    print(json.dumps({**taken, "errors": errors}))


if __name__ == "__main__":
    main(sys.argv[1])
