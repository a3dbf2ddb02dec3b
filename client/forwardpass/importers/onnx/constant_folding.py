"""Constant folding: computes operators whose inputs are all constant."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.values import ROWS, Constant, RowMultiple
from forwardpass.importers.unsupported import UnsupportedError

_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "Abs": np.abs,
        "Neg": np.negative,
        "Sqrt": np.sqrt,
        "Reciprocal": np.reciprocal,
        "Exp": np.exp,
        "Log": np.log,
        "Relu": lambda array: np.maximum(array, 0),
        "Sigmoid": lambda array: 1 / (1 + np.exp(-array)),
        "Softplus": lambda array: np.logaddexp(0, array),
        "Tanh": np.tanh,
        "Floor": np.floor,
        "Ceil": np.ceil,
        "Not": np.logical_not,
        "Add": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "Div": np.divide,
        "Pow": np.power,
        "Max": np.maximum,
        "Min": np.minimum,
        "Sum": np.add,
        "Mod": np.mod,
        "FMod": np.fmod,
        "Sign": np.sign,
        "Cos": np.cos,
        "Sin": np.sin,
        "Greater": np.greater,
        "GreaterOrEqual": np.greater_equal,
        "Less": np.less,
        "LessOrEqual": np.less_equal,
        "Equal": np.equal,
        "And": np.logical_and,
        "Or": np.logical_or,
        "Xor": np.logical_xor,
    }
)


_REDUCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "ReduceSum": np.add.reduce,
        "ReduceProd": np.multiply.reduce,
        "ReduceMax": np.maximum.reduce,
        "ReduceMin": np.minimum.reduce,
    }
)


def folded(graph: OnnxGraphBuilder, op: str, *arrays: Array) -> Constant:
    """Compute an operator of constants.

    Args:
        graph: The builder, whose budget the result must fit.
        op: The name of the operator.
        arrays: The operands, which broadcast.

    Raises:
        UnsupportedError: The operator is not supported, the operands do not fit, or the result is too large.
    """
    if any(array.dtype == object for array in arrays):
        return _of_shapes(graph, op, *arrays)
    if op not in _FUNCTIONS:
        raise UnsupportedError("has constants alone to compute; let the exporter fold them, or onnx-simplifier")
    try:
        size = math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    except ValueError:
        raise UnsupportedError(
            f"joins constants of shapes {', '.join(str(list(array.shape)) for array in arrays)}"
        ) from None
    graph.budget.claim_constant(size)
    kind = arrays[0].dtype
    if op == "Div" and kind.kind in "iu":
        return Constant(array=_quotients(*arrays))
    with np.errstate(all="ignore"):
        result = np.asarray(_FUNCTIONS[op](*arrays))
        if result.dtype == bool:
            return Constant(array=result)
        return Constant(array=(np.trunc(result) if kind.kind in "iu" else result).astype(kind))


def _quotients(one: Array, other: Array) -> Array:
    """Divide whole numbers towards 0, without a way through floats, which hold fewer digits."""
    if not other.all():
        raise UnsupportedError("divides whole numbers by 0")
    quotients: Array = np.floor_divide(one, other)
    quotients += ((one < 0) != (other < 0)) & (quotients * other != one)
    return quotients


def _of_shapes(graph: OnnxGraphBuilder, op: str, *arrays: Array) -> Constant:
    """Compute an operator of parts of shapes, which may have the number of rows or a multiple of it."""
    if op not in _OF_SIZES or len(arrays) != 2 or any(array.dtype.kind not in "Oi" for array in arrays):
        return folded(graph, op, *map(whole_of, arrays))
    graph.budget.claim_constant(math.prod(np.broadcast_shapes(arrays[0].shape, arrays[1].shape)))
    found = np.array(np.frompyfunc(_OF_SIZES[op], 2, 1)(*arrays), dtype=object)
    if all(isinstance(one, int) for one in found.ravel().tolist()):
        return Constant(array=found.astype(bool if op == "Equal" else np.int64))
    return Constant(array=found)


def _same_size(one: Any, other: Any) -> bool:
    """Return whether two sizes are the same; the number of rows is never negative."""
    if isinstance(one, int) == isinstance(other, int):
        if isinstance(one, int) or one == other:
            return bool(one == other)
    elif min(size for size in (one, other) if isinstance(size, int)) < 0:
        return False
    raise UnsupportedError(_OF_ROWS)


def _product_of_sizes(one: Any, other: Any) -> Any:
    whole, rows = (one, other) if isinstance(one, int) else (other, one)
    if isinstance(rows, int):
        return whole * rows
    if not isinstance(whole, int) or whole < 1:
        raise UnsupportedError(_OF_ROWS)
    return rows_times(whole * _factor(rows))


def _quotient_of_sizes(one: Any, other: Any) -> Any:
    if not isinstance(other, int) or other < 1 or (not isinstance(one, int) and _factor(one) % other):
        raise UnsupportedError(_OF_ROWS)
    if isinstance(one, int):
        return one // other if one >= 0 else -(-one // other)
    return rows_times(_factor(one) // other)


def _factor(size: Any) -> int:
    return size.factor if isinstance(size, RowMultiple) else 1


def rows_times(factor: int) -> Any:
    """Return a multiple of the number of rows."""
    return ROWS if factor == 1 else RowMultiple(factor=factor)


_OF_ROWS: Final = "computes with the number of rows; a network computes each row by itself"

_OF_SIZES: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {"Equal": _same_size, "Mul": _product_of_sizes, "Div": _quotient_of_sizes}
)
"""What computes two sizes, one of which may be of the rows, by operator."""


def reduced_constant(graph: OnnxGraphBuilder, op: str, array: Array, axes: Sequence[int], *, keep: bool) -> Constant:
    """Reduce axes of a constant.

    Raises:
        UnsupportedError: The reduction is not supported, or there are no elements.
    """
    if op not in _REDUCTIONS or not array.size:
        raise UnsupportedError("has constants alone to compute; let the exporter fold them, or onnx-simplifier")
    graph.budget.claim_constant(array.size)
    return Constant(array=_REDUCTIONS[op](array, axis=tuple(axes), keepdims=keep, dtype=array.dtype))


def numbers_of(value: Constant) -> Array:
    """Return a constant's array.

    Raises:
        UnsupportedError: The number of rows is among its numbers.
    """
    return whole_of(value.array)


def whole_of(array: Array) -> Array:
    """Return an array, a part of a shape without the number of rows as int64.

    Raises:
        UnsupportedError: The number of rows is among its numbers.
    """
    if array.dtype != object:
        return array
    if not all(isinstance(size, int) for size in array.ravel().tolist()):
        raise UnsupportedError(_OF_ROWS)
    return array.astype(np.int64)
