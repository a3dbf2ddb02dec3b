"""Measure servers behind Envoy, registrations and watchers: `python -m benchmarks.edge`.

It measures processor time per call, which is meaningful on a busy machine too, and calls per second, which are
meaningful only on an idle one. The setups are measured in turns; the median counts. Envoy, the servers and the load
share the cores, so more servers than cores do not increase the calls per second.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from forwardpass import Client, spec

from benchmarks import machine, networks
from benchmarks.lab import Lab
from benchmarks.load import load
from benchmarks.server import PREDICT
from benchmarks.watchers import deliver
from tests.clients.environments import ENVIRONMENTS, envoy
from tests.deploy.edge.envoy import ROOT, Edge, configuration, located
from tests.deploy.edge.fleet import Fleet
from tests.support.environments import made
from tests.support.postgres import Cluster, programs
from tests.support.server_process import ServerProcess

NETWORK: Final = f"net-{networks.label(networks.MIDDLE)}"
REQUEST: Final = networks.request(networks.MIDDLE)
WRITTEN: Final = "registered"
REGISTERED: Final = 100
"""Versions in each round."""

FOLLOWERS: Final = (1, 4)
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """A measured setup and its processes.

    Attributes:
        title: Its description.
        address: The address that is called.
        servers: The servers' process ids.
        proxies: Envoy's process id, if there is one.
    """

    title: str
    address: str
    servers: tuple[int, ...]
    proxies: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One round of a setup: responses per second, and microseconds of processor time per response."""

    rate: float
    server: float
    proxy: float


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="number of rounds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=4, metavar="N", help="duration of each load (default: %(default)s)"
    )
    parser.add_argument(
        "--watchers", type=int, default=500, metavar="N", help="number of watchers (default: %(default)s)"
    )
    options = parser.parse_args()
    described = machine.describe()
    print(f"{described['cpu']}, {os.cpu_count()} cores; other processes use {machine.busy():.0%} of them")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lab = Lab(folder=folder, engine="native", seconds=options.seconds)
        with setups(folder) as found:
            _calls(lab, found, options.rounds)
        with ServerProcess(_made(folder / "registry"), fresh=True) as server:
            _registrations(server, options.rounds)
            _watchers(server, options.watchers, options.rounds)
        _shared(folder, options.rounds)
    print(f"at the end other processes use {machine.busy():.0%}")


@contextmanager
def setups(folder: Path) -> Iterator[Sequence[Setup]]:
    """Start one server and two, each with Envoy in front."""
    descriptors = ROOT / "build" / "protos.binpb"
    if not descriptors.exists():
        raise SystemExit("build/protos.binpb is missing: make descriptors")
    binary = envoy(made(ENVIRONMENTS["envoy"]))
    found = []
    with ExitStack() as stack:
        for count in (1, 2):
            fleet = stack.enter_context(Fleet(folder / f"fleet-{count}", fresh=True))
            servers = fleet.add(count)
            for server in servers:
                with Client(server.address, timeout=60) as client:
                    client.register(NETWORK, networks.network(networks.MIDDLE))
            document = located(configuration(), descriptors=descriptors, port=fleet.port, name_server=fleet.names.port)
            edge = stack.enter_context(Edge(binary, _made(folder / f"edge-{count}"), document))
            edge.wait_for(*fleet.addresses)
            pids = tuple(server.process.pid for server in servers)
            if count == 1:
                found.append(Setup(title="1 server", address=servers[0].address, servers=pids))
            title = f"Envoy, {count} server{'s' * (count > 1)}"
            found.append(Setup(title=title, address=edge.address, servers=pids, proxies=(edge.process.pid,)))
        yield found


