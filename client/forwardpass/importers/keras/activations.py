"""Keras's activation functions and activation layers.

Formulas: https://keras.io/api/layers/activations.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.graph.arithmetic import prelu
from forwardpass.importers.graph.functions import EXPRESSIONS, SHRINK, expression
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, row_axis
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

_ROWS: Final = frozenset({"softmax", "log_softmax"})
"""Activations that read the values of a row together."""


def activated(call: LayerCall, values: TensorRef, activation: Any, hint: str = "_activation") -> TensorRef:
    """Apply the activation of a Keras layer by another layer of the network.

    Raises:
        UnsupportedError: It is not known.
    """
    spec = activation_of(activation)
    if spec == "identity":
        return values
    check_together(spec, values)
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


def check_together(activation: Any, values: TensorRef) -> None:
    """Reject softmax and its kin along one axis of several.

    Raises:
        UnsupportedError: It does.
    """
    is_together = isinstance(activation, str) and activation in _ROWS
    if is_together and len(values.shape) > 1 and values.size != values.shape[-1]:
        raise UnsupportedError(
            f"has a {activation} of each part of a row; one of the whole row is read, put Flatten before it"
        )


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


def _softmax(config: Mapping[str, Any]) -> Any:
    if config.get("axis", -1) not in (-1, [-1]):
        raise UnsupportedError(f"works along axis {config['axis']}; the last one is supported")
    return "softmax"


_FUNCTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {"ReLU": _relu, "LeakyReLU": _leaky, "ELU": _elu, "Softmax": _softmax}
)
"""The activation of each activation layer, computed from its configuration."""


def _function(call: LayerCall) -> TensorRef:
    config = call.config
    if call.kind == "Softmax" and isinstance(config.get("axis", -1), int):
        last = len(call.input.shape) - 1
        config = {"axis": -1} if row_axis(config.get("axis", -1), last + 1) == last else config
    return activated(call, call.input, {"class_name": call.kind, "config": config}, hint="")


def _activation(call: LayerCall) -> TensorRef:
    return activated(call, call.input, call.config.get("activation"), hint="")


def _prelu(call: LayerCall) -> TensorRef:
    """Compute x where it is positive, else a learned slope times x."""
    values = call.input
    (alpha,) = call.variables()
    return prelu(call.graph, values, alpha)


FUNCTION_LAYERS: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {**dict.fromkeys(_FUNCTIONS, _function), "Activation": _activation, "PReLU": _prelu}
)
"""By class name."""

OPERATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Relu": "relu",
        "Relu6": "relu6",
        "Sigmoid": "sigmoid",
        "Tanh": "tanh",
        "Softplus": "softplus",
        "Softsign": "softsign",
        "Silu": "silu",
        "Selu": "selu",
        "HardSigmoid": "hard_sigmoid",
        "HardSilu": "hard_silu",
        "LogSigmoid": "log_sigmoid",
        "Exp": "exponential",
    }
)
"""The activation of each operation without parameters, such as `keras.ops.relu`."""


def _operation(call: LayerCall) -> TensorRef:
    return activated(call, call.input, OPERATIONS[call.kind], hint="")


_OF_ONE_ELEMENT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "Sin": "sin",
        "Cos": "cos",
        "Square": "square",
        **dict.fromkeys(("Abs", "Absolute"), expression(EXPRESSIONS["abs"])),
        **{
            name.capitalize(): expression(EXPRESSIONS[name])
            for name in (
                "sqrt",
                "rsqrt",
                "reciprocal",
                "log",
                "log1p",
                "log2",
                "log10",
                "expm1",
                "erf",
                "floor",
                "ceil",
            )
        },
    }
)
"""Functions of `keras.ops` that are no activations of Keras, in the form of a spec."""


def _of_one_element(call: LayerCall) -> TensorRef:
    return call.elementwise(call.input, {**PASS, "activation": _OF_ONE_ELEMENT[call.kind]}, "")


FUNCTION_OPERATIONS: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {**dict.fromkeys(OPERATIONS, _operation), **dict.fromkeys(_OF_ONE_ELEMENT, _of_one_element)}
)
"""By class name."""
