"""Figures by network: they never fall, none is lost that was seen, and their number is bounded."""

import time
from collections import Counter

from forwardpass_server.metrics.tally import BUCKETS, OTHER, Tally, Totals
from forwardpass_server.registry import Registry, SqlStore, VersionState
from hypothesis import given
from hypothesis import strategies as st

from tests.server.registry.samples import tiny

MOST = 3
NAMES = tuple(f"net-{number}" for number in range(MOST + 2))


def count(version: VersionState, rows: int) -> None:
    now = time.monotonic()
    version.slot.statistics.computed(rows, [now], begun=now, read=0.0, infer=0.5, output=0.0)


def numbers(totals: Totals) -> list[float]:
    whole = totals.whole
    return [whole.calls, whole.rows, whole.batches, whole.infer, totals.failures, *totals.batches]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("call"), st.sampled_from(NAMES), st.integers(1, 2 * BUCKETS[-1])),
            st.tuples(st.just("refuse"), st.sampled_from(NAMES), st.just(0)),
            st.tuples(st.just("delete"), st.sampled_from(NAMES), st.just(0)),
        ),
        max_size=30,
    )
)
def test_totals_are_what_was_counted_and_never_fall(steps: list[tuple[str, str, int]]) -> None:
    with SqlStore("sqlite://") as store:
        registry = Registry.open(store)
        tally = Tally(MOST)
        calls: Counter[str] = Counter()
        rows: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        before: dict[str, Totals] = {}
        for action, name, number in steps:
            if name not in registry.snapshot.networks:
                registry.register(name, tiny())
            version = registry.version(name, "")
            label = name if name in tally.named() or len(tally.named()) < MOST else OTHER
            if action == "call":
                count(version, number)
                calls[label] += 1
                rows[label] += number
            elif action == "refuse":
                version.slot.statistics.refused(time.monotonic())
                failures[label] += 1
            else:
                registry.delete_network(name)
            totals = tally.take(registry.snapshot)
            for known, totals_before in before.items():
                pairs = zip(numbers(totals_before), numbers(totals[known]), strict=True)
                assert all(old <= new for old, new in pairs)
            before = totals
            assert {label: found.whole.calls for label, found in totals.items() if found.whole.calls} == calls
            assert {label: found.whole.rows for label, found in totals.items() if found.whole.rows} == rows
            assert {label: found.failures for label, found in totals.items() if found.failures} == failures
            assert len(totals) <= MOST + 1


def test_a_batch_is_in_every_bucket_that_is_not_smaller() -> None:
    with SqlStore("sqlite://") as store:
        registry = Registry.open(store)
        version = registry.register("net", tiny()).version
        sizes = [1, 2, 4, 5, 4096, 4097]
        for size in sizes:
            count(version, size)
        totals = Tally().take(registry.snapshot)["net"]
    assert totals.batches == [sum(size <= most for size in sizes) for most in BUCKETS]
    assert totals.whole.batches == len(sizes)


def test_a_version_that_is_never_called_has_no_figures() -> None:
    with SqlStore("sqlite://") as store:
        registry = Registry.open(store)
        registry.register("net", tiny())
        assert Tally().take(registry.snapshot) == {}
