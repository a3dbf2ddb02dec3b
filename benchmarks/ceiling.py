"""The ceiling: what gRPC in C++ can do on one core when there is nothing to compute."""

import subprocess
from pathlib import Path
from typing import Final

from benchmarks.lab import Lab
from benchmarks.server import Process

SOURCE: Final = Path(__file__).with_name("ceiling.cc")
PROGRAM: Final = Path(__file__).parents[1] / "build" / "ceiling"


class Ceiling(Process):
    """Returns the same bytes for each call."""

    def __init__(self, lab: Lab, response: bytes) -> None:
        _build()
        file = lab.folder / "response"
        file.write_bytes(response)
        super().__init__(lab.folder / "ceiling.log", str(PROGRAM), str(file))


def _build() -> None:
    """Compile the program, unless that is done."""
    if PROGRAM.exists() and PROGRAM.stat().st_mtime > SOURCE.stat().st_mtime:
        return
    PROGRAM.parent.mkdir(exist_ok=True)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "grpc++"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    subprocess.run(["g++", "-O2", "-std=c++17", str(SOURCE), "-o", str(PROGRAM), *flags], check=True)
