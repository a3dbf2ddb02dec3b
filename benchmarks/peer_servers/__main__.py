"""Measure this server and what may be picked instead of it: `make bench-peers`.

MLServer, Triton (by pytriton) and FastAPI are installed into environments of their own, `.venv-servers-*`, on the first
run. A server has core 0, all its processes together, and the load has core 1. Each server's outputs are compared with
ours before it is measured. The first table has 64 calls in flight; the second has arrivals at rates, and latencies that
count from the scheduled time.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import machine, needs
from benchmarks.lab import Lab
from benchmarks.peer_servers import report
from benchmarks.peer_servers.contenders import CONTENDERS, ENVIRONMENTS
from benchmarks.peer_servers.measure import measure
from tests.support.environments import NotInstallableError, made


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peer_servers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="number of rounds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=3, metavar="N", help="duration of each load (default: %(default)s)"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write tables and plots into docs/explanation/performance.md"
    )
    options = parser.parse_args()
    lacking = needs.missing([*needs.LOAD, needs.NATIVE])
    if lacking:
        raise SystemExit(lacking)
    absent = set()
    for name, environment in ENVIRONMENTS.items():
        try:
            made(environment)
        except NotInstallableError as error:
            print(f"missing: {name}: {error}")
            absent.add(environment.folder)
    contenders = [each for each in CONTENDERS if each.environment is None or each.environment.folder not in absent]
    busy = machine.busy()
    conditions = report.conditions(options.rounds, options.seconds, busy)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder=Path(folder), engine="native", seconds=options.seconds)
        comparisons = measure(lab, options.rounds, contenders)
    print("", conditions, "", *report.table(comparisons), "", *report.latencies(comparisons), sep="\n")
    if options.write_docs:
        report.write_docs(conditions, comparisons, busy=busy)


if __name__ == "__main__":
    main()
