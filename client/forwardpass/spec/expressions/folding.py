"""Constant folding: computing the parts of an expression that do not depend on `x`."""

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass.spec.expressions.grammar import (
    CONSTANTS,
    FUNCTIONS,
    OPERATORS,
    PREFIXES,
    VARIABLE,
    Call,
    Expression,
    ExpressionError,
    Name,
    Number,
    show,
)
from forwardpass.spec.faults import quoted
from forwardpass.spec.fields.numbers import number_fault

Folded: TypeAlias = float | bool | str | tuple[Any, ...]
"""A constant, a variable such as `"x"`, or the name of a function or operator with its folded operands."""

_COMPUTE: Final = {
    **{name: known.compute for name, known in FUNCTIONS.items()},
    **{name: known.compute for name, known in (*OPERATORS.items(), *PREFIXES.items())},
}


def fold(
    tree: Expression, parameters: Mapping[str, float], dtype: str, variables: Collection[str] = (VARIABLE,)
) -> Folded:
    """Compute, in float64, every part that reads no variable.

    Args:
        tree: What `parse` gave.
        parameters: A value for each parameter in it.
        dtype: The network's.
        variables: The names that stay: `x`, or several.

    Raises:
        ExpressionError: Such a part has no value that is a finite number of the dtype, or
            something is divided by one that is 0.
    """
    values = {**CONSTANTS, **parameters}

    def folded(part: Expression) -> Folded:
        if isinstance(part, Name):
            return part.word if part.word in variables else values[part.word]
        if isinstance(part, Number):
            return _checked(part, part.value, dtype)
        operands = tuple(map(folded, part.operands))
        if part.function == "/" and isinstance(operands[1], float) and np.dtype(dtype).type(operands[1]) == 0:
            raise ExpressionError(part.column, f"divides by {quoted(show(part.operands[1]))}, which is 0 in {dtype}")
        if part.function == "where" and isinstance(operands[0], bool):
            return operands[1] if operands[0] else operands[2]
        if any(isinstance(operand, str | tuple) for operand in operands):
            return (part.function, *operands)
        return _computed(part, operands, dtype)

    return folded(tree)


def _computed(part: Call, operands: tuple[Any, ...], dtype: str) -> float | bool:
    try:
        value = _COMPUTE[part.function](*operands)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ExpressionError(part.column, f"{quoted(show(part))} has no finite value") from None
    return value if isinstance(value, bool) else _checked(part, value, dtype)


def _checked(part: Expression, value: float, dtype: str) -> float:
    fault = number_fault(value, dtype)
    if fault is not None:
        raise ExpressionError(part.column, f"{quoted(show(part))} {fault}")
    return value
