"""The vocabulary of activation functions: their names, parameters, defaults and ranges.

What they compute is told by the server's core; here is only what a spec may say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of an activation function.

    Attributes:
        default: Its value when the spec does not say one.
        above: The value it must exceed, or None when every finite number is right.
    """

    default: float
    above: float | None = None


def _parameters(**parameters: Parameter) -> Mapping[str, Parameter]:
    return MappingProxyType(parameters)


ACTIVATIONS: Final[Mapping[str, Mapping[str, Parameter]]] = MappingProxyType(
    {
        "identity": _parameters(),
        "relu": _parameters(),
        "leaky_relu": _parameters(negative_slope=Parameter(default=0.01)),
        "prelu": _parameters(slope=Parameter(default=0.25)),
        "relu6": _parameters(),
        "elu": _parameters(alpha=Parameter(default=1.0)),
        "selu": _parameters(),
        "celu": _parameters(alpha=Parameter(default=1.0, above=0.0)),
        "gelu": _parameters(),
        "gelu_tanh": _parameters(),
        "silu": _parameters(),
        "mish": _parameters(),
        "softplus": _parameters(beta=Parameter(default=1.0, above=0.0)),
        "softsign": _parameters(),
        "tanh": _parameters(),
        "sigmoid": _parameters(),
        "hard_sigmoid": _parameters(),
        "hard_tanh": _parameters(min_value=Parameter(default=-1.0), max_value=Parameter(default=1.0)),
        "hard_swish": _parameters(),
        "log_sigmoid": _parameters(),
        "softmax": _parameters(),
        "log_softmax": _parameters(),
        "exp": _parameters(),
        "sin": _parameters(),
        "cos": _parameters(),
        "gaussian": _parameters(),
        "step": _parameters(threshold=Parameter(default=0.0)),
        "square": _parameters(),
    }
)
"""The parameters of each function, by the function's name."""

SYNONYMS: Final[Mapping[str, str]] = MappingProxyType({"swish": "silu"})
"""Other words that are accepted, with the name that they become."""


def range_faults(name: str, parameters: Mapping[str, float]) -> dict[str, str]:
    """Say which parameters of a function are out of range.

    Args:
        name: A name in `ACTIVATIONS`.
        parameters: Finite values, rounded to the network's dtype; parameters that are
            unknown to the function are ignored, those left out have their defaults.

    Returns:
        What is needed, by the parameter's name; empty when all are right.
    """
    known = ACTIVATIONS[name]
    faults = {
        key: f"must be greater than {known[key].above:g}"
        for key, value in parameters.items()
        if key in known and (above := known[key].above) is not None and not value > above
    }
    if name == "hard_tanh":
        low = parameters.get("min_value", known["min_value"].default)
        high = parameters.get("max_value", known["max_value"].default)
        if not low < high:
            key = "max_value" if "max_value" in parameters else "min_value"
            faults[key] = f"min_value ({low:g}) must be less than max_value ({high:g})"
    return faults
