"""The values that the client returns: frozen, with read-only arrays.

Two values are equal when all their attributes are, and their arrays have the same shape, dtype and bits. So a replayed
prediction equals the first one, NaN included. Predictions and the values of traces are defined in `predictions`, which
`render` draws; a `Trace` draws itself with `render`. An `Explanation` has the values of explanations likewise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from forwardpass._values import Value
from forwardpass.numerics import Numerics
from forwardpass.predictions import (
    Classification,
    ClassProbability,
    ExplanationValues,
    InputWarning,
    LayerAttributions,
    LayerTrace,
    Prediction,
    TraceValues,
)
from forwardpass.profiles.percentiles import find_unusual
from forwardpass.profiles.values import ProfileSummary, UnusualValue
from forwardpass.spec.feature_kinds import FeatureKind, OutOfRange
from forwardpass.spec.network import Output

__all__ = [
    "AliasMove",
    "ClassProbability",
    "Classification",
    "Event",
    "Explanation",
    "FeatureInfo",
    "InputWarning",
    "LayerAttributions",
    "LayerInfo",
    "LayerTrace",
    "NetworkChange",
    "NetworkInfo",
    "Prediction",
    "Registered",
    "RolledBack",
    "Shadow",
    "ShadowReport",
    "Trace",
    "VersionInfo",
]

Event: TypeAlias = Literal["current", "synced", "changed", "deleted"]
"""Kind of a watch's event: a network at the start, the end of the start, and the changes after it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Trace(TraceValues):
    """A prediction and every node on the way to it; `str(trace)` draws it.

    Attributes:
        outputs: `(rows, outputs)` in the network's dtype, read-only; if exact, the bits that predict gives.
        network: The network's name.
        version: The number of the version that computed the outputs.
        digest: That version's SHA-256.
        output_names: A name for each output.
        classifications: For a classifier, one for each row; otherwise empty.
        inputs: `(rows, inputs)`: the network's inputs after standardization.
        input_names: A name for each input.
        layers: The layers of the option `layers`, or all of them, in the network's order.
        numerics: `exact` when the numbers have these bits in every batch, or `fast`.
        warnings: The first hundred numbers that are out of their features' ranges.
        warning_count: How many such numbers there are in all.
        profile_rows: With the option `percentiles`, the number of rows of the version's profile; 0 if it has none.
        input_percentiles: `(rows, inputs) float64`: how usual the inputs are, from 0 to 100; None without a profile.
        output_percentiles: `(rows, outputs) float64`: how usual the outputs are; None without a profile.
    """

    def unusual(self, row: int = 0) -> tuple[UnusualValue, ...]:
        """Return the values of a row that are among the lowest or highest 0.5 % of the profile's, or outside of them.

        The most unusual come first. Without percentiles there are none.

        Raises:
            IndexError: The trace has no such row.
        """
        return find_unusual(self, row)

    def __str__(self) -> str:
        """Draw the first row's way through the network."""
        from forwardpass.render import draw_trace  # noqa: PLC0415 - only when a picture is drawn

        return draw_trace(self).text()

    def _repr_svg_(self) -> str:
        from forwardpass.render import draw_trace  # noqa: PLC0415 - only when a picture is drawn

        return draw_trace(self).svg()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Explanation(ExplanationValues):
    """The shares of the inputs in the outputs of each row.

    Where one output of each row is explained, an array has no axis for the outputs. Shares are in the unit of their
    output, or probabilities, or with the scale `logits` logits. A category is one input, with the shares of all columns
    that layers make of it.

    Attributes:
        attributions: `(rows, inputs)`, or `(rows, explained outputs, inputs)` where several outputs are explained.
        method: The method.
        scale: `outputs` or `logits`: what is divided among the inputs.
        outputs: `(rows, outputs)` in the network's dtype; if exact, the bits that predict gives.
        network: The network's name.
        version: The number of the version that computed the outputs.
        digest: That version's SHA-256.
        output_names: A name for each output of the network.
        output_classes: For a classifier, the class that each output stands for, of two classes with a single output the
            second; otherwise empty.
        classifications: For a classifier, one for each row; otherwise empty.
        input_names: A name for each input.
        input_values: `(rows, inputs)`: the inputs before standardization, with fill values where values are missing.
            That of a category is its index.
        categories: For each feature that is a category, the category of each row; empty where it is unknown.
        explained_outputs: For each row, the names of the outputs that are explained.
        explained_values: `(rows,)` or `(rows, explained outputs)`: these outputs, or their logits.
        baseline_outputs: The same of the baseline, the mean of several; None for a method without baselines.
        completeness_error: `(rows,)` or `(rows, explained outputs)`: what is missing in the sum of the shares to
            `explained_values - baseline_outputs`; None for a method whose shares do not add up to that.
        standard_error: As `attributions`, of Shapley values that are sampled; None where they are exact.
        steps: For each row and explained output, how many gradients were computed; empty for other methods.
        converged: For each row and explained output, whether the completeness error is within the tolerance; empty
            for methods without one.
        layers: The shares of the nodes of the layers that the call names.
        numerics: `exact` when the numbers have these bits in every batch, or `fast`.
        warnings: The first hundred numbers that are out of their features' ranges.
        warning_count: How many such numbers there are in all.
    """

    def __str__(self) -> str:
        """Draw the shares of the inputs of the first row."""
        from forwardpass.render import draw_attributions  # noqa: PLC0415 - only when a picture is drawn

        return draw_attributions(self).text()

    def _repr_svg_(self) -> str:
        from forwardpass.render import draw_attributions  # noqa: PLC0415 - only when a picture is drawn

        return draw_attributions(self).svg()


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureInfo:
    """One named input of a network.

    Attributes:
        name: The name by which rows give it.
        mean: Subtracted from the input before the first layer.
        scale: Divides the input after the mean is subtracted.
        unit: The unit of measurement, or empty.
        description: Its meaning, or empty.
        kind: `number`, `category` or `boolean`.
        low: The smallest number in range, or None.
        high: The largest number in range, or None.
        out_of_range: How other numbers are treated: `warn` or `refuse`.
        categories: Of a category, its categories; in a matrix of numbers, the index of one stands for it.
        missing: The fill value of a missing value: a number, 1 or 0 for true or false, a category, or `nan`;
            `refuse` where there is none.
        unknown: The fill value of a text that is no category: a category or `nan`; `refuse` where there is none.
    """

    name: str
    mean: float = 0.0
    scale: float = 1.0
    unit: str = ""
    description: str = ""
    kind: FeatureKind = "number"
    low: float | None = None
    high: float | None = None
    out_of_range: OutOfRange = "warn"
    categories: tuple[str, ...] = ()
    missing: float | str = "refuse"
    unknown: float | str = "refuse"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LayerInfo(Value):
    """A layer without its weights.

    Attributes:
        name: The layer's name.
        width: The number of nodes.
        function: The activation function with its parameters, for example `relu`.
        parameters: The function's parameters.
        nodes: A name for each node.
        from_: The sources of the layer: layers, groups of inputs, or `inputs` for all inputs.
        merge: How several become one: `sum`, `concatenate`, `multiply`, `mean` or `max`; None where there is one.
        kind: The kind of the layer: `dense`, `batch_norm` and so on.
    """

    name: str
    width: int
    function: str
    parameters: Mapping[str, float]
    nodes: tuple[str, ...]
    from_: tuple[str, ...] = ()
    merge: str | None = None
    kind: str = "dense"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadow:
    """A version that is computed beside another one and compared with it; its outputs are never returned.

    Attributes:
        of: Whose rows: a version's number, or an alias, which means the version that it names at the time.
        version: The number of the version that is computed beside it.
        share: Which share of the rows, above 0 and up to 1.
        tolerance: A difference is accepted up to this much times `max(1, |returned number|)`.
        set_time: Since when, in UTC.
    """

    of: str
    version: int
    share: float
    tolerance: float
    set_time: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowReport:
    """A shadow and one server's counts of its rows.

    Counted since the server started, the shadow was set, or its alias moved, whichever was last.

    Attributes:
        shadow: The shadow.
        of_version: The version whose rows it is computed on now.
        rows: The rows that were computed for callers.
        sampled: Those of them that were drawn, each with the shadow's share as its chance.
        compared: Those drawn that were computed.
        dropped: Those drawn that were not computed, since the server had no time.
        failed: Those drawn that could not be computed.
        beyond: Compared ones with an output that differs by more than the tolerance allows.
        relabeled: Compared ones with another label.
        worst_absolute: The largest difference of two numbers.
        failure: Why rows could last not be computed; empty when all could.
    """

    shadow: Shadow
    of_version: int
    rows: int
    sampled: int
    compared: int
    dropped: int
    failed: int
    beyond: int
    relabeled: int
    worst_absolute: float
    failure: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class VersionInfo(Value):
    """One immutable version of a network, without its weights.

    Attributes:
        network: The network's name.
        number: 1, 2, 3 and so on, never given twice; 0 for content that was only validated.
        digest: SHA-256 of the canonical content, 64 hexadecimal digits.
        create_time: When it was registered, in UTC; None for content that was only validated.
        aliases: The aliases that name it.
        dtype: `float32` or `float64`: the arithmetic of the network.
        inputs: The number of inputs.
        features: One for each input, or empty when the inputs have no names.
        layers: The layers in short.
        input_groups: The width of each group of inputs, in order, or empty.
        output_layers: The layers whose nodes, side by side, are the outputs.
        shadow_of: Beside which versions it is computed.
        output_names: A name for each output.
        class_labels: A label for each class, or empty when the network is no classifier.
        parameter_count: The number of weights and biases.
        size_bytes: The size of the canonical content.
        description: The purpose of the network.
        metadata: Facts of the owner's choice.
        tags: Words to find the network by.
        corrupt: Whether the stored content is damaged; then every use of it is rejected.
        numerics: `exact` when a row has the same bits in every batch, or `fast`.
        in_service: Whether it computes requests.
        output_metadata: The unit, description and scale of each output, or empty.
        thresholds: From which output on a class is chosen; empty where that is 0.5, or the largest output's.
        profile: The profile that it has, or None.
    """

    network: str
    number: int
    digest: str
    create_time: datetime | None
    aliases: tuple[str, ...]
    dtype: str
    inputs: int
    features: tuple[FeatureInfo, ...]
    layers: tuple[LayerInfo, ...]
    output_names: tuple[str, ...]
    class_labels: tuple[str, ...]
    parameter_count: int
    size_bytes: int
    description: str
    metadata: Mapping[str, str]
    tags: tuple[str, ...]
    corrupt: bool
    numerics: Numerics = "exact"
    in_service: bool = True
    input_groups: Mapping[str, int] = field(default_factory=dict)
    output_layers: tuple[str, ...] = ()
    shadow_of: tuple[Shadow, ...] = ()
    output_metadata: tuple[Output, ...] = ()
    thresholds: tuple[float, ...] = ()

    def _repr_svg_(self) -> str:
        from forwardpass.render import draw_network  # noqa: PLC0415 - only when a picture is drawn

        return draw_network(self).svg()

    profile: ProfileSummary | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class NetworkInfo(Value):
    """A named network: its versions in numbers, and its aliases.

    Attributes:
        name: The network's name.
        latest_version: The version that the alias `latest` names.
        aliases: Every alias with the version it names, `latest` among them.
        version_count: How many versions there are, deleted ones not counted.
        create_time: When the first version was registered, in UTC.
        update_time: When the network last changed, in UTC.
        description: The description of the latest version.
        shadows: The versions that are computed beside others.
    """

    name: str
    latest_version: int
    aliases: Mapping[str, int]
    version_count: int
    create_time: datetime
    update_time: datetime
    description: str
    shadows: tuple[Shadow, ...] = ()

    def _repr_html_(self) -> str:
        from forwardpass.render.numerals import count  # noqa: PLC0415 - only when a table is shown
        from forwardpass.render.tables import html_table  # noqa: PLC0415

        changed = self.update_time.isoformat(sep=" ", timespec="seconds")
        facts = [count(self.version_count, "version"), f"changed {changed}", self.description]
        rows = [(alias, str(version)) for alias, version in sorted(self.aliases.items())]
        return html_table(self.name, ("alias", "version"), rows, " · ".join(filter(None, facts)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """Result of a registration.

    Attributes:
        version: The number of the version, new or found; 0 for content that was only validated.
        info: The version without its weights.
        created: Whether the call made the version; False when the network had this content
            already, or when it was only validated.
        revision: The registry's revision, which grows with each change.
    """

    version: int
    info: VersionInfo
    created: bool
    revision: int

    @property
    def digest(self) -> str:
        """SHA-256 of the version's canonical content."""
        return self.info.digest


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasMove:
    """A moment at which an alias began to name a version.

    Attributes:
        version: The version's number.
        time: When it was, in UTC; None where that was not noted.
        rollback: Whether a rollback did it.
        deleted: Whether the version was deleted since.
    """

    version: int
    time: datetime | None
    rollback: bool = False
    deleted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """Result of a rollback.

    Attributes:
        network: The network as it then is.
        from_version: The version that the alias named until then.
        to_version: The version that it names again.
    """

    network: NetworkInfo
    from_version: int
    to_version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkChange:
    """Event of a watch.

    Attributes:
        event: `current` for each network at the start, `synced` when those are complete, then
            `changed` (or new) and `deleted`.
        name: The network's name; empty with `synced`.
        network: The network after it happened; None with `synced` and `deleted`.
        revision: The registry's revision that this state belongs to.
    """

    event: Event
    name: str
    network: NetworkInfo | None
    revision: int
