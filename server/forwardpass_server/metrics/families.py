"""The metrics of this server: their names, types, labels and meanings, as in the table of docs/reference/metrics.md."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from prometheus_client.metrics_core import Metric

Value: TypeAlias = tuple[str, dict[str, str], float]
"""The suffix of a sample's name (`_count`, or empty), its labels, and its number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The metrics of one name.

    Attributes:
        name: The name, which ends in the unit.
        kind: The type, as Prometheus names it.
        labels: The names of the labels.
        meaning: What the metric counts or measures.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info", "summary"]
    labels: tuple[str, ...] = ()
    meaning: str

    def metric(self, values: Iterable[Value]) -> Metric:
        """Return prometheus_client's metric with the given samples."""
        metric = Metric(self.name, self.meaning, self.kind)
        for ending, labels, number in values:
            metric.add_sample(f"{self.name}{ending}", labels, number)
        return metric


BUILD: Final = Family(
    name="forwardpass_build", kind="info", labels=("engine", "version"), meaning="The server's version and engine."
)
SERVING: Final = Family(
    name="forwardpass_serving", kind="gauge", meaning="1 while the server serves, 0 from the beginning of the drain."
)
IN_FLIGHT: Final = Family(
    name="forwardpass_calls_in_flight",
    kind="gauge",
    meaning="Calls in flight, not counting open streams.",
)
IN_FLIGHT_LIMIT: Final = Family(
    name="forwardpass_calls_in_flight_limit",
    kind="gauge",
    meaning="The bound on them, the setting `max_in_flight`.",
)
WAITING: Final = Family(
    name="forwardpass_waiting_work_seconds",
    kind="gauge",
    meaning="The work that waits for the workers, in seconds of one worker, as admission expects it.",
)
ERRORS: Final = Family(
    name="forwardpass_errors",
    kind="counter",
    labels=("reason",),
    meaning="Calls and single requests of a call that got an error, by reason (docs/reference/errors.md).",
)
CALLER_CALLS: Final = Family(
    name="forwardpass_caller_calls",
    kind="counter",
    labels=("caller",),
    meaning="Calls of methods that need a scope, and requests of streams, by the name of the token or certificate.",
)
CALLER_REJECTIONS: Final = Family(
    name="forwardpass_caller_rejections",
    kind="counter",
    labels=("caller", "reason"),
    meaning="Those that were rejected because of who makes them, or how much: `OVERLOADED`, `QUOTA_EXCEEDED`, "
    "`UNAUTHENTICATED` or `PERMISSION_DENIED`.",
)
CALLS: Final = Family(
    name="forwardpass_call_seconds",
    kind="summary",
    labels=("network",),
    meaning="Successful calls, and the seconds from the arrival of each to its response.",
)
FAILED: Final = Family(
    name="forwardpass_failed_calls",
    kind="counter",
    labels=("network",),
    meaning="Calls that got an error after their version was resolved.",
)
BATCHES: Final = Family(
    name="forwardpass_batch_rows",
    kind="histogram",
    labels=("network", "le"),
    meaning="Batches that were computed, by their rows.",
)
STAGES: Final = Family(
    name="forwardpass_stage_seconds",
    kind="counter",
    labels=("network", "stage"),
    meaning="Seconds of the stages: `decode` (with resolve), `execute` and `encode`, summed over batches; "
    "`batch`, the wait for a batch, summed over calls.",
)
REVISION: Final = Family(
    name="forwardpass_registry_revision",
    kind="gauge",
    meaning="The registry's revision that the server has read.",
)
DATABASE: Final = Family(
    name="forwardpass_database_reachable",
    kind="gauge",
    meaning="1, or 0 while the database cannot be reached and predictions are served from memory.",
)
NETWORKS: Final = Family(name="forwardpass_registry_networks", kind="gauge", meaning="Registered networks.")
VERSIONS: Final = Family(
    name="forwardpass_registry_versions",
    kind="gauge",
    labels=("state",),
    meaning="Registered versions, `in_service` or `out_of_service`.",
)
LATEST_VERSION: Final = Family(
    name="forwardpass_latest_version",
    kind="gauge",
    labels=("network",),
    meaning="The number of the version that the alias `latest` names, for each network that was called.",
)
COMPILED: Final = Family(name="forwardpass_compiled_versions", kind="gauge", meaning="Compiled versions in memory.")
COMPILED_BYTES: Final = Family(
    name="forwardpass_compiled_bytes",
    kind="gauge",
    meaning="Bytes of the compiled versions, bounded by the setting `plan_cache_bytes`.",
)

FAMILIES: Final = (
    BUILD,
    SERVING,
    IN_FLIGHT,
    IN_FLIGHT_LIMIT,
    WAITING,
    ERRORS,
    CALLER_CALLS,
    CALLER_REJECTIONS,
    CALLS,
    FAILED,
    BATCHES,
    STAGES,
    REVISION,
    DATABASE,
    NETWORKS,
    VERSIONS,
    LATEST_VERSION,
    COMPILED,
    COMPILED_BYTES,
)
"""All families, in the order in which they are exported."""

_ENDINGS: Final = {"counter": "_total", "info": "_info"}


def table() -> str:
    """Return the table of all metrics in docs/reference/metrics.md, as Markdown."""
    lines = ["| metric | type | labels | what |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        lines.append(
            f"| `{family.name}{_ENDINGS.get(family.kind, '')}` | {family.kind} | {labels} | {family.meaning} |"
        )
    return "\n".join(lines)
