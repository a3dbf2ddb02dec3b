"""Operators that only move elements; none becomes a layer."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import numbers_of, rows_times
from forwardpass.importers.onnx.lifting import all_lifted, padded
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result, front, not_rows
from forwardpass.importers.onnx.values import ROWS, Constant, GraphTensor, JoinedRows, RowMultiple, Value
from forwardpass.importers.unsupported import UnsupportedError


def _moved(
    node: NodeContext, value: Constant | GraphTensor, move: Callable[[Array], Array], rows: int | None
) -> Constant | GraphTensor:
    """Move the elements of a constant, or the index of a tensor."""
    if isinstance(value, Constant):
        return Constant(array=np.asarray(move(value.array), value.array.dtype))
    index = move(value.index)
    node.graph.budget.claim_elements(index.size)
    return replace(value, index=index, row_axis=rows)


def _rows(value: Constant | GraphTensor) -> int | None:
    return value.row_axis if isinstance(value, GraphTensor) else None


def _claim(node: NodeContext, value: Constant | GraphTensor, shape: Sequence[int]) -> None:
    """Claim a size before it is made."""
    if isinstance(value, GraphTensor):
        node.graph.budget.claim_elements(math.prod(shape))
    else:
        node.graph.budget.claim_constant(math.prod(shape))


def _identity(node: NodeContext) -> Result:
    return node.inputs[0] if node.has(0) else node.value(0)  # type: ignore[return-value] # it has


def _dropout(node: NodeContext) -> Result:
    training = node.has(2) and bool(node.constant(2).ravel()[0])
    if training and not (node.has(1) and node.constant(1).ravel()[0] == 0):
        raise UnsupportedError(
            "is in training mode, which is random; export the model for inference, as by `model.eval()`"
        )
    if len(node.used) > 1 and node.used[1]:
        raise UnsupportedError("gives its mask, which only training needs")
    return node.value(0)


def _shape(node: NodeContext) -> Result:
    together = node.joined_rows(0)
    sizes: list[Any]
    if together is not None:
        whole = together.tensor.shape
        sizes = [math.prod(whole[each] for each in together.apart(axis)) for axis in range(together.rank)]
        sizes[together.start] = rows_times(sizes[together.start])
    else:
        value = node.value(0)
        sizes = list(value.shape)
        if (rows := _rows(value)) is not None:
            sizes[rows] = ROWS
    part = sizes[slice(node.integer("start", 0), node.attributes.get("end"))]
    is_whole = all(isinstance(size, int) for size in part)
    return Constant(array=np.array(part, dtype=np.int64 if is_whole else object).reshape(len(part)))


def _size(node: NodeContext) -> Result:
    value = node.value(0)
    if _rows(value) is not None:
        raise UnsupportedError("counts the elements of all rows; a network computes each row by itself")
    return Constant(array=np.array(math.prod(value.shape), np.int64))


def reshaped(node: NodeContext, value: Constant | GraphTensor, target: Sequence[Any]) -> Constant | GraphTensor:
    """Reshape a tensor; the rows stay apart."""
    rows, sizes, total = _rows(value), list(target), math.prod(value.shape)
    whole = [size for size in sizes if size is not ROWS]
    if whole.count(-1) > 1 or any(size < -1 for size in whole):
        raise UnsupportedError(f"has the shape {sizes}, which is invalid")
    if rows is not None and ROWS not in sizes and -1 in sizes and -math.prod(whole) == total:
        sizes[sizes.index(-1)] = ROWS
    if (rows is None) != (ROWS not in sizes):
        raise UnsupportedError(f"gives the shape {sizes} to {_said(value)}; the rows must stay an axis of their own")
    place = sizes.index(ROWS) if rows is not None else None
    fixed = [1 if size is ROWS else size for size in sizes]
    known = math.prod(size for size in fixed if size != -1)
    if -1 in fixed and known:
        fixed[fixed.index(-1)] = total // known
    if math.prod(fixed) != total or -1 in fixed:
        raise UnsupportedError(f"gives the shape {sizes} to {_said(value)}, which has {total} elements for a row")
    if rows is not None and math.prod(fixed[:place]) != math.prod(value.shape[:rows]):
        raise UnsupportedError(f"gives the shape {sizes} to {_said(value)}, which mixes rows")
    return _moved(node, value, lambda array: array.reshape(fixed), place)


def _reshape(node: NodeContext) -> Result:
    together = node.joined_rows(0)
    value = node.value(0) if together is None else together.tensor
    sizes = [*node.attributes["shape"]] if node.version < 5 else node.shape(1)
    old: list[Any] = list(value.shape)
    if (rows := _rows(value)) is not None:
        old[rows] = ROWS
        if rows == 0 and sizes and sizes[0] == node.graph.fixed_rows:
            sizes[0] = ROWS
    if not node.integer("allowzero", 0):
        kept = [place for place, size in enumerate(sizes) if isinstance(size, int) and size == 0]
        if kept and together is not None:
            raise UnsupportedError("keeps axes of a tensor whose rows are one axis with others; give their sizes")
        if kept and kept[-1] >= len(old):
            raise UnsupportedError(f"keeps an axis that {_said(value)} does not have")
        sizes = [old[place] if place in kept else size for place, size in enumerate(sizes)]
    if any(isinstance(size, RowMultiple) for size in sizes):
        return _with_multiple(node, value, sizes)
    return _joined_rows(node, value, sizes) or reshaped(node, value, sizes)


def _with_multiple(node: NodeContext, value: Constant | GraphTensor, sizes: list[Any]) -> JoinedRows:
    """Return a tensor with an axis of the rows and others, whose size is a multiple of the rows."""
    place = next(place for place, size in enumerate(sizes) if isinstance(size, RowMultiple))
    others = [*sizes[:place], *sizes[place + 1 :]]
    factor, left = sizes[place].factor, -1 in others
    known = factor * math.prod(size for size in others if size is not ROWS and isinstance(size, int) and size != -1)
    if left and known > 0:
        others[others.index(-1)] = math.prod(value.shape) // known
    joined = _joined_rows(node, value, [*others[:place], -1, *others[place:]])
    if joined is None or math.prod(joined.tensor.shape[joined.start :][: joined.count]) != factor:
        raise UnsupportedError(f"gives the shape {sizes} to {_said(value)}, which does not fit")
    return joined


def _joined_rows(node: NodeContext, value: Constant | GraphTensor, sizes: Sequence[Any]) -> JoinedRows | None:
    """Return a tensor whose axis of size -1 is the rows with other axes beside them, or None where it is not."""
    rows = _rows(value)
    if not isinstance(value, GraphTensor) or rows is None or ROWS in sizes or list(sizes).count(-1) != 1:
        return None
    place = list(sizes).index(-1)
    left, right = math.prod(sizes[:place]), math.prod(sizes[place + 1 :])
    front, behind = math.prod(value.shape[:rows]), math.prod(value.shape[rows + 1 :])
    if min(left, right) < 1 or front % left or behind % right or (front, behind) == (left, right):
        return None
    shape = (*sizes[:place], front // left, 1, behind // right, *sizes[place + 1 :])
    apart = _moved(node, value, lambda array: array.reshape(shape), place + 1)
    return JoinedRows(tensor=apart, start=place, count=3) if isinstance(apart, GraphTensor) else None


def _flatten(node: NodeContext) -> Result:
    value = node.value(0)
    axis = node.integer("axis", 1)
    axis += len(value.shape) if axis < 0 else 0
    old: list[Any] = list(value.shape)
    if not 0 <= axis <= len(old):
        raise UnsupportedError(f"has the axis {axis}, of {_said(value)}")
    sizes: list[Any] = [math.prod(old[:axis]), math.prod(old[axis:])]
    if (rows := _rows(value)) is not None:
        place = 0 if rows < axis else 1
        if sizes[place] != 1:
            raise UnsupportedError(
                f"makes one axis of the rows and others of {_said(value)}; the rows must stay an axis"
            )
        sizes[place] = ROWS
    return reshaped(node, value, sizes)


def _squeeze(node: NodeContext) -> Result:
    value = node.value(0)
    rank, rows = len(value.shape), _rows(value)
    given = node.integers("axes", 1)
    axes = {front(axis, rank) for axis in given} if given is not None else set()
    if given is None:
        axes = {axis for axis, size in enumerate(value.shape) if size == 1 and axis != rows}
    if any(value.shape[not_rows(value, axis)] != 1 for axis in axes):
        raise UnsupportedError(f"leaves out axes {sorted(axes)} of {_said(value)}, which are not all of size 1")
    kept = [axis for axis in range(rank) if axis not in axes]
    place = None if rows is None else kept.index(rows)
    return _moved(node, value, lambda array: array.reshape([array.shape[axis] for axis in kept]), place)


def _unsqueeze(node: NodeContext) -> Result:
    value = node.value(0)
    given = node.integers("axes", 1) or []
    rank, rows = len(value.shape) + len(given), _rows(value)
    axes = {front(axis, rank) for axis in given}
    if len(axes) != len(given):
        raise UnsupportedError(f"names an axis twice: {given}")
    old = [axis for axis in range(rank) if axis not in axes]
    place = None if rows is None else old[rows]
    return _moved(node, value, lambda array: np.expand_dims(array, tuple(axes)), place)


def transposed(node: NodeContext, value: Constant | GraphTensor, order: Sequence[int]) -> Constant | GraphTensor:
    """Put the axes of a tensor into another order."""
    if sorted(order) != list(range(len(value.shape))):
        raise UnsupportedError(f"orders the axes of {_said(value)} as {list(order)}, which is no order of them")
    rows = _rows(value)
    place = None if rows is None else list(order).index(rows)
    return _moved(node, value, lambda array: array.transpose(order), place)


def _transpose(node: NodeContext) -> Result:
    if (together := node.joined_rows(0)) is not None:
        order = node.attributes.get("perm", range(together.rank)[::-1])
        if sorted(order) != list(range(together.rank)):
            raise UnsupportedError(f"orders {together.rank} axes as {list(order)}, which is no order of them")
        return together.transposed(order)
    value = node.value(0)
    return transposed(node, value, node.attributes.get("perm", range(len(value.shape))[::-1]))


def _expand(node: NodeContext) -> Result:
    value = node.value(0)
    rows, rank = _rows(value), len(value.shape)
    sizes = node.sizes(1)
    if isinstance(value, Constant) and ROWS in sizes:
        value, rank = _for_each_row(node, value, sizes), max(rank, len(sizes))
        rows = value.row_axis
    shape = (1,) * (len(sizes) - rank) + value.shape
    place = None if rows is None else rows + len(shape) - rank
    sizes = [1] * (len(shape) - len(sizes)) + sizes
    if any((size is ROWS or (axis == place and size != 1)) and axis != place for axis, size in enumerate(sizes)):
        raise UnsupportedError("repeats a tensor for each row along another axis than the rows'")
    if place is not None and sizes[place] is not ROWS and sizes[place] != 1:
        raise UnsupportedError(f"gives the rows the size {sizes[place]}; export the model for any number of rows")
    return broadcast(node, value, [1 if size is ROWS else size for size in sizes])


def _for_each_row(node: NodeContext, value: Constant, sizes: Sequence[Any]) -> GraphTensor:
    """Return a constant as a tensor that is the same for every row."""
    array = numbers_of(value)
    array = array.reshape((1,) * (len(sizes) - array.ndim) + array.shape)
    place = array.ndim - len(sizes) + list(sizes).index(ROWS)
    if list(sizes).count(ROWS) > 1 or array.shape[place] != 1:
        raise UnsupportedError(f"repeats {_said(value)} to {list(sizes)}, which do not fit")
    return node.graph.nodes_of_constants(array, place, str(array.dtype))


def broadcast(node: NodeContext, value: Constant | GraphTensor, sizes: Sequence[int]) -> Constant | GraphTensor:
    """Repeat a tensor along its axes of size 1."""
    try:
        shape = np.broadcast_shapes(value.shape, tuple(sizes))
    except ValueError:
        raise UnsupportedError(f"broadcasts {_said(value)} to {list(sizes)}, which do not fit") from None
    _claim(node, value, shape)
    rows = _rows(value)
    place = None if rows is None else rows + len(shape) - len(value.shape)
    return _moved(node, value, lambda array: np.broadcast_to(array, shape), place)


def _tile(node: NodeContext) -> Result:
    value, repeats = node.value(0), node.sizes(1)
    if len(repeats) != len(value.shape) or any(not isinstance(times, int) or times < 0 for times in repeats):
        raise UnsupportedError(f"repeats {_said(value)} {repeats} times")
    if (rows := _rows(value)) is not None and repeats[rows] != 1:
        raise UnsupportedError("repeats the rows; a network computes each row by itself")
    _claim(node, value, [size * times for size, times in zip(value.shape, repeats, strict=True)])
    return _moved(node, value, lambda array: np.tile(array, repeats), rows)


def _concat(node: NodeContext) -> Result:
    values = [node.value(place) for place in range(len(node.inputs))]
    axis = node.axis(1, len(values[0].shape))
    if all(isinstance(value, Constant) for value in values):
        _claim(node, values[0], [sum(math.prod(value.shape) for value in values)])
        return Constant(array=np.concatenate([value.array for value in values if isinstance(value, Constant)], axis))
    tensors = [value for value in values if isinstance(value, GraphTensor)]
    values = [value for value in values if isinstance(value, GraphTensor) or value.array.size]
    if len(tensors) < len(values) and tensors[0].row_axis is not None:
        raise UnsupportedError(
            "puts a constant beside a tensor of any number of rows; repeat it for each row by Expand"
        )
    return joined(node, all_lifted(node, values), axis)


def joined(node: NodeContext, tensors: Sequence[GraphTensor], axis: int) -> GraphTensor:
    """Put tensors side by side along an axis."""
    first = tensors[0]
    for tensor in tensors:
        not_rows(tensor, axis)
        if tensor.row_axis != first.row_axis or [*tensor.shape[:axis], *tensor.shape[axis + 1 :]] != [
            *first.shape[:axis],
            *first.shape[axis + 1 :],
        ]:
            raise UnsupportedError(f"puts {_said(first)} and {_said(tensor)} side by side, which do not fit")
    plain = [node.graph.without_pending(tensor) for tensor in tensors]
    whole = node.graph.concatenate(plain, axis)
    return GraphTensor(sources=whole.sources, index=whole.index, row_axis=first.row_axis, kind=first.kind)


def _slice(node: NodeContext) -> Result:
    value = node.value(0)
    starts, ends = node.integers("starts", 1), node.integers("ends", 2)
    if starts is None or ends is None or ROWS in starts or ROWS in ends:
        raise UnsupportedError("takes a part whose start or end is not constant")
    axes = node.integers("axes", 3) or list(range(len(starts)))
    steps = node.integers("steps", 4) or [1] * len(starts)
    parts: list[slice] = [slice(None)] * len(value.shape)
    for start, end, axis, pace in zip(starts, ends, axes, steps, strict=True):
        place = front(axis, len(parts))
        if place == _rows(value) and (start, pace) == (0, 1) and end >= np.iinfo(np.int32).max:
            continue  # all rows
        # With a negative step, an end below all elements includes the first.
        last = None if pace < 0 and end < -value.shape[place] else end
        parts[not_rows(value, place)] = slice(start, last, pace)
    return _moved(node, value, lambda array: array[tuple(parts)], _rows(value))


def _split(node: NodeContext) -> Result:
    value = node.value(0)
    axis = not_rows(value, node.axis(0, len(value.shape)))
    size, count = value.shape[axis], len(node.used)
    sizes = node.integers("split", 1)
    if sizes is None:
        each = -(-size // node.integer("num_outputs", count))
        sizes = [min(each, size - start) for start in range(0, size, each)]
    if sum(sizes) != size or len(sizes) != count or any(part < 0 for part in sizes):
        raise UnsupportedError(f"splits an axis of size {size} into {sizes}, {count} outputs")
    ends = np.cumsum(sizes).tolist()
    parts = [(slice(None),) * axis + (slice(end - part, end),) for part, end in zip(sizes, ends, strict=True)]
    return tuple(
        _moved(node, value, lambda array, part=part: array[part], _rows(value)) if size else _nothing(value, axis)  # type: ignore[misc]
        for part, size in zip(parts, sizes, strict=True)
    )


def _nothing(value: Constant | GraphTensor, axis: int) -> Constant:
    """Return a part of no elements, which may stand beside others."""
    return Constant(
        array=np.empty([0 if place == axis else size for place, size in enumerate(value.shape)], value.kind)
    )


def taken(node: NodeContext, value: Constant | GraphTensor, indices: Array, axis: int) -> Constant | GraphTensor:
    """Take elements along an axis by constant indices."""
    size = value.shape[not_rows(value, axis)]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise UnsupportedError(f"takes element {indices.min()} to {indices.max()} of an axis of size {size}")
    _claim(node, value, [*value.shape[:axis], *value.shape[axis + 1 :], indices.size])
    rows = _rows(value)
    place = rows if rows is None or rows < axis else rows + indices.ndim - 1
    return _moved(node, value, lambda array: np.take(array, indices, axis=axis), place)


def _gather(node: NodeContext) -> Result:
    value, indices = node.value(0), node.value(1)
    axis = node.axis(0, len(value.shape))
    if isinstance(indices, Constant):
        return taken(node, value, node.constant(1), axis)
    if isinstance(value, GraphTensor):
        raise UnsupportedError("chooses elements by places that depend on the inputs, from a tensor that does too")
    return _embedded(node, node.constant(0), indices, axis)


def _embedded(node: NodeContext, table: Array, categories: GraphTensor, axis: int) -> Value:
    """Look rows of a constant table up by categories that are inputs."""
    if axis or table.ndim < 1 or table.dtype.kind != "f":
        raise UnsupportedError(
            "looks places up that depend on the inputs, along another axis than a float table's first"
        )
    rows = table.reshape(len(table), -1)
    node.graph.note_categories(categories, len(table))
    width = categories.index.size * rows.shape[1]
    node.graph.budget.claim_elements(width)
    name = node.graph.layer(node.hint, [categories], width, kind="embedding", table=rows)
    return node.graph.nodes(name, (*categories.shape, *table.shape[1:]), categories.row_axis, str(table.dtype))


def _pad(node: NodeContext) -> Result:
    value = node.value(0)
    mode = node.attributes.get("mode", b"constant").decode()
    pads = node.integers("pads", 1) or node.attributes.get("paddings", [])
    axes = node.integers("axes", 3) or list(range(len(value.shape)))
    widths = [(0, 0)] * len(value.shape)
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        if before < 0 or after < 0:
            raise UnsupportedError("pads by a negative number of elements; slice instead")
        if before or after:
            widths[not_rows(value, front(axis, len(widths)))] = (before, after)
    _claim(node, value, [size + sum(pad) for size, pad in zip(value.shape, widths, strict=True)])
    if mode != "constant":
        return _moved(node, value, lambda array: np.pad(array, widths, mode=mode), _rows(value))
    filling = node.constant(2) if node.has(2) else np.array(node.number("value", 0.0))
    if isinstance(value, Constant):
        return Constant(array=np.pad(numbers_of(value), widths, constant_values=filling.ravel()[0]))
    return padded(node, value, widths, filling)


def _constant(node: NodeContext) -> Result:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in node.attributes:
            number = node.attributes[name]
            kind = np.float32 if "float" in name else np.int64
            return Constant(array=number if isinstance(number, np.ndarray) else np.array(number, kind))
    raise UnsupportedError(f"has a value of another form than numbers: {', '.join(node.attributes)}")


def _constant_of_shape(node: NodeContext) -> Result:
    sizes = node.sizes(0)
    filling = node.attributes.get("value", np.zeros(1, np.float32))
    if ROWS in sizes:
        one = _for_each_row(node, Constant(array=filling.reshape(1)), sizes)
        return broadcast(node, one, [1 if size is ROWS else size for size in sizes])
    _claim(node, Constant(array=filling), sizes)
    return Constant(array=np.full(sizes, filling.ravel()[0]))


def _said(value: Constant | GraphTensor) -> str:
    sizes = [ROWS if axis == _rows(value) else size for axis, size in enumerate(value.shape)]
    return f"a tensor of shape {sizes}"


STRUCTURE: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        "Identity": _identity,
        "Dropout": _dropout,
        "Shape": _shape,
        "Size": _size,
        "Reshape": _reshape,
        "Flatten": _flatten,
        "Squeeze": _squeeze,
        "Unsqueeze": _unsqueeze,
        "Transpose": _transpose,
        "Expand": _expand,
        "Tile": _tile,
        "Concat": _concat,
        "Slice": _slice,
        "Split": _split,
        "Gather": _gather,
        "Pad": _pad,
        "Constant": _constant,
        "ConstantOfShape": _constant_of_shape,
    }
)
"""The reader of each operator that moves elements."""
