"""Latency at a rate of arrivals, whatever comes back, as many independent callers see it.

Arrivals are random (a Poisson process), and known before the load begins. A call's latency counts from its scheduled
time, even if it had to wait before it could be sent: a server that stops for a moment delays all calls of that moment
in the figures, as it does in life. A closed loop would only count one (https://www.infoq.com/presentations/latency-response-time/).
"""

import gc
import itertools
import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.raw_connections import Connection

WARM_UP_SECONDS: Final = 1.0
MAX_DRAIN_SECONDS: Final = 30.0
"""How long calls may take to end after the last arrival."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenLoop:
    """Latencies at a rate, in microseconds.

    Attributes:
        rate: The arrivals per second.
        p50: The median.
        p99: The 99th percentile.
        p999: The 99.9th percentile.
        lag_p99: The 99th percentile of the time from the schedule to the call's first byte, a part of its latency.
    """

    rate: float
    p50: float
    p99: float
    p999: float
    lag_p99: float


def open_loop(
    connections: Sequence[Connection],
    rate: float,
    seconds: float,
    *,
    warm_up: float = WARM_UP_SECONDS,
    seed: int = 0,
) -> OpenLoop:
    """Send calls at a rate on connections in turn; busy-waits meanwhile.

    Args:
        connections: The connections, which nothing else uses.
        rate: The mean number of arrivals per second.
        seconds: The duration after the warm-up.
        warm_up: Seconds whose calls do not count.
        seed: Decides the arrivals.

    Raises:
        RuntimeError: A call failed, or calls did not end.
    """
    count = round(rate * (warm_up + seconds))
    offsets = np.random.default_rng(seed).exponential(1 / rate, count).cumsum()
    with _no_collection():
        begun = time.perf_counter()
        _run(connections, (begun + offsets).tolist())
    failed = sum(connection.failed for connection in connections)
    if failed:
        raise RuntimeError(f"{failed} of {count} calls failed")
    calls = np.array([call for connection in connections for call in connection.calls])
    scheduled, sent, ended = calls[calls[:, 0] >= begun + warm_up].T * 1e6
    p50, p99, p999 = np.percentile(ended - scheduled, (50, 99, 99.9)).tolist()
    lag_p99 = np.percentile(sent - scheduled, 99).item()
    return OpenLoop(rate=rate, p50=p50, p99=p99, p999=p999, lag_p99=lag_p99)


def _run(connections: Sequence[Connection], schedule: Sequence[float]) -> None:
    """Send a call at each time of a schedule, until all have ended."""
    waiting: deque[float] = deque()
    poller = select.poll()
    by_descriptor = {connection.fileno(): connection for connection in connections}
    for descriptor, connection in by_descriptor.items():
        connection.waiting = waiting
        connection.calls.clear()
        poller.register(descriptor, select.POLLIN)
    turns = itertools.cycle(connections)
    arrived, ended = 0, 0
    while ended < len(schedule):
        now = time.perf_counter()
        while arrived < len(schedule) and schedule[arrived] <= now:
            waiting.append(schedule[arrived])
            arrived += 1
        for connection in itertools.islice(turns, len(connections)):
            if not waiting:
                break
            connection.send()
        for descriptor, _ in poller.poll(0):
            connection = by_descriptor[descriptor]
            before = len(connection.calls)
            connection.receive()
            connection.send()
            ended += len(connection.calls) - before
        if now > schedule[-1] + MAX_DRAIN_SECONDS:
            raise RuntimeError(f"{len(schedule) - ended} of {len(schedule)} calls did not end")


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage, which would delay calls."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
