"""Server processes for tests and benchmarks."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from tests.support import fork_server
from tests.support.worker_processes import PROCESSES, worker_pids

if TYPE_CHECKING:
    from tests.support.fork_server import ForkedProcess

READY = "forwardpass-server ready on "


class ServerProcess:
    """`forwardpass-server serve` on a free port, in a process of its own.

    The process is forked from one that has everything imported; `fresh` starts an interpreter, as users do. So do
    `python`, the interpreter's own arguments, and variables of Python's in `environment`, which it reads at its start.

    Attributes:
        address: Where it listens.
        rest: The URL where it serves HTTP, if `--rest-listen` is among its flags, else empty.
        metrics: The URL of its metrics, if `--metrics-listen` is among its flags, else empty.
        view: The URL of its page, if `--view-listen` is among its flags, else empty.
        admin: Where it listens for administration, if `--admin-listen` is among its flags, else empty.
        engine: What follows `--engine` among its flags, or None.
        database: The SQLite file.
        log: The file with what it wrote to stderr.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        environment: dict[str, str] | None = None,
        python: tuple[str, str] | None = None,
        fresh: bool = False,
    ) -> None:
        self.database = folder / "forwardpass.db"
        self.log = folder / "log"
        self._flags = flags
        self.engine = flags[flags.index("--engine") + 1] if "--engine" in flags else None
        self._environment = {**os.environ, **(environment or {})}
        self._python = python or ("-m", "forwardpass_server")
        self._fresh = fresh or python is not None or any(name.startswith("PYTHON") for name in environment or {})
        self.start()

    def start(self) -> None:
        """Start the process and wait for its ready line."""
        arguments = ["serve", "--listen", "127.0.0.1:0"]
        arguments += ["--database", f"sqlite:///{self.database}", "--lame-duck", "0", *self._flags]
        self.process, self._stdout = self._started(arguments)
        readable, _, _ = select.select([self._stdout], [], [], 120)
        line = self._stdout.readline() if readable else ""
        if not line.startswith(READY):
            self.kill()
            raise AssertionError(f"the server did not start: {line!r}\n{self.log.read_text()}")
        self.address = line.removeprefix(READY).strip()
        self.rest = self._url("--rest-listen")
        self.metrics = self._url("--metrics-listen")
        self.view = self._url("--view-listen")
        self.admin = self._url("--admin-listen")

    def _started(self, arguments: list[str]) -> "tuple[subprocess.Popen[bytes] | ForkedProcess, IO[str]]":
        """Start the process; return it and its stdout."""
        reading, writing = os.pipe()
        with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing, os.fdopen(writing, "wb") as out:
            files = (nothing.fileno(), out.fileno(), log.fileno())
            process = self._popen(arguments, *files) if self._fresh else self._fork(arguments, files)
        return process, os.fdopen(reading, encoding="utf-8")

    def _popen(self, arguments: list[str], stdin: int, stdout: int, stderr: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, *self._python, *arguments]
        return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=self._environment)

    def _fork(self, arguments: list[str], files: tuple[int, int, int]) -> "ForkedProcess":
        return fork_server.start("forwardpass-server", arguments, files=files, environment=self._environment)

    def _url(self, flag: str) -> str:
        """Read the ready line of another address, if there is one."""
        requested = any(given.startswith(flag) for given in self._flags)
        return self._stdout.readline().removeprefix(READY).strip() if requested else ""

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
        self._stdout.close()
        return code

    def memory(self) -> int:
        """The resident memory in bytes, that of its worker processes included."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """The CPU time that it has taken, its threads, its worker processes and the kernel for them included."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def pids(self) -> list[int]:
        """Its process id, and those of its worker processes."""
        return [self.process.pid, *(worker_pids(self) if PROCESSES > 1 or "--processes" in self._flags else [])]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        else:
            self._stdout.close()


def wait_until(condition: object, seconds: float = 60.0) -> None:
    """Wait until a callable returns something true."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
