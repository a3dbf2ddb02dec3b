"""What the registry knows, as frozen values that every call may share."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from forwardpass.numerics import Numerics
from forwardpass.spec import Activation, Inputs, Output
from forwardpass.tensors import Array

from forwardpass_server.core import Layer, Plan
from forwardpass_server.registry.features import TypedFeatures
from forwardpass_server.registry.shadows import Shadowing, ShadowStatistics
from forwardpass_server.registry.statistics import NOTHING, Counted, Statistics
from forwardpass_server.registry.store import ShadowRow

MAX_NAMED = 1_000
"""Up to so many values, what is merged of them is named after them."""

LATEST = "latest"
"""The alias that an empty version means; every network has it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LoadedVersion:
    """One version, ready to compute.

    Attributes:
        name: The network's name.
        version: The version's number.
        digest: SHA-256 of the content, hexadecimal.
        plan: What the core computes.
        input_names: A name for each input.
        feature_index: Each input's place, by name.
        output_names: A name for each output.
        classes: A label for each class, or empty.
        kinds: For each layer, what it computes before its function.
        nodes: For each layer, a name for each node.
        activations: For each layer, its function as the spec says it.
        allow_non_finite: Whether NaN and infinity are accepted in inputs.
        numerics: How it is computed.
        typed: The features, where one of them is typed; else None.
        thresholds: `(outputs,)` in the plan's dtype, from which output on a class is chosen; or None.
    """

    name: str
    version: int
    digest: str
    plan: Plan
    input_names: tuple[str, ...]
    feature_index: Mapping[str, int]
    output_names: tuple[str, ...]
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    nodes: tuple[tuple[str, ...], ...]
    activations: tuple[Activation, ...]
    allow_non_finite: bool
    numerics: Numerics
    typed: TypedFeatures | None = None
    thresholds: Array | None = None

    @property
    def display_name(self) -> str:
        """What to call the version in a sentence."""
        return f"network {self.name!r} version {self.version}"

    def reads(self, layer: Layer) -> tuple[str, ...]:
        """Name the values that a layer reads; merged ones for example `max(a_0, b_0)`, where they are many `max_0`."""
        names = {"inputs": self.input_names}
        names |= {other.name: nodes for other, nodes in zip(self.plan.layers, self.nodes, strict=True)}
        start = 0
        for group, width in self.plan.groups.items():
            names[group] = self.input_names[start : start + width]
            start += width
        sources = [names[name] for name in layer.from_]
        if layer.merge is None:
            return sources[0]
        if layer.merge == "concatenate":
            return tuple(chain.from_iterable(sources))
        if len(sources) * len(sources[0]) > MAX_NAMED:
            return tuple(f"{layer.merge}_{index}" for index in range(len(sources[0])))
        return tuple(f"{layer.merge}({', '.join(values)})" for values in zip(*sources, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerSummary:
    """A layer without its numbers."""

    name: str
    kind: str
    activation: Activation
    nodes: tuple[str, ...]
    from_: tuple[str, ...]
    merge: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A spec without its numbers and examples; the attributes are the spec's, `numerics` with the server's default."""

    dtype: str
    inputs: Inputs
    layers: tuple[LayerSummary, ...]
    output_layers: tuple[str, ...]
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    description: str
    metadata: Mapping[str, str]
    tags: tuple[str, ...]
    parameter_count: int
    numerics: Numerics
    output_metadata: tuple[Output, ...]
    thresholds: tuple[float, ...]


_MAKING = threading.Lock()
"""Held for a moment where two threads may make the same thing; what the other has counted would be lost."""


class VersionRuntime:
    """What this process knows of a version beyond what the version is. Equal only to itself.

    It lives as long as its version does, so nothing is left of versions that were deleted.

    Attributes:
        loading: Held by the thread that compiles the version.
        damaged: Whether the stored content was found damaged.
        pinned: Whether the version stays in memory once it is there.
    """

    __slots__ = ("_shadowing", "_statistics", "damaged", "loading", "pinned")

    def __init__(self) -> None:
        self.loading = threading.Lock()
        self.damaged = False
        self.pinned = False
        self._statistics: Statistics | None = None
        self._shadowing: dict[str, tuple[object, ShadowStatistics]] = {}

    @property
    def statistics(self) -> Statistics:
        """What counts the calls of the version; made at the first one, since most versions are never called."""
        if self._statistics is None:
            with _MAKING:
                # mypy does not know of the other threads.
                self._statistics = self._statistics or Statistics()  # type: ignore[redundant-expr]
        return self._statistics

    @property
    def called(self) -> bool:
        """Whether there was a call of the version."""
        return self._statistics is not None

    def shadowing(self, of: str, key: object, make: Callable[[], ShadowStatistics]) -> ShadowStatistics:
        """Return what counts the version as the shadow of another; made anew where the key is another."""
        with _MAKING:
            known = self._shadowing.get(of)
            if known is None or known[0] != key:
                known = self._shadowing[of] = (key, make())
            return known[1]

    def counted(self) -> Counted:
        """Return what was counted until now."""
        return NOTHING if self._statistics is None else self._statistics.counted()


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionState:
    """One immutable version.

    Attributes:
        network: The network's name.
        number: 1, 2, 3 and so on; 0 for content that was only validated.
        digest: SHA-256 of the content, hexadecimal.
        create_time: When it was registered, UTC.
        size_bytes: The size of the content.
        in_service: Whether it answers calls.
        runtime: Where the registry notes what it has of the version in memory.
    """

    network: str
    number: int
    digest: str
    create_time: datetime
    size_bytes: int
    in_service: bool = True
    runtime: VersionRuntime = field(default_factory=VersionRuntime, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkState:
    """A named network.

    Attributes:
        name: The name.
        versions: Every version, by number, ascending.
        aliases: The number that each alias names, `latest` among them.
        create_time: When the first version was registered, UTC.
        update_time: When the network last changed, UTC.
        revision: The registry's revision after that change.
        shadows: The versions that are computed beside others, by `of`.
        references: Every way to ask for a version: its number in digits, its aliases, and
            for `latest` the empty string too.
        shadowings: Every shadow with the versions that it is about now.
    """

    name: str
    versions: Mapping[int, VersionState]
    aliases: Mapping[str, int]
    create_time: datetime
    update_time: datetime
    revision: int = 0
    shadows: tuple[ShadowRow, ...] = ()
    references: Mapping[str, VersionState] = field(init=False, repr=False, compare=False)
    shadowings: tuple[Shadowing, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the versions by reference."""
        references = {str(number): version for number, version in self.versions.items()}
        references |= {alias: self.versions[number] for alias, number in self.aliases.items()}
        references[""] = references[LATEST]
        object.__setattr__(self, "references", references)
        shadowings = [
            Shadowing(row=row, live=references[row.of], version=self.versions[row.number])
            for row in self.shadows
            if row.of in references and row.number in self.versions
        ]
        object.__setattr__(self, "shadowings", tuple(shadowings))


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkChange:
    """A network after a change, or None when it was deleted, and the revision of the change."""

    name: str
    network: NetworkState | None
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What a registration came to: the version, what it says, whether it is new, and the registry's revision."""

    version: VersionState
    summary: Summary
    created: bool
    revision: int
