"""Measure each server in turn, and compare the medians of the rounds."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks import networks
from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.load import WARM_UP_SECONDS
from benchmarks.open_loop import OpenLoop, open_loop
from benchmarks.peer_servers.contenders import CONTENDERS, OURS, SIZES, Contender
from benchmarks.raw_connections import Connection

FIGURES: Final = ("rate", "cpu_us", "p50_us", "p99_us")
SHARES: Final = (0.2, 0.5, 0.8)
"""The rates of arrivals, as parts of each server's own capacity: its calls per second with 64 in flight."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """The figures of one server in one round.

    Attributes:
        rate: Calls per second with 64 in flight.
        cpu_us: Microseconds of processor time for a call, of all the server's processes.
        p50_us: The median latency in microseconds.
        p99_us: The 99th percentile of the latency.
        open_loops: The latencies at each of `SHARES`.
    """

    rate: float
    cpu_us: float
    p50_us: float
    p99_us: float
    open_loops: Sequence[OpenLoop]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The figures of one server, medians of its rounds.

    Attributes:
        name: The server's name.
        protocol: How it was called.
        figures: Its figures.
        rate_of_ours: Its calls per second, as a multiple of ours by the same protocol.
        cpu_of_ours: Its processor time for a call, likewise.
    """

    name: str
    protocol: str
    figures: Round
    rate_of_ours: float
    cpu_of_ours: float


def measure(lab: Lab, rounds: int, contenders: Sequence[Contender] = CONTENDERS) -> list[Comparison]:
    """Measure all servers once in each round, one after another."""
    found: list[list[Round]] = [[] for _ in contenders]
    for number in range(1, rounds + 1):
        for contender, taken in zip(contenders, found, strict=True):
            print(f"round {number} of {rounds}: {contender.name}, {contender.protocol.title}", file=sys.stderr)
            taken.append(_round(lab, contender))
    return list(_compared(contenders, [_medians(taken) for taken in found]))


def _round(lab: Lab, contender: Contender) -> Round:
    """Start a server, check what it computes, and load it."""
    protocol = contender.protocol
    process, address = contender.start(lab)
    with process:
        contender.check(address)
        request = protocol.encode(networks.rows(SIZES, 1))
        used = process.processor_seconds()
        measured = protocol.load(lab, address, request)
        used = process.processor_seconds() - used
        open_loops = _open_loops(lab, protocol.connect(address, request), measured.rate)
    # The warm-up costs processor time too, at the same rate.
    calls = measured.rate * (lab.seconds + WARM_UP_SECONDS)
    return Round(
        rate=measured.rate,
        cpu_us=used / calls * 1e6,
        p50_us=measured.p50,
        p99_us=measured.p99,
        open_loops=open_loops,
    )


def _open_loops(lab: Lab, connections: Sequence[Connection], capacity: float) -> Sequence[OpenLoop]:
    with ExitStack() as stack:
        for connection in connections:
            stack.callback(connection.close)
        stack.enter_context(on_core(LOAD_CORE))
        return [open_loop(connections, share * capacity, lab.seconds) for share in SHARES]


def _medians(rounds: Sequence[Round]) -> Round:
    rate, cpu, p50, p99 = (median(getattr(each, name) for each in rounds) for name in FIGURES)
    by_share = zip(*(each.open_loops for each in rounds), strict=True)
    open_loops = [
        OpenLoop(**{name: median(getattr(each, name) for each in taken) for name in OpenLoop.__slots__})
        for taken in by_share
    ]
    return Round(rate=rate, cpu_us=cpu, p50_us=p50, p99_us=p99, open_loops=open_loops)


def _compared(contenders: Sequence[Contender], figures: Sequence[Round]) -> Iterator[Comparison]:
    ours = figures[0]
    for contender, each in zip(contenders, figures, strict=True):
        if contender.name == OURS:
            ours = each
        yield Comparison(
            name=contender.name,
            protocol=contender.protocol.title,
            figures=each,
            rate_of_ours=each.rate / ours.rate,
            cpu_of_ours=each.cpu_us / ours.cpu_us,
        )
