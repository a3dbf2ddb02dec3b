"""Reports of a run: on the terminal, and in docs/explanation/performance.md."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.peers import Timing
from benchmarks.plots import Plot, svg
from benchmarks.table import Goal, Result

DOCS: Final = Path(__file__).parents[1] / "docs" / "explanation"
PAGE: Final = DOCS / "performance.md"
PLOTS: Final = DOCS / "performance"


def rows(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of the table for a terminal."""
    if not results:
        return
    wide = max(len(result.goal.title) for result in results)
    yield f"{'row':>3s}  {'what':{wide}s} {'goal':>11s} {'measured':>11s}  {'min - max':19s}"
    for result in results:
        goal = result.goal
        line = f"{result.row:3d}  {goal.title:{wide}s} {_goal(goal):>11s} "
        if result.skipped:
            yield f"{line}{'-':>11s}  {result.skipped}"
            continue
        noise = f"{_number(min(result.values))} - {_number(max(result.values))}"
        yield f"{line}{_measured(result):>11s}  {noise:19s} {result.verdict}"


def peers(timings: Sequence[Timing]) -> Iterator[str]:
    """Yield the lines of the peers' times for a terminal: medians of the rounds in microseconds."""
    if not timings:
        return
    table = _grid(timings)
    yield f"{'network':15s} {'dtype':8s} {'rows':>5s}" + "".join(f"{name:>14s}" for name in table.names)
    for (network, dtype, count), times in table.lines:
        cells = "".join(f"{time:11.1f} us" for time in times)
        yield f"{network:15s} {dtype:8s} {count:5d}{cells}"


def write_docs(
    run: Mapping[str, Any],
    results: Sequence[Result],
    timings: Sequence[Timing],
    plots: Sequence[tuple[str, Plot]],
) -> None:
    """Write a run's tables and plots into docs/explanation/performance.md, in the sections of its engine.

    Args:
        run: The record of the run, for its conditions.
        results: The rows.
        timings: The peers.
        plots: By the names of their files.
    """
    found = run["machine"]
    conditions = (
        f"{run['date'][:10]}, commit {run['commit']}, {found['cpu']}, {found['blas']} for {found['blas_kernels']}, "
        f"engine {run['engine']}, {run['rounds']} rounds of {run['seconds']} s; "
        + ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        + "."
    )
    text = PAGE.read_text()
    if results:
        text = replaced(text, f"table {run['engine']}", [conditions, "", *_markdown_rows(results)])
    if timings:
        text = replaced(text, "peers", [conditions, "", *_markdown_peers(timings)])
    PAGE.write_text(text)
    PLOTS.mkdir(exist_ok=True)
    for name, plot in plots:
        (PLOTS / f"{name}.svg").write_text(svg(plot))


def replaced(text: str, name: str, lines: Sequence[str]) -> str:
    """Replace the lines between `<!-- name -->` and `<!-- /name -->`."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    section = "\n".join([opening, "", *lines, "", closing])
    changed, count = re.subn(f"{opening}.*?{closing}", lambda _: section, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{PAGE} has {count} sections {opening}")
    return changed


def _markdown_rows(results: Sequence[Result]) -> Iterator[str]:
    yield "| row | what | goal | measured | min - max | |"
    yield "|---|---|---|---|---|---|"
    for result in results:
        line = f"| {result.row} | {result.goal.title} | {_goal(result.goal)} "
        if result.skipped:
            yield f"{line}| | | {result.skipped} |"
            continue
        noise = f"{_number(min(result.values))} - {_number(max(result.values))}"
        yield f"{line}| {_measured(result)} | {noise} | {result.verdict} |"


def _markdown_peers(timings: Sequence[Timing]) -> Iterator[str]:
    table = _grid(timings)
    yield f"| network | dtype | rows | {' | '.join(table.names)} |"
    yield f"|---|---|---{'|---' * len(table.names)}|"
    for (network, dtype, count), times in table.lines:
        yield f"| {network} | {dtype} | {count:,} | {' | '.join(f'{time:,.1f}' for time in times)} |"


class _Grid(NamedTuple):
    """Timings with a line for each network, dtype and number of rows, and a column for each peer."""

    names: Sequence[str]
    lines: Sequence[tuple[tuple[str, str, int], Sequence[float]]]


def _grid(timings: Sequence[Timing]) -> _Grid:
    rounds: dict[tuple[str, str, int], dict[str, list[float]]] = {}
    for timing in timings:
        line = rounds.setdefault((timing.network, timing.dtype, timing.rows), {})
        line.setdefault(timing.contender, []).append(timing.microseconds)
    names = list(next(iter(rounds.values()), {}))
    return _Grid(names, [(key, [median(line[name]) for name in names]) for key, line in rounds.items()])


def _goal(goal: Goal) -> str:
    return f"{'<=' if goal.at_most else '>='} {goal.wanted:g} {goal.unit}"


def _measured(result: Result) -> str:
    return f"{_number(result.median)} {result.goal.unit}"


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
