"""The conditions of a run: cores, durations and engine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
BACKGROUND_CORE: Final = 2 if (os.cpu_count() or 1) > 2 else LOAD_CORE
"""The core of background load. With two cores it shares the load's core, at a low priority (`nice`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """The conditions of one run.

    Attributes:
        folder: For databases and logs; deleted after the run.
        engine: The engine, unless a row chooses one.
        seconds: The duration of each load, after a warm-up of one second.
        repeats: The number of repetitions in process, of which the best counts.
        min_seconds: The shortest repetition in process.
    """

    folder: Path
    engine: str
    seconds: int = 3
    repeats: int = 9
    min_seconds: float = 0.005


def pinned(core: int, *command: str) -> list[str]:
    """Return a command that runs on one core, if the machine has `taskset`."""
    return [*(["taskset", "-c", str(core)] if shutil.which("taskset") else []), *command]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this thread on one core, if the machine has it."""
    before = os.sched_getaffinity(0)
    if core in before:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
