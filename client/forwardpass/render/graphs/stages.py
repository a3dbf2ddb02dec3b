"""Traces, specs and versions as stages: each with its nodes, its values and its connections to the stages it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

import numpy as np

from forwardpass.render.graphs.connections import (
    Connections,
    Full,
    Listed,
    add,
    is_one_to_one,
    of_layer,
    one_to_one,
    split,
)
from forwardpass.render.graphs.values import BlockKind
from forwardpass.spec.network import DENSE, Layer
from forwardpass.tensors import Array

INPUTS: Final = "inputs"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Read:
    """What a stage reads from one other stage.

    Attributes:
        source: The other stage's key.
        connections: Weight x value, or weights where there is no row; None where they are not known.
        weights: The weights, or None where they are not known.
    """

    source: str
    connections: Connections | None = None
    weights: Connections | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stage:
    """The inputs, a layer, a merge or the outputs, with all of its nodes.

    Attributes:
        key: Unique.
        kind: What it is.
        title: The name of the layer.
        what: Its kind and function, in words.
        function: Its activation function; empty where it has none.
        names: A name for each node; empty where the nodes are not known.
        reads: The stages that it reads.
        before: `(nodes,)` pre-activations, or None.
        after: `(nodes,)` activations, or None.
        bias: `(nodes,)`, or None.
        layer: The layer of the spec, or None.
    """

    key: str
    kind: BlockKind
    title: str
    what: str = ""
    function: str = ""
    names: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    before: Array | None = None
    after: Array | None = None
    bias: Array | None = None
    layer: Layer | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerView:
    """A layer as a trace, a spec or a version has it.

    Attributes:
        name: Its name.
        kind: Its kind.
        function: Its activation function.
        nodes: A name for each node.
        from_: Its sources.
        merge: How several become one, or None.
        inputs: A name for each value that it reads; empty where they are not known.
        before: `(nodes,)` pre-activations, or None.
        after: `(nodes,)` activations, or None.
        merged: `(inputs,)` values that it reads where it merges several, or None.
        contributions: `(nodes, inputs)` weight x value, or None.
        bias: `(nodes,)`, or None.
        layer: The layer of the spec, or None.
    """

    name: str
    kind: str
    function: str
    nodes: tuple[str, ...]
    from_: tuple[str, ...]
    merge: str | None
    inputs: tuple[str, ...] = ()
    before: Array | None = None
    after: Array | None = None
    merged: Array | None = None
    contributions: Array | None = None
    bias: Array | None = None
    layer: Layer | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OutputView:
    """The outputs of a network.

    Attributes:
        names: A name for each.
        values: `(outputs,)`, or None without a row.
        layers: The layers whose nodes are the outputs; empty where they are not known.
        changed: Whether they are not simply the activations of those layers.
    """

    names: tuple[str, ...]
    values: Array | None = None
    layers: tuple[str, ...] = ()
    changed: bool = False


@dataclass(slots=True)
class _Builder:
    has_row: bool
    stages: dict[str, Stage] = field(default_factory=dict)
    segments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The stages that a name in `from` stands for."""

    def width(self, key: str) -> int:
        return len(self.stages[key].names)

    def values(self, name: str) -> Array | None:
        """Return the activations that a name in `from` stands for, or None."""
        return self.values_of(self.segments[name])

    def values_of(self, keys: Sequence[str]) -> Array | None:
        """Return the activations of stages side by side, or None."""
        known = [array for key in keys if (array := self.stages[key].after) is not None]
        return np.concatenate(known) if known and len(known) == len(keys) else None

    def add(self, stage: Stage, *names: str) -> None:
        self.stages[stage.key] = stage
        for name in names:
            self.segments[name] = (stage.key,)

    def reads(self, sources: Sequence[str], connections: Connections | None, weights: Connections | None) -> list[Read]:
        """Return what a stage reads from sources side by side."""
        keys = [key for source in sources for key in self.segments[source]]
        widths = [self.width(key) for key in keys]
        known = 0 not in widths
        parts = split(connections if known else None, widths)
        weight_parts = split(weights if known else None, widths)
        reads: dict[str, Read] = {}
        for key, part, weight in zip(keys, parts, weight_parts, strict=True):
            before = reads.get(key)
            # A stage that is read twice has edges whose numbers are the sums of both.
            reads[key] = Read(
                source=key,
                connections=part if before is None else add(before.connections, part),
                weights=weight if before is None else add(before.weights, weight),
            )
        return list(reads.values())


def build_stages(
    groups: Mapping[str, Sequence[str]],
    inputs: Array | None,
    layers: Sequence[LayerView],
    outputs: OutputView,
) -> tuple[Stage, ...]:
    """Return the stages of a network, each after those that it reads.

    Args:
        groups: The names of the inputs, by group; one group `inputs` where the network has none.
        inputs: `(inputs,)` standardized, or None.
        layers: In the network's order.
        outputs: The outputs.
    """
    builder = _Builder(has_row=inputs is not None)
    ends = list(accumulate(map(len, groups.values())))
    for (group, names), end in zip(groups.items(), ends, strict=True):
        builder.add(
            Stage(
                key=f"inputs/{group}",
                kind="inputs",
                title=group,
                names=tuple(names),
                after=None if inputs is None else inputs[end - len(names) : end],
            ),
            group,
        )
    builder.segments[INPUTS] = tuple(f"inputs/{group}" for group in groups)
    for view in layers:
        for source in view.from_:
            if source not in builder.segments:
                builder.add(_missing(source), source)
        _add_layer(builder, view)
    _add_outputs(builder, layers, outputs)
    return tuple(builder.stages.values())


