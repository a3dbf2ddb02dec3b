"""Plots of speed over size; each function measures one or two of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import networks
from benchmarks.ceiling import Ceiling
from benchmarks.lab import Lab
from benchmarks.load import Load, load
from benchmarks.needs import CORES, GRPC_CPP, LOAD, NATIVE, Need, missing
from benchmarks.peers import race
from benchmarks.plots import Plot, Point
from benchmarks.server import PREDICT, Server, call
from benchmarks.start import started

COUNTS: Final = (1, 4, 16, 64, 256, 1024, 4096)
WIDTHS: Final = (8, 16, 32, 64, 128, 256, 512, 1024)
DEPTHS: Final = (1, 2, 4, 8, 16, 32, 64)
CALLERS: Final = ((1, 1), (2, 1), (4, 1), (4, 2), (4, 4), (4, 8), (4, 16), (4, 32), (4, 64))
"""Connections, and calls in flight on each."""

NETWORK_COUNTS: Final = (10, 100, 1_000, 10_000)


def rows(lab: Lab) -> Iterator[tuple[str, Plot]]:
    """Measure `forward` from one row to thousands."""
    lines = {}
    for sizes in networks.ALL:
        times = [(count, race(lab, sizes, "float32", count, "exact")[0]) for count in COUNTS]
        lines[networks.label(sizes)] = [(count, count / seconds) for count, seconds in times]
    yield (
        "rows",
        Plot(title="Rows at once: forward, exact, float32", x="rows in one call", y="rows per second", lines=lines),
    )


def width(lab: Lab) -> Iterator[tuple[str, Plot]]:
    """Measure `forward` from narrow to wide."""
    yield (
        "width",
        Plot(
            title="Width: forward on two layers of equal width, float32",
            x="nodes of each layer",
            y="microseconds per row",
            lines=_by_size(lab, [(size, (size, size, size)) for size in WIDTHS]),
        ),
    )


def depth(lab: Lab) -> Iterator[tuple[str, Plot]]:
    """Measure `forward` from shallow to deep."""
    yield (
        "depth",
        Plot(
            title="Depth: forward on layers of 64 nodes, float32",
            x="layers",
            y="microseconds per row",
            lines=_by_size(lab, [(layers, (64,) * (layers + 1)) for layers in DEPTHS]),
        ),
    )


def _by_size(lab: Lab, sizes: Sequence[tuple[int, networks.Sizes]]) -> Mapping[str, Sequence[Point]]:
    names = ("exact", "fast", "numpy")
    lines: dict[str, list[Point]] = {}
    for count, unit in ((1, "1 row"), (1024, "1,024 rows")):
        for x, each in sizes:
            for name, seconds in zip(names, race(lab, each, "float32", count, *names), strict=True):
                lines.setdefault(f"{name}, {unit}", []).append((x, seconds / count * 1e6))
    return lines


def registered_networks(lab: Lab) -> Iterator[tuple[str, Plot]]:
    """Measure the start of servers with more and more networks."""
    found = [(count, *started(lab, count)) for count in NETWORK_COUNTS]
    yield (
        "networks-start",
        Plot(
            title="Registered networks: start to first response",
            x="networks",
            y="seconds",
            lines={lab.engine: [(count, seconds) for count, seconds, _ in found]},
            log_y=False,
        ),
    )
    yield (
        "networks-memory",
        Plot(
            title="Registered networks that are never called: memory",
            x="networks",
            y="MiB resident",
            lines={lab.engine: [(count, memory) for count, _, memory in found]},
            log_y=False,
        ),
    )


def callers(lab: Lab) -> Iterator[tuple[str, Plot]]:
    """Measure one-row calls from one caller to hundreds."""
    request = networks.request(networks.MIDDLE)
    found: dict[str, list[tuple[int, Load]]] = {}
    for engine in ("grpcio",) if missing([NATIVE]) else ("native", "grpcio"):
        with Server(lab, networks.MIDDLE, engine=engine) as server:
            response = call(server.address, PREDICT, request)
            found[engine] = _loads(lab, server.address, request)
    if not missing([GRPC_CPP]):
        with Ceiling(lab, response) as server:
            found["C++ ceiling"] = _loads(lab, server.address, request)
    yield (
        "callers",
        Plot(
            title="Callers: Predict, one row, 30-64-32-1, one core",
            x="calls in flight",
            y="calls per second",
            lines={name: [(count, load.rate) for count, load in loads] for name, loads in found.items()},
        ),
    )
    yield (
        "callers-latency",
        Plot(
            title="Callers: p99 of Predict, one row, one core",
            x="calls in flight",
            y="microseconds",
            lines={name: [(count, load.p99) for count, load in loads] for name, loads in found.items()},
        ),
    )


def _loads(lab: Lab, address: str, request: bytes) -> list[tuple[int, Load]]:
    return [
        (connections * streams, load(lab, address, PREDICT, request, connections=connections, streams=streams))
        for connections, streams in CALLERS
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A function that measures plots, and its needs."""

    measure: Callable[[Lab], Iterator[tuple[str, Plot]]]
    needs: Sequence[Need] = ()


CURVES: Final = (
    Curve(measure=rows),
    Curve(measure=width),
    Curve(measure=depth),
    Curve(measure=registered_networks, needs=(CORES,)),
    Curve(measure=callers, needs=LOAD),
)
