"""The statistics of a version."""

import threading
import time

import pytest
from forwardpass_server.registry import BatchTotals, Statistics
from forwardpass_server.registry.state import VersionRuntime
from forwardpass_server.registry.statistics import MAX_SIZES


def count(statistics: Statistics, rows: int, *, calls: int = 1) -> None:
    now = time.monotonic()
    statistics.count_batch(rows, [now - 5.0] * calls, begun=now - 2.0, read=1.0, infer=0.5, output=0.25)


def test_totals_by_batch_size() -> None:
    statistics = Statistics()
    count(statistics, 4, calls=2)
    count(statistics, 1)
    count(statistics, 4, calls=4)
    counted = statistics.collect()
    assert [*counted.sizes] == [1, 4]
    four = counted.sizes[4]
    assert (four.batches, four.rows, four.calls) == (2, 8, 6)
    assert (four.input_seconds, four.infer_seconds, four.output_seconds) == (2.0, 1.0, 0.5)
    # Each arrived 5 seconds ago, was begun 2 seconds ago, and reading took one second of that.
    assert four.total_seconds == pytest.approx(6 * 5.0, abs=1.0)
    assert four.queue_seconds == pytest.approx(6 * 2.0, abs=1e-6)
    assert counted.all_sizes == counted.sizes[1] + four
    assert counted.last_time == pytest.approx(time.time(), abs=60)


def test_empty_statistics() -> None:
    counted = Statistics().collect()
    assert (counted.sizes, counted.errors, counted.error_seconds, counted.last_time) == ({}, 0, 0.0, 0.0)
    assert counted.all_sizes == BatchTotals()


def test_errors() -> None:
    statistics = Statistics()
    statistics.count_error(time.monotonic() - 3.0)
    counted = statistics.collect()
    assert (counted.errors, counted.all_sizes.calls, counted.last_time) == (1, 0, 0.0)
    assert counted.error_seconds == pytest.approx(3.0, abs=1.0)


def test_sizes_are_bounded() -> None:
    statistics = Statistics()
    for rows in range(1, 3 * MAX_SIZES):
        count(statistics, rows)
    sizes = statistics.collect().sizes
    assert MAX_SIZES < len(sizes) <= MAX_SIZES + 3
    assert sum(figures.batches for figures in sizes.values()) == 3 * MAX_SIZES - 1
    assert all(size >= figures.rows / figures.batches for size, figures in sizes.items())


def test_collected_statistics_do_not_change() -> None:
    statistics = Statistics()
    count(statistics, 1)
    before = statistics.collect()
    count(statistics, 1)
    assert before.sizes[1].batches == 1


def test_what_was_counted_after_a_moment() -> None:
    statistics = Statistics()
    for rows in (1, 4):
        count(statistics, rows)
    statistics.count_error(time.monotonic())
    before = statistics.collect()
    count(statistics, 4, calls=2)
    statistics.count_error(time.monotonic())
    later = statistics.collect().since(before)
    assert [(size, totals.batches, totals.calls) for size, totals in later.sizes.items()] == [(4, 1, 2)]
    assert later.errors == 1


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
    assert statistics.collect().sizes[2].batches == 4_000


def test_collecting_creates_no_statistics() -> None:
    runtime = VersionRuntime()
    assert runtime.collect_statistics() == Statistics().collect()
    assert runtime._statistics is None
    runtime.statistics.count_error(0.0)
    assert runtime.collect_statistics().errors == 1
