"""Matrix products: with a constant a dense layer, of two tensors a product and a sum."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.groups import pooled
from forwardpass.importers.onnx.merging import combined
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.importers.onnx.step import FLOATS, Reader, Result, Step
from forwardpass.importers.onnx.structure import broadcast, transposed
from forwardpass.importers.onnx.values import Constant, Flow


def _gemm(step: Step) -> Result:
    """`alpha * A' * B' + beta * C`."""
    one, other = step.value(0), step.value(1)
    if len(one.shape) != 2 or len(other.shape) != 2:
        raise Refused("multiplies tensors that are no matrices")
    if step.whole("transA", 0):
        one = transposed(step, one, [1, 0])
    if step.whole("transB", 0):
        other = transposed(step, other, [1, 0])
    whole = product(step, one, other, step.number("alpha", 1.0))
    if not step.has(2):
        return whole
    addend, beta = step.value(2), step.number("beta", 1.0)
    if beta != 1:
        addend = combined(step, "Mul", addend, Constant(array=np.array(beta, addend.kind)))
    return combined(step, "Add", whole, addend)


def _matmul(step: Step) -> Result:
    return product(step, step.value(0), step.value(1))


def product(step: Step, one: Constant | Flow, other: Constant | Flow, factor: float = 1.0) -> Constant | Flow:
    """Multiply matrices as numpy's matmul does, and the product by a factor."""
    if isinstance(one, Constant) and isinstance(other, Constant):
        raise Refused("multiplies constants; let the exporter fold them")
    # Vectors are matrices of one row or column, which the product loses again.
    squeezed = [-2] * (len(one.shape) == 1) + [-1] * (len(other.shape) == 1)
    one, other = _matrix(one, 0), _matrix(other, 1)
    if one.shape[-1] != other.shape[-2]:
        raise Refused(f"multiplies matrices of the shapes {list(one.shape)} and {list(other.shape)}")
    for value in (one, other):
        if isinstance(value, Flow) and value.kind not in FLOATS:
            raise Refused(f"computes in {value.kind}; networks compute in float32 or float64, cast to one of them")
    if isinstance(one, Flow) and isinstance(other, Constant):
        whole = _times(step, one, _by(factor, other.array))
    elif isinstance(one, Constant) and isinstance(other, Flow):
        whole = _turned(_times(step, _turned(other), np.swapaxes(_by(factor, one.array), -1, -2)))
    else:
        whole = _both(step, one, other)  # type: ignore[arg-type] # neither is constant
        if factor != 1:
            whole = _scaled(step, whole, factor)
    if not squeezed:
        return whole
    axes = [axis % len(whole.shape) for axis in squeezed]
    if whole.rows in axes:
        raise Refused("multiplies along the axis of the rows; a network computes each row by itself")
    rows = None if whole.rows is None else whole.rows - sum(axis < whole.rows for axis in axes)
    return replace(whole, index=whole.index.squeeze(tuple(axes)), rows=rows)


def _by(factor: float, weights: Array) -> Array:
    scaled: Array = weights if factor == 1 else weights * weights.dtype.type(factor)
    return scaled


def _matrix(value: Constant | Flow, axis: int) -> Constant | Flow:
    if len(value.shape) == 0:
        raise Refused("multiplies a single number; Mul does that")
    if len(value.shape) > 1:
        return value
    if isinstance(value, Constant):
        return Constant(array=np.expand_dims(value.array, axis))
    rows = None if value.rows is None else value.rows + (axis == 0)
    return replace(value, index=np.expand_dims(value.index, axis), rows=rows)


def _turned(flow: Flow) -> Flow:
    rank = len(flow.shape)
    rows = flow.rows
    if rows is not None and rows >= rank - 2:
        rows = 2 * rank - 3 - rows
    return replace(flow, index=np.swapaxes(flow.index, -1, -2), rows=rows)


def _scaled(step: Step, flow: Flow, factor: float) -> Flow:
    scaled = combined(step, "Mul", flow, Constant(array=np.array(factor, flow.kind)))
    return scaled if isinstance(scaled, Flow) else flow


def _times(step: Step, flow: Flow, weights: Array) -> Flow:
    """Multiply matrices that depend on the inputs by constant ones, each row of each by one block of weights."""
    rank = max(len(flow.shape), weights.ndim)
    if flow.rows == len(flow.shape) - 1:
        raise Refused("sums over the rows; a network computes each row by itself")
    place = None if flow.rows is None else flow.rows + rank - len(flow.shape)
    if place is not None and place < rank - 2 and weights.ndim > rank - place - 1 and weights.shape[place - rank] != 1:
        raise Refused("has other weights for each row; a network computes each row alike")
    try:
        leads = np.broadcast_shapes(flow.shape[:-2], weights.shape[:-2])
    except ValueError:
        raise Refused(f"multiplies matrices of the shapes {list(flow.shape)} and {list(weights.shape)}") from None
    widened = broadcast(step, flow, (*leads, 1, 1))
    flow = widened if isinstance(widened, Flow) else flow
    inputs, outputs = weights.shape[-2:]
    blocks = np.broadcast_to(weights, (*leads, inputs, outputs)).reshape(-1, inputs, outputs)
    each = flow.shape[-2]
    count = len(blocks) * each
    step.draft.claim_weights(count * outputs, count * inputs, made=count > 1)
    dense = np.zeros((len(blocks) * each, outputs, len(blocks) * each, inputs), weights.dtype)
    for place_of, block in enumerate(np.repeat(blocks, each, axis=0) if len(blocks) * each > 1 else blocks):
        dense[place_of, :, place_of] = block.T
    matrix = dense.reshape(dense.shape[0] * outputs, -1)
    name = step.draft.layer(step.hint, [flow], len(matrix), kind="dense", weights=matrix)
    return step.draft.nodes(name, (*flow.shape[:-1], outputs), place, flow.kind)


def _both(step: Step, one: Flow, other: Flow) -> Flow:
    """Multiply matrices that both depend on the inputs: every product of two elements, then sums of them."""
    if one.rows == len(one.shape) - 1 or other.rows == len(other.shape) - 2:
        raise Refused("sums over the rows; a network computes each row by itself")
    terms = combined(
        step,
        "Mul",
        replace(one, index=one.index[..., :, None, :], rows=_before(one, 1)),
        replace(other, index=np.swapaxes(other.index, -1, -2)[..., None, :, :], rows=_before(_turned(other), 2)),
    )
    if not isinstance(terms, Flow):
        raise Refused("multiplies no tensors")
    windows = terms.index.reshape(-1, terms.shape[-1])
    return pooled(step, terms, windows, "sum", terms.shape[:-1], terms.rows)


def _before(flow: Flow, last: int) -> int | None:
    """Return the axis of the rows after another axis was put in before the last ones."""
    rank = len(flow.shape)
    return None if flow.rows is None else flow.rows + (flow.rows >= rank - last)


LINEAR: Final[Mapping[str, Reader]] = MappingProxyType({"Gemm": _gemm, "MatMul": _matmul})
"""What reads each operator that multiplies matrices."""
