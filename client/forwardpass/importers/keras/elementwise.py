"""Operations of `keras.ops` of one element."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.graph.functions import EXPRESSIONS, SHRINK, THRESHOLD, expression
from forwardpass.importers.keras.activations import activated
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader
from forwardpass.importers.unsupported import UnsupportedError

_ACTIVATIONS: Final[Mapping[str, str]] = MappingProxyType(
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
        "HardTanh": "hard_tanh",
        "LogSigmoid": "log_sigmoid",
        "TanhShrink": "tanh_shrink",
        "SparsePlus": "sparse_plus",
        "SparseSigmoid": "sparse_sigmoid",
        "Exp": "exponential",
    }
)
"""The activation of Keras for each operation without parameters, such as `keras.ops.relu`."""

_FUNCTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "Sin": "sin",
        "Cos": "cos",
        "Square": "square",
        **dict.fromkeys(("Abs", "Absolute", "Fabs"), expression(EXPRESSIONS["abs"])),
        **{
            name: expression(EXPRESSIONS[key])
            for name, key in {
                "Arccos": "acos",
                "Arccosh": "acosh",
                "Arcsin": "asin",
                "Arcsinh": "asinh",
                "Arctan": "atan",
                "Arctanh": "atanh",
                "Ceil": "ceil",
                "Cosh": "cosh",
                "Erf": "erf",
                "Erfc": "erfc",
                "Exp2": "exp2",
                "Expm1": "expm1",
                "Floor": "floor",
                "Log": "log",
                "Log10": "log10",
                "Log1p": "log1p",
                "Log2": "log2",
                "Negative": "neg",
                "Reciprocal": "reciprocal",
                "Rsqrt": "rsqrt",
                "Sign": "sign",
                "Sinh": "sinh",
                "Sqrt": "sqrt",
                "Tan": "tan",
                "Trunc": "trunc",
            }.items()
        },
        "Isfinite": expression("where(x - x == 0, 1, 0)"),
        "Isinf": expression("where(x == x, where(x - x == 0, 0, 1), 0)"),
        "Isnan": expression("where(x == x, 0, 1)"),
        "LogicalNot": expression("where(x == 0, 1, 0)"),
    }
)
"""Functions that are no activations of Keras, in the form of a spec; truth is 1 and 0."""

_WITH_PARAMETERS: Final[Mapping[str, Callable[[LayerCall], Any]]] = MappingProxyType(
    {
        "LeakyRelu": lambda call: {"name": "leaky_relu", "negative_slope": call.number("negative_slope", 0.2)},
        "Elu": lambda call: {"name": "elu", "alpha": call.number("alpha", 1.0)},
        "Celu": lambda call: {"name": "celu", "alpha": call.number("alpha", 1.0)},
        "Gelu": lambda call: "gelu_tanh" if call.boolean("approximate", True) else "gelu",
        "HardShrink": lambda call: expression(SHRINK, lambd=call.number("threshold", 0.5), bias=0.0),
        "SoftShrink": lambda call: expression(
            SHRINK, lambd=call.number("threshold", 0.5), bias=call.number("threshold", 0.5)
        ),
        "Squareplus": lambda call: expression("(x + sqrt(x * x + b)) / 2", b=call.number("b", 4.0)),
        "Threshold": lambda call: expression(
            THRESHOLD, threshold=call.number("threshold", 0.0), value=call.number("default_value", 0.0)
        ),
    }
)
"""The activation of a spec for each operation with parameters, computed from its configuration."""


def _activation(call: LayerCall) -> TensorRef:
    return activated(call, call.input, _ACTIVATIONS[call.kind], hint="")


def _function(call: LayerCall) -> TensorRef:
    return call.elementwise(call.input, {**PASS, "activation": _FUNCTIONS[call.kind]}, "")


def _with_parameters(call: LayerCall) -> TensorRef:
    return call.elementwise(call.input, {**PASS, "activation": _WITH_PARAMETERS[call.kind](call)}, "")


def _cast(call: LayerCall) -> TensorRef:
    """Convert to another dtype; booleans are 1 and 0 in a network."""
    dtype = call.text("dtype", "float32")
    if dtype in {"float32", "float64"}:
        return call.input
    if dtype == "bool":
        return call.graph.function(call.input, "where(x != 0, 1, 0)")
    if dtype in {"int32", "int64"}:
        return call.graph.function(call.input, EXPRESSIONS["trunc"])
    raise UnsupportedError(f"converts to {dtype}; float32, float64, int32, int64 and bool are read")


def _round(call: LayerCall) -> TensorRef:
    call.require("decimals", 0, "rounds to decimals, which is not supported; multiply before and divide after it")
    return call.graph.function(call.input, EXPRESSIONS["round"])


ELEMENTWISE: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(_ACTIVATIONS, _activation),
        **dict.fromkeys(_FUNCTIONS, _function),
        **dict.fromkeys(_WITH_PARAMETERS, _with_parameters),
        **dict.fromkeys(("Cast", "ConvertToTensor"), _cast),
        "Round": _round,
    }
)
"""By class name."""
