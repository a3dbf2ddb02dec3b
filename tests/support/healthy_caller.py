"""A healthy caller in a process of its own: `python -m tests.support.healthy_caller ADDRESS`.

It predicts one row every 20 milliseconds until its input ends, then prints the latencies in seconds and the errors.
"""

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Self

from forwardpass import Client
from forwardpass.errors import ForwardpassError

from tests.support.environments import ROOT

PERIOD_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Latencies:
    """What a healthy caller saw.

    Attributes:
        seconds: How long each call took that succeeded, the shortest first.
        errors: The errors of the others.
    """

    seconds: tuple[float, ...]
    errors: tuple[str, ...]

    @property
    def success(self) -> float:
        """The part of the calls that succeeded."""
        return len(self.seconds) / max(len(self.seconds) + len(self.errors), 1)

    @property
    def p99(self) -> float:
        """The seconds within which 99 of 100 calls ended."""
        return self.seconds[int(0.99 * len(self.seconds))] if self.seconds else float("inf")


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
        return Latencies(seconds=tuple(sorted(seen["seconds"])), errors=tuple(seen["errors"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _set_at_end_of_input(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main(address: str) -> None:
    """Make calls until the standard input ends."""
    ended = threading.Event()
    seconds: list[float] = []
    errors: list[str] = []
    with Client(address, timeout=10) as client:
        client.predict("article-linear", [2, 3])
        print("ready", flush=True)
        threading.Thread(target=_set_at_end_of_input, args=(ended,), daemon=True).start()
        while not ended.wait(PERIOD_SECONDS):
            began = time.monotonic()
            try:
                client.predict("article-linear", [2, 3])
                seconds.append(time.monotonic() - began)
            except ForwardpassError as error:
                errors.append(f"{type(error).__name__}: {error}")
    print(json.dumps({"seconds": seconds, "errors": errors}))


if __name__ == "__main__":
    main(sys.argv[1])