def _add_layer(builder: _Builder, view: LayerView) -> None:
    sources = view.from_
    values = view.merged if view.merged is not None else None
    if view.merge not in {None, "concatenate"}:
        merge = _merge_stage(builder, view)
        builder.add(merge, merge.key)
        sources = (merge.key,)
    elif values is None and len(sources) == 1:
        values = builder.values(sources[0])
    elif values is None:
        found = [builder.values(source) for source in sources]
        known = [array for array in found if array is not None]
        values = np.concatenate(known) if len(known) == len(found) else None
    connections, weights = _connections(builder, view, values)
    builder.add(
        Stage(
            key=f"layer/{view.name}",
            kind="layer",
            title=view.name,
            what=_what(view),
            function=view.function,
            names=view.nodes,
            reads=tuple(builder.reads(sources, connections, weights)),
            before=view.before,
            after=view.after,
            bias=view.bias,
            layer=view.layer,
        ),
        view.name,
    )


def _what(view: LayerView) -> str:
    """Return the kind of a layer and its function, each only where it says something."""
    if view.kind == DENSE:
        return view.function
    return view.kind if view.function == "identity" else f"{view.kind}, {view.function}"


def _connections(
    builder: _Builder, view: LayerView, values: Array | None
) -> tuple[Connections | None, Connections | None]:
    """Return what the picture shows of a layer's edges, and its weights."""
    weights = None if view.layer is None else of_layer(view.layer, None)
    if not builder.has_row:
        return weights, weights
    if view.contributions is not None:
        mask = None if view.layer is None else view.layer.arrays.get("mask")
        return Full(view.contributions, mask), weights
    if view.layer is not None and values is not None and len(values) == view.layer.inputs:
        return of_layer(view.layer, values), weights
    if is_one_to_one(view.kind, len(view.inputs), len(view.nodes)):
        return one_to_one(len(view.nodes)), weights
    return None, weights


def _merge_stage(builder: _Builder, view: LayerView) -> Stage:
    key = f"merge/{view.name}"
    width = _merge_width(builder, view)
    names = view.inputs if len(view.inputs) == width else tuple(f"{view.merge}_{index}" for index in range(width))
    reads: list[Read] = []
    for source in dict.fromkeys(view.from_):
        numbers: Array | float = {"sum": 1.0, "mean": 1 / len(view.from_)}.get(str(view.merge), np.inf)
        values = builder.values(source)
        weights = one_to_one(width, numbers)
        if values is not None and view.merged is not None and len(values) == width:
            if view.merge == "max":
                numbers = np.where(values == view.merged, values, 0.0)
            elif view.merge != "multiply":
                numbers = values * numbers
        elif builder.has_row:
            numbers = np.inf
        reads += _segment_reads(builder, source, width, one_to_one(width, numbers), weights)
    return Stage(key=key, kind="merge", title=str(view.merge), names=names, reads=tuple(reads), after=view.merged)


def _merge_width(builder: _Builder, view: LayerView) -> int:
    if view.layer is not None:
        return view.layer.inputs
    if view.inputs:
        return len(view.inputs)
    return max((sum(builder.width(key) for key in builder.segments[source]) for source in view.from_), default=0)


def _segment_reads(builder: _Builder, source: str, width: int, connections: Listed, weights: Listed) -> list[Read]:
    keys = builder.segments[source]
    if sum(builder.width(key) for key in keys) != width:
        return [Read(source=key) for key in keys]
    return builder.reads((source,), connections, weights)


def _add_outputs(builder: _Builder, layers: Sequence[LayerView], outputs: OutputView) -> None:
    """Add the outputs, unless they are just the nodes of the last layer, which then have their names."""
    names = outputs.layers or _unread(layers)
    for name in names:
        if name not in builder.segments:
            builder.add(_missing(name), name)
    known = [key for name in names for key in builder.segments[name]]
    is_same = not outputs.changed and not _differs(builder.values_of(known), outputs)
    # A trace does not say which layers are the outputs, and may lack them; equal values do.
    fits = sum(map(builder.width, known)) == len(outputs.names) and bool(
        outputs.layers or (is_same and len(names) == 1)
    )
    if fits and is_same and len(known) == 1:
        last = builder.stages.pop(known[0])
        builder.stages[last.key] = replace(last, kind="outputs", names=outputs.names)
        return
    numbers: Array | float = np.inf
    if fits and is_same and outputs.values is not None:
        numbers = outputs.values
    connections = one_to_one(len(outputs.names), numbers) if fits else None
    builder.add(
        Stage(
            key="outputs",
            kind="outputs",
            title="outputs",
            names=outputs.names,
            reads=tuple(builder.reads(names, connections, None)),
            after=outputs.values,
        )
    )


def _missing(name: str) -> Stage:
    """Return the place of a layer that a trace does not have."""
    return Stage(key=f"missing/{name}", kind="missing", title=name, what="not traced")


def _differs(values: Array | None, outputs: OutputView) -> bool:
    if values is None or outputs.values is None:
        return False
    return not np.array_equal(values, outputs.values, equal_nan=True)


def _unread(layers: Sequence[LayerView]) -> tuple[str, ...]:
    read = {source for layer in layers for source in layer.from_}
    return tuple(layer.name for layer in layers if layer.name not in read)
