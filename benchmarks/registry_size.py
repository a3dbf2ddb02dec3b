"""Measure a registry of many networks: `python -m benchmarks.registry_size`.

A server of 10,000 networks is listed for the first time. A server of 100,000 is started, its memory measured, and then
networks are called that nobody has called before, one after another. The networks are 30-64-32-1, 17 KiB each, so the
larger database takes 1.8 GB of the temporary folder. The server has core 0 and the caller core 1.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from forwardpass import Client

from benchmarks import machine, many_networks, networks, report
from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.server import ARTICLE, Server
from benchmarks.start import SETTLED_SECONDS, started
from benchmarks.table import Finding, Goal, Result

LISTED: Final = 10_000
STARTED: Final = 100_000
CALLS: Final = 1_000
GOALS: Final[Mapping[str, Goal]] = {
    "listing": Goal(title="first listing", wanted=1.0, at_most=True, unit="s"),
    "listing_cpu": Goal(
        title="processor time of the first listing, for each network", wanted=100, at_most=True, unit="us"
    ),
    "again": Goal(title="second listing", wanted=1.0, at_most=True, unit="s"),
    "start": Goal(title="start to first response", wanted=5.0, at_most=True, unit="s"),
    "memory": Goal(title="memory for each network", wanted=1.0, at_most=True, unit="KiB"),
    "cold": Goal(title="p99 of the first call of a network", wanted=10.0, at_most=True, unit="ms"),
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.registry_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", choices=("native", "grpcio"), default="native", help="the server's engine")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="number of rounds (default: %(default)s)")
    parser.add_argument(
        "--listed", type=int, default=LISTED, metavar="N", help="networks that are listed (default: %(default)s)"
    )
    parser.add_argument(
        "--started", type=int, default=STARTED, metavar="N", help="networks of the large server (default: %(default)s)"
    )
    options = parser.parse_args()
    print(f"{machine.describe()['cpu']}; other processes use {machine.busy():.0%} of the cores")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder=Path(folder), engine=options.engine)
        results = measure(lab, rounds=options.rounds, to_list=options.listed, to_start=options.started)
    print("", f"{options.listed:,} networks:", *report.rows(results[:3]), sep="\n")
    print("", f"{options.started:,} networks:", *report.rows(results[3:]), sep="\n")


def measure(lab: Lab, *, rounds: int, to_list: int, to_start: int) -> list[Result]:
    """Measure all rounds; return the results in the order of `GOALS`."""
    results = {key: Result(row=number, key=key, goal=goal) for number, (key, goal) in enumerate(GOALS.items(), start=1)}
    for _ in range(rounds):
        for key, value in {**_listings(lab, to_list), **_started(lab, to_start)}.items():
            results[key].findings.append(Finding(value=value, figures={}))
    return list(results.values())


def _listings(lab: Lab, count: int) -> Mapping[str, float]:
    """List all networks of a server that has just started, and list them again."""
    database = many_networks.create_database(lab, count)
    with Server(lab, database=database) as server, Client(server.address, timeout=60) as client, on_core(LOAD_CORE):
        client.predict(ARTICLE, [3, 5])
        used = server.processor_seconds()
        first = _list(client, count)
        used = server.processor_seconds() - used
        return {"listing": first, "listing_cpu": used / count * 1e6, "again": _list(client, count)}


def _list(client: Client, count: int) -> float:
    """List all networks; return the seconds it took."""
    begun = time.perf_counter()
    found = sum(1 for _ in client.networks())
    assert found >= count
    return time.perf_counter() - begun


def _started(lab: Lab, count: int) -> Mapping[str, float]:
    """Start a server, measure its memory, and make the first call of some networks."""
    _, usual = started(lab, 0)
    database = many_networks.create_database(lab, count)
    with Server(lab, database=database):
        pass  # now its files are in the page cache
    names = random.Random(0).sample(range(count), min(CALLS, count))  # noqa: S311 - a choice of networks
    row = networks.rows(networks.MIDDLE, 1)[0]
    with Server(lab, database=database) as server, Client(server.address, timeout=60) as client, on_core(LOAD_CORE):
        client.predict(ARTICLE, [3, 5])
        seconds = server.age()
        time.sleep(SETTLED_SECONDS)
        memory = server.memory()
        times = []
        for index in names:
            begun = time.perf_counter()
            client.predict(many_networks.name_of(index), row)
            times.append(time.perf_counter() - begun)
    return {
        "start": seconds,
        "memory": (memory - usual) * 1024 / count,
        "cold": float(np.percentile(times, 99)) * 1e3,
    }


if __name__ == "__main__":
    main()
