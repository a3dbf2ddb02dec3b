"""Rows about the start and about memory."""

import time
from collections.abc import Mapping
from typing import Final

from forwardpass import Client

from benchmarks import stock
from benchmarks.lab import Lab
from benchmarks.needs import CORES
from benchmarks.server import ARTICLE, Server
from benchmarks.table import Finding, Goal, Row

MANY: Final = 10_000
SETTLED_SECONDS: Final = 0.5


def few(lab: Lab) -> Mapping[str, Finding]:
    """Start a server with its three own networks, from the command to the first answer."""
    seconds, _ = started(lab, 0)
    return {"": Finding(value=seconds, figures={"start_s": seconds})}


def many(lab: Lab) -> Mapping[str, Finding]:
    """Start a server with many networks, of which none but one is called."""
    _, usual = started(lab, 0)
    seconds, memory = started(lab, MANY)
    growth = (memory - usual) * 1024 / MANY
    return {
        "start": Finding(value=seconds, figures={"start_s": seconds}),
        "memory": Finding(value=growth, figures={"memory_MiB": memory, "few_memory_MiB": usual}),
    }


def idle(lab: Lab) -> Mapping[str, Finding]:
    """Look at the memory of a server with three networks that was called once."""
    _, memory = started(lab, 0)
    return {"": Finding(value=memory, figures={"memory_MiB": memory})}


def started(lab: Lab, count: int) -> tuple[float, float]:
    """Start a server with so many networks more than the three it always has.

    Returns:
        Seconds from the command to the first answer, and MiB of memory once it is idle.
    """
    database = stock.database(lab, count)
    with Server(lab, database=database):
        pass  # whatever it reads is in the file cache now
    with Server(lab, database=database) as server, Client(server.address) as client:
        client.predict(ARTICLE, [3, 5])
        seconds = server.age()
        time.sleep(SETTLED_SECONDS)
        return seconds, server.memory()


ROWS: Final = (
    Row(
        number=11,
        goals={"": Goal(title="start to first answer, 3 networks", wanted=1.0, at_most=True, unit="s")},
        measure=few,
        needs=(CORES,),
    ),
    Row(
        number=12,
        goals={
            "start": Goal(title="start to first answer, 10,000 networks", wanted=2.0, at_most=True, unit="s"),
            "memory": Goal(title="memory for each network that is never called", wanted=2.0, at_most=True, unit="KiB"),
        },
        measure=many,
        needs=(CORES,),
    ),
    Row(
        number=13,
        goals={"": Goal(title="resident memory, idle, 3 networks", wanted=90, at_most=True, unit="MiB")},
        measure=idle,
        needs=(CORES,),
    ),
)
