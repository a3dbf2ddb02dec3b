"""Convert specs to the message `forwardpass.v1.NetworkSpec` and back. Reading does not copy the bytes of tensors."""

import re
from collections.abc import MutableSequence
from typing import Any, Final, cast

from forwardpass.errors import DtypeMismatchError, Fault, InvalidNetworkError, InvalidTensorError
from forwardpass.merges import MERGE_WORDS, MERGES
from forwardpass.numerics import NUMERICS, Numerics
from forwardpass.spec.faults import Faults, join
from forwardpass.spec.fields.document import FORMAT
from forwardpass.spec.fields.numbers import Unreadable
from forwardpass.spec.forms.feature_messages import (
    feature_message,
    output_messages,
    read_feature_message,
    read_outputs,
    row_numbers,
)
from forwardpass.spec.layers import ARRAYS
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import DENSE, Activation, Inputs, Layer, NetworkSpec
from forwardpass.spec.parsing import read
from forwardpass.tensors import DATA_TYPES, Array, from_tensor, to_tensor
from forwardpass.v1 import network_pb2, tensor_pb2

_DTYPES: Final[dict[int, str]] = {0: "float64", **{number: name for name, number in DATA_TYPES.items()}}
_NUMERICS: Final[dict[int, Numerics | None]] = {
    network_pb2.NUMERICS_UNSPECIFIED: None,
    **{number: name for name, number in NUMERICS.items()},
}
_PATHS: Final = (
    (re.compile(r"^spec\.inputs(?=\[)"), "spec.inputs.features"),
    (re.compile(r"^spec\.inputs$"), "spec.inputs.width"),
    (re.compile(r"^spec\.input_groups"), "spec.inputs.groups"),
    (re.compile(r"^spec\.outputs(?!\[\d+\]\.)"), "spec.output_names"),
    (re.compile(r"^spec\.classes"), "spec.class_labels"),
    (re.compile(r"^spec\.threshold(?!s)"), "spec.thresholds"),
)


