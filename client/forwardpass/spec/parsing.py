"""Parse a document to a checked and complete `NetworkSpec`, or report all of its faults at once.

    outline -> sizes -> keys -> lengths and names -> graph -> fields -> arrays -> NetworkSpec

All checks add to one `Faults`. The outline is read first, so that the checks of several fields work however wrong
single fields are; pydantic's models check each field; the arrays of a layer are compared when all fields are right.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ValidationError

from forwardpass.spec.checks.consistency import check_counts
from forwardpass.spec.checks.graph import check_graph
from forwardpass.spec.checks.outline import INPUTS, LayerOutline, Outline, read_outline
from forwardpass.spec.checks.sizes import check_lengths, check_sizes
from forwardpass.spec.faults import Faults, found, join, listed, quoted, resolve
from forwardpass.spec.fields.base import Context
from forwardpass.spec.fields.document import FORMAT, GroupModel, NetworkModel
from forwardpass.spec.fields.inputs_outputs import (
    ExampleModel,
    FeatureModel,
    OutputModel,
    build_feature,
    build_outputs,
    build_thresholds,
)
from forwardpass.spec.layers import ARRAYS, FILLS, KINDS, LayerModel, kind_of
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import (
    Example,
    InputGroup,
    Inputs,
    Layer,
    NetworkSpec,
    default_names,
    default_outputs,
)
from forwardpass.tensors import Array

_MAX_UNKNOWN_KEYS: Final = 64


def parse(document: Mapping[str, object], *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Check a document and return the spec of its network.

    Args:
        document: What a JSON file of the form `forwardpass.network/1` has; weights and biases may
            also be numpy arrays.
        limits: The largest accepted sizes.

    Returns:
        The spec, normalized and complete. Its arrays share memory with arrays in the document
        only where those are read-only.

    Raises:
        InvalidNetworkError: The document is not valid; `faults` has every fault with its path.
    """
    return read(document, limits=limits, faults=Faults())


def read(document: object, *, limits: Limits, faults: Faults) -> NetworkSpec:
    """Do what `parse` does, and add to the faults that were found while the document was read."""
    if not isinstance(document, Mapping):
        faults.add("spec", f"is {found(document)}; must be an object")
        raise faults.error()
    check_lengths(document, limits, faults)
    outline = read_outline(document)
    _check_keys(document, faults)
    if not check_sizes(outline, limits, faults):
        raise faults.error()
    check_counts(outline, limits, faults)
    check_graph(outline, limits, faults)
    model = _check_fields(document, Context(dtype=outline.dtype, limits=limits, features=outline.typed), faults)
    faults.check()
    if model is None:
        raise faults.error()
    _check_arrays(model, outline, faults)
    faults.check()
    return _build(model, document, outline)


def _check_keys(document: Mapping[object, object], faults: Faults) -> None:
    for path, entries, model in _objects(document):
        known = [field.alias or name for name, field in model.model_fields.items()]
        unknown = [key for key in entries if key not in known]
        for key in unknown[:_MAX_UNKNOWN_KEYS]:
            word = key if isinstance(key, str) else found(key)
            hint = faults.suggest(word, known) or f"; known are {', '.join(known)}"
            faults.add(join(path, word), f"the key {quoted(word)} is not known here{hint}")
        if len(unknown) > _MAX_UNKNOWN_KEYS:
            faults.add(path, f"has {len(unknown)} keys that are not known here")


def _objects(
    document: Mapping[object, object],
) -> Iterator[tuple[str, Mapping[object, object], type[BaseModel]]]:
    yield "spec", document, NetworkModel
    for key, model in _PARTS.items():
        parts = document.get(key)
        for index, part in enumerate(parts if isinstance(parts, list | tuple) else ()):
            known = model(part)
            if isinstance(part, Mapping) and known is not None:
                yield join("spec", key, index), part, known


_PARTS: Final[Mapping[str, Callable[[object], type[BaseModel] | None]]] = {
    "inputs": lambda _: FeatureModel,
    "input_groups": lambda _: GroupModel,
    "layers": lambda layer: KINDS.get(str(kind_of(layer))),
    "outputs": lambda _: OutputModel,
    "examples": lambda _: ExampleModel,
}
"""The model of the parts of each list, None where it is unknown."""


def _check_fields(document: Mapping[Any, object], context: Context, faults: Faults) -> NetworkModel | None:
    fields = {field.alias or name for name, field in NetworkModel.model_fields.items()}
    known = {key: value for key, value in document.items() if key in fields}
    try:
        return NetworkModel.model_validate(known, context=context)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            faults.add(resolve(document, _location(detail)), _message(detail, faults))
        return None


def _check_arrays(model: NetworkModel, outline: Outline, faults: Faults) -> None:
    """Report every number of a layer's array that does not fit the other arrays or what the layer reads."""
    for index, (layer, declared) in enumerate(zip(model.layers, outline.layers, strict=True)):
        for place, message in layer.check_arrays(declared.inputs or 0):
            faults.add(join("spec", "layers", index, *place), message)


