"""The outline of a document: which sizes and names it declares, read without believing it.

Whatever is not as it should be is None here; its fault is found elsewhere. Nothing of a declared
size is made. Limits and everything that concerns several fields are judged on the outline.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forwardpass.spec.fields.numbers import Unreadable, common_length
from forwardpass.spec.layers import ARRAYS, KINDS
from forwardpass.spec.network import DENSE
from forwardpass.spec.typed_features import FeatureOutline, read_feature

INPUTS: Final = "inputs"
"""The name that stands for the network's inputs among the layers that a layer reads."""

CONCATENATE: Final = "concatenate"
"""The merge that puts side by side; all others go value by value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerOutline:
    """What a layer declares.

    Attributes:
        name: Its name, the default one when it says none, None when the name is wrong.
        kind: A name in `ARRAYS`, or None when it says another.
        shapes: The shape of each array of its kind that it gives, as far as it can be told.
        lengths: The length of each axis; for what it reads, that of the layers it names where they are known.
        reads: How many values those layers have together, None where that is not known.
        outputs: How many nodes it has.
        nodes: The nodes' names, from `nodes` or the keys of the weights, as far as they are texts.
        node_count: How many names `nodes` has.
        named_rows: Whether weights are given by node name.
        sources: The layers it names as those it reads, or None when it says nothing readable.
        listed_sources: Whether those are in a list.
        merge: How it merges them, None when it does not say, empty when that is no text.
        keys: How many keys it has.
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
        """How many values it reads, by what it says itself."""
        return self.lengths.get("inputs")


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupOutline:
    """What a group of inputs declares: its name and width, None where they are wrong."""

    name: str | None
    width: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleOutline:
    """What an example declares.

    Attributes:
        names: The features it names, or None when its inputs are a list.
        inputs: How many inputs it gives in a list.
        outputs: How many outputs it gives.
    """

    names: tuple[object, ...] | None
    inputs: int | None
    outputs: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """What a document declares.

    Attributes:
        dtype: `float32` or `float64`, the latter when it says nothing readable.
        width: The number of inputs.
        features: Their names as far as they are texts, or None when inputs is no list.
        typed: What each feature declares, where one of them is typed; else empty.
        groups: Each group of inputs, in order.
        layers: Each layer, in order; those that are no objects declare nothing.
        output_layers: The layers it names as outputs, or None when it names none.
        outputs: Names of outputs.
        thresholds: How many thresholds it lists, 0 for one number for all; or None.
        classes: Labels of classes.
        tags: Tags.
        metadata: How many entries metadata has.
        examples: Each example.
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
    """Read what a document declares, whatever it looks like."""
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
    named_rows = weights if isinstance(weights, Mapping) else {}
    nodes = _items(entries.get("nodes"))
    sources = entries.get("from")
    merge = entries.get("merge")
    word = entries.get("kind", DENSE)
    kind = word if isinstance(word, str) and word in ARRAYS else None
    axes = ARRAYS[kind] if kind is not None else {}
    shapes = {key: _shape(entries[key], len(axes[key])) for key in axes if entries.get(key) is not None}
    lengths = _lengths(kind, shapes, reads)
    return LayerOutline(
        name=f"layer_{index}" if name is None else (name if isinstance(name, str) else None),
        kind=kind,
        shapes=shapes,
        lengths=lengths,
        reads=reads,
        outputs=None if kind is None else KINDS[kind].count_nodes(lengths),
        nodes=tuple(nodes if nodes is not None else named_rows),
        node_count=None if nodes is None else len(nodes),
        named_rows=isinstance(weights, Mapping),
        sources=(sources,) if isinstance(sources, str) else _tuple(sources),
        listed_sources=not isinstance(sources, str),
        merge=merge if merge is None or isinstance(merge, str) else "",
        keys=len(entries),
    )


def _read_width(
    entries: Mapping[object, object], before: int | None, widths: Mapping[object, int | None]
) -> int | None:
    """Return how many values the layers have together that a layer reads, or None where that is not known."""
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
    """Return the length of each axis, by the first array that tells it."""
    # A dense layer's weights say what it reads, and are told so where that is not what there is.
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
    inputs = entries.get("inputs")
    return ExampleOutline(
        names=tuple(inputs) if isinstance(inputs, Mapping) else None,
        inputs=None if isinstance(inputs, Mapping) else _length(inputs),
        outputs=_length(entries.get("outputs")),
    )


def _name_of(part: object) -> object:
    """Return the name of a feature or output, which may be all that there is of it."""
    return part.get("name") if isinstance(part, Mapping) else part


def _count_thresholds(value: object) -> int | None:
    """Return how many thresholds there are, 0 for a number alone, which is for all classes; or None."""
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
