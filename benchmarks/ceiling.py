"""The ceiling: the speed of gRPC in C++ on one core with nothing to compute."""

import subprocess
from pathlib import Path
from typing import Final

from benchmarks.lab import Lab
from benchmarks.server import Process

SOURCE: Final = Path(__file__).with_name("ceiling.cc")
PROGRAM: Final = Path(__file__).parents[1] / "build" / "ceiling"


class Ceiling(Process):
    """A C++ server that responds to each call with the same bytes."""

    def __init__(self, lab: Lab, response: bytes) -> None:
        _build()
        path = lab.folder / "response"
        path.write_bytes(response)
        super().__init__(lab.folder / "ceiling.log", str(PROGRAM), str(path))


def _build() -> None:
    """Compile the program if its source is newer."""
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
