"""The configuration of a model: its layers and the tensors between them. Nothing is run or imported."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.keras.variable_paths import variable_path
from forwardpass.importers.unsupported import UnsupportedError, unsupported_model
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

_MODULES: Final = ("keras.layers", "keras.src.layers", "keras.src.ops", "keras.ops", "keras.src.models", "keras")
_SETTINGS: Final = (
    *("keras.layers.", "keras.initializers.", "keras.regularizers.", "keras.constraints.", "keras.activations."),
    *("keras.dtype_policies.", "keras.src.layers.", "keras.src.ops.", "keras.src.models.", "keras.src.initializers."),
    *("keras.src.activations.", "keras.models.", "builtins."),
)
"""Modules whose objects a configuration may name; other modules of Keras can, for example, download files."""
_WORDS: Final = "vocabulary"
"""The setting of a lookup that is a list, or the path of a file."""
_FUNCTION: Final = "keras_history"
_MAX_LAYERS: Final = 4 * DEFAULT_LIMITS.max_layers

_FEATURE_SPACE: Final = "keras.src.layers.preprocessing.feature_space"
"""The module of Keras's own layers within a FeatureSpace, which are registered by their names."""

MASKED: Final = frozenset(
    {
        *("GlobalAveragePooling1D", "Softmax", "Attention", "AdditiveAttention", "DotProductAttention"),
        *("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed"),
    }
)
"""The layers and operations that compute something else where the option `mask` is given."""

MODELS: Final = ("Functional", "Model", "Sequential")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One output of one call of a layer.

    Attributes:
        layer: Its name.
        call: Which of its calls, from 0.
        place: Which of the outputs of that call.
        dtype: Its dtype where the file says it.
    """

    layer: str
    call: int
    place: int
    dtype: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class InboundNode:
    """The arguments of one call of a layer.

    Attributes:
        arguments: The positional arguments.
        options: The keyword arguments.
    """

    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerConfig:
    """A layer, or an operation such as `+`.

    Attributes:
        name: Unique in its model.
        kind: The name of its class.
        is_layer: Whether it is a layer, with a path among the weights.
        config: Its configuration.
        calls: The arguments of each of its calls.
        weights: The path of its variables in the file.
    """

    name: str
    kind: str
    is_layer: bool
    config: Mapping[str, Any]
    calls: tuple[InboundNode, ...]
    weights: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A model.

    Attributes:
        kind: `Sequential` or `Functional`.
        parts: The layers by name.
        inputs: The input tensors, perhaps in lists and dicts.
        outputs: The output tensors, in the same way.
    """

    kind: str
    parts: Mapping[str, LayerConfig]
    inputs: Any
    outputs: Any


