"""BatchTotals by network: they never fall, none is lost that was seen, and their number is bounded."""

import time
from collections import Counter
from datetime import UTC, datetime

from forwardpass_server.metrics.totals import BUCKETS, OTHER, Totals, TotalsByNetwork
from forwardpass_server.registry import NetworkState, Snapshot, VersionState
from forwardpass_server.registry.snapshot import version_state
from forwardpass_server.registry.storage.store import VersionRow
from hypothesis import given
from hypothesis import strategies as st

MAX = 3
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = tuple(f"net-{number}" for number in range(MAX + 2))


def count(version: VersionState, rows: int) -> None:
    now = time.monotonic()
    version.runtime.statistics.count_batch(rows, [now], begun=now, read=0.0, infer=0.5, output=0.0)


class Networks:
    """Networks of one version each, as a registry would have them."""

    def __init__(self) -> None:
        self.snapshot = Snapshot.of({}, 0)

    def version(self, name: str) -> VersionState:
        """Return a network's version, which is made if it is not there."""
        if name not in self.snapshot.networks:
            row = VersionRow(number=1, digest=name, create_time=MOMENT, size_bytes=1)
            version = version_state(name, row)
            network = NetworkState(
                name=name, versions={1: version}, aliases={"latest": 1}, create_time=MOMENT, update_time=MOMENT
            )
            self.snapshot = self.snapshot.with_changes({name: network}, self.snapshot.revision + 1)
        return self.snapshot.network(name).versions[1]

    def delete(self, name: str) -> None:
        self.snapshot = self.snapshot.with_changes({name: None}, self.snapshot.revision + 1)


def numbers(totals: Totals) -> list[float]:
    whole = totals.whole
    return [whole.calls, whole.rows, whole.batches, whole.infer_seconds, totals.errors, *totals.batches]


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
    networks, by_network = Networks(), TotalsByNetwork(MAX)
    calls: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    before: dict[str, Totals] = {}
    for action, name, number in steps:
        version = networks.version(name)
        label = name if name in by_network.named() or len(by_network.named()) < MAX else OTHER
        if action == "call":
            count(version, number)
            calls[label] += 1
            rows[label] += number
        elif action == "refuse":
            version.runtime.statistics.count_error(time.monotonic())
            failures[label] += 1
        else:
            networks.delete(name)
        totals = by_network.update(networks.snapshot)
        for known, totals_before in before.items():
            pairs = zip(numbers(totals_before), numbers(totals[known]), strict=True)
            assert all(old <= new for old, new in pairs)
        before = totals
        assert {label: found.whole.calls for label, found in totals.items() if found.whole.calls} == calls
        assert {label: found.whole.rows for label, found in totals.items() if found.whole.rows} == rows
        assert {label: found.errors for label, found in totals.items() if found.errors} == failures
        assert len(totals) <= MAX + 1


def test_a_batch_is_in_every_bucket_that_is_not_smaller() -> None:
    networks = Networks()
    sizes = [1, 2, 4, 5, 4096, 4097]
    for size in sizes:
        count(networks.version("net"), size)
    totals = TotalsByNetwork().update(networks.snapshot)["net"]
    assert totals.batches == [sum(size <= most for size in sizes) for most in BUCKETS]
    assert totals.whole.batches == len(sizes)


def test_a_version_that_is_never_called_has_no_figures() -> None:
    networks = Networks()
    networks.version("net")
    assert TotalsByNetwork().update(networks.snapshot) == {}
