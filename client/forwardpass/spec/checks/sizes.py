"""Checks of the limits, on the declared sizes, before anything of such a size is allocated."""

from collections.abc import Iterator, Mapping

import numpy as np

from forwardpass.spec.checks.outline import LayerOutline, Outline
from forwardpass.spec.faults import Faults, join
from forwardpass.spec.layers import count_numbers
from forwardpass.spec.limits import Limits
from forwardpass.spec.network import DENSE

_MAX_KEYS = 64


def check_lengths(document: Mapping[object, object], limits: Limits, faults: Faults) -> None:
    """Refuse a document with too many parts before any of them is read.

    Raises:
        InvalidNetworkError: The document has too many layers, inputs, groups or examples.
    """
    long = False
    for key, limit, things in (
        ("layers", limits.max_layers, "layers"),
        ("inputs", limits.max_width, "inputs"),
        ("input_groups", limits.max_layers, "groups"),
        ("examples", limits.max_examples, "examples"),
    ):
        parts = document.get(key)
        if isinstance(parts, list | tuple) and len(parts) > limit:
            faults.add(join("spec", key), f"has {len(parts)} {things}; at most {limit} are allowed")
            long = True
    if long:
        raise faults.error()


def check_sizes(outline: Outline, limits: Limits, faults: Faults) -> bool:
    """Report every limit that a document exceeds.

    Returns:
        Whether all lists are short enough for the other checks.
    """
    too_long = list(_too_long(outline, limits))
    for path, message in [*too_long, *_too_wide(outline, limits), *_too_heavy(outline, limits)]:
        faults.add(path, message)
    return not too_long


def _too_long(outline: Outline, limits: Limits) -> Iterator[tuple[str, str]]:
    counts = [
        ("spec.output_layers", len(outline.output_layers or ()), limits.max_layers, "layers"),
        ("spec.outputs", len(outline.outputs or ()), limits.max_width, "outputs"),
        ("spec.classes", len(outline.classes or ()), max(limits.max_width, 2), "classes"),
        ("spec.tags", len(outline.tags or ()), limits.max_tags, "tags"),
        ("spec.metadata", outline.metadata, limits.max_metadata, "entries"),
        (
            "spec.inputs",
            sum(len(each.categories) for each in outline.typed),
            limits.max_categories,
            "categories",
        ),
        ("spec.threshold", outline.thresholds or 0, limits.max_width, "numbers"),
    ]
    for index, layer in enumerate(outline.layers[: limits.max_layers]):
        path = join("spec", "layers", index)
        counts += [
            (f"{path}.nodes", layer.node_count or 0, limits.max_width, "names"),
            (f"{path}.from", len(layer.sources or ()), limits.max_layers, "layers"),
            (path, layer.keys, _MAX_KEYS, "keys"),
        ]
    for path, count, limit, things in counts:
        if count > limit:
            yield path, f"has {count} {things}; at most {limit} are allowed"


def _too_wide(outline: Outline, limits: Limits) -> Iterator[tuple[str, str]]:
    width = outline.width or 0
    if width > limits.max_width and outline.features is None:
        yield "spec.inputs", f"is {_shown(width)}; at most {limits.max_width} inputs are allowed"
    for index, layer in enumerate(outline.layers[: limits.max_layers]):
        path = join("spec", "layers", index)
        if layer.kind == DENSE:
            wide = [("weights", layer.outputs, "nodes"), ("weights", layer.inputs, "weights for each node")]
        else:
            wide = [("", layer.outputs, "nodes")]
            wide += [(key, length, "numbers") for key, shape in layer.shapes.items() for length in shape]
        for key, count, things in wide:
            if count is not None and count > limits.max_width:
                yield (
                    join(path, key) if key else path,
                    f"has {_shown(count)} {things}; at most {limits.max_width} are allowed",
                )
        padded = layer.lengths.get("padded", 0)
        if padded > limits.max_held:
            what = f"make {_shown(padded)} values of a row with their padding"
            yield join(path, "pads"), f"{what}; at most {limits.max_held} are allowed"


def _too_heavy(outline: Outline, limits: Limits) -> Iterator[tuple[str, str]]:
    products = sum((layer.outputs or 0) * layer.lengths.get("products", 0) for layer in outline.layers)
    if products > limits.max_products:
        what = f"multiply {_shown(products)} times for each row in their convolutions"
        yield "spec.layers", f"{what}; at most {limits.max_products} are allowed"
    parameters = sum(map(_parameters, outline.layers))
    size = parameters * np.dtype(outline.dtype).itemsize
    if size > limits.max_network_bytes:
        what = f"have {parameters} weights and biases, {size} bytes of {outline.dtype}"
        half = "; in float32 they have half as many" if outline.dtype == "float64" else ""
        yield "spec.layers", f"{what}; at most {limits.max_network_bytes} are allowed (`max_network_bytes`){half}"


def _parameters(layer: LayerOutline) -> int:
    return 0 if layer.kind is None else count_numbers(layer.kind, layer.shapes, layer.lengths)


def _shown(number: int) -> str:
    return str(number) if number.bit_length() < 256 else f"an integer of {number.bit_length()} bits"
