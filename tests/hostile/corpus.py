"""The cases of a corpus of hostile content, and the judgement of a case.

A corpus is a module beside this one with a table `CORPUS: Mapping[str, Hostile]`: for each title, a function that makes
the bytes, a function that reads them, and words of the error. To add a case, add a line. To add a corpus, for another
kind of file, write `tests/hostile/NAME.py` with such a table and add NAME to the parameters in `test_hostile.py`; a
reader that takes a path becomes one of bytes by `as_file(suffix, read)`.

A case must raise an exception of `forwardpass.errors` within 100 ms of CPU and 50 MB of memory beyond the start.
The test allows three times as much, since a busy machine shares its caches, and prints the figures (`-rP`).

Each case is read in a process of its own, forked from one that has imported its reader and made the content, which
therefore does not count.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forwardpass.errors import ForwardpassError

CPU_SECONDS = 0.1
MEMORY_BYTES = 50 * 2**20
SLACK = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Hostile:
    """One case.

    Attributes:
        make: Makes the content.
        read: Reads it, and must raise an error.
        words: Words of the error.
    """

    make: Callable[[], bytes]
    read: Callable[[bytes], object]
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The outcome of a case: the error or what happened instead, CPU seconds, and bytes of memory beyond the start."""

    said: str
    refused: bool
    cpu: float
    memory: int


def as_file(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of bytes that passes them in a temporary file with a suffix."""

    def read_bytes(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"hostile{suffix}"
            path.write_bytes(content)
            return read(path)

    return read_bytes


def judge(case: Hostile) -> Outcome:
    """Read a case in a fork of this process, which must have no other threads."""
    content = case.make()
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.write(writing, _said(case, content).encode()[:4096])
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as responses:
        response = responses.read().decode(errors="replace")
    _, status = os.waitpid(process, 0)
    if status:
        return Outcome(said=f"ended with status {status}", refused=False, cpu=0.0, memory=0)
    refused, cpu, memory, said = response.split(" ", 3)
    return Outcome(said=said, refused=refused == "yes", cpu=float(cpu), memory=int(memory))


def _said(case: Hostile, content: bytes) -> str:
    """Read a case in this process; return whether it was refused, the figures, and the message."""
    _forget_peak()
    before, begun = _peak(), time.process_time()
    refused, said = "no", "it was accepted"
    try:
        case.read(content)
    except ForwardpassError as error:
        refused, said = "yes", str(error)
    except BaseException as error:  # noqa: BLE001 - whatever else is raised is what is looked for
        said = repr(error)
    return f"{refused} {time.process_time() - begun} {_peak() - before} {said}"


def _forget_peak() -> None:
    """Reset the peak of the memory to its current value, where the system can.

    See https://docs.kernel.org/filesystems/proc.html
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
