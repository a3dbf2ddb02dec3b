"""Functions of one element that are no activations of a spec, as expressions over `x`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

EXPRESSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "abs": "abs(x)",
        "neg": "-x",
        "sign": "where(x > 0, 1, where(x < 0, -1, x))",
        "floor": "floor(x)",
        "ceil": "ceil(x)",
        "round": "round(x)",
        "trunc": "where(x < 0, ceil(x), floor(x))",
        "frac": "x - where(x < 0, ceil(x), floor(x))",
        "sqrt": "sqrt(x)",
        "rsqrt": "1 / sqrt(x)",
        "reciprocal": "1 / x",
        "log": "log(x)",
        "log1p": "log1p(x)",
        "log2": "log(x) / log(2)",
        "log10": "log(x) / log(10)",
        "exp2": "2 ** x",
        "expm1": "expm1(x)",
        "logit": "log(x / (1 - x))",
        "erf": "erf(x)",
        "erfc": "erfc(x)",
        "tan": "sin(x) / cos(x)",
        "asin": "asin(x)",
        "acos": "acos(x)",
        "atan": "atan(x)",
        "sinh": "(expm1(x) - expm1(-x)) / 2",
        "cosh": "(exp(x) + exp(-x)) / 2",
        "asinh": "where(x < 0, -1, 1) * log1p(abs(x) + x * x / (1 + sqrt(1 + x * x)))",
        "acosh": "log1p(x - 1 + sqrt((x - 1) * (x + 1)))",
        "atanh": "0.5 * log1p(2 * x / (1 - x))",
        "tanh_shrink": "x - tanh(x)",
    }
)
"""Functions without parameters."""

SHRINK: Final = "where(x < -lambd, x + bias, where(x > lambd, x - bias, 0))"
"""ONNX's Shrink: hard shrinkage with a bias of 0, soft shrinkage with one of lambd."""

THRESHOLD: Final = "where(x > threshold, x, value)"
"""`x` above a threshold, else a value."""

REMAINDER: Final = "where(x < 0, -mod(abs(x), abs(y)), mod(abs(x), abs(y)))"
"""The remainder of a division with the sign of the dividend, as C's fmod has it."""


def expression(text: str, **parameters: float) -> dict[str, Any]:
    """Return an expression as an activation of a spec."""
    return {"expression": text, **({"parameters": parameters} if parameters else {})}
