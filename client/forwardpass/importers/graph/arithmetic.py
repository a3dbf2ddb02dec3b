"""Operators of two operands, of which one may be constant, and functions with a constant for each element."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph.functions import REMAINDER
from forwardpass.importers.graph.operations import LayerOperations
from forwardpass.importers.graph.tensor_ref import TensorRef
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

COMPARISONS: Final[Mapping[str, str]] = MappingProxyType(
    {"equal": "==", "not_equal": "!=", "greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<="}
)
"""The operator of the expression grammar for each comparison."""

EXPRESSIONS_OF_TWO: Final[Mapping[str, str]] = MappingProxyType(
    {
        "div": "x / y",
        "pow": "x ** y",
        "mod": "mod(x, y)",
        "fmod": REMAINDER,
        # The quotient of what is left without the remainder is whole but for its rounding: 1 / 0.1 is 10, and floor 9.
        "floor_div": "where(y == 0, x / y, round((x - mod(x, y)) / y))",
        "min": "min(x, y)",
        "hypot": "sqrt(x * x + y * y)",
        "heaviside": "where(x > 0, 1, where(x < 0, 0, y))",
        "xlogy": "where(x == 0, 0, x * log(y))",
        # Of a point whose ordinate is x and whose abscissa is y.
        "atan2": (
            "where(y > 0, atan(x / y), where(y < 0, atan(x / y) + where(x < 0, -1, 1) * 3.141592653589793, "
            "where(x > 0, 1, where(x < 0, -1, 0)) * 1.5707963267948966))"
        ),
        "and": "where(x != 0 and y != 0, 1, 0)",
        "or": "where(x != 0 or y != 0, 1, 0)",
        "xor": "where(x != 0 and y == 0 or x == 0 and y != 0, 1, 0)",
        **{name: f"where(x {symbol} y, 1, 0)" for name, symbol in COMPARISONS.items()},
    }
)
"""The expression of each operator that is no merge; truth is 1 and 0."""

_MERGES: Final[Mapping[str, str]] = MappingProxyType({"add": "sum", "mul": "multiply", "max": "max"})
"""The merge of each operator that is one."""


def combine(graph: LayerOperations, op: str, x: TensorRef | Array, y: TensorRef | Array) -> TensorRef:
    """Combine two operands, of which one is computed at least; a constant broadcasts with a row.

    Args:
        graph: The builder.
        op: `add`, `sub`, `mul`, `max`, or a name in `EXPRESSIONS_OF_TWO`.
        x: The left operand.
        y: The right one.
    """
    if isinstance(x, TensorRef):
        if isinstance(y, TensorRef):
            return _of_tensors(graph, op, x, y)
        return _WITH_RIGHT[op](graph, x, y) if op in _WITH_RIGHT else _of_tensors(graph, op, x, graph.constants(x, y))
    if not isinstance(y, TensorRef):
        raise UnsupportedError("has constants alone to compute")
    return _WITH_LEFT[op](graph, y, x) if op in _WITH_LEFT else _of_tensors(graph, op, graph.constants(y, x), y)


def _of_tensors(graph: LayerOperations, op: str, x: TensorRef, y: TensorRef) -> TensorRef:
    if op == "sub":  # adding the negative gives the same bits
        with graph.suffixed("minus"):
            y = graph.function(y, "-x")
        op = "add"
    return graph.merge([x, y], _MERGES[op]) if op in _MERGES else graph.elementwise(EXPRESSIONS_OF_TWO[op], x, y)


def _divided(graph: LayerOperations, x: TensorRef, numbers: Array) -> TensorRef:
    if numbers.size == 1:
        return _with_number(graph, x, "x / {number}", float(numbers.ravel()[0]))
    return graph.scale_shift(x, 1 / numbers, None)


def _divides(graph: LayerOperations, x: TensorRef, numbers: Array) -> TensorRef:
    if numbers.size == 1:
        return _with_number(graph, x, "{number} / x", float(numbers.ravel()[0]))
    return graph.scale_shift(graph.function(x, "1 / x"), numbers, None)


def _with_number(graph: LayerOperations, x: TensorRef, expression: str, number: float) -> TensorRef:
    """Compute an expression with all digits of a number in it; the grammar has no infinity, which is a parameter."""
    if not np.isfinite(number):
        return graph.function(x, expression.format(number="constant"), constant=number)
    digits = repr(number).removesuffix(".0")
    return graph.function(x, expression.format(number=f"({digits})" if digits.startswith("-") else digits))


_WithConstant = Callable[[LayerOperations, TensorRef, Array], TensorRef]

_EITHER: Final[Mapping[str, _WithConstant]] = MappingProxyType(
    {
        "add": lambda graph, x, numbers: graph.scale_shift(x, None, numbers),
        "mul": lambda graph, x, numbers: graph.scale_shift(x, numbers, None),
        "max": lambda graph, x, numbers: graph.clip(x, numbers, None),
        "min": lambda graph, x, numbers: graph.clip(x, None, numbers),
    }
)
_WITH_RIGHT: Final[Mapping[str, _WithConstant]] = MappingProxyType(
    {**_EITHER, "sub": lambda graph, x, numbers: graph.scale_shift(x, None, -numbers), "div": _divided}
)
_WITH_LEFT: Final[Mapping[str, _WithConstant]] = MappingProxyType(
    {**_EITHER, "sub": lambda graph, x, numbers: graph.scale_shift(x, np.array(-1.0), numbers), "div": _divides}
)


def prelu(graph: LayerOperations, x: TensorRef, slopes: Array) -> TensorRef:
    """Multiply negative elements by slopes that broadcast to a row: `relu(x) + slopes * min(x, 0)`."""
    first = slopes.ravel()[0]
    if (slopes == first).all():
        return graph.activation(x, {"name": "prelu", "slope": float(str(first))})  # float32 with its shortest digits
    x = graph.without_pending(x)
    with graph.suffixed("below"):
        below = graph.scale_shift(graph.function(x, "min(x, 0)"), slopes, None)
    with graph.suffixed("above"):
        above = graph.activation(x, "relu")
    return graph.merge([above, below], "sum")