def from_message(message: network_pb2.NetworkSpec, *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Read a spec from its message.

    Raises:
        InvalidNetworkError: The spec is not valid; `faults` has every fault, with the message's
            own field names in the paths.
    """
    faults = Faults()
    try:
        return read(_document(message, limits, faults), limits=limits, faults=faults)
    except InvalidNetworkError as error:
        renamed = [Fault(path=_renamed(fault.path), message=fault.message) for fault in error.faults]
        raise InvalidNetworkError(error.message, faults=renamed, **cast("dict[str, Any]", error.facts)) from None


def to_message(spec: NetworkSpec) -> network_pb2.NetworkSpec:
    """Return the message of a spec, with tensors as bytes."""
    return network_pb2.NetworkSpec(
        dtype=DATA_TYPES[spec.dtype],
        inputs=inputs_message(spec.inputs),
        layers=map(_layer_message, spec.layers),
        output_names=spec.outputs,
        class_labels=spec.classes,
        description=spec.description,
        metadata=dict(spec.metadata),
        tags=spec.tags,
        examples=[
            network_pb2.Example(
                inputs=row_numbers(example.inputs), outputs=example.outputs, tolerance=example.tolerance
            )
            for example in spec.examples
        ],
        allow_non_finite_inputs=spec.allow_non_finite_inputs,
        numerics=NUMERICS[spec.numerics] if spec.numerics else network_pb2.NUMERICS_UNSPECIFIED,
        output_layers=spec.output_layers,
        outputs=output_messages(spec.output_metadata),
        thresholds=spec.thresholds,
    )


def inputs_message(inputs: Inputs) -> network_pb2.Inputs:
    """Return the message of the inputs of a network."""
    return network_pb2.Inputs(
        width=inputs.width,
        features=map(feature_message, inputs.features),
        groups=[network_pb2.InputGroup(name=group.name, width=group.width) for group in inputs.groups],
    )


def activation_message(activation: Activation) -> network_pb2.Activation:
    """Return the message of an activation function."""
    return network_pb2.Activation(
        name=activation.name, parameters=dict(activation.parameters), expression=activation.expression
    )


def _layer_message(layer: Layer) -> network_pb2.Layer:
    numbers = {key: to_tensor(array) for key, array in layer.arrays.items()} | dict(layer.settings)
    said: dict[str, Any] = numbers if layer.kind == DENSE else {layer.kind: numbers}
    message = network_pb2.Layer(
        **said,
        name=layer.name,
        activation=activation_message(layer.activation),
        nodes=layer.nodes,
        merge=MERGES[layer.merge],
    )
    # `from` is a keyword of Python.
    getattr(message, "from").extend(layer.from_)
    return message


def _document(message: network_pb2.NetworkSpec, limits: Limits, faults: Faults) -> dict[str, object]:
    if message.dtype not in _DTYPES:
        faults.add("spec.dtype", f"is {message.dtype}; must be DATA_TYPE_FLOAT32 or DATA_TYPE_FLOAT64")
    if message.numerics not in _NUMERICS:
        faults.add("spec.numerics", f"is {message.numerics}; must be NUMERICS_EXACT or NUMERICS_FAST")
    document: dict[str, object] = {
        "format": FORMAT,
        "dtype": _DTYPES.get(message.dtype, "float64"),
        "inputs": _inputs(message.inputs, limits, faults),
        "input_groups": [
            {"name": group.name, "width": group.width} for group in message.inputs.groups[: limits.max_layers + 1]
        ],
        "layers": [
            _layer(layer, index, limits, faults) for index, layer in enumerate(message.layers[: limits.max_layers + 1])
        ],
        "classes": list(message.class_labels),
        "description": message.description,
        "metadata": dict(message.metadata),
        "tags": list(message.tags),
        "examples": list(map(_example, message.examples[: limits.max_examples + 1])),
        "allow_non_finite_inputs": message.allow_non_finite_inputs,
        "numerics": _NUMERICS.get(message.numerics),
    }
    if message.output_layers:
        document["output_layers"] = list(message.output_layers)
    if message.output_names or message.outputs:
        document["outputs"] = read_outputs(message, faults)
    if message.thresholds:
        several = len(message.thresholds) > 1
        document["threshold"] = list(message.thresholds) if several else message.thresholds[0]
    return document


def _inputs(message: network_pb2.Inputs, limits: Limits, faults: Faults) -> object:
    if not message.features:
        return message.width
    if message.width and message.width != len(message.features):
        faults.add(
            "spec.inputs.width",
            f"is {message.width}, but there are {len(message.features)} features; leave it out",
        )
    some = message.features[: limits.max_width + 1]  # that there are more is one fault
    return [read_feature_message(feature, index, faults) for index, feature in enumerate(some)]


def _layer(message: network_pb2.Layer, index: int, limits: Limits, faults: Faults) -> dict[str, object]:
    path = join("spec", "layers", index)
    layer: dict[str, object] = {}
    if message.name:
        layer["name"] = message.name
    layer |= _operation(path, message, limits, faults)
    if message.HasField("activation"):
        # Last, so that no parameter can be called `name`.
        layer["activation"] = _activation(f"{path}.activation", message.activation, faults)
    if message.nodes:
        layer["nodes"] = list(message.nodes)
    sources = list(getattr(message, "from"))
    if sources:
        layer["from"] = sources
    if message.merge not in MERGE_WORDS:
        known = ", ".join(f"MERGE_{word.upper()}" for word in MERGES if word)
        faults.add(f"{path}.merge", f"is {message.merge}; must be one of {known}")
    elif MERGE_WORDS[message.merge] is not None:
        layer["merge"] = MERGE_WORDS[message.merge]
    return layer


def _operation(path: str, message: network_pb2.Layer, limits: Limits, faults: Faults) -> dict[str, object]:
    """Return the kind of a layer and its fields. `read` refuses fields that are not part of the kind."""
    kind = message.WhichOneof("operation")
    said: list[tuple[str, Any]] = [(key, getattr(message, key)) for key in ARRAYS[DENSE] if message.HasField(key)]
    if kind is not None:
        own = [(field.name, value) for field, value in getattr(message, kind).ListFields()]
        for key in {key for key, _ in said} & {key for key, _ in own}:
            faults.add(f"{path}.{key}", f"is there twice; leave out the one that is not in `{kind}`")
        said += [(key, list(value) if isinstance(value, MutableSequence) else value) for key, value in own]
    axes = {**ARRAYS[DENSE], **ARRAYS[kind or DENSE]}
    document = {
        key: _tensor(f"{path}.{key}", value, len(axes[key]), limits, faults) if key in axes else value
        for key, value in said
    }
    return document if kind is None else {"kind": kind, **document}


def _activation(path: str, message: network_pb2.Activation, faults: Faults) -> dict[str, Any]:
    parameters = dict(message.parameters)
    if message.expression:
        named = {"name": message.name} if message.name else {}
        return {**named, "expression": message.expression, "parameters": parameters}
    if "name" in parameters:
        faults.add(f"{path}.parameters.name", "no activation function has a parameter of this name")
    return {**parameters, "name": message.name}


def _example(message: network_pb2.Example) -> dict[str, object]:
    example: dict[str, object] = {"inputs": list(message.inputs), "outputs": list(message.outputs)}
    return {**example, "tolerance": message.tolerance} if message.HasField("tolerance") else example


def _tensor(path: str, message: tensor_pb2.Tensor, axes: int, limits: Limits, faults: Faults) -> Array | Unreadable:
    """Read a tensor, after a check of its declared shape."""
    shape = tuple(message.shape)
    if not shape and axes == 1 and message.values:
        shape = (len(message.values),)
    if len(shape) != axes or any(length < 1 for length in shape):
        needed = "[outputs, inputs], both above 0" if axes == 2 else "[outputs], above 0"
        shown = list(shape) if len(shape) <= 4 else f"{len(shape)} axes"
        faults.add(f"{path}.shape", f"is {shown}; must be {needed}")
        return Unreadable()
    if any(length > limits.max_width for length in shape):
        # The check of sizes reports it.
        return Unreadable(shape=shape)
    try:
        return from_tensor(message, path=path)
    except (DtypeMismatchError, InvalidTensorError) as error:
        for fault in error.faults:
            faults.add(fault.path, fault.message)
        return Unreadable(shape=shape)


def _renamed(path: str) -> str:
    for pattern, name in _PATHS:
        path = pattern.sub(name, path)
    return path
