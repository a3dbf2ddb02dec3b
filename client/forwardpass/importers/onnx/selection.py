"""Elements that are selected by a condition."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph.pending_functions import IDENTITY, MAX_PARTS, as_condition, as_number, call, literal
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.broadcasting import fit, fitting, joined_by
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.lifting import all_lifted, lifted
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result
from forwardpass.importers.onnx.reshaping import broadcast, joined
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError


def _where(node: NodeContext) -> Result:
    """Select one of two by a condition."""
    values = [node.value(place) for place in range(3)]
    tensors = [value for value in values if isinstance(value, GraphTensor)]
    if not tensors:
        condition, one, other = (value.array for value in values if isinstance(value, Constant))
        node.graph.budget.claim_constant(math.prod(np.broadcast_shapes(condition.shape, one.shape, other.shape)))
        return Constant(array=np.where(condition.astype(bool), one, other))
    if isinstance(values[0], Constant):
        return _chosen(node, numbers_of(values[0]), all_lifted(node, values[1:]))
    alone = [
        value if isinstance(value, GraphTensor) or _is_only(value) else lifted(node, numbers_of(value), tensors[0])
        for value in values
    ]
    sizes = np.broadcast_shapes(*(value.shape for value in alone))
    fitted = [broadcast(node, value, sizes) if isinstance(value, GraphTensor) else value for value in alone]
    first = next(value for value in fitted if isinstance(value, GraphTensor))
    parts = []
    for value in fitted:
        if isinstance(value, Constant):
            parts.append(literal(float(numbers_of(value).ravel()[0]), first.kind))
        elif value.same_columns(first):
            parts.append(value.pending or IDENTITY)
        else:
            return _chosen_by(node, alone)
    function = call("where", as_condition(parts[0]), as_number(parts[1]), as_number(parts[2]))
    if function.parts > MAX_PARTS:
        raise UnsupportedError("chooses between functions that are too long for one expression")
    return replace(first, pending=function, kind=_kind_of_choice(values))


def _kind_of_choice(values: Sequence[Constant | GraphTensor]) -> str:
    return next((value.kind for value in values[1:] if isinstance(value, GraphTensor)), values[1].kind)


def _chosen_by(node: NodeContext, values: Sequence[Constant | GraphTensor]) -> GraphTensor:
    """Select one of two by a condition, each of other nodes or a single number."""
    tensors = fitting(node, [value for value in values if isinstance(value, GraphTensor)])
    letters = iter("xyz")
    words = []
    for value in values:
        number = None if isinstance(value, GraphTensor) else float(numbers_of(value).ravel()[0])
        words.append(next(letters) if number is None else repr(number).removesuffix(".0"))
    return joined_by(node, f"where({words[0]} != 0, {words[1]}, {words[2]})", tensors, _kind_of_choice(values))


def _chosen(node: NodeContext, condition: Array, tensors: Sequence[GraphTensor]) -> GraphTensor:
    """Select elements of two tensors by constants; no layer is needed."""
    one, other = fitting(node, [fit(node, tensor, condition) for tensor in tensors])
    axis = len(one.shape)
    wide = [replace(tensor, index=tensor.index[..., None]) for tensor in (one, other)]
    both = joined(node, wide, axis)
    return replace(both, index=np.where(condition, both.index[..., 0], both.index[..., 1]))


def _is_only(value: Constant) -> bool:
    """Return whether a constant is one finite number, once or at every place."""
    numbers = numbers_of(value).astype(np.float64).ravel()
    return bool(numbers.size and (numbers == numbers[0]).all() and np.isfinite(numbers[0]))


SELECTION: Final[Mapping[str, NodeReader]] = MappingProxyType({"Where": _where})
"""The reader of each operator that selects elements."""
