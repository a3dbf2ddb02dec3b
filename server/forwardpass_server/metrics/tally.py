"""Figures of networks that only grow, whatever becomes of their versions, and of a bounded number of networks."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from forwardpass_server.registry import BatchTotals, CollectedStatistics, Snapshot, VersionRuntime

MAX_NETWORKS: Final = 100
"""So many networks have figures of their own, those that are called first; all further ones have them together."""

OTHER: Final = "_other"
"""The label of the further ones; no network can have this name."""

BUCKETS: Final = (1, 4, 16, 64, 256, 1024, 4096)
"""Batches are counted by their rows, up to each of these; larger ones by themselves."""


@dataclass(slots=True)
class Totals:
    """What versions computed, added up.

    Attributes:
        whole: Their figures.
        batches: How many batches had at most so many rows, for each of `BUCKETS`.
        failures: How many calls were refused.
    """

    whole: BatchTotals = field(default_factory=BatchTotals)
    batches: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    failures: int = 0

    def add(self, counted: CollectedStatistics) -> None:
        """Add what was counted of a version."""
        self.whole += counted.all_sizes
        self.failures += counted.errors
        for size, figures in counted.sizes.items():
            for place, most in enumerate(BUCKETS):
                if size <= most:
                    self.batches[place] += figures.batches

    def copy(self) -> "Totals":
        """Return a copy to add to."""
        return Totals(whole=self.whole, batches=[*self.batches], failures=self.failures)


class Tally:
    """Adds up versions by network. A version that is deleted leaves its figures behind, as counters must never fall."""

    def __init__(self, most: int = MAX_NETWORKS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._named: set[str] = set()
        self._seen: dict[VersionRuntime, str] = {}
        self._gone: defaultdict[str, Totals] = defaultdict(Totals)

    def take(self, snapshot: Snapshot) -> dict[str, Totals]:
        """Return the totals of every label, given what is registered now.

        A version that is made, called and deleted between two such looks is not seen.
        """
        with self._lock:
            counted = dict(_counted(snapshot))
            for runtime in self._seen.keys() - counted.keys():
                self._gone[self._seen.pop(runtime)].add(runtime.collect_statistics())
            totals = defaultdict(Totals, {label: gone.copy() for label, gone in self._gone.items()})
            for runtime, (network, figures) in counted.items():
                label = self._seen.setdefault(runtime, self._label(network))
                totals[label].add(figures)
            return dict(totals)

    def named(self) -> frozenset[str]:
        """Return the networks that have figures of their own."""
        with self._lock:
            return frozenset(self._named)

    def _label(self, network: str) -> str:
        if network not in self._named and len(self._named) >= self._most:
            return OTHER
        self._named.add(network)
        return network


def _counted(snapshot: Snapshot) -> Iterator[tuple[VersionRuntime, tuple[str, CollectedStatistics]]]:
    """Find the versions that were called."""
    for network in snapshot.networks.values():
        for version in network.versions.values():
            if version.runtime.has_statistics:
                yield version.runtime, (network.name, version.runtime.collect_statistics())
