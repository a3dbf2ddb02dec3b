"""Measure every row of docs/explanation/performance.md and compare it with its goal: `make bench`.

The server runs on core 0 and the load on core 1, so nothing else should run at the same time. Each ratio compares two
figures that are measured one after the other. Everything is repeated for some rounds; the median counts.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from threadpoolctl import threadpool_limits

from benchmarks import history, machine, needs, report, run
from benchmarks.lab import Lab

READING: Final = """\
Each figure is the median of the rounds; min - max is the noise: smaller differences mean nothing.
A verdict ends with `?` if rounds disagree: run it again with more rounds on an idle machine.
Compare ratios, never figures of two runs or two machines."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 1, 1
    threadpool_limits(1, user_api="blas")
    described = machine.describe()
    print(f"{described['cpu']}, {described['blas']} for {described['blas_kernels']}, engine {options.engine}")
    busy = machine.busy()
    if busy > 0.05:
        print(f"warning: other processes use {busy:.0%} of the cores; the figures will be noisy")
    for need in needs.ALL:
        if not need.found():
            print(f"missing: {need.name}; to install it: {need.remedy}")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder=Path(folder), engine=options.engine, seconds=options.seconds)
        if options.quick:
            lab = replace(lab, repeats=1, min_seconds=0.0002)
        results, timings = run.rounds(lab, options.rounds, options.rows)
        plots = run.curves(lab) if "curves" in options.rows else []
    for lines in (report.rows(results), report.peers(timings), READING.splitlines()):
        print("", *lines, sep="\n")
    record = history.record(
        results,
        timings,
        plots,
        engine=options.engine,
        quick=options.quick,
        rounds=options.rounds,
        seconds=options.seconds,
        busy=round(busy, 3),
    )
    if options.json or not options.quick:
        print(f"\nwritten: {history.write(record, options.json)}")
    if options.write_docs:
        whole = {str(result.row) for result in results} | {"peers", "curves"} == set(run.PARTS)
        report.write_docs(record, results if whole else (), timings, plots)
        print(f"written: {report.PAGE}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=READING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = ",".join(run.PARTS)
    parser.add_argument(
        "--rows", type=_parts, default=run.PARTS, metavar="PARTS", help=f"what to measure: {parts} (default: all)"
    )
    parser.add_argument("--engine", choices=("native", "grpcio"), default="native", help="the server's engine")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="number of rounds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=3, metavar="N", help="duration of each load (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, to check that everything works")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the run to this file instead of the history")
    parser.add_argument(
        "--write-docs", action="store_true", help="write plots and complete tables into docs/explanation/performance.md"
    )
    return parser


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    unknown = [part for part in parts if part not in run.PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(run.PARTS)}")
    return parts


if __name__ == "__main__":
    main()
