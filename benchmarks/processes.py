"""Measure one process and several on the same cores: `python -m benchmarks.processes`.

It measures processor time per call, which is meaningful on a busy machine too, and calls per second, which are
meaningful only on an idle one; memory; a registration; and how connections are spread. The setups are measured in
turns; the median counts. The processes and the load share the cores.
"""

import argparse
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forwardpass import Client, spec

from benchmarks import machine, networks
from benchmarks.lab import Lab
from benchmarks.load import Load, load
from benchmarks.server import PREDICT
from tests.support.server_process import ServerProcess, wait_until
from tests.support.worker_processes import connections, worker_pids

NETWORK: Final = f"net-{networks.label(networks.MIDDLE)}"
REQUEST: Final = networks.request(networks.MIDDLE)
LOADS: Final = ((4, 16), (32, 4), (1, 1))
"""Connections, and calls in flight on each."""
REGISTERED: Final = 50
SPREADS: Final = (4, 16, 64)
SAMPLES: Final = 30
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One round: the load's figures, and microseconds of processor time per call, of workers and of the owner."""

    figures: Load
    processes: float
    owner: float


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="number of rounds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=4, metavar="N", help="duration of each load (default: %(default)s)"
    )
    options = parser.parse_args()
    described = machine.describe()
    print(f"{described['cpu']}, {os.cpu_count()} cores; other processes use {machine.busy():.0%} of them")
    with tempfile.TemporaryDirectory() as name, _servers(Path(name)) as servers:
        lab = Lab(folder=Path(name), engine="native", seconds=options.seconds)
        for callers in LOADS:
            _calls(lab, servers, callers, options.rounds)
        for count, server in servers.items():
            _registrations(count, server)
        _memory(servers[2])
        _spread(servers[2])
    print(f"at the end other processes use {machine.busy():.0%}")


@contextmanager
def _servers(folder: Path) -> Iterator[Mapping[int, ServerProcess]]:
    """Start servers of one process and of two worker processes."""
    with ExitStack() as stack:
        servers = {}
        for count in (1, 2):
            of_server = folder / str(count)
            of_server.mkdir()
            flags = ("--engine", "native", "--processes", str(count))
            servers[count] = stack.enter_context(ServerProcess(of_server, *flags, fresh=True))
            with Client(servers[count].address, timeout=60) as client:
                client.register(NETWORK, networks.network(networks.MIDDLE))
        yield servers


def _calls(lab: Lab, servers: Mapping[int, ServerProcess], callers: tuple[int, int], rounds: int) -> None:
    """Predict one row of 30-64-32-1."""
    costs: Mapping[int, list[Cost]] = {count: [] for count in servers}
    for _ in range(rounds):
        for count, server in servers.items():
            owner, workers = [server.process.pid], worker_pids(server)
            before = _seconds(owner), _seconds(workers)
            measured = load(lab, server.address, PREDICT, REQUEST, connections=callers[0], streams=callers[1])
            # The second of the warm-up costs processor time too, at the same rate.
            responses = measured.rate * (lab.seconds + 1)
            of_owner, of_workers = (_seconds(owner) - before[0]), (_seconds(workers) - before[1])
            costs[count].append(
                Cost(figures=measured, processes=of_workers / responses * 1e6, owner=of_owner / responses * 1e6)
            )
    for count, each in costs.items():
        rate = statistics.median(cost.figures.rate for cost in each)
        p50, p99 = (statistics.median(getattr(cost.figures, name) for cost in each) for name in ("p50", "p99"))
        workers, owner = (statistics.median(getattr(cost, name) for cost in each) for name in ("processes", "owner"))
        print(
            f"{callers[0]} x {callers[1]}, --processes {count}: {rate:,.0f} calls/s, p50 {p50:,.0f} us, "
            f"p99 {p99:,.0f} us; processor time for a call: workers {workers:.1f} us, owner {owner:.1f} us"
        )


def _registrations(count: int, server: ServerProcess) -> None:
    """Register new versions, one after another."""
    with Client(server.address, timeout=60) as client:
        workers = worker_pids(server)
        begun, before = time.monotonic(), _seconds(workers)
        for number in range(REGISTERED):
            layers = [{"weights": [[float(number)] * 32] * 32}]
            client.register("registered", {"format": spec.FORMAT, "inputs": 32, "layers": layers})
        seconds = (time.monotonic() - begun) / REGISTERED
        of_worker = (_seconds(workers) - before) / REGISTERED / max(1, len(workers))
    print(f"a registration, --processes {count}: {seconds * 1e3:.1f} ms, {of_worker * 1e3:.1f} ms of each worker")


def _memory(server: ServerProcess) -> None:
    for pid in worker_pids(server):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        print(f"a worker process takes {private / 1024:.0f} MiB that it shares with no other process")


def _spread(server: ServerProcess) -> None:
    """Open connections, and count those of the busier process."""
    host, _, port = server.address.rpartition(":")
    workers = worker_pids(server)
    for count in SPREADS:
        shares = []
        for _ in range(SAMPLES):
            with ExitStack() as stack:
                for _ in range(count):
                    stack.enter_context(socket.create_connection((host, int(port))))
                wait_until(lambda count=count: sum(map(connections, workers)) >= count)
                shares.append(max(map(connections, workers)) / count)
            wait_until(lambda: not any(map(connections, workers)))
        print(
            f"{count} connections on 2 processes: the busier one has {statistics.mean(shares):.0%} of them on average, "
            f"{max(shares):.0%} at most of {SAMPLES} trials"
        )


def _seconds(pids: Sequence[int]) -> float:
    """Return the processor time of processes."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


if __name__ == "__main__":
    main()
