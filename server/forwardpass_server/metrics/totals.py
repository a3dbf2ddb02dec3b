"""Totals of each network, which never fall when versions are deleted, for a bounded number of networks."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from forwardpass_server.registry import BatchTotals, CollectedStatistics, Snapshot, VersionRuntime

MAX_NETWORKS: Final = 100
"""The number of networks with their own totals, those that are called first; all others share one."""

OTHER: Final = "_other"
"""The label of all other networks; no network can have this name."""

BUCKETS: Final = (1, 4, 16, 64, 256, 1024, 4096)
"""The upper bounds, in rows, of the buckets of batches."""


@dataclass(slots=True)
class Totals:
    """The statistics of several versions, summed.

    Attributes:
        whole: Their figures.
        batches: For each of `BUCKETS`, the number of batches of at most this many rows.
        errors: The number of calls that got an error.
    """

    whole: BatchTotals = field(default_factory=BatchTotals)
    batches: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    errors: int = 0

    def add(self, counted: CollectedStatistics) -> None:
        """Add the statistics of a version."""
        self.whole += counted.all_sizes
        self.errors += counted.errors
        for size, figures in counted.sizes.items():
            for place, bound in enumerate(BUCKETS):
                if size <= bound:
                    self.batches[place] += figures.batches

    def copy(self) -> "Totals":
        """Return a copy."""
        return Totals(whole=self.whole, batches=[*self.batches], errors=self.errors)


class TotalsByNetwork:
    """Sums statistics by network, those of deleted versions included, since counters must never fall."""

    def __init__(self, max_networks: int = MAX_NETWORKS) -> None:
        self._max_networks = max_networks
        self._lock = threading.Lock()
        self._named: set[str] = set()
        self._seen: dict[VersionRuntime, str] = {}
        self._deleted: defaultdict[str, Totals] = defaultdict(Totals)

    def update(self, snapshot: Snapshot) -> dict[str, Totals]:
        """Return the totals of each label, given the registry's present snapshot.

        A version that is registered, called and deleted between two updates is not counted.
        """
        with self._lock:
            counted = dict(_counted(snapshot))
            for runtime in self._seen.keys() - counted.keys():
                self._deleted[self._seen.pop(runtime)].add(runtime.collect_statistics())
            totals = defaultdict(Totals, {label: deleted.copy() for label, deleted in self._deleted.items()})
            for runtime, (network, figures) in counted.items():
                label = self._seen.setdefault(runtime, self._label(network))
                totals[label].add(figures)
            return dict(totals)

    def named(self) -> frozenset[str]:
        """Return the networks with their own totals."""
        with self._lock:
            return frozenset(self._named)

    def _label(self, network: str) -> str:
        if network not in self._named and len(self._named) >= self._max_networks:
            return OTHER
        self._named.add(network)
        return network


def _counted(snapshot: Snapshot) -> Iterator[tuple[VersionRuntime, tuple[str, CollectedStatistics]]]:
    """Yield the runtime, network and statistics of each version that was called."""
    for network in snapshot.networks.values():
        for version in network.versions.values():
            if version.runtime.has_statistics:
                yield version.runtime, (network.name, version.runtime.collect_statistics())
