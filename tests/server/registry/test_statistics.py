"""What is counted of a version."""

import threading
import time

import pytest
from forwardpass_server.registry import Figures, Statistics
from forwardpass_server.registry.state import VersionRuntime
from forwardpass_server.registry.statistics import MAX_SIZES


def count(statistics: Statistics, rows: int, *, calls: int = 1) -> None:
    now = time.monotonic()
    statistics.computed(rows, [now - 5.0] * calls, begun=now - 2.0, read=1.0, infer=0.5, output=0.25)


def test_figures_by_size() -> None:
    statistics = Statistics()
    count(statistics, 4, calls=2)
    count(statistics, 1)
    count(statistics, 4, calls=4)
    counted = statistics.counted()
    assert [*counted.sizes] == [1, 4]
    four = counted.sizes[4]
    assert (four.batches, four.rows, four.calls) == (2, 8, 6)
    assert (four.input, four.infer, four.output) == (2.0, 1.0, 0.5)
    # Each arrived 5 seconds ago, was begun 2 seconds ago, and reading took one second of that.
    assert four.total == pytest.approx(6 * 5.0, abs=1.0)
    assert four.queue == pytest.approx(6 * 2.0, abs=1e-6)
    assert counted.whole == counted.sizes[1] + four
    assert counted.last == pytest.approx(time.time(), abs=60)


def test_nothing_yet() -> None:
    counted = Statistics().counted()
    assert (counted.sizes, counted.failures, counted.failed, counted.last) == ({}, 0, 0.0, 0.0)
    assert counted.whole == Figures()


def test_refusals() -> None:
    statistics = Statistics()
    statistics.refused(time.monotonic() - 3.0)
    counted = statistics.counted()
    assert (counted.failures, counted.whole.calls, counted.last) == (1, 0, 0.0)
    assert counted.failed == pytest.approx(3.0, abs=1.0)


def test_sizes_are_bounded() -> None:
    statistics = Statistics()
    for rows in range(1, 3 * MAX_SIZES):
        count(statistics, rows)
    sizes = statistics.counted().sizes
    assert MAX_SIZES < len(sizes) <= MAX_SIZES + 3
    assert sum(figures.batches for figures in sizes.values()) == 3 * MAX_SIZES - 1
    assert all(size >= figures.rows / figures.batches for size, figures in sizes.items())


def test_what_was_read_does_not_change() -> None:
    statistics = Statistics()
    count(statistics, 1)
    before = statistics.counted()
    count(statistics, 1)
    assert before.sizes[1].batches == 1


def test_nothing_is_lost_between_threads() -> None:
    statistics = Statistics()

    def count_often() -> None:
        for _ in range(500):
            count(statistics, 2)

    threads = [threading.Thread(target=count_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statistics.counted().sizes[2].batches == 4_000


def test_to_look_takes_no_memory() -> None:
    runtime = VersionRuntime()
    assert runtime.counted() == Statistics().counted()
    assert runtime._statistics is None
    runtime.statistics.refused(0.0)
    assert runtime.counted().failures == 1