def parse_config(config: Mapping[str, Any], path: str = "model", weights: str = "") -> ModelConfig:
    """Read the configuration of a model.

    Args:
        config: `class_name`, `module`, `config` of a model.
        path: Its place, for faults.
        weights: The path of its variables in the file.

    Raises:
        UnsupportedModelError: It is no Sequential or functional model.
    """
    kind, inner = str(config.get("class_name")), config.get("config")
    known = kind in MODELS and _is_own(config) and isinstance(inner, dict)
    if kind == "FeatureSpace" and config.get("module") == "keras.utils":
        raise unsupported_model(
            path,
            "is a FeatureSpace alone; write a module with `space = keras.saving.load_model(FILE)` and "
            "`model = keras.Model(space.get_inputs(), space.get_encoded_features())`, and give it as MODULE:model",
        )
    if not known or not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
        raise unsupported_model(
            path, f"{kind} is no Sequential or functional model of Keras; build one with the same layers"
        )
    documents = inner["layers"]
    if len(documents) > _MAX_LAYERS:
        raise unsupported_model(path, f"has {len(documents):,} layers; at most {_MAX_LAYERS:,} are read")
    try:
        parts = list(_parts(documents, weights))
        if kind == "Sequential":
            parts = list(_chained(parts, inner))
            ends = Tensor(layer=parts[0].name, call=0, place=0), Tensor(layer=parts[-1].name, call=0, place=0)
        else:
            ends = _ends(inner["input_layers"]), _ends(inner["output_layers"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise unsupported_model(path, f"has a configuration that Keras 3 does not write: {error!r}") from error
    by_name = {part.name: part for part in parts}
    if len(by_name) < len(parts):
        raise unsupported_model(path, "has two layers of one name")
    return ModelConfig(
        kind="Sequential" if kind == "Sequential" else "Functional", parts=by_name, inputs=ends[0], outputs=ends[1]
    )


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested lists and dicts in the order of Keras, which sorts keys."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from tensors_in(value[key])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)


def _parts(documents: Sequence[Mapping[str, Any]], weights: str) -> Iterator[LayerConfig]:
    counts: Counter[str] = Counter()
    for document in documents:
        kind = str(document["class_name"])
        own = _is_own(document)
        is_layer = not str(document.get("module")).startswith(("keras.src.ops", "keras.ops"))
        yield LayerConfig(
            name=str(document["config"]["name"]),
            kind=kind if own else f"{document.get('registered_name') or kind} of {document.get('module')}",
            is_layer=is_layer,
            config=document["config"],
            calls=tuple(_call(node, kind in MASKED) for node in document.get("inbound_nodes", [])),
            weights=variable_path(weights, kind, counts) if is_layer else "",
        )


def _chained(parts: Sequence[LayerConfig], config: Mapping[str, Any]) -> Iterator[LayerConfig]:
    """Yield the layers of a Sequential, each reading the one before, after an input layer."""
    if not parts:
        raise ValueError("no layers")
    before = ""
    if parts[0].kind != "InputLayer":
        shape = config["build_input_shape"]
        first = {"name": "inputs", "batch_shape": shape, "dtype": "float32"}
        yield LayerConfig(name="inputs", kind="InputLayer", is_layer=True, config=first, calls=(), weights="")
        before = "inputs"
    for part in parts:
        read = InboundNode(arguments=(Tensor(layer=before, call=0, place=0),), options={})
        calls = () if part.kind == "InputLayer" else (read,)
        yield LayerConfig(
            name=part.name,
            kind=part.kind,
            is_layer=part.is_layer,
            config=part.config,
            calls=calls,
            weights=part.weights,
        )
        before = part.name


def _call(node: Mapping[str, Any], is_masked: bool) -> InboundNode:  # noqa: FBT001 - one of two calls' kinds
    options = {key: value for key, value in node["kwargs"].items() if key != "mask" or is_masked}
    return InboundNode(
        arguments=tuple(_argument(value) for value in node["args"]),
        options={key: _argument(value) for key, value in options.items()},
    )


def _argument(value: Any) -> Any:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        layer, call, place = value["config"][_FUNCTION]
        dtype = str(value["config"].get("dtype", ""))
        return Tensor(layer=str(layer), call=int(call), place=int(place), dtype=dtype)
    if isinstance(value, dict) and value.get("class_name") in _VALUES:
        return _VALUES[value["class_name"]](value["config"])
    if isinstance(value, list):
        return [_argument(part) for part in value]
    return value


def _constant(config: Mapping[str, Any]) -> Array:
    numbers: Array = np.asarray(config["value"], dtype=np.float64)
    return numbers


_VALUES: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = MappingProxyType(
    {
        "__tensor__": _constant,
        "__numpy__": _constant,
        "__slice__": lambda config: slice(config.get("start"), config.get("stop"), config.get("step")),
        "__ellipsis__": lambda _: Ellipsis,
    }
)
"""The arguments that Keras writes as objects: constants and keys of tensors."""


def _ends(value: Any) -> Any:
    """Read the inputs or outputs of a functional model: `[layer, call, place]`, in lists and dicts."""
    if isinstance(value, dict):
        return {str(key): _ends(part) for key, part in value.items()}
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return Tensor(layer=value[0], call=int(value[1]), place=int(value[2]))
    if isinstance(value, list):
        return [_ends(part) for part in value]
    raise ValueError(f"{value!r} as an input or output")


def _is_own(document: Mapping[str, Any]) -> bool:
    """Return whether a class is Keras's own."""
    module = str(document.get("module"))
    is_operation = module.startswith(("keras.src.ops.", "keras.ops"))
    registered = document.get("registered_name")
    if module == _FEATURE_SPACE and registered == document.get("class_name"):
        return True
    return any(module == own or module.startswith(f"{own}.") for own in _MODULES) and (
        registered is None or is_operation or module.startswith("keras.src.models")
    )


def check_references(value: Any) -> None:
    """Reject a configuration that names a file, or an object outside the allowed modules, anywhere.

    Keras would read the one, and import the other.

    Raises:
        UnsupportedError: It does.
    """
    level = [value]
    while level:
        one = level.pop()
        if isinstance(one, dict):
            module, kind = one.get("module"), one.get("class_name")
            is_own = not isinstance(module, str) or f"{module}.".startswith(_SETTINGS) or module == "keras"
            if kind == "__lambda__" or not is_own:
                raise UnsupportedError(
                    f"names {one.get('registered_name') or kind} of {module}, which is not what layers are made with"
                )
            if isinstance(one.get(_WORDS), str):
                raise UnsupportedError(f"has its vocabulary in the file {one[_WORDS]!r}, which is not read; list it")
            level += [part for key, part in one.items() if key != "compile_config"]
        elif isinstance(one, list):
            level += one
