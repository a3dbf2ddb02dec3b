"""System calls that fail, are recorded, or read another clock: the Python side of `shim.c`."""

import ctypes
import hashlib
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any, Final

import pytest

_SOURCE: Final = Path(__file__).with_name("shim.c")
_CONTROL, _FOLDER, _RECORD = "FAULTS_CONTROL", "FAULTS_FOLDER", "FAULTS_RECORD"
_HEADER: Final = struct.Struct("<IIqQ")


class Call(IntFlag):
    """A kind of system call."""

    OPEN = 1
    READ = 2
    WRITE = 4
    SYNC = 8
    TRUNCATE = 16
    RENAME = 32
    UNLINK = 64


class _Control(ctypes.Structure):
    """The C library's `struct control`."""

    _fields_ = (
        ("countdown", ctypes.c_int64),
        ("clock_offset", ctypes.c_int64),
        ("seen", ctypes.c_int64),
        ("failed", ctypes.c_int64),
        ("calls", ctypes.c_uint32),
        ("error", ctypes.c_int32),
        ("lasting", ctypes.c_int32),
    )


class Faults:
    """The switches of processes that run with the library; every process that maps the same file has the same ones."""

    def __init__(self, control: Path) -> None:
        """Map the file, which is created if there is none."""
        if not control.exists():
            control.write_bytes(bytes(mmap.PAGESIZE))
        with control.open("r+b") as file:
            self._control = _Control.from_buffer(mmap.mmap(file.fileno(), mmap.PAGESIZE))
        self.disarm()

    @classmethod
    def of_this_process(cls) -> "Faults":
        """Map the switches of the process that asks, which was started with `environment`."""
        return cls(Path(os.environ[_CONTROL]))

    def arm(self, number: int, calls: Call, error: int, *, lasting: bool = False) -> None:
        """Let a call fail.

        Args:
            number: Of these calls on the watched files, the one that fails; the first is 1.
            calls: The kinds of calls.
            error: The `errno`; 0 lets a write end after half of its bytes.
            lasting: Let every call after it fail too, until `disarm`.
        """
        self.disarm()
        self._control.seen = self._control.failed = 0
        self._control.calls, self._control.error, self._control.lasting = calls, error, lasting
        self._control.countdown = number - 1

    def disarm(self) -> None:
        """Let every call pass."""
        self._control.countdown = -1

    @property
    def failed(self) -> int:
        """The number of calls that failed since `arm`."""
        return int(self._control.failed)

    def set_clock(self, offset_seconds: int) -> None:
        """Let the clock of the day differ from the machine's; the monotonic clock goes on."""
        self._control.clock_offset = offset_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A call that succeeded.

    Attributes:
        call: Its kind.
        path: The file's path.
        offset: The first byte of a write; the length after a truncation.
        data: The bytes of a write; the new path of a renaming.
    """

    call: Call
    path: str
    offset: int
    data: bytes


def read_records(path: Path) -> Iterator[Record]:
    """Read the calls of processes that ran with a file of records, in their order.

    A process that was killed may have left a part of a record, which is not read.
    """
    content = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(content):
        call, path_bytes, offset, size = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        name = content[at : at + path_bytes].decode()
        at += path_bytes
        if at + size > len(content):
            return
        yield Record(call=Call(call), path=name, offset=offset, data=content[at : at + size])
        at += size


def environment(control: Path, *, folder: Path | None = None, record: Path | None = None) -> dict[str, str]:
    """Return the variables of a process that runs with the library; skip the test where there is no C compiler.

    Args:
        control: The file of the switches.
        folder: The folder whose files are watched; no file is, if None.
        record: The file to record calls in, if any.
    """
    given: dict[str, Any] = {_FOLDER: folder, _RECORD: record}
    paths = {name: str(path) for name, path in given.items() if path is not None}
    return {"LD_PRELOAD": str(_library()), _CONTROL: str(control), **paths}


def _library() -> Path:
    """Compile the library, unless it was compiled before."""
    compiler = shutil.which("cc")
    if compiler is None or os.uname().sysname != "Linux":
        pytest.skip("needs Linux and a C compiler (cc)")
    name = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"forwardpass-faults-{os.getuid()}-{name}.so"
    if not library.exists():
        part = library.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", part, _SOURCE, "-ldl"], check=True)
        part.rename(library)
    return library
