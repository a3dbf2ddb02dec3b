"""Checks of lengths that must fit one another, and of names that must differ."""

from collections.abc import Iterable, Sequence
from typing import Final

from forwardpass.spec.checks.outline import INPUTS, ExampleOutline, LayerOutline, Outline
from forwardpass.spec.faults import Faults, found, join, listed, quoted
from forwardpass.spec.feature_kinds import check_features
from forwardpass.spec.layers import ARRAYS, KINDS
from forwardpass.spec.limits import Limits
from forwardpass.spec.names import identifier_fault
from forwardpass.spec.network import default_names

_THING_OF_AXIS: Final = {"outputs": "node", "inputs": "value that the layer reads", "keys": "key", "filters": "filter"}
"""What an axis has one number for, in words."""


def check_counts(outline: Outline, limits: Limits, faults: Faults) -> None:
    """Report every length that does not fit another, and every name that appears twice."""
    _check_different("spec.inputs", outline.features, faults)
    check_features(outline.typed, faults)
    _check_groups(outline, faults)
    _check_different("spec.layers", [layer.name for layer in outline.layers], faults, key="name")
    for index, layer in enumerate(outline.layers):
        _check_layer(join("spec", "layers", index), layer, outline, limits, faults)
    for key, names in (("outputs", outline.outputs), ("classes", outline.classes), ("tags", outline.tags)):
        _check_different(f"spec.{key}", names, faults)
    outputs = _count_outputs(outline)
    _check_outputs(outline, outputs, faults)
    for index, example in enumerate(outline.examples):
        _check_example(join("spec", "examples", index), example, outline, outputs, faults)


def output_layers(outline: Outline) -> list[int | None]:
    """Return the index of each layer that is an output, None where there is no such layer."""
    if outline.output_layers is None:
        return [len(outline.layers) - 1] if outline.layers else []
    index_of = {layer.name: index for index, layer in enumerate(outline.layers) if layer.name is not None}
    return [index_of.get(name) if isinstance(name, str) else None for name in outline.output_layers]


def _count_outputs(outline: Outline) -> int | None:
    """Return how many outputs the network has, or None where that is not known."""
    widths = [None if index is None else outline.layers[index].outputs for index in output_layers(outline)]
    known = [width for width in widths if width is not None]
    return sum(known) if known and len(known) == len(widths) else None


def _check_groups(outline: Outline, faults: Faults) -> None:
    groups = outline.groups
    _check_different("spec.input_groups", [group.name for group in groups], faults, key="name")
    for index, group in enumerate(groups):
        if group.name == INPUTS:
            path = join("spec", "input_groups", index, "name")
            faults.add(path, f"{quoted(INPUTS)} is the name of all inputs; rename the group")
    widths = [group.width for group in groups if group.width is not None]
    if groups and len(widths) == len(groups) and outline.width is not None and sum(widths) != outline.width:
        faults.add(
            "spec.input_groups",
            f"have {found(sum(widths))} inputs together; must have {outline.width}, as the network has",
        )


def _check_layer(path: str, layer: LayerOutline, outline: Outline, limits: Limits, faults: Faults) -> None:
    if layer.name == INPUTS:
        faults.add(f"{path}.name", f"{quoted(INPUTS)} is the name of the network's inputs; rename the layer")
    if layer.name is not None and any(layer.name == group.name for group in outline.groups):
        faults.add(f"{path}.name", f"{quoted(layer.name)} is the name of a group of inputs; rename the layer")
    if layer.named_rows and layer.node_count is not None:
        faults.add(f"{path}.nodes", "names the nodes again, which the keys of the weights do already; leave it out")
    elif layer.named_rows:
        for node in layer.nodes:
            fault = identifier_fault(node, limits.max_name_length)
            if fault is not None:
                faults.add(join(path, "weights", node if isinstance(node, str) else found(node)), f"the key {fault}")
    else:
        _check_different(f"{path}.nodes", layer.nodes, faults)
        _check_length(f"{path}.nodes", layer.node_count, layer.outputs, "names", "node", faults)
    if layer.kind is not None:
        _check_shapes(path, layer, layer.kind, faults)


