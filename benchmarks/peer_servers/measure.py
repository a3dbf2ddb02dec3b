"""Measure each server in turn, and compare the medians of the rounds."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks import networks
from benchmarks.lab import Lab
from benchmarks.load import WARM_UP_SECONDS
from benchmarks.peer_servers.contenders import CONTENDERS, OURS, SIZES, Contender

FIGURES: Final = ("rate", "cpu_us", "p50_us", "p99_us")


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """The figures of one server in one round.

    Attributes:
        rate: Calls per second with 64 in flight.
        cpu_us: Microseconds of processor time for a call, of all the server's processes.
        p50_us: The median latency in microseconds.
        p99_us: The 99th percentile of the latency.
    """

    rate: float
    cpu_us: float
    p50_us: float
    p99_us: float


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
    # The warm-up costs processor time too, at the same rate.
    calls = measured.rate * (lab.seconds + WARM_UP_SECONDS)
    return Round(rate=measured.rate, cpu_us=used / calls * 1e6, p50_us=measured.p50, p99_us=measured.p99)


def _medians(rounds: Sequence[Round]) -> Round:
    rate, cpu, p50, p99 = (median(getattr(each, name) for each in rounds) for name in FIGURES)
    return Round(rate=rate, cpu_us=cpu, p50_us=p50, p99_us=p99)


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
