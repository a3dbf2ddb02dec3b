"""Where it is measured: which core does what, for how long, with which engine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
NEIGHBOUR_CORE: Final = 2 if (os.cpu_count() or 1) > 2 else LOAD_CORE
"""Where other callers run while some are measured. On two cores they share the load's, and are polite (`nice`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """One run's conditions.

    Attributes:
        folder: For databases and logs; deleted after the run.
        engine: Which gRPC server runs, where a row does not say.
        seconds: How long each load lasts, after a warm-up of one second.
        repeats: Of how many repetitions, taken in turns, the best counts in process.
        slot: The least time of one repetition, in seconds.
    """

    folder: Path
    engine: str
    seconds: int = 3
    repeats: int = 9
    slot: float = 0.005


def pinned(core: int, *command: str) -> list[str]:
    """Return a command that runs on one core, where the machine can do that."""
    return [*(["taskset", "-c", str(core)] if shutil.which("taskset") else []), *command]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this thread on one core, as far as the machine has it."""
    before = os.sched_getaffinity(0)
    if core in before:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
