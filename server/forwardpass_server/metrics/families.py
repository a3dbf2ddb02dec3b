"""Every metric of our own: its name, kind, labels and meaning. docs/reference/metrics.md has this table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from prometheus_client.metrics_core import Metric

Value: TypeAlias = tuple[str, dict[str, str], float]
"""What a name ends in (`_count`, or empty), the labels, and the number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Metrics of one name.

    Attributes:
        name: The name; its unit stands at the end.
        kind: What Prometheus calls its type.
        labels: The names of its labels.
        meaning: What it counts or measures.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info", "summary"]
    labels: tuple[str, ...] = ()
    meaning: str

    def metric(self, values: Iterable[Value]) -> Metric:
        """Make what is exported."""
        metric = Metric(self.name, self.meaning, self.kind)
        for ending, labels, number in values:
            metric.add_sample(f"{self.name}{ending}", labels, number)
        return metric


BUILD: Final = Family(
    name="forwardpass_build", kind="info", labels=("engine", "version"), meaning="The server's version and engine."
)
SERVING: Final = Family(
    name="forwardpass_serving", kind="gauge", meaning="1 while calls are wanted, 0 from the beginning of the drain."
)
IN_FLIGHT: Final = Family(
    name="forwardpass_calls_in_flight",
    kind="gauge",
    meaning="Calls that are being answered, but for open streams.",
)
IN_FLIGHT_LIMIT: Final = Family(
    name="forwardpass_calls_in_flight_limit", kind="gauge", meaning="How many may be, the setting `max_in_flight`."
)
REFUSALS: Final = Family(
    name="forwardpass_refusals",
    kind="counter",
    labels=("reason",),
    meaning="Calls and single requests of a call that got an error, by reason (docs/reference/errors.md).",
)
CALLS: Final = Family(
    name="forwardpass_call_seconds",
    kind="summary",
    labels=("network",),
    meaning="Calls that were answered with numbers, and seconds from their arrival to their answer.",
)
FAILED: Final = Family(
    name="forwardpass_failed_calls",
    kind="counter",
    labels=("network",),
    meaning="Calls that were refused once their version was known.",
)
BATCHES: Final = Family(
    name="forwardpass_batch_rows",
    kind="histogram",
    labels=("network", "le"),
    meaning="Matrices that were computed, by their rows.",
)
STAGES: Final = Family(
    name="forwardpass_stage_seconds",
    kind="counter",
    labels=("network", "stage"),
    meaning="Where the time went: `queue`, added up over calls; and `input`, `compute`, `output`, over batches.",
)
REVISION: Final = Family(
    name="forwardpass_registry_revision", kind="gauge", meaning="How many changes of the registry this server has seen."
)
DATABASE: Final = Family(
    name="forwardpass_database_reachable",
    kind="gauge",
    meaning="0 since the database gave no answer, while predictions go on from memory; else 1.",
)
NETWORKS: Final = Family(name="forwardpass_registry_networks", kind="gauge", meaning="Networks that are registered.")
VERSIONS: Final = Family(
    name="forwardpass_registry_versions",
    kind="gauge",
    labels=("state",),
    meaning="Versions that are registered, `in_service` or `out_of_service`.",
)
LATEST_VERSION: Final = Family(
    name="forwardpass_latest_version",
    kind="gauge",
    labels=("network",),
    meaning="The number of the version that `latest` names, of networks that were called.",
)
COMPILED: Final = Family(
    name="forwardpass_compiled_versions", kind="gauge", meaning="Versions that are in memory, ready to compute."
)
COMPILED_BYTES: Final = Family(
    name="forwardpass_compiled_bytes",
    kind="gauge",
    meaning="Bytes that they take, bounded by the setting `plan_cache_bytes`.",
)

FAMILIES: Final = (
    BUILD,
    SERVING,
    IN_FLIGHT,
    IN_FLIGHT_LIMIT,
    REFUSALS,
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
"""All of them, in the order in which they are exported."""

_ENDINGS: Final = {"counter": "_total", "info": "_info"}


def table() -> str:
    """Return docs/reference/metrics.md's table of all metrics, in Markdown."""
    lines = ["| metric | type | labels | what |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        lines.append(
            f"| `{family.name}{_ENDINGS.get(family.kind, '')}` | {family.kind} | {labels} | {family.meaning} |"
        )
    return "\n".join(lines)
