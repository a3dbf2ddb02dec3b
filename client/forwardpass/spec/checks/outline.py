"""The outline of a document: the sizes and names that it declares, before they are checked.

A part that has the wrong type is None in the outline; the check of its field reports it. Reading the outline allocates
nothing of a declared size. The limits and all checks of several fields work on the outline, so one wrong field does
not hide the faults of others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forwardpass.spec.feature_kinds import FeatureOutline, read_feature
from forwardpass.spec.fields.numbers import Unreadable, common_length, example_inputs
from forwardpass.spec.layers import ARRAYS, KINDS
from forwardpass.spec.network import DENSE

INPUTS: Final = "inputs"
"""The name by which a layer reads all inputs."""

CONCATENATE: Final = "concatenate"
"""The merge that puts its sources side by side; all others go value by value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerOutline:
    """The outline of a layer.

    Attributes:
        name: The name; the default where it is left out, None where it is no text.
        kind: A name in `KINDS`, or None for any other.
        shapes: The shape of each array of the kind that the layer has, None for each unknown length.
        lengths: The length of each axis, as far as it is known.
        reads: How many values the layer's sources have together, None where it is not known.
        outputs: The number of nodes.
        nodes: The names of the nodes, from `nodes` or the keys of the weights.
        node_count: The number of names in `nodes`.
        named_rows: Whether the weights are given by node name.
        sources: The names in `from`, or None where it is left out or has the wrong type.
        listed_sources: Whether `from` is a list.
        merge: The merge, None where it is left out, empty where it is no text.
        keys: The number of keys.
    """

    name: str | None
    kind: str | None
    shapes: Mapping[str, tuple[int | None, ...]]
    lengths: Mapping[str, int]
    reads: int | None
    outputs: int | None
    nodes: tuple[object, ...]
    node_count: int | None
    named_rows: bool
    sources: tuple[object, ...] | None
    listed_sources: bool
    merge: str | None
    keys: int

    @property
    def inputs(self) -> int | None:
        """The number of values that the layer reads."""
        return self.lengths.get("inputs")


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupOutline:
    """The outline of a group of inputs; None for a name or width of the wrong type."""

    name: str | None
    width: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleOutline:
    """The outline of an example.

    Attributes:
        names: The names of its inputs, or None where the inputs are a list.
        inputs: The number of inputs in a list.
        outputs: The number of outputs.
    """

    names: tuple[object, ...] | None
    inputs: int | None
    outputs: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """The outline of a document.

    Attributes:
        dtype: `float32` or `float64`; the latter where the document has neither.
        width: The number of inputs.
        features: The names of the features, or None where `inputs` is no list.
        typed: The declaration of each feature where at least one of them is typed; else empty.
        groups: The groups of inputs, in order.
        layers: The layers, in order; a layer that is no object has an empty outline.
        output_layers: The names of the output layers, or None where they are left out.
        outputs: The names of the outputs.
        thresholds: The number of thresholds in a list, 0 for one number for all, or None.
        classes: The labels of the classes.
        tags: The tags.
        metadata: The number of entries of metadata.
        examples: The examples.
    """

    dtype: str
    width: int | None
    features: tuple[object, ...] | None
    typed: tuple[FeatureOutline, ...]
    groups: tuple[GroupOutline, ...]
    layers: tuple[LayerOutline, ...]
    output_layers: tuple[object, ...] | None
    outputs: tuple[object, ...] | None
    thresholds: int | None
    classes: tuple[object, ...] | None
    tags: tuple[object, ...] | None
    metadata: int
    examples: tuple[ExampleOutline, ...]


def read_outline(document: Mapping[str, object]) -> Outline:
    """Read the outline of a document, whatever types its parts have."""
    inputs = document.get("inputs")
    features = _items(inputs)
    typed = tuple(map(read_feature, features or ()))
    outputs = _items(document.get("outputs"))
    dtype = document.get("dtype")
    metadata = document.get("metadata")
    width = _count(inputs) if features is None else len(features)
    groups = tuple(map(_read_group, _items(document.get("input_groups")) or ()))
    return Outline(
        dtype="float32" if isinstance(dtype, str) and dtype == "float32" else "float64",
        width=width,
        features=None if features is None else tuple(map(_name_of, features)),
        typed=typed if any(feature.is_typed for feature in typed) else (),
        groups=groups,
        layers=tuple(_read_layers(_items(document.get("layers")) or (), width, groups)),
        output_layers=_tuple(document.get("output_layers")),
        outputs=None if outputs is None else tuple(map(_name_of, outputs)),
        thresholds=_count_thresholds(document.get("threshold")),
        classes=_tuple(document.get("classes")),
        tags=_tuple(document.get("tags")),
        metadata=len(metadata) if isinstance(metadata, Mapping) else 0,
        examples=tuple(map(_read_example, _items(document.get("examples")) or ())),
    )


def _read_group(group: object) -> GroupOutline:
    entries: Mapping[object, object] = group if isinstance(group, Mapping) else {}
    name = entries.get("name")
    return GroupOutline(name=name if isinstance(name, str) else None, width=_count(entries.get("width")))


