"""Products of tensors: matrices, and Einstein sums, which they are cases of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef, matmul_letters, multiply_all
from forwardpass.importers.onnx.arithmetic import combined
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.node_context import FLOATS, NodeContext, NodeReader, Result
from forwardpass.importers.onnx.reshaping import transposed
from forwardpass.importers.onnx.values import Constant, GraphTensor, JoinedRows
from forwardpass.importers.unsupported import UnsupportedError


def _gemm(node: NodeContext) -> Result:
    """`alpha * A' * B' + beta * C`."""
    if (together := node.joined_rows(0)) is not None:
        return _gemm_of_joined(node, together)
    one, other = node.value(0), node.value(1)
    if len(one.shape) != 2 or len(other.shape) != 2:
        raise UnsupportedError("multiplies tensors that are no matrices")
    if node.integer("transA", 0):
        one = transposed(node, one, [1, 0])
    if node.integer("transB", 0):
        other = transposed(node, other, [1, 0])
    whole = _product(node, one, other, node.number("alpha", 1.0))
    if not node.has(2):
        return whole
    addend, beta = node.value(2), node.number("beta", 1.0)
    if beta != 1:
        addend = combined(node, "Mul", addend, Constant(array=np.array(beta, addend.kind)))
    return combined(node, "Add", whole, addend)


def _gemm_of_joined(node: NodeContext, one: JoinedRows) -> JoinedRows:
    """Multiply a matrix whose rows are one axis with others by constant weights."""
    weights = node.constant(1)
    if node.integer("transA", 0) or one.rank != 2 or weights.ndim != 2:
        raise UnsupportedError("multiplies tensors that are no matrices of rows")
    whole = _product_of_joined(
        node, one, weights.T if node.integer("transB", 0) else weights, node.number("alpha", 1.0)
    )
    if not node.has(2):
        return whole
    bias = node.constant(2)
    if math.prod(bias.shape[:-1]) != 1:
        raise UnsupportedError("adds other numbers for each row; a network computes each row alike")
    shift = Constant(array=bias.reshape(-1) * bias.dtype.type(node.number("beta", 1.0)))
    shifted = combined(node, "Add", whole.tensor, shift)
    return replace(whole, tensor=shifted) if isinstance(shifted, GraphTensor) else whole


def _product_of_joined(node: NodeContext, one: JoinedRows, weights: Array, factor: float = 1.0) -> JoinedRows:
    """Multiply by constant weights `(inputs, outputs)` along the last axis, which is not that of the rows."""
    if weights.ndim != 2 or one.start == one.rank - 1 or one.tensor.shape[-1] != len(weights):
        raise UnsupportedError(
            f"multiplies rows of shape {list(one.tensor.shape)}, one axis with others, by {list(weights.shape)}"
        )
    letters = _AXES[: len(one.tensor.shape) - 1]
    operands: list[tuple[str, Constant | GraphTensor]] = [(f"{letters}k", one.tensor), ("kn", Constant(array=weights))]
    return replace(one, tensor=labelled(node, operands, f"{letters}n", factor))


_AXES: Final = "ABCDEFGH"


def _matmul(node: NodeContext) -> Result:
    if (together := node.joined_rows(0)) is not None:
        return _product_of_joined(node, together, node.constant(1))
    return _product(node, node.value(0), node.value(1))


def _product(
    node: NodeContext, one: Constant | GraphTensor, other: Constant | GraphTensor, factor: float = 1.0
) -> GraphTensor:
    """Multiply matrices as `numpy.matmul` does, and the product by a factor."""
    if not one.shape or not other.shape:
        raise UnsupportedError("multiplies a single number; Mul does that")
    if one.shape[-1] != other.shape[-2:][0]:
        raise UnsupportedError(f"multiplies matrices of the shapes {list(one.shape)} and {list(other.shape)}")
    words, repeated, result = matmul_letters(one.shape, other.shape)
    operands = []
    for value, word, axes in zip((one, other), words, repeated, strict=True):
        if isinstance(value, GraphTensor) and value.row_axis in axes:
            raise UnsupportedError("has other weights for each row; a network computes each row alike")
        operands.append(_without(value, word, axes))
    return labelled(node, operands, result, factor)


def _without(value: Constant | GraphTensor, word: str, axes: Sequence[int]) -> tuple[str, Constant | GraphTensor]:
    """Leave out axes of length 1."""
    letters = "".join(letter for axis, letter in enumerate(word) if axis not in axes)
    if isinstance(value, Constant):
        return letters, Constant(array=numbers_of(value).squeeze(tuple(axes)))
    rows = None if value.row_axis is None else value.row_axis - sum(axis < value.row_axis for axis in axes)
    return letters, replace(value, index=value.index.squeeze(tuple(axes)), row_axis=rows)


def labelled(
    node: NodeContext, operands: Sequence[tuple[str, Constant | GraphTensor]], result: str, factor: float = 1.0
) -> GraphTensor:
    """Multiply operands with a letter for each axis, sum over the letters that the result lacks, and scale."""
    tensors = [(word, value) for word, value in operands if isinstance(value, GraphTensor)]
    if not tensors:
        raise UnsupportedError("multiplies constants; let the exporter fold them, or onnx-simplifier")
    for _, tensor in tensors:
        if tensor.kind not in FLOATS:
            raise UnsupportedError(
                f"computes in {tensor.kind}; networks compute in float32 or float64, cast to one of them"
            )
    rows = {word[tensor.row_axis] for word, tensor in tensors if tensor.row_axis is not None}
    if len(rows) > 1 or rows - set(result):
        raise UnsupportedError(
            "multiplies rows with other rows, or sums over them; a network computes each row by itself"
        )
    if any(word.count(letter) > 1 for letter in rows for word, _ in operands):
        raise UnsupportedError("takes a diagonal of the rows; a network computes each row by itself")
    row = "".join(rows)
    parts: list[tuple[str, TensorRef | Array]] = []
    for word, value in operands:
        if isinstance(value, GraphTensor):
            parts.append((word, node.graph.plain(value)))
            continue
        letters, array = _of_one_row(word, numbers_of(value), row)
        parts.append((letters, array if factor == 1 else array * array.dtype.type(factor)))
        factor = 1.0
    whole = node.graph.tensor(
        multiply_all(node.graph, parts, result), result.index(row) if row else None, tensors[0][1].kind
    )
    if factor == 1:
        return whole
    scaled = combined(node, "Mul", whole, Constant(array=np.array(factor, whole.kind)))
    return scaled if isinstance(scaled, GraphTensor) else whole


def _of_one_row(word: str, array: Array, row: str) -> tuple[str, Array]:
    """Leave out the axis of the rows of a constant."""
    if not row or row not in word:
        return word, array
    axis = word.index(row)
    if array.shape[axis] != 1:
        raise UnsupportedError("has other weights for each row; a network computes each row alike")
    return word.replace(row, ""), array.squeeze(axis)


LINEAR: Final[Mapping[str, NodeReader]] = MappingProxyType({"Gemm": _gemm, "MatMul": _matmul})
"""The reader of each matrix product."""
