"""What arithmetic costs, in floating-point operations of a matrix product that take as long.

A number costs one to a thousand of them: measured with numpy 2.4 on x86-64 with AVX2, of which a core does about 20
in a nanosecond. They need to be right to a factor of a few, since they decide what is long, and what is too long.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

STEP: Final = 20_000
"""What a call of numpy costs, however few numbers it computes: about a microsecond."""

MIN_COUNTED_STEPS: Final = 256
"""Calls of numpy from which they are counted; fewer take no longer than a third of a millisecond."""

FUNCTION: Final = 40
"""What most functions cost for a number: exp, a division and some sums."""
_SUM: Final = 10
_COMPARISON: Final = 30
_SINE: Final = 150
_POWER: Final = 100
_REMAINDER: Final = 400
_ERF: Final = 1_400

ACTIVATIONS: Final[Mapping[str, int]] = MappingProxyType(
    {"identity": 0, "relu": 4, "square": 4, "step": 5, "gelu": 1_200, "sin": _SINE, "cos": _SINE, "sparsemax": 600}
)
"""What an activation function costs for a number, where it is not `FUNCTION`."""

EXPRESSION: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("+", "-", "*", "/", "neg", "abs", "min", "max", "relu", "clip"), _SUM),
        **dict.fromkeys(("or", "and", "not", "<", "<=", ">", ">=", "==", "!=", "where"), _COMPARISON),
        **dict.fromkeys(("sin", "cos", "asin", "acos", "atan"), _SINE),
        **dict.fromkeys(("floor", "ceil", "round"), _SUM),
        "**": _POWER,
        "mod": _REMAINDER,
        **dict.fromkeys(("erf", "erfc"), _ERF),
    }
)
"""What a function of an expression costs for a number, where it is not `FUNCTION`."""

WINDOW: Final = 160
"""What a pooling layer costs for a value of one of its windows."""

PRODUCT: Final = 10_000
"""What a product of two matrices of a row costs beside its multiplications: numpy calls the BLAS for each."""

MULTIPLICATION: Final = 8
"""What a multiplication of such a product costs: the matrices are small, and not laid out for the BLAS."""

SHARED_WEIGHT: Final = 3
"""What a convolution costs for each weight of each node: a product and a sum, and a share of copying the windows."""
