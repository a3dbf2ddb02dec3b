"""The table and the plot of a comparison, in Markdown and SVG."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from typing import Final

from benchmarks import machine
from benchmarks.peer_servers.contenders import ENVIRONMENTS
from benchmarks.peer_servers.measure import SHARES, Comparison
from benchmarks.plots import Bars, Plot, bars, svg
from benchmarks.report import PAGE, PLOTS, replaced

BUSY: Final = 0.05
"""The share of the cores from which on a machine counts as busy."""
LATENCIES: Final = "peer-latencies.svg"
PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "mlserver": ("mlserver",),
    "pytriton": ("nvidia-pytriton",),
    "fastapi": ("fastapi", "uvicorn", "onnxruntime"),
}


def conditions(rounds: int, seconds: int, busy: float) -> str:
    """Describe a run in one line: when, where and what was measured."""
    versions = [f"{name} {version}" for name, version in sorted(_versions())]
    share = f"**measured on a busy machine: other processes used {busy:.0%} of its cores**; " if busy > BUSY else ""
    found = f"{machine.describe()['cpu']}, {os.cpu_count()} cores"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {machine.commit()}, {found}; "
        f"{share}medians of {rounds} round{'s' * (rounds > 1)} of {seconds} s; {', '.join(versions)}."
    )


def table(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| server | protocol, calls in flight | calls/s | of ours | CPU of a call | of ours | p50 | p99 |"
    yield "|---|---|---|---|---|---|---|---|"
    for each in comparisons:
        figures = each.figures
        yield (
            f"| {each.name} | {each.protocol} | {figures.rate:,.0f} | {each.rate_of_ours:.2f} x "
            f"| {figures.cpu_us:,.0f} us | {each.cpu_of_ours:.1f} x "
            f"| {figures.p50_us / 1e3:,.1f} ms | {figures.p99_us / 1e3:,.1f} ms |"
        )


def latencies(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the lines of the table of latencies at a rate."""
    yield "| server | protocol | load | arrivals/s | p50 | p99 | p99.9 | sent late, p99 |"
    yield "|---|---|---|---|---|---|---|---|"
    for each in comparisons:
        for share, found in zip(SHARES, each.figures.open_loops, strict=True):
            times = (found.p50, found.p99, found.p999, found.lag_p99)
            yield (
                f"| {each.name} | {each.protocol.partition(',')[0]} | {share:.0%} | {found.rate:,.0f} "
                f"| {' | '.join(f'{time / 1e3:,.2f} ms' for time in times)} |"
            )


def write_docs(conditions: str, comparisons: Sequence[Comparison], *, busy: float) -> None:
    """Write tables and plots into docs/explanation/performance.md; no latencies at a rate of a busy machine."""
    text = replaced(PAGE.read_text(), "peer servers", [conditions, "", *table(comparisons)])
    if busy <= BUSY:
        text = replaced(
            text,
            "peer latencies",
            [conditions, "", *latencies(comparisons), "", f"![p99 by rate](performance/{LATENCIES})"],
        )
        (PLOTS / LATENCIES).write_text(svg(_latency_plot(comparisons)))
    PAGE.write_text(text)
    drawn = Bars(
        title="30-64-32-1: calls for each second of processor time",
        values={f"{each.name}, {each.protocol}": 1e6 / each.figures.cpu_us for each in comparisons},
    )
    (PLOTS / "peer-servers.svg").write_text(bars(drawn))


def _latency_plot(comparisons: Sequence[Comparison]) -> Plot:
    return Plot(
        title="30-64-32-1: p99 at 20, 50 and 80 % of the capacity",
        x="arrivals per second",
        y="p99 in milliseconds",
        lines={
            f"{each.name}, {each.protocol.partition(',')[0]}": [
                (found.rate, found.p99 / 1e3) for found in each.figures.open_loops
            ]
            for each in comparisons
        },
    )


def _versions() -> Iterator[tuple[str, str]]:
    for name, packages in PACKAGES.items():
        paths = [str(path) for path in ENVIRONMENTS[name].folder.glob("lib/python*/site-packages")]
        for found in distributions(path=paths):
            if found.name in packages:
                yield found.name, found.version