def _read_layers(layers: Sequence[object], width: int | None, groups: Iterable[GroupOutline]) -> Iterator[LayerOutline]:
    widths: dict[object, int | None] = {INPUTS: width, **{group.name: group.width for group in groups}}
    before = width
    for index, layer in enumerate(layers):
        entries: Mapping[object, object] = layer if isinstance(layer, Mapping) else {}
        outline = _read_layer(entries, index, _read_width(entries, before, widths))
        before = outline.outputs
        widths.setdefault(outline.name, before)
        yield outline


def _read_layer(entries: Mapping[object, object], index: int, reads: int | None) -> LayerOutline:
    name = entries.get("name")
    weights = entries.get("weights")
    nodes = _items(entries.get("nodes"))
    sources = entries.get("from")
    merge = entries.get("merge")
    word = entries.get("kind", DENSE)
    kind = word if isinstance(word, str) and word in ARRAYS else None
    named_rows = weights if isinstance(weights, Mapping) and kind == DENSE else {}
    axes = ARRAYS[kind] if kind is not None else {}
    shapes = {key: _shape(entries[key], len(axes[key])) for key in axes if entries.get(key) is not None}
    lengths = _lengths(kind, shapes, reads)
    if kind is not None:
        lengths |= KINDS[kind].declared_lengths(entries)
    return LayerOutline(
        name=f"layer_{index}" if name is None else (name if isinstance(name, str) else None),
        kind=kind,
        shapes=shapes,
        lengths=lengths,
        reads=reads,
        outputs=None if kind is None else KINDS[kind].count_nodes(lengths),
        nodes=tuple(nodes if nodes is not None else named_rows),
        node_count=None if nodes is None else len(nodes),
        named_rows=isinstance(weights, Mapping) and kind == DENSE,
        sources=(sources,) if isinstance(sources, str) else _tuple(sources),
        listed_sources=not isinstance(sources, str),
        merge=merge if merge is None or isinstance(merge, str) else "",
        keys=len(entries),
    )


def _read_width(
    entries: Mapping[object, object], before: int | None, widths: Mapping[object, int | None]
) -> int | None:
    """Return how many values the sources of a layer have together, or None where it is not known."""
    sources = entries.get("from")
    if sources is None:
        return before
    names = (sources,) if isinstance(sources, str) else _tuple(sources) or ()
    known = [width for name in names if isinstance(name, str) and (width := widths.get(name)) is not None]
    if not known or len(known) != len(names):
        return None
    if len(known) > 1 and entries.get("merge") == CONCATENATE:
        return sum(known)
    return known[0] if len(set(known)) == 1 else None


def _lengths(kind: str | None, shapes: Mapping[str, tuple[int | None, ...]], reads: int | None) -> dict[str, int]:
    """Return the length of each axis, from the first array that has it."""
    # The weights of a dense layer come first; `graph` reports where its sources have another width.
    lengths = {"inputs": reads} if reads is not None and kind != DENSE else {}
    for key, shape in shapes.items():
        for axis, length in zip(ARRAYS[kind or DENSE][key], shape, strict=True):
            if length is not None:
                lengths.setdefault(axis, length)
    if kind == DENSE and reads is not None:
        lengths.setdefault("inputs", reads)
    return lengths


def _read_example(example: object) -> ExampleOutline:
    entries: Mapping[object, object] = example if isinstance(example, Mapping) else {}
    inputs = example_inputs(entries.get("inputs"))
    return ExampleOutline(
        names=tuple(inputs) if isinstance(inputs, Mapping) else None,
        inputs=None if isinstance(inputs, Mapping) else _length(inputs),
        outputs=_length(entries.get("outputs")),
    )


def _name_of(part: object) -> object:
    """Return the name of a feature or output, which may be given by its name alone."""
    return part.get("name") if isinstance(part, Mapping) else part


def _count_thresholds(value: object) -> int | None:
    """Return the number of thresholds, 0 for a number alone, which is for all classes; or None."""
    items = _items(value)
    return (None if value is None else 0) if items is None else len(items)


def _matrix_shape(weights: object) -> tuple[int | None, int | None]:
    if isinstance(weights, np.ndarray | Unreadable):
        shape = weights.shape
        return (shape[0], shape[1]) if shape is not None and len(shape) == 2 else (None, None)
    rows = list(weights.values()) if isinstance(weights, Mapping) else _items(weights)
    if not rows:
        return None, None
    return len(rows), common_length(rows)


def _shape(value: object, axes: int) -> tuple[int | None, ...]:
    return _matrix_shape(value) if axes == 2 else (_length(value),)


def _length(value: object) -> int | None:
    if isinstance(value, np.ndarray | Unreadable):
        return value.shape[0] if value.shape is not None and len(value.shape) == 1 else None
    items = _items(value)
    return None if items is None else len(items)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _items(value: object) -> Sequence[object] | None:
    return value if isinstance(value, list | tuple) else None


def _tuple(value: object) -> tuple[object, ...] | None:
    items = _items(value)
    return None if items is None else tuple(items)
