"""The collector of a server's metrics, which reads its counts at each scrape."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from forwardpass_server.metrics import families
from forwardpass_server.metrics.families import FAMILIES, Family, Value
from forwardpass_server.metrics.totals import BUCKETS, Totals, TotalsByNetwork
from forwardpass_server.registry import LATEST, Registry, Snapshot
from forwardpass_server.rpc import CallerCounts, ErrorMapper, Health, InFlight
from forwardpass_server.serving import Admission

if TYPE_CHECKING:
    from forwardpass_server.processes import ProcessPool

_ByNetwork: TypeAlias = Callable[[str, Totals], list[Value]]


class ServerCollector(Collector):
    """Collects the metrics of one server. May be used by several threads."""

    def __init__(
        self,
        registry: Registry,
        *,
        health: Health,
        in_flight: InFlight,
        admission: Admission,
        error_mapper: ErrorMapper,
        caller_counts: CallerCounts,
        engine: str,
        version: str,
        processes: "ProcessPool | None" = None,
    ) -> None:
        self._registry = registry
        self._health = health
        self._in_flight = in_flight
        self._admission = admission
        self._error_mapper = error_mapper
        self._caller_counts = caller_counts
        self._build = {"engine": engine, "version": version}
        self._processes = processes
        self._totals = TotalsByNetwork()

    def collect(self) -> Iterator[Metric]:
        """Yield all families with their values."""
        if self._processes is not None:
            self._processes.collect()
        values = self._of_server() | self._of_registry(self._registry.snapshot)
        return (family.metric(values[family]) for family in FAMILIES)

    def describe(self) -> list[Metric]:
        """Return the families without values, so that prometheus_client finds duplicates without a scrape."""
        return [family.metric([]) for family in FAMILIES]

    def _of_server(self) -> dict[Family, list[Value]]:
        callers = self._caller_counts.counted()
        waiting = self._admission.seconds + (self._processes.waiting_seconds if self._processes else 0.0)
        return {
            families.BUILD: [("_info", self._build, 1)],
            families.SERVING: _one(self._health.serving),
            families.IN_FLIGHT: _one(self._in_flight.total),
            families.IN_FLIGHT_LIMIT: _one(self._in_flight.limit),
            families.WAITING: _one(waiting),
            families.ERRORS: _labelled("reason", self._error_mapper.counted(), "_total"),
            families.CALLER_CALLS: _labelled("caller", callers.calls, "_total"),
            families.CALLER_REJECTIONS: [
                ("_total", {"caller": caller, "reason": reason}, number)
                for (caller, reason), number in callers.rejections.items()
            ],
        }

    def _of_registry(self, snapshot: Snapshot) -> dict[Family, list[Value]]:
        totals = self._totals.update(snapshot)
        named = sorted(self._totals.named() & snapshot.networks.keys())
        count, size = self._registry.plan_cache_size
        if self._processes is not None:
            more, bytes_more = self._processes.plans
            count, size = count + more, size + bytes_more
        states = [version.in_service for network in snapshot.networks.values() for version in network.versions.values()]
        in_service = sum(states)
        versions = {"in_service": in_service, "out_of_service": len(states) - in_service}
        latest = {name: snapshot.networks[name].aliases[LATEST] for name in named}
        return {
            **{
                family: [*chain.from_iterable(values(label, totals[label]) for label in sorted(totals))]
                for family, values in _BY_NETWORK.items()
            },
            families.REVISION: _one(snapshot.revision),
            families.DATABASE: _one(self._registry.database_reachable),
            families.NETWORKS: _one(len(snapshot.networks)),
            families.VERSIONS: _labelled("state", versions),
            families.LATEST_VERSION: _labelled("network", latest),
            families.COMPILED: _one(count),
            families.COMPILED_BYTES: _one(size),
        }


def _one(number: float) -> list[Value]:
    return [("", {}, number)]


def _labelled(label: str, numbers: Mapping[str, float], ending: str = "") -> list[Value]:
    return [(ending, {label: value}, number) for value, number in numbers.items()]


def _calls(network: str, totals: Totals) -> list[Value]:
    labels = {"network": network}
    return [("_count", labels, totals.whole.calls), ("_sum", labels, totals.whole.total_seconds)]


def _failed(network: str, totals: Totals) -> list[Value]:
    return [("_total", {"network": network}, totals.errors)]


def _batches(network: str, totals: Totals) -> list[Value]:
    labels = {"network": network}
    bounds = [*map(str, BUCKETS), "+Inf"]
    counts = [*totals.batches, totals.whole.batches]
    return [
        *(("_bucket", labels | {"le": bound}, count) for bound, count in zip(bounds, counts, strict=True)),
        ("_count", labels, totals.whole.batches),
        ("_sum", labels, totals.whole.rows),
    ]


def _stages(network: str, totals: Totals) -> list[Value]:
    whole = totals.whole
    stages = {
        "decode": whole.input_seconds,
        "batch": whole.queue_seconds,
        "execute": whole.infer_seconds,
        "encode": whole.output_seconds,
    }
    # The wait is a difference of readings of the clock, which may be slightly negative.
    return [("_total", {"network": network, "stage": stage}, max(0.0, time)) for stage, time in stages.items()]


_BY_NETWORK: dict[Family, _ByNetwork] = {
    families.CALLS: _calls,
    families.FAILED: _failed,
    families.BATCHES: _batches,
    families.STAGES: _stages,
}
