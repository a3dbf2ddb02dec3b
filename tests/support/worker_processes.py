"""The worker processes of a server process."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.server_process import ServerProcess

PROCESSES = int(os.environ.get("FORWARDPASS_SERVER_PROCESSES", "1"))
"""The worker processes of every server that has no flag for them; by this variable the tests run over several."""


def worker_pids(server: "ServerProcess") -> list[int]:
    """The process ids of the worker processes that run now, ascending."""
    return sorted(pid for pid in map(int, _names("/proc")) if _parent(pid) == server.process.pid)


def is_running(pid: int) -> bool:
    """Whether a process has not ended; a zombie has."""
    return _fields(pid)[:1] not in ([], ["Z"], ["X"])


def connections(pid: int) -> int:
    """The number of TCP connections that a process has."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    established = {fields[9] for line in lines if (fields := line.split())[3] == "01"}
    return sum(socket in established for socket in _sockets(pid))


def _sockets(pid: int) -> set[str]:
    found = set()
    for number in _names(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            target = str(Path(f"/proc/{pid}/fd/{number}").readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found


def _names(folder: str) -> list[str]:
    """The entries of a folder that are numbers."""
    return [entry.name for entry in Path(folder).iterdir() if entry.name.isdecimal()]


def _parent(pid: int) -> int | None:
    fields = _fields(pid)
    return int(fields[1]) if fields and fields[0] not in {"Z", "X"} else None


def _fields(pid: int) -> list[str]:
    """The fields of a process from its state on; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
