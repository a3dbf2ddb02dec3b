"""Keras's activation functions and activation layers.

Formulas: https://keras.io/api/layers/activations.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.graph.arithmetic import prelu
from forwardpass.importers.graph.functions import EXPRESSIONS, SHRINK, expression
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_broadcast, check_ranks, layer_axes
from forwardpass.importers.keras.masks import reject_mask
from forwardpass.importers.keras.reductions import along_axes, gated
from forwardpass.importers.unsupported import UnsupportedError

_SAME: Final = (
    *("relu", "relu6", "elu", "selu", "gelu", "silu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid"),
    *("softmax", "log_softmax", "mish", "log_sigmoid", "celu", "hard_tanh"),
)
ACTIVATIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **{name: name for name in _SAME},
        "linear": "identity",
        "swish": "silu",
        "exponential": "exp",
        "hard_silu": "hard_swish",
        "hard_swish": "hard_swish",
        "leaky_relu": {"name": "leaky_relu", "negative_slope": 0.2},
        "tanh_shrink": expression(EXPRESSIONS["tanh_shrink"]),
        "soft_shrink": expression(SHRINK, lambd=0.5, bias=0.5),
        "hard_shrink": expression(SHRINK, lambd=0.5, bias=0.0),
        "squareplus": {"expression": "(x + sqrt(x * x + 4)) / 2"},
        "sparse_plus": {"expression": "where(x <= -1, 0, where(x < 1, (x + 1) ** 2 / 4, x))"},
        "sparse_sigmoid": {"expression": "clip((x + 1) / 2, 0, 1)"},
    }
)
"""The activation of a spec for each activation of Keras without parameters."""

_TOGETHER: Final = frozenset({"softmax", "log_softmax"})
"""Activations that read the values of a row together."""


def activated(call: LayerCall, values: TensorRef, activation: Any, hint: str = "_activation") -> TensorRef:
    """Apply the activation of a Keras layer by another layer of the network.

    Raises:
        UnsupportedError: It is not known.
    """
    if activation == "glu":
        return gated(call, values, len(values.shape) - 1)
    spec = activation_of(activation)
    if spec == "identity":
        return values
    if isinstance(spec, str) and spec in _TOGETHER and not is_alone(values):
        with call.graph.suffixed(hint.removeprefix("_")):
            return call.graph.softmax(values, len(values.shape) - 1, spec)
    return call.elementwise(values, {**PASS, "activation": spec}, hint)


def activation_of(activation: Any) -> Any:
    """Return the activation of a Keras layer in the form of a spec.

    Raises:
        UnsupportedError: It is not known.
    """
    if activation is None:
        return "identity"
    if isinstance(activation, Mapping):
        kind, config = activation.get("class_name"), activation.get("config")
        if kind == "function" and isinstance(config, str):
            activation = config
        elif isinstance(kind, str) and kind in _FUNCTIONS and isinstance(config, Mapping):
            return _FUNCTIONS[kind](config)
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        name = activation.get("class_name") if isinstance(activation, Mapping) else activation
        known = ", ".join(ACTIVATIONS)
        raise UnsupportedError(f"has the activation {name!r}, which is not supported; supported are {known}")
    return ACTIVATIONS[activation]


def is_alone(values: TensorRef) -> bool:
    """Return whether the elements along the last axis are all of a row."""
    return len(values.shape) < 2 or values.size == values.shape[-1]


def own_activation(activation: Any) -> Any:
    """Return the activation that a layer of a spec may apply itself, or None where another layer must.

    Raises:
        UnsupportedError: It is not known.
    """
    if activation == "glu":
        return None
    spec = activation_of(activation)
    return None if isinstance(spec, str) and spec in _TOGETHER else spec


def _relu(config: Mapping[str, Any]) -> Any:
    largest, slope, threshold = config.get("max_value"), config.get("negative_slope"), config.get("threshold")
    slope, threshold = float(slope or 0), float(threshold or 0)
    if threshold == 0 and largest is None:
        return {"name": "leaky_relu", "negative_slope": slope} if slope else "relu"
    below = "slope * (x - threshold)"
    inside = f"where(x >= threshold, x, {below})"
    parameters = {"slope": slope, "threshold": threshold}
    if largest is None:
        return {"expression": inside, "parameters": parameters}
    return {
        "expression": f"where(x >= largest, largest, {inside})",
        "parameters": {**parameters, "largest": float(largest)},
    }


def _leaky(config: Mapping[str, Any]) -> Any:
    # Before Keras 3 it was called alpha.
    slope = config.get("negative_slope", config.get("alpha", 0.3))
    return {"name": "leaky_relu", "negative_slope": float(slope)}


def _elu(config: Mapping[str, Any]) -> Any:
    return {"name": "elu", "alpha": float(config.get("alpha", 1.0))}


_FUNCTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {"ReLU": _relu, "LeakyReLU": _leaky, "ELU": _elu, "Softmax": lambda _: "softmax"}
)
"""The activation of each activation layer, computed from its configuration."""


def _function(call: LayerCall) -> TensorRef:
    return activated(call, call.input, {"class_name": call.kind, "config": call.config}, hint="")


def _softmax(call: LayerCall) -> TensorRef:
    x = call.first
    axes = layer_axes(call)
    given = [*call.arguments[1:], *([call.options["mask"]] if call.options.get("mask") is not None else [])]
    if given:
        return _masked_softmax(call, x, axes, given)
    reject_mask(call)
    if axes == [len(x.shape) - 1] and is_alone(x):
        return activated(call, x, "softmax", hint="")
    return along_axes(call, x, axes, "softmax")


def _masked_softmax(call: LayerCall, x: TensorRef, axes: list[int], given: list[Any]) -> TensorRef:
    """Return the softmax without masked places, which are 0."""
    if len(given) != 1 or not isinstance(given[0], TensorRef):
        raise UnsupportedError("is called with a mask that is no tensor of the model")
    check_ranks([x, given[0]])
    check_broadcast(x.shape, given[0].shape)
    known = call.graph.elementwise("where(y > 0.5, x, -1000000000)", x, given[0])
    return call.graph.elementwise("where(y > 0.5, x, 0)", along_axes(call, known, axes, "softmax"), given[0])


def _activation(call: LayerCall) -> TensorRef:
    return activated(call, call.input, call.config.get("activation"), hint="")


def _prelu(call: LayerCall) -> TensorRef:
    """Compute x where it is positive, else a learned slope times x."""
    values = call.input
    (alpha,) = call.variables()
    return prelu(call.graph, values, alpha)


FUNCTION_LAYERS: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {**dict.fromkeys(_FUNCTIONS, _function), "Softmax": _softmax, "Activation": _activation, "PReLU": _prelu}
)
"""By class name."""