def _location(detail: Any) -> tuple[str | int, ...]:
    """Return the location of a fault, without the kind that pydantic inserts after the index of a layer."""
    location: tuple[str | int, ...] = detail["loc"]
    if location[:1] != ("layers",) or len(location) < 2:
        return location
    return (*location[:2], "kind") if detail["type"] == "union_tag_invalid" else (*location[:2], *location[3:])


def _message(detail: Any, faults: Faults) -> str:
    kind, value, facts = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "fault":
        return str(facts["fault"])
    if kind == "missing":
        return "is missing" + _NEEDED.get(detail["loc"][-1], "")
    if kind == "too_short":
        return f"is an empty list; must have at least {facts['min_length']}"
    if kind == "literal_error":
        expected = str(facts["expected"])
        hint = faults.suggest(value, expected.split("'")[1::2]) if isinstance(value, str) else ""
        return f"is {found(value)}; must be {expected.replace(chr(39), chr(34))}{hint}"
    if kind == "union_tag_invalid":
        word = value.get("kind") if isinstance(value, Mapping) else value
        hint = faults.suggest(word, KINDS) if isinstance(word, str) else ""
        return f"is {found(word)}; must be one of {listed(KINDS)}{hint}"
    if kind == "greater_than_equal":
        return f"is {found(value)}; must be {facts['ge']} or greater"
    return f"is {found(value)}; must be {_TYPES.get(kind, 'something else')}"


_NEEDED: Final[Mapping[object, str]] = {
    "format": f'; must be "{FORMAT}"',
    "inputs": "; must be the number of inputs, or a list",
    "layers": "; must be a list of layers",
    "weights": "; must be a list of rows, one for each node",
    "input_shape": "; must be a list of the channels and the size of each axis",
    "kernel_shape": "; must be a list of the size of the kernel along each axis",
    "width": "; must be how many inputs the group has",
    "outputs": "; must be a list of numbers, one for each output",
    "name": "; must be a text",
}
_TYPES: Final[Mapping[str, str]] = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "int_type": "an integer",
    "list_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "string_type": "a text in quotes",
}


def _build(model: NetworkModel, document: Mapping[Any, Any], outline: Outline) -> NetworkSpec:
    layers: list[Layer] = []
    for part, said, known in zip(model.layers, document["layers"], outline.layers, strict=True):
        before = layers[-1].name if layers else INPUTS
        layers.append(_build_layer(part, known, before, said.get("weights"), model.dtype))
    inputs = _build_inputs(model)
    output_layers = tuple(model.output_layers) if model.output_layers is not None else (layers[-1].name,)
    defaults = default_outputs(tuple(layers), output_layers)
    return NetworkSpec(
        dtype=model.dtype,
        inputs=inputs,
        layers=tuple(layers),
        output_layers=output_layers,
        outputs=defaults if model.outputs is None else tuple(part.name for part in model.outputs),
        output_metadata=build_outputs(model.outputs or ()),
        thresholds=build_thresholds(model.threshold or (), len(defaults)),
        classes=tuple(model.classes),
        description=model.description,
        metadata=MappingProxyType(dict(sorted(model.metadata.items()))),
        tags=tuple(model.tags),
        examples=tuple(_build_example(part, inputs) for part in model.examples),
        allow_non_finite_inputs=model.allow_non_finite_inputs,
        numerics=model.numerics,
    )


def _build_layer(part: LayerModel, outline: LayerOutline, before: str, weights: object, dtype: str) -> Layer:
    kind, name = str(outline.kind), str(outline.name)
    given = {key: getattr(part, key) for key in outline.shapes}
    for key, number in FILLS[kind].items():
        if key not in given:
            given[key] = _frozen(np.full([outline.lengths[axis] for axis in ARRAYS[kind][key]], number, dtype))
    named = tuple(weights) if isinstance(weights, Mapping) else None
    nodes = tuple(part.nodes) if part.nodes is not None else named
    return Layer(
        name=name,
        kind=kind,
        arrays=MappingProxyType({key: given[key] for key in ARRAYS[kind] if key in given}),
        settings=MappingProxyType(part.settings()),
        inputs=outline.inputs or 0,
        activation=part.activation,
        nodes=nodes or default_names(name, outline.outputs or 0),
        from_=tuple(part.from_) if part.from_ is not None else (before,),
        merge=part.merge,
    )


def _build_inputs(model: NetworkModel) -> Inputs:
    features = tuple(map(build_feature, model.inputs.features or ()))
    mean = [feature.mean for feature in features]
    scale = [feature.scale for feature in features]
    return Inputs(
        width=len(features) or model.inputs.width,
        features=features,
        groups=tuple(InputGroup(name=part.name, width=part.width) for part in model.input_groups),
        mean=_frozen(np.array(mean, model.dtype)) if any(number != 0 for number in mean) else None,
        scale=_frozen(np.array(scale, model.dtype)) if any(number != 1 for number in scale) else None,
    )


def _build_example(part: ExampleModel, inputs: Inputs) -> Example:
    row = part.inputs
    if isinstance(row, Mapping):
        row = tuple(row[name] for name in inputs.names)
    return Example(inputs=row, outputs=part.outputs, tolerance=part.tolerance)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
