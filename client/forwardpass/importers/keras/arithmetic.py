"""Operations of `keras.ops` of two or three operands, of which one is a tensor, and others may be constants."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.arithmetic import EXPRESSIONS_OF_TWO, combine
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_broadcast, check_ranks
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_OF_TWO: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            name: EXPRESSIONS_OF_TWO[key]
            for name, key in {
                "Power": "pow",
                "Mod": "mod",
                "FloorDivide": "floor_div",
                "Arctan2": "atan2",
                "Hypot": "hypot",
                "Equal": "equal",
                "NotEqual": "not_equal",
                "Greater": "greater",
                "GreaterEqual": "greater_equal",
                "Less": "less",
                "LessEqual": "less_equal",
                "LogicalAnd": "and",
                "LogicalOr": "or",
                "LogicalXor": "xor",
            }.items()
        },
        "Logaddexp": "max(x, y) + log1p(exp(-abs(x - y)))",
    }
)
"""The expression of each class; truth is 1 and 0."""

_ARITHMETIC: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "add", "Subtract": "sub", "Multiply": "mul", "TrueDivide": "div", "Divide": "div"}
    | {"Maximum": "max", "Minimum": "min"}
)
"""The operator of the graph for each class."""


def operand(value: Any, rank: int) -> TensorRef | Array:
    """Return an operand: a tensor, or a constant in the shape of one row.

    Args:
        value: The argument of a call.
        rank: The number of axes of one row of what it is combined with.

    Raises:
        UnsupportedError: It is neither, or is a constant of several rows.
    """
    if isinstance(value, TensorRef):
        return value
    try:
        array: Array = np.asarray(value, dtype=np.float64 if isinstance(value, int | float | list) else None)
    except (TypeError, ValueError):
        raise UnsupportedError("is given other things than tensors and numbers") from None
    if array.dtype.kind != "f":
        raise UnsupportedError("is given other things than tensors and numbers")
    if array.ndim > rank:
        if array.ndim > rank + 1 or array.shape[0] != 1:
            raise UnsupportedError(f"is given a constant of shape {list(array.shape)}, which has several rows")
        array = array[0]
    return array


def constant(value: Any, rank: int) -> Array:
    """Return a constant in the shape of one row; see `operand`."""
    found = operand(value, rank)
    if isinstance(found, TensorRef):
        raise UnsupportedError("is given a tensor where a number is needed")
    return found


def operands(call: LayerCall, count: int) -> list[TensorRef | Array]:
    """Return the operands of a call, whose tensors all have the same number of axes."""
    tensors = [value for value in call.arguments if isinstance(value, TensorRef)]
    if len(call.arguments) != count or not tensors:
        raise UnsupportedError(f"is given other things than {count} tensors and numbers")
    check_ranks(tensors)
    return [operand(value, len(tensors[0].shape)) for value in call.arguments]


def _broadcast(call: LayerCall, count: int) -> list[TensorRef | Array]:
    """Return the operands of a call that are combined element by element."""
    found = operands(call, count)
    check_broadcast(*(part.shape for part in found))
    return found


def _combine(call: LayerCall) -> TensorRef:
    one, other = _broadcast(call, 2)
    return combine(call.graph, _ARITHMETIC[call.kind], one, other)


def _of_two(call: LayerCall) -> TensorRef:
    text = _OF_TWO[call.kind]
    one, other = _broadcast(call, 2)
    if call.kind == "FloorDivide" and not _divides_alike(other):
        raise UnsupportedError("rounds its quotient as the backend of Keras does; use keras.ops.floor(x / y)")
    if isinstance(one, TensorRef):
        if isinstance(other, TensorRef):
            return call.graph.elementwise(text, one, other)
        if other.size == 1:
            return call.graph.function(one, _renamed(text, "y", "number"), number=float(other.ravel()[0]))
        return call.graph.elementwise(text, one, call.graph.constants(one, other))
    if not isinstance(other, TensorRef):
        raise UnsupportedError("is given constants alone")
    if one.size == 1:
        alone = _renamed(_renamed(text, "x", "number"), "y", "x")
        return call.graph.function(other, alone, number=float(one.ravel()[0]))
    return call.graph.elementwise(text, call.graph.constants(other, one), other)


def _divides_alike(value: TensorRef | Array) -> bool:
    """Return whether a quotient by a value has the same floor however it is computed.

    It has by constants that are whole numbers or powers of 2; by others, it may be rounded up to a whole number before.
    """
    if isinstance(value, TensorRef):
        return False
    return bool(((value == np.trunc(value)) | (np.abs(np.frexp(value)[0]) == 0.5)).all())


def _renamed(text: str, word: str, other: str) -> str:
    return re.sub(rf"\b{word}\b", other, text)


def _where(call: LayerCall) -> TensorRef:
    """Choose one of two by a condition."""
    condition, one, other = _broadcast(call, 3)
    like = next(part for part in (condition, one, other) if isinstance(part, TensorRef))
    if not isinstance(condition, TensorRef):
        chosen = [part if isinstance(part, TensorRef) else call.graph.constants(like, part) for part in (one, other)]
        shape = np.broadcast_shapes(condition.shape, *(part.shape for part in chosen))
        sources, indices = call.graph.side_by_side(chosen)
        wide = [np.broadcast_to(index, shape) for index in indices]
        return TensorRef(sources=sources, index=np.where(condition != 0, *wide))
    letters, words, tensors = iter("yz"), [], [condition]
    for part in (one, other):
        if not isinstance(part, TensorRef) and part.size == 1 and np.isfinite(part).all():
            words.append(_digits(float(part.ravel()[0])))
        else:
            words.append(next(letters))
            tensors.append(part if isinstance(part, TensorRef) else call.graph.constants(like, part))
    return call.graph.elementwise(f"where(x != 0, {words[0]}, {words[1]})", *tensors)


def _digits(number: float) -> str:
    text = repr(abs(number)).removesuffix(".0")
    return f"(-{text})" if number < 0 else text


def _clip(call: LayerCall) -> TensorRef:
    rank = len(call.first.shape)
    low, high = (
        None if call.config.get(key) is None else constant(call.config[key], rank) for key in ("x_min", "x_max")
    )
    return call.graph.clip(call.first, low, high)


ARITHMETIC: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(_ARITHMETIC, _combine),
        **dict.fromkeys(_OF_TWO, _of_two),
        "Where": _where,
        "Clip": _clip,
    }
)
"""By class name."""
