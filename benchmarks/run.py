"""A run: rounds of rows and peers, then curves. A failure is reported and the rest continues."""

import sys
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks import callers, convolutions, graphs, mixed_load, needs, peers, process, start, wire
from benchmarks.lab import Lab
from benchmarks.peers import Timing
from benchmarks.plots import Plot
from benchmarks.scaling import CURVES
from benchmarks.table import Result, Row

_PARTS: Final = (wire, mixed_load, process, callers, start, graphs, convolutions)
ROWS: Final = tuple(sorted((row for part in _PARTS for row in part.ROWS), key=lambda row: row.number))
PARTS: Final = (*(str(row.number) for row in ROWS), "peers", "curves")


def rounds(lab: Lab, count: int, parts: Collection[str]) -> tuple[list[Result], list[Timing]]:
    """Measure all rows and peers once in each round, so that a noisy minute does not affect one row only."""
    rows = [row for row in ROWS if str(row.number) in parts]
    results = {
        row.number: {key: Result(row=row.number, key=key, goal=goal) for key, goal in row.goals.items()} for row in rows
    }
    timings: list[Timing] = []
    for number in range(1, count + 1):
        for row in rows:
            with _progress(f"round {number} of {count}: row {row.number}"):
                _measure(lab, row, results[row.number])
        if "peers" in parts:
            with _progress(f"round {number} of {count}: peers"):
                timings += peers.measure(lab)
    return [result for found in results.values() for result in found.values()], timings


def curves(lab: Lab) -> list[tuple[str, Plot]]:
    """Measure the curves; those that this machine cannot measure are left out."""
    plots: list[tuple[str, Plot]] = []
    for curve in CURVES:
        with _progress(f"curve: {curve.measure.__name__}"):
            lacking = _lacking(lab, curve.needs)
            if lacking:
                print(lacking, file=sys.stderr)
                continue
            try:
                plots += curve.measure(lab)
            except Exception:  # noqa: BLE001 - the others can be measured
                traceback.print_exc()
    return plots


def _measure(lab: Lab, row: Row, results: Mapping[str, Result]) -> None:
    """Measure one round of a row, or record why that is not possible."""
    findings, skipped = {}, _lacking(lab, row.needs)
    if not skipped:
        try:
            findings = dict(row.measure(lab))
        except Exception as error:  # noqa: BLE001 - the other rows can be measured
            traceback.print_exc()
            skipped = f"failed: {error}".splitlines()[0]
    for key, result in results.items():
        if skipped:
            result.skipped = skipped
        else:
            result.findings.append(findings[key])


def _lacking(lab: Lab, required: Sequence[needs.Need]) -> str:
    """Name the missing needs; a row that needs cores runs a server, which needs its engine."""
    engine = needs.engine(lab.engine) if needs.CORES in required else ()
    return needs.missing([*required, *(need for need in engine if need not in required)])


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Print what is being measured, and the time it took."""
    begun = time.perf_counter()
    print(what, end=" ", file=sys.stderr, flush=True)
    yield
    print(f"({time.perf_counter() - begun:.0f} s)", file=sys.stderr, flush=True)