def _calls(lab: Lab, found: Sequence[Setup], rounds: int) -> None:
    """Predict one row of 30-64-32-1, with 4 connections and 16 calls in flight on each."""
    costs: Mapping[str, list[Cost]] = {setup.title: [] for setup in found}
    for _ in range(rounds):
        for setup in found:
            servers, proxies = _seconds(setup.servers), _seconds(setup.proxies)
            measured = load(lab, setup.address, PREDICT, REQUEST)
            # The second of the warm-up costs processor time too, at the same rate.
            responses = measured.rate * (lab.seconds + 1)
            costs[setup.title].append(
                Cost(
                    rate=measured.rate,
                    server=(_seconds(setup.servers) - servers) / responses * 1e6,
                    proxy=(_seconds(setup.proxies) - proxies) / responses * 1e6,
                )
            )
    for title, each in costs.items():
        rate, server, proxy = (statistics.median(getattr(cost, name) for cost in each) for name in Cost.__slots__)
        print(f"{title}: {rate:,.0f} calls/s; processor time for a call: servers {server:.0f} us, Envoy {proxy:.0f} us")


def _registrations(server: ServerProcess, rounds: int) -> None:
    """Register new versions in SQLite, one after another."""
    with Client(server.address, timeout=60) as client:
        _report(
            "registrations, SQLite", REGISTERED, rounds, _registering(client), lambda: _seconds([server.process.pid])
        )


def _shared(folder: Path, rounds: int) -> None:
    """Register new versions in PostgreSQL with one follower and with four; measure the cost for the database."""
    if programs() is None:
        print("PostgreSQL is not installed")
        return
    with Cluster() as cluster:
        for count in FOLLOWERS:
            with (
                Fleet(folder / f"shared-{count}", "--database", cluster.new_database(), fresh=True) as fleet,
                ExitStack() as stack,
            ):
                clients = [stack.enter_context(Client(server.address, timeout=60)) for server in fleet.add(count)]
                register = _registering(clients[0])
                expected = 0

                def work(clients: Sequence[Client] = clients, register: Callable[[], None] = register) -> None:
                    nonlocal expected
                    register()
                    expected += REGISTERED
                    while any(len(list(client.versions(WRITTEN))) < expected for client in clients):
                        time.sleep(0.01)

                what = f"registrations, PostgreSQL, followed by {count}"
                _report(what, REGISTERED, rounds, work, lambda: _seconds(_family(cluster.process.pid)))


def _registering(client: Client) -> Callable[[], None]:
    """Return a function that registers new versions, one after another."""
    rng = np.random.default_rng(1)

    def register() -> None:
        for _ in range(REGISTERED):
            layers = [{"weights": rng.normal(size=(32, 32))}]
            client.register(WRITTEN, {"format": spec.FORMAT, "inputs": 32, "layers": layers})

    return register


def _watchers(server: ServerProcess, watchers: int, rounds: int, count: int = 20) -> None:
    """Move an alias, and wait until every watcher has received the change."""
    with deliver(server.address, watchers) as move:

        def moves() -> None:
            for _ in range(count):
                move()

        what = f"changes sent to each of {watchers:,} watchers"
        _report(what, count * watchers, rounds, moves, lambda: _seconds([server.process.pid]))


def _report(what: str, count: int, rounds: int, work: Callable[[], None], seconds: Callable[[], float]) -> None:
    """Do work that counts as `count` items; print items per second and the processor time of each."""
    figures = []
    for _ in range(rounds):
        before, begun = seconds(), time.perf_counter()
        work()
        figures.append((count / (time.perf_counter() - begun), (seconds() - before) / count * 1e6))
    rate, each = (statistics.median(column) for column in zip(*figures, strict=True))
    process = "the database" if "PostgreSQL" in what else "the server"
    print(f"{what}: {rate:,.0f} per second; processor time of {process} for one {each:,.0f} us")


def _family(parent: int) -> list[int]:
    """Return the ids of a process and its children."""
    return [parent, *map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())]


def _seconds(pids: Sequence[int]) -> float:
    """Return the processor time of processes in seconds; see proc(5), fields 14 and 15."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
