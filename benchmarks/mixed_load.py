"""The rows of mixed load: the latency of small calls while large calls keep the server busy.

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
from benchmarks.ceiling import Ceiling
from benchmarks.lab import BACKGROUND_CORE, Lab, pinned
from benchmarks.load import Load, load
from benchmarks.needs import GRPC_CPP, LOAD, NATIVE, missing
from benchmarks.server import PREDICT, Server, call
from benchmarks.table import Finding, Goal, Row, ratio

PACE: Final = 250
"""Calls a second on each of four connections."""

BACKGROUND: Final = {"upload": "a 50 MB network is registered", "predict": "100,000-row calls run"}


def one_process(lab: Lab) -> Mapping[str, Finding]:
    """Compare small calls beside large ones with small calls on an otherwise idle server."""
    return _measure(lab, lab.engine, 1)


def two_processes(lab: Lab) -> Mapping[str, Finding]:
    """Compare the same on engine native with two server processes on the one core."""
    return _measure(lab, "native", 2)


def _measure(lab: Lab, engine: str, processes: int) -> Mapping[str, Finding]:
    with Server(lab, networks.MIDDLE, engine=engine, flags=["--processes", str(processes)]) as server:
        response = call(server.address, PREDICT, networks.request(networks.MIDDLE))
        idle = _paced(lab, server.address)
        busy = {name: _beside(lab, server.address, name) for name in BACKGROUND}
    floor = {} if missing([GRPC_CPP]) else {"predict": _floor(lab, response)}
    return {
        name: ratio(load.p99, idle.p99, p99_us=load.p99, p50_us=load.p50, idle_p99_us=idle.p99, **floor.get(name, {}))
        for name, load in busy.items()
    }


def _floor(lab: Lab, response: bytes) -> Mapping[str, float]:
    """Measure the same small calls of the ceiling, which receives the large ones and computes nothing."""
    with Ceiling(lab, response) as server:
        idle = _paced(lab, server.address)
        busy = _beside(lab, server.address, "predict")
    return {"ceiling_p99_us": busy.p99, "ceiling_idle_p99_us": idle.p99}


def _beside(lab: Lab, address: str, name: str) -> Load:
    with _background_load(address, name):
        return _paced(lab, address)


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


def _goals(wanted: float, suffix: str = "") -> Mapping[str, Goal]:
    return {
        name: Goal(title=f"p99 of one-row calls while {what} / alone{suffix}", wanted=wanted, at_most=True)
        for name, what in BACKGROUND.items()
    }


ROWS: Final = (
    Row(number=3, goals=_goals(3), measure=one_process, needs=LOAD),
    Row(number=20, goals=_goals(2, ", --processes 2"), measure=two_processes, needs=(*LOAD, NATIVE)),
)