def _check_shapes(path: str, layer: LayerOutline, kind: str, faults: Faults) -> None:
    """Report every array with an axis whose length differs from that elsewhere in the layer."""
    for key, shape in layer.shapes.items():
        for axis, length in zip(ARRAYS[kind][key], shape, strict=True):
            needed = layer.lengths.get(axis)
            if len(shape) == 1 and axis in _THING_OF_AXIS:
                _check_length(join(path, key), length, needed, "numbers", _THING_OF_AXIS[axis], faults)
            elif length is not None and length != needed:
                what = "rows" if axis == "outputs" else "numbers in each row"
                faults.add(join(path, key), f"has {length} {what}; must have {needed}, as the weights have")
    for place, message in KINDS[kind].check_declared(layer.shapes, layer.reads):
        faults.add(join(path, *place), message)


def _check_outputs(outline: Outline, outputs: int | None, faults: Faults) -> None:
    given = None if outline.outputs is None else len(outline.outputs)
    last = outline.output_layers is None
    each = "node of the last layer" if last else "node of the output layers"
    _check_length("spec.outputs", given, outputs, "names", each, faults)
    if outline.outputs is None and not last:
        _check_default_outputs(outline, faults)
    classes = len(outline.classes or ())
    needed = 2 if outputs == 1 else outputs
    if classes and needed is not None and classes != needed:
        reason = (
            "2, since the network's single output is the probability of the second"
            if outputs == 1
            else f"{needed}, one for each output"
        )
        faults.add("spec.classes", f"has {classes} labels; must have {reason}")
    if outline.thresholds is not None and not classes:
        faults.add("spec.threshold", "is for classifiers; add `classes`, or leave it out")
    _check_length("spec.threshold", outline.thresholds or None, outputs, "numbers", "output", faults)


def _check_default_outputs(outline: Outline, faults: Faults) -> None:
    """Report nodes of several output layers with the same name, where the outputs have no names."""
    first: dict[object, str] = {}
    indices = output_layers(outline)
    for place, index in enumerate(indices):
        path = join("spec", "output_layers", place)
        if index is None or index in indices[:place]:
            continue
        for node in _nodes(outline.layers[index]):
            if isinstance(node, str) and first.setdefault(node, path) != path:
                other = f"has a node {quoted(node)}, as {first[node]} has"
                faults.add(path, f"{other}; name the outputs in `outputs`, or rename a node")
                break


def _nodes(layer: LayerOutline) -> Sequence[object]:
    """Return the names of a layer's nodes, given or default, as far as they are known."""
    known = layer.name is not None and layer.outputs is not None and layer.outputs <= 1_000_000
    return layer.nodes or (default_names(str(layer.name), layer.outputs or 0) if known else ())


def _check_example(path: str, example: ExampleOutline, outline: Outline, outputs: int | None, faults: Faults) -> None:
    _check_length(f"{path}.inputs", example.inputs, outline.width, "numbers", "input", faults)
    _check_length(f"{path}.outputs", example.outputs, outputs, "numbers", "output", faults)
    if example.names is not None:
        _check_names(f"{path}.inputs", example.names, outline, faults)


def _check_names(path: str, names: Sequence[object], outline: Outline, faults: Faults) -> None:
    known = _input_names(outline)
    if known is None:
        return
    for name in names:
        if name not in known:
            hint = faults.suggest(name, known) if isinstance(name, str) else ""
            faults.add(
                join(path, name if isinstance(name, str) else found(name)),
                f"the network has no such input{hint}",
            )
    given = set(names)
    missing = [name for name in known if name not in given]
    if missing:
        shown = listed(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        faults.add(path, f"has no number for {shown}")


def _input_names(outline: Outline) -> dict[str, None] | None:
    """Return the names by which an example may give the inputs, or None where not all are known."""
    if outline.features is not None:
        names = [name for name in outline.features if isinstance(name, str)]
        return dict.fromkeys(names) if len(names) == len(outline.features) else None
    if outline.width is None or outline.width > 1_000_000:
        return None
    groups = {group.name: group.width for group in outline.groups} or {"input": outline.width}
    widths = [width for name, width in groups.items() if name is not None and width is not None]
    if len(widths) < len(groups) or sum(widths) != outline.width:
        return None
    return dict.fromkeys(name for group, width in groups.items() for name in default_names(str(group), width or 0))


def _check_length(path: str, count: int | None, needed: int | None, things: str, each: str, faults: Faults) -> None:
    if count is not None and needed is not None and count != needed:
        faults.add(
            path,
            f"has {count} {things}; must have {needed}, one for each {each}",
        )


def _check_different(path: str, names: Iterable[object] | None, faults: Faults, key: str = "") -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names or ()):
        if not isinstance(name, str):
            continue
        if name in first:
            place = join(path, index, *([key] if key else []))
            faults.add(place, f"{quoted(name)} appears before, at {join(path, first[name])}")
        first.setdefault(name, index)
