"""The outline of a document: which sizes and names it declares, read without believing it.

Whatever is not as it should be is None here; its fault is found elsewhere. Nothing of a declared
size is made. Limits and everything that concerns several fields are judged on the outline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forwardpass.spec.features import FeatureOutline, read_feature
from forwardpass.spec.numbers import Unreadable, common_length


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerOutline:
    """What a layer declares.

    Attributes:
        name: Its name, the default one when it says none, None when the name is wrong.
        outputs: Rows of weights.
        inputs: Weights in each row.
        bias: Numbers in the bias.
        nodes: The nodes' names, from `nodes` or the keys of the weights, as far as they are texts.
        node_count: How many names `nodes` has.
        named_rows: Whether weights are given by node name.
        sources: The layers it names as those it reads, or None when it says nothing readable.
        listed_sources: Whether those are in a list.
        merge: How it merges them, None when it does not say, empty when that is no text.
        keys: How many keys it has.
    """

    name: str | None
    outputs: int | None
    inputs: int | None
    bias: int | None
    nodes: tuple[object, ...]
    node_count: int | None
    named_rows: bool
    sources: tuple[object, ...] | None
    listed_sources: bool
    merge: str | None
    keys: int


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
    return Outline(
        dtype="float32" if isinstance(dtype, str) and dtype == "float32" else "float64",
        width=_count(inputs) if features is None else len(features),
        features=None if features is None else tuple(map(_name_of, features)),
        typed=typed if any(feature.is_typed for feature in typed) else (),
        groups=tuple(map(_read_group, _items(document.get("input_groups")) or ())),
        layers=tuple(_read_layer(layer, index) for index, layer in enumerate(_items(document.get("layers")) or ())),
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


def _read_layer(layer: object, index: int) -> LayerOutline:
    entries: Mapping[object, object] = layer if isinstance(layer, Mapping) else {}
    name = entries.get("name")
    weights = entries.get("weights")
    outputs, inputs = _matrix_shape(weights)
    nodes = _items(entries.get("nodes"))
    named_rows = isinstance(weights, Mapping)
    sources = entries.get("from")
    merge = entries.get("merge")
    return LayerOutline(
        name=f"layer_{index}" if name is None else (name if isinstance(name, str) else None),
        outputs=outputs,
        inputs=inputs,
        bias=_length(entries.get("bias")),
        nodes=tuple(nodes if nodes is not None else (weights if isinstance(weights, Mapping) else ())),
        node_count=None if nodes is None else len(nodes),
        named_rows=named_rows,
        sources=(sources,) if isinstance(sources, str) else _tuple(sources),
        listed_sources=not isinstance(sources, str),
        merge=merge if merge is None or isinstance(merge, str) else "",
        keys=len(entries),
    )


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
