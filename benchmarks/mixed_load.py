"""The row of mixed load: the latency of small calls while large calls keep the server busy.

The small calls are paced at 1,000 a second whatever happens, so that those that arrive during a pause are counted too;
a load that waits for its responses would hardly notice a pause.
"""

import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from benchmarks import networks
from benchmarks.lab import BACKGROUND_CORE, Lab, pinned
from benchmarks.load import Load, load
from benchmarks.needs import LOAD
from benchmarks.server import PREDICT, Server
from benchmarks.table import Finding, Goal, Row, ratio

PACE: Final = 250
"""Calls a second on each of four connections."""

BACKGROUND: Final = {"upload": "a 50 MB network is registered", "predict": "100,000-row calls run"}


def measure(lab: Lab) -> Mapping[str, Finding]:
    """Compare small calls beside large ones with small calls on an otherwise idle server."""
    with Server(lab, networks.MIDDLE) as server:
        idle = _paced(lab, server.address)
        busy = {}
        for name in BACKGROUND:
            with _background_load(server.address, name):
                busy[name] = _paced(lab, server.address)
    return {
        name: ratio(load.p99, idle.p99, p99_us=load.p99, p50_us=load.p50, idle_p99_us=idle.p99)
        for name, load in busy.items()
    }


def _paced(lab: Lab, address: str) -> Load:
    return load(lab, address, PREDICT, networks.request(networks.MIDDLE), streams=100, pace=PACE)


@contextmanager
def _background_load(address: str, name: str) -> Iterator[None]:
    command = pinned(BACKGROUND_CORE, sys.executable, "-m", "benchmarks.background_load", address, name)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            readable, _, _ = select.select([process.stdout], [], [], 120)
            if not readable or process.stdout.readline() != "begun\n":
                raise RuntimeError(f"the background load {name} did not start")
            yield
            process.terminate()
            count = int(process.stdout.readline())
            if count < 2:
                raise RuntimeError(f"the background load {name} had only {count} responses; measure longer")
        finally:
            process.kill()


ROWS: Final = (
    Row(
        number=3,
        goals={
            name: Goal(title=f"p99 of one-row calls while {what} / alone", wanted=3, at_most=True)
            for name, what in BACKGROUND.items()
        },
        measure=measure,
        needs=LOAD,
    ),
)
