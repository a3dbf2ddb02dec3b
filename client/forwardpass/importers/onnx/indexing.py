"""Operators that choose, replace or rearrange elements by constant places; none computes a number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.lifting import all_lifted, filled
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result, not_rows
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError


def _places(node: NodeContext, value: Constant | GraphTensor, place: int = 1) -> Array:
    """Return an input of constant places, of a tensor whose elements are all of one row."""
    if isinstance(value, GraphTensor) and value.row_axis is not None:
        raise UnsupportedError("has places for a fixed number of rows; a network computes each row by itself")
    return node.constant(place).astype(np.int64)


def _rearranged(node: NodeContext, value: Constant | GraphTensor, index: Array) -> Constant | GraphTensor:
    """Return elements of a value, by their places in C order."""
    if isinstance(value, Constant):
        node.graph.budget.claim_constant(index.size)
        return Constant(array=numbers_of(value).ravel()[index])
    node.graph.budget.claim_elements(index.size)
    return replace(value, index=value.columns[index])


def _along(value: Constant | GraphTensor, places: Array, axis: int) -> tuple[Array, ...]:
    """Return the index of an element along each axis: a place along one, and its own place along the others."""
    if places.ndim != len(value.shape) or any(
        size > whole for place, (size, whole) in enumerate(zip(places.shape, value.shape, strict=True)) if place != axis
    ):
        raise UnsupportedError(f"has places of shape {list(places.shape)} for values of {list(value.shape)}")
    _check(places, value.shape[axis])
    grid: list[Array] = list(np.indices(places.shape, sparse=True))
    grid[axis] = places % value.shape[axis]
    return tuple(grid)


def _check(places: Array, size: int) -> None:
    if places.size and not (-size <= places.min() and places.max() < size):
        raise UnsupportedError(f"takes element {places.min()} to {places.max()} of an axis of size {size}")


def _gather_elements(node: NodeContext) -> Result:
    value = node.value(0)
    places, axis = _places(node, value), node.axis(0, len(value.shape))
    index = np.ravel_multi_index(np.broadcast_arrays(*_along(value, places, axis)), value.shape)
    return _rearranged(node, value, index)


def _tuples(node: NodeContext, places: Array, shape: Sequence[int]) -> tuple[Array, ...]:
    """Return the places along the first axes of a shape, from tuples along the last axis."""
    if not places.ndim or not 1 <= places.shape[-1] <= len(shape):
        raise UnsupportedError(f"has places of shape {list(places.shape)} for values of {list(shape)}")
    for axis in range(places.shape[-1]):
        _check(places[..., axis], shape[axis])
    node.graph.budget.claim_constant(places.size // places.shape[-1] * math.prod(shape[places.shape[-1] :]))
    return tuple(places[..., axis] % shape[axis] for axis in range(places.shape[-1]))


def _gather_nd(node: NodeContext) -> Result:
    value = node.value(0)
    places, batch = _places(node, value), node.integer("batch_dims", 0)
    shape = value.shape[batch:]
    if not 0 <= batch < min(len(value.shape), places.ndim) or places.shape[:batch] != value.shape[:batch]:
        raise UnsupportedError(f"has places of shape {list(places.shape)} for values of {list(value.shape)}")
    elements = np.arange(math.prod(value.shape)).reshape(-1, *shape)
    parts = places.reshape(-1, *places.shape[batch:])
    index = np.stack([each[_tuples(node, part, shape)] for each, part in zip(elements, parts, strict=True)])
    return _rearranged(node, value, index.reshape(*value.shape[:batch], *index.shape[1:]))


def _scatter_elements(node: NodeContext) -> Result:
    value = node.value(0)
    places, axis = _places(node, value), node.axis(0, len(value.shape))
    return _replaced(node, _along(value, places, axis), places.shape)


def _scatter_nd(node: NodeContext) -> Result:
    value = node.value(0)
    places = _places(node, value)
    tuples = _tuples(node, places, value.shape)
    return _replaced(node, tuples, (*places.shape[:-1], *value.shape[places.shape[-1] :]))


def _replaced(node: NodeContext, places: tuple[Array, ...], shape: Sequence[int]) -> Constant | GraphTensor:
    """Put updates in the place of elements."""
    reduction = node.attributes.get("reduction", b"none").decode()
    if reduction != "none":
        raise UnsupportedError(f"joins elements with updates by {reduction}; add or multiply whole tensors instead")
    value, updates = node.value(0), node.value(2)
    if tuple(updates.shape) != tuple(shape):
        raise UnsupportedError(f"has updates of shape {list(updates.shape)} for places of {list(shape)}")
    if isinstance(value, Constant) and isinstance(updates, Constant):
        array = numbers_of(value).copy()
        node.graph.budget.claim_constant(array.size)
        array[places] = numbers_of(updates)
        return Constant(array=array)
    tensors = all_lifted(node, [value, updates])
    plain = [node.graph.without_pending(tensor) for tensor in tensors]
    if any(tensor.row_axis is not None for tensor in plain):
        raise UnsupportedError("has places for a fixed number of rows; a network computes each row by itself")
    sources, (index, other) = node.graph.side_by_side(plain)
    index = index.copy()
    index[places] = other
    return GraphTensor(sources=sources, index=index, row_axis=None, kind=plain[0].kind)


def _compress(node: NodeContext) -> Result:
    """Take the elements whose constant condition holds, along an axis or of all."""
    value, condition = node.value(0), node.constant(1).astype(bool).ravel()
    if "axis" in node.attributes:
        axis = not_rows(value, node.axis(0, len(value.shape)))
    elif isinstance(value, GraphTensor) and value.row_axis is not None:
        raise UnsupportedError("makes one axis of the rows and others; the rows must stay an axis of their own")
    else:
        value, axis = _rearranged(node, value, np.arange(math.prod(value.shape))), 0
    if len(condition) > value.shape[axis] or not condition.any():
        raise UnsupportedError(
            f"takes {condition.sum()} of {len(condition)} elements of an axis of {value.shape[axis]}"
        )
    places = np.flatnonzero(condition)
    if isinstance(value, Constant):
        node.graph.budget.claim_constant(math.prod(value.shape))
        return Constant(array=np.take(numbers_of(value), places, axis))
    return replace(value, index=np.take(value.index, places, axis))


def _trilu(node: NodeContext) -> Result:
    """Put 0 below or above a diagonal of the last two axes."""
    value = node.value(0)
    rank = len(value.shape)
    if rank < 2:
        raise UnsupportedError(f"needs two axes or more, and gets values of shape {list(value.shape)}")
    if isinstance(value, GraphTensor):
        not_rows(value, rank - 1)
        not_rows(value, rank - 2)
    offset = int(node.constant(1).ravel()[0]) if node.has(1) else 0
    known = np.arange(value.shape[-1]) - np.arange(value.shape[-2])[:, None]
    keep = known >= offset if node.integer("upper", 1) else known <= offset
    if isinstance(value, Constant):
        node.graph.budget.claim_constant(math.prod(value.shape))
        return Constant(array=np.where(keep, numbers_of(value), numbers_of(value).dtype.type(0)))
    return filled(node, value, keep, np.zeros(()))


def _images(node: NodeContext) -> tuple[GraphTensor, int]:
    tensor, size = node.tensor(0), node.integer("blocksize", 0)
    if len(tensor.shape) != 4 or tensor.row_axis not in {0, None} or size < 1:
        raise UnsupportedError("needs its rows as axis 0, channels as axis 1, two more axes, and a blocksize above 0")
    return tensor, size


def _depth_to_space(node: NodeContext) -> Result:
    tensor, size = _images(node)
    rows, channels, height, width = tensor.shape
    if channels % size**2:
        raise UnsupportedError(f"has {channels} channels for blocks of {size} x {size}")
    depth = channels // size**2
    if node.attributes.get("mode", b"DCR") == b"CRD":
        blocks = tensor.index.reshape(rows, depth, size, size, height, width).transpose(0, 1, 4, 2, 5, 3)
    else:
        blocks = tensor.index.reshape(rows, size, size, depth, height, width).transpose(0, 3, 4, 1, 5, 2)
    return replace(tensor, index=blocks.reshape(rows, depth, height * size, width * size))


def _space_to_depth(node: NodeContext) -> Result:
    tensor, size = _images(node)
    rows, channels, height, width = tensor.shape
    if height % size or width % size:
        raise UnsupportedError(f"has axes of {height} and {width} elements for blocks of {size} x {size}")
    blocks = tensor.index.reshape(rows, channels, height // size, size, width // size, size)
    order = (0, 1, 3, 5, 2, 4) if node.attributes.get("mode", b"DCR") == b"CRD" else (0, 3, 5, 1, 2, 4)
    index = blocks.transpose(order).reshape(rows, channels * size**2, height // size, width // size)
    return replace(tensor, index=index)


def _reverse_sequence(node: NodeContext) -> Result:
    """Reverse the first elements of each sequence along the axis of time, as many as a constant says."""
    value = node.value(0)
    lengths = _places(node, value)
    time, batch = node.integer("time_axis", 0), node.integer("batch_axis", 1)
    if len(value.shape) < 2 or {time, batch} != {0, 1} or lengths.shape != (value.shape[batch],):
        raise UnsupportedError("needs the axes 0 and 1 as those of time and sequences, and a length for each sequence")
    if lengths.min() < 0 or lengths.max() > value.shape[time]:
        raise UnsupportedError(f"has lengths from {lengths.min()} to {lengths.max()} of {value.shape[time]} steps")
    steps = np.arange(value.shape[time])[:, None]
    places = np.where(steps < lengths, lengths - 1 - steps, steps)
    index = np.arange(math.prod(value.shape)).reshape(value.shape)
    index = index if time == 0 else index.swapaxes(0, 1)
    index = index[places, np.arange(value.shape[batch])]
    return _rearranged(node, value, index if time == 0 else index.swapaxes(0, 1))


def _range(node: NodeContext) -> Result:
    """Count from a constant number to another by steps."""
    start, limit, step = (node.constant(place).ravel()[0] for place in range(3))
    if step == 0:
        raise UnsupportedError("counts by steps of 0")
    count = max(0, math.ceil((float(limit) - float(start)) / float(step)))
    node.graph.budget.claim_constant(count)
    return Constant(array=(start + np.arange(count) * step).astype(start.dtype))


INDEXING: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        "GatherElements": _gather_elements,
        "GatherND": _gather_nd,
        "ScatterElements": _scatter_elements,
        "ScatterND": _scatter_nd,
        "Compress": _compress,
        "Trilu": _trilu,
        "DepthToSpace": _depth_to_space,
        "SpaceToDepth": _space_to_depth,
        "ReverseSequence": _reverse_sequence,
        "Range": _range,
    }
)
"""The reader of each operator that chooses elements by places."""
