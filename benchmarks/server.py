"""The measured servers, each a process of its own on the server's core."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import grpc
from forwardpass import Client, spec

from benchmarks import networks
from benchmarks.lab import SERVER_CORE, Lab, pinned

PREDICT: Final = "/forwardpass.v1.PredictionService/Predict"
TRACE: Final = "/forwardpass.v1.PredictionService/Trace"
EXPLAIN: Final = "/forwardpass.v1.PredictionService/Explain"
INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
ARTICLE: Final = "article-2-hidden"
MIB: Final = 2**20


class Process:
    """A server process that prints `... ready on ADDRESS` when it is ready.

    Attributes:
        address: The address on which it listens.
        pid: The process id.
    """

    def __init__(self, log: Path, *command: str) -> None:
        self._begun = time.perf_counter()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                pinned(SERVER_CORE, *command), stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment()
            )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], 120)
        line = self._process.stdout.readline() if readable else ""
        _, found, address = line.partition(" ready on ")
        if not found:
            self.stop()
            raise RuntimeError(f"no server: {' '.join(command)}: {log.read_text().strip() or line}")
        self.address = address.strip()

    def next_address(self) -> str:
        """Return the address of the next ready line: a server that listens on several prints one for each."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rpartition(" ready on ")[2].strip()

    def age(self) -> float:
        """Return the seconds since the process was started."""
        return time.perf_counter() - self._begun

    def processor_seconds(self) -> float:
        """Return the processor time of the process and its descendants; see proc(5), fields 14 and 15."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in family(self.pid)]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the resident memory in MiB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB

    def unpin(self) -> None:
        """Let every thread of the process run on every core."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), os.sched_getaffinity(0))

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def family(pid: int) -> list[int]:
    """Return the ids of a process and its descendants, or nothing if it has ended."""
    try:
        tasks = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []
    return [pid, *(each for children in tasks for child in children.split() for each in family(int(child)))]


def _environment() -> dict[str, str]:
    """Return this process's environment for a server that keeps its modules compiled, as an installed one has them."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


LARGE_REQUEST_BYTES: Final = 16 * 2**20
"""Bytes of a request of 100,000 rows at once, which our own client would cut."""


class Server(Process):
    """`forwardpass-server serve`.

    Args:
        lab: The conditions.
        sizes: Networks to register, each as `net-` and its label.
        engine: The engine; by default the lab's.
        module: The program; by default the server itself.
        database: The SQLite file; by default a new one.
        specs: Other networks to register, by name.
        flags: Further arguments of the program.
        token: The token with which the networks are registered.
    """

    def __init__(
        self,
        lab: Lab,
        *sizes: networks.Sizes,
        engine: str = "",
        module: str = "forwardpass_server",
        database: Path | None = None,
        specs: Mapping[str, spec.NetworkSpec] = MappingProxyType({}),
        flags: Sequence[str] = (),
        token: str | None = None,
    ) -> None:
        folder = Path(tempfile.mkdtemp(dir=lab.folder))
        database = database or folder / "forwardpass.sqlite3"
        flags = ["--listen", "127.0.0.1:0", "--database", f"sqlite:///{database}", "--lame-duck", "0", *flags]
        flags += ["--engine", engine or lab.engine, "--max-request-bytes", str(LARGE_REQUEST_BYTES)]
        super().__init__(folder / "log", sys.executable, "-m", module, "serve", *flags)
        to_register = {**{f"net-{networks.label(each)}": networks.network(each) for each in sizes}, **specs}
        if to_register:
            with Client(self.address, timeout=60, token=token) as client:
                for name, network in to_register.items():
                    client.register(name, network)


def call(address: str, method: str, request: bytes) -> bytes:
    """Make one call with grpcio; return the response."""
    with grpc.insecure_channel(address) as channel:
        multicallable: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        return multicallable(request, timeout=60, wait_for_ready=True)
