"""Real server processes for tests."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

READY = "forwardpass-server ready on "


class ServerProcess:
    """`forwardpass-server serve` on a free port, in a process of its own.

    Attributes:
        address: Where it listens.
        rest: The URL where it answers HTTP, if `--rest-listen` is among its flags, else empty.
        metrics: The URL of its metrics, if `--metrics-listen` is among its flags, else empty.
        database: The SQLite file.
        log: The file with what it wrote to stderr.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        environment: dict[str, str] | None = None,
        python: tuple[str, str] = ("-m", "forwardpass_server"),
    ) -> None:
        self._python = python
        self.database = folder / "forwardpass.db"
        self.log = folder / "log"
        self._flags = flags
        self._environment = {**os.environ, **(environment or {})}
        self.start()

    def start(self) -> None:
        """Start the process and wait for its ready line."""
        command = [sys.executable, *self._python, "serve", "--listen", "127.0.0.1:0"]
        command += ["--database", f"sqlite:///{self.database}", "--lame-duck", "0", *self._flags]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], 120)
        line = self.process.stdout.readline() if readable else ""
        if not line.startswith(READY):
            self.kill()
            raise AssertionError(f"the server did not start: {line!r}\n{self.log.read_text()}")
        self.address = line.removeprefix(READY).strip()
        self.rest = self._url("--rest-listen")
        self.metrics = self._url("--metrics-listen")

    def _url(self, flag: str) -> str:
        """Read the ready line of another address, if there is one."""
        assert self.process.stdout is not None
        asked = any(given.startswith(flag) for given in self._flags)
        return self.process.stdout.readline().removeprefix(READY).strip() if asked else ""

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to end; return its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        code = self.process.wait(timeout=120)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def memory(self) -> int:
        """The resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        elif self.process.stdout is not None:
            self.process.stdout.close()


def wait_until(condition: object, seconds: float = 60.0) -> None:
    """Wait until a callable returns something true."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
