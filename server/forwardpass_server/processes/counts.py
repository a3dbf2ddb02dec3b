"""The counts of a worker process as differences, which its owner adds to its own: so nothing falls if a worker dies."""

from typing import TYPE_CHECKING

from forwardpass_server.processes.messages import Counts
from forwardpass_server.registry import (
    EMPTY_STATISTICS,
    CollectedStatistics,
    Registry,
    ShadowStatistics,
    ShadowTotals,
    VersionRuntime,
)

if TYPE_CHECKING:
    from forwardpass_server.rpc import CallerCounts, ErrorMapper
    from forwardpass_server.serving import Admission

_NO_ROWS = ShadowTotals()


class Counter:
    """Collects what a worker process has counted since the last time."""

    def __init__(
        self, registry: Registry, error_mapper: "ErrorMapper", caller_counts: "CallerCounts", admission: "Admission"
    ) -> None:
        self._registry = registry
        self._error_mapper = error_mapper
        self._admission = admission
        self._caller_counts = caller_counts
        self._errors = error_mapper.counted()
        self._callers = caller_counts.counted()
        self._statistics: dict[VersionRuntime, CollectedStatistics] = {}
        self._shadows: dict[ShadowStatistics, ShadowTotals] = {}

    def collect(self, number: int) -> Counts:
        """Return what is new; called in one thread only."""
        snapshot = self._registry.snapshot
        called = {
            version.runtime: ((version.network, version.number), version.runtime.collect_statistics())
            for version in snapshot.versions()
            if version.runtime.has_statistics
        }
        statistics = {
            key: collected.since(self._statistics.get(runtime, EMPTY_STATISTICS))
            for runtime, (key, collected) in called.items()
        }
        shadowings = [each for of_version in snapshot.shadowed.values() for each in of_version]
        shadowed = {each.statistics: each.statistics.collect() for each in shadowings}
        shadows = {
            (each.live.network, each.row.of, each.live.number): shadowed[each.statistics].since(
                self._shadows.get(each.statistics, _NO_ROWS)
            )
            for each in shadowings
        }
        errors, callers = self._error_mapper.counted(), self._caller_counts.counted()
        new_by_caller, self._callers = callers.since(self._callers), callers
        new_errors = {reason: count - self._errors[reason] for reason, count in errors.items()}
        self._statistics = {runtime: collected for runtime, (_, collected) in called.items()}
        self._shadows, self._errors = shadowed, errors
        return Counts(
            number=number,
            statistics={key: each for key, each in statistics.items() if each.sizes or each.errors},
            shadows={key: each for key, each in shadows.items() if each != _NO_ROWS},
            errors={reason: count for reason, count in new_errors.items() if count},
            callers=new_by_caller,
            waiting_seconds=self._admission.seconds,
            plans=self._registry.plan_cache_size,
        )


def add_counts(counts: Counts, registry: Registry, error_mapper: "ErrorMapper", caller_counts: "CallerCounts") -> None:
    """Add the counts of a worker process to those of its owner; those of what was deleted meanwhile are dropped."""
    snapshot = registry.snapshot
    for (name, number), collected in counts.statistics.items():
        network = snapshot.networks.get(name)
        version = network and network.versions.get(number)
        if version:
            version.runtime.statistics.add(collected)
    for (name, of, live), totals in counts.shadows.items():
        for shadowing in snapshot.shadowed.get((name, live), ()):
            if shadowing.row.of == of:
                shadowing.statistics.add(totals)
    error_mapper.add(counts.errors)
    caller_counts.add(counts.callers)
