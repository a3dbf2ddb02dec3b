"""The three sources of a picture: a trace of a row, the spec of a network, a version without its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np

from forwardpass.predictions import LayerTrace, TraceValues
from forwardpass.profiles.percentiles import marks_of
from forwardpass.render.graphs.stages import INPUTS, LayerView, OutputView, Stage, build_stages
from forwardpass.spec import digest
from forwardpass.spec.network import Feature, Layer, NetworkSpec, Output

if TYPE_CHECKING:
    from forwardpass.models import FeatureInfo, LayerInfo, VersionInfo
    from forwardpass.tensors import Array

    AnyFeature: TypeAlias = Feature | FeatureInfo

Described: TypeAlias = Union[NetworkSpec, "VersionInfo"]
"""What says more of a network than a trace does: its spec, or its version without weights."""

Marks: TypeAlias = Mapping[str, Mapping[str, str]]
"""By layer, `inputs` or `outputs`, and node: why the node is marked."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    """All that a picture can show of a network.

    Attributes:
        title: The network's name and version.
        stages: Its inputs, layers, merges and outputs.
        features: One for each input, or empty.
        output_metadata: One for each output, or empty.
        classes: A label for each class, or empty.
        has_row: Whether there are values.
        has_weights: Whether there are weights.
        label: The class that is chosen, or empty.
        probability: The probability of that class.
        is_standardized: Whether the inputs may be other numbers than the caller's, which are not known.
        marks: By layer and node, why a node is marked.
    """

    title: str
    stages: tuple[Stage, ...]
    features: "tuple[AnyFeature, ...]" = ()
    output_metadata: tuple[Output, ...] = ()
    classes: tuple[str, ...] = ()
    has_row: bool = False
    has_weights: bool = False
    label: str = ""
    probability: float = 0.0
    is_standardized: bool = False
    marks: Marks = field(default_factory=dict)


@np.errstate(all="ignore")
def of_trace(trace: TraceValues, row: int, network: Described | None, marks: Marks | None = None) -> Source:
    """Return the source of one row of a trace.

    Args:
        trace: The trace.
        row: The index of the row.
        network: The spec or the version that computed it, for what the trace does not have.
        marks: By layer and node, why a node is marked; None marks the unusual ones.

    Raises:
        IndexError: The trace has no such row.
        ValueError: The trace is of another network than `network`.
    """
    if not 0 <= row < len(trace.outputs):
        raise IndexError(f"row is {row}; the trace has {len(trace.outputs)} rows, counted from 0")
    _check_same(trace, network)
    layers = {layer.name: layer for layer in network.layers} if isinstance(network, NetworkSpec) else {}
    before = (INPUTS, *(layer.name for layer in trace.layers))
    views = [
        _of_layer_trace(layer, row, layers.get(layer.name), layer.from_ or (previous,))
        for previous, layer in zip(before, trace.layers, strict=False)
    ]
    metadata = () if network is None else network.output_metadata
    said = trace.classifications[row] if trace.classifications else None
    title = f"{trace.network} version {trace.version}"
    if len(trace.outputs) > 1:
        title += f", row {row} of {len(trace.outputs)}"
    return Source(
        title=title,
        stages=build_stages(
            _groups_of_trace(trace) if network is None else _groups(network),
            trace.inputs[row],
            views,
            OutputView(
                names=trace.output_names,
                values=trace.outputs[row],
                layers=() if network is None else network.output_layers,
                changed=_is_changed(metadata),
            ),
        ),
        features=() if network is None else features_of(network),
        output_metadata=metadata,
        classes=() if network is None else _classes(network),
        has_row=True,
        has_weights=isinstance(network, NetworkSpec) or any(view.contributions is not None for view in views),
        label="" if said is None else said.label,
        probability=0.0 if said is None else said.probability,
        is_standardized=network is None,
        marks=marks_of(trace, row) if marks is None else marks,
    )


@np.errstate(all="ignore")
def of_network(network: Described, title: str) -> Source:
    """Return the source of a network without a row.

    Args:
        network: Its spec, or its version.
        title: The first line; of a version by default its name and number.
    """
    named = "network" if isinstance(network, NetworkSpec) else f"{network.network} version {network.number}"
    is_spec = isinstance(network, NetworkSpec)
    views = [_of_layer(layer) for layer in network.layers]
    return Source(
        title=title or named,
        stages=build_stages(
            _groups(network),
            None,
            views,
            OutputView(
                names=network.outputs if isinstance(network, NetworkSpec) else network.output_names,
                layers=network.output_layers,
                changed=_is_changed(network.output_metadata),
            ),
        ),
        features=features_of(network),
        output_metadata=network.output_metadata,
        classes=_classes(network),
        has_weights=is_spec,
    )


def _check_same(trace: TraceValues, network: Described | None) -> None:
    if network is None:
        return
    known = digest(network) if isinstance(network, NetworkSpec) else network.digest
    if known != trace.digest:
        raise ValueError(
            f"the trace is of {trace.network} version {trace.version}, digest {trace.digest[:12]}; "
            f"`network` has the digest {known[:12]}; get it by client.spec({trace.network!r}, version={trace.version})"
        )


def features_of(network: Described) -> "tuple[AnyFeature, ...]":
    """Return the features of a network, none where its inputs have no names."""
    return network.inputs.features if isinstance(network, NetworkSpec) else network.features


def _classes(network: Described) -> tuple[str, ...]:
    return network.classes if isinstance(network, NetworkSpec) else network.class_labels


def _groups(network: Described) -> Mapping[str, Sequence[str]]:
    if isinstance(network, NetworkSpec):
        names = network.inputs.names
        widths = {group.name: group.width for group in network.inputs.groups}
    else:
        widths = dict(network.input_groups)
        names = tuple(feature.name for feature in network.features)
        if not names:
            groups = widths or {"input": network.inputs}
            names = tuple(f"{group}_{index}" for group, width in groups.items() for index in range(width))
    return _cut(names, widths)


def _cut(names: Sequence[str], widths: Mapping[str, int]) -> Mapping[str, Sequence[str]]:
    if not widths:
        return {INPUTS: names}
    cut: dict[str, Sequence[str]] = {}
    start = 0
    for group, width in widths.items():
        cut[group] = names[start : start + width]
        start += width
    return cut


def _groups_of_trace(trace: TraceValues) -> Mapping[str, Sequence[str]]:
    """Return the groups as far as a trace tells them: by the names of what layers read from one group alone.

    A trace does not have the widths of its groups. Where layers do not tell them all, the inputs stay one group.
    """
    known = {INPUTS, *(layer.name for layer in trace.layers)}
    place = {name: index for index, name in enumerate(trace.input_names)}
    found: dict[int, tuple[str, int]] = {}
    named: set[str] = set()
    for layer in trace.layers:
        named |= {source for source in layer.from_ if source not in known}
        if len(layer.from_) == 1 and layer.from_[0] not in known and layer.inputs and layer.inputs[0] in place:
            found[place[layer.inputs[0]]] = (layer.from_[0], len(layer.inputs))
    widths: dict[str, int] = {}
    start = 0
    for first, (group, width) in sorted(found.items()):
        if first != start:
            break
        widths[group] = width
        start += width
    if start != len(trace.input_names) or not named <= set(widths):
        return {INPUTS: trace.input_names}
    return _cut(trace.input_names, widths)


def _is_changed(metadata: Sequence[Output]) -> bool:
    return any((output.scale, output.shift) != (1.0, 0.0) for output in metadata)


def _of_layer_trace(layer: LayerTrace, row: int, spec: Layer | None, from_: tuple[str, ...]) -> LayerView:
    bias = layer.bias if layer.bias is not None or spec is None else _bias_of(spec)
    return LayerView(
        name=layer.name,
        kind=layer.kind,
        function=layer.function,
        nodes=layer.nodes,
        from_=from_,
        merge=layer.merge,
        inputs=layer.inputs,
        before=layer.pre_activation[row],
        after=layer.activation[row],
        merged=None if layer.merged is None else layer.merged[row],
        contributions=None if layer.contributions is None else layer.contributions[row],
        bias=bias,
        layer=spec,
    )


def _bias_of(layer: Layer) -> "Array | None":
    """Return the bias of each node, `(nodes,)`, or None; all nodes of a filter share one, and gates are no nodes."""
    bias = layer.arrays.get("bias")
    return None if bias is None or layer.kind == "recurrent" else np.repeat(bias, layer.outputs // len(bias))


def _of_layer(layer: "Layer | LayerInfo") -> LayerView:
    bias = _bias_of(layer) if isinstance(layer, Layer) else None
    return LayerView(
        name=layer.name,
        kind=layer.kind,
        function=str(layer.activation) if isinstance(layer, Layer) else layer.function,
        nodes=layer.nodes,
        from_=layer.from_,
        merge=layer.merge,
        bias=None if bias is None or not np.any(bias) else bias,
        layer=layer if isinstance(layer, Layer) else None,
    )
