"""The rows of start time and memory."""

import time
from collections.abc import Mapping
from typing import Final

from forwardpass import Client

from benchmarks import many_networks
from benchmarks.lab import Lab
from benchmarks.needs import CORES
from benchmarks.server import ARTICLE, Server
from benchmarks.table import Finding, Goal, Row

MANY: Final = 10_000
SETTLED_SECONDS: Final = 0.5


def few(lab: Lab) -> Mapping[str, Finding]:
    """Measure the start of a server with its three built-in networks, from the command to the first response."""
    seconds, _ = started(lab, 0)
    return {"": Finding(value=seconds, figures={"start_s": seconds})}


def many(lab: Lab) -> Mapping[str, Finding]:
    """Measure the start of a server with many networks, of which one is called, and the memory of the others."""
    _, usual = started(lab, 0)
    seconds, memory = started(lab, MANY)
    growth = (memory - usual) * 1024 / MANY
    return {
        "start": Finding(value=seconds, figures={"start_s": seconds}),
        "memory": Finding(value=growth, figures={"memory_MiB": memory, "few_memory_MiB": usual}),
    }


def idle(lab: Lab) -> Mapping[str, Finding]:
    """Measure the memory of a server with three networks after one call."""
    _, memory = started(lab, 0)
    return {"": Finding(value=memory, figures={"memory_MiB": memory})}


def started(lab: Lab, count: int) -> tuple[float, float]:
    """Start a server with `count` networks besides the three built-in ones.

    Returns:
        Seconds from the command to the first response, and MiB of memory once it is idle.
    """
    database = many_networks.create_database(lab, count)
    with Server(lab, database=database):
        pass  # now its files are in the page cache
    with Server(lab, database=database) as server, Client(server.address) as client:
        client.predict(ARTICLE, [3, 5])
        seconds = server.age()
        time.sleep(SETTLED_SECONDS)
        return seconds, server.memory()


ROWS: Final = (
    Row(
        number=11,
        goals={"": Goal(title="start to first response, 3 networks", wanted=1.0, at_most=True, unit="s")},
        measure=few,
        needs=(CORES,),
    ),
    Row(
        number=12,
        goals={
            "start": Goal(title="start to first response, 10,000 networks", wanted=2.0, at_most=True, unit="s"),
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
