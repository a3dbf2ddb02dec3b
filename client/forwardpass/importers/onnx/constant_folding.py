"""Constant folding: computes operators whose inputs are all constant."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.values import Constant
from forwardpass.importers.unsupported import UnsupportedError

_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "Abs": np.abs,
        "Neg": np.negative,
        "Sqrt": np.sqrt,
        "Reciprocal": np.reciprocal,
        "Exp": np.exp,
        "Log": np.log,
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
    with np.errstate(all="ignore"):
        result = np.asarray(_FUNCTIONS[op](*arrays))
        if result.dtype == bool:
            return Constant(array=result)
        return Constant(array=(np.trunc(result) if kind.kind in "iu" else result).astype(kind))  # division truncates


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
    if value.array.dtype == object:
        raise UnsupportedError("computes with the number of rows; a network computes each row by itself")
    return value.array
