"""Operations of `keras.ops` that move elements: slices, shapes and orders of axes. Only padding adds elements."""

from collections.abc import Mapping, Sequence
from math import prod
from types import EllipsisType, MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width, row_axes, row_axis
from forwardpass.importers.unsupported import UnsupportedError

_ROWS: Final = "moves or chooses rows; each row is computed by itself"


def _get_item(call: LayerCall) -> TensorRef:
    """Slice a tensor whose first axis, that of the rows, is kept."""
    x, key = call.first, call.arguments[1]
    keys = key if isinstance(key, list) else [key]
    if not all(isinstance(part, int | slice | EllipsisType | None) or _are_places(part) for part in keys):
        raise UnsupportedError("takes places that depend on the rows, or has a key that Keras 3 does not write")
    if sum(isinstance(part, list) for part in keys) > 1:
        raise UnsupportedError("takes places along several axes at once; take them one axis after the other")
    counted = sum(part is not None and part is not Ellipsis for part in keys)
    if keys and keys[0] == slice(None):
        keys, counted = keys[1:], counted - 1
    elif not keys or keys[0] is not Ellipsis:
        raise UnsupportedError(_ROWS)
    if counted > len(x.shape):
        raise UnsupportedError(f"has {counted} places for rows of shape {list(x.shape)}")
    return x.with_index(np.asarray(x.index[tuple(keys)]))


def _are_places(part: Any) -> bool:
    return isinstance(part, list) and all(type(place) is int for place in part)


def _reshape(call: LayerCall) -> TensorRef:
    """Reshape; the first size is open, since it is the number of rows."""
    shape = call.config.get("newshape")
    if not isinstance(shape, list) or not all(size is None or type(size) is int for size in shape):
        raise UnsupportedError(f"has newshape={shape!r}, where a list of integers is needed")
    if not shape or shape[0] not in {None, -1}:
        raise UnsupportedError(f"makes {shape}; -1 is needed at first, for any number of rows")
    sizes, x = shape[1:], call.first
    if None in sizes or min(sizes, default=0) < -1:
        raise UnsupportedError(f"makes {shape}, which has open sizes after the first")
    known = prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or (known != x.size if -1 not in sizes else not known or x.size % known):
        raise UnsupportedError(f"makes {shape} of rows of {list(x.shape)}, which mixes rows")
    return x.reshape(*sizes)


def _transpose(call: LayerCall) -> TensorRef:
    rank, axes = len(call.first.shape) + 1, call.config.get("axes")
    order = list(range(rank))[::-1] if axes is None else _numbers(call, "axes")
    return _permuted(call, [axis % rank if -rank <= axis < rank else axis for axis in order])


def _swapaxes(call: LayerCall) -> TensorRef:
    rank = len(call.first.shape)
    one, other = (row_axis(call.integer(key), rank) for key in ("axis1", "axis2"))
    return call.first.with_index(call.first.index.swapaxes(one, other))


def _moveaxis(call: LayerCall) -> TensorRef:
    rank = len(call.first.shape)
    source, destination = ([row_axis(axis, rank) for axis in _numbers(call, key)] for key in ("source", "destination"))
    return call.first.with_index(np.moveaxis(call.first.index, source, destination))


def _permuted(call: LayerCall, order: Sequence[int]) -> TensorRef:
    if sorted(order) != list(range(len(call.first.shape) + 1)):
        raise UnsupportedError(f"has axes={list(order)} for rows of shape {list(call.first.shape)}")
    if order[0] != 0:
        raise UnsupportedError(_ROWS)
    return call.first.with_index(call.first.index.transpose([axis - 1 for axis in order[1:]]))


def _expand_dims(call: LayerCall) -> TensorRef:
    axes = _numbers(call, "axis")
    rank = len(call.first.shape) + len(axes)
    return call.first.with_index(np.expand_dims(call.first.index, tuple(row_axis(axis, rank) for axis in axes)))


def _squeeze(call: LayerCall) -> TensorRef:
    return call.first.with_index(call.first.index.squeeze(tuple(row_axes(call, "axis"))))


def _stack(call: LayerCall) -> TensorRef:
    several = call.inputs
    return call.graph.stack(several, row_axis(call.integer("axis", 0), len(several[0].shape) + 1))


def _joined(axis: int) -> LayerReader:
    """Return the reader of a concatenation along an axis that is counted with that of the rows."""

    def read(call: LayerCall) -> TensorRef:
        return call.graph.concatenate(call.inputs, row_axis(axis, len(call.inputs[0].shape)))

    return read


def _split(call: LayerCall) -> list[TensorRef]:
    x, ends = call.first, call.config.get("indices_or_sections")
    axis = row_axis(call.integer("axis", 0), len(x.shape))
    if ends is None or (not (type(ends) is int and 0 < ends <= x.shape[axis]) and not _are_places(ends)):
        raise UnsupportedError(f"has indices_or_sections={ends!r} for an axis of {x.shape[axis]}")
    return [x.with_index(part) for part in np.split(x.index, ends, axis)]


def _unstack(call: LayerCall) -> list[TensorRef]:
    x = call.first
    axis = row_axis(call.integer("axis", 0), len(x.shape))
    return [x.take(place, axis) for place in range(x.shape[axis])]


def _take(call: LayerCall) -> TensorRef:
    x, places = call.first, np.asarray(call.arguments[1])
    if places.dtype.kind not in "iuf" or not (places == places.astype(np.int64)).all():
        raise UnsupportedError("takes places that depend on the rows; an Embedding looks numbers up")
    axis = row_axis(call.integer("axis"), len(x.shape))
    check_width(x.size // x.shape[axis] * places.size)
    return x.take(places.astype(np.int64), axis)


def _flip(call: LayerCall) -> TensorRef:
    return call.first.with_index(np.flip(call.first.index, tuple(row_axes(call, "axis"))))


def _roll(call: LayerCall) -> TensorRef:
    axes = row_axes(call, "axis")
    return call.first.with_index(np.roll(call.first.index, tuple(_numbers(call, "shift")), tuple(axes)))


def _repeat(call: LayerCall) -> TensorRef:
    x, times = call.first, call.integer("repeats")
    axis = row_axis(call.integer("axis"), len(x.shape))
    check_width(max(times, 0) * x.size)
    return x.with_index(np.repeat(x.index, times, axis))


def _tile(call: LayerCall) -> TensorRef:
    x, times = call.first, _numbers(call, "repeats")
    if len(times) != len(x.shape) + 1 or times[0] != 1 or min(times) < 1:
        raise UnsupportedError(f"has repeats={times}; 1 is needed for the rows, and a number for each other axis")
    check_width(prod(times) * x.size)
    return x.with_index(np.tile(x.index, times[1:]))


def _pad(call: LayerCall) -> TensorRef:
    """Put numbers around a tensor, or elements of it in the reverse order."""
    x, mode = call.first, call.text("mode", "constant")
    pads = call.config.get("pad_width")
    rank = len(x.shape) + 1
    if type(pads) is int:
        pads = [[pads, pads]] * rank
    if not isinstance(pads, list) or len(pads) != rank or not all(_is_pair(pair) for pair in pads):
        raise UnsupportedError(f"has pad_width={pads!r}, where two numbers from 0 on are needed for each axis")
    if pads[0] != [0, 0]:
        raise UnsupportedError(_ROWS)
    check_width(prod(size + sum(pair) for size, pair in zip(x.shape, pads[1:], strict=True)))
    if mode in {"reflect", "symmetric"}:
        return x.with_index(np.pad(x.index, pads[1:], mode))  # type: ignore[call-overload]
    if mode != "constant":
        raise UnsupportedError(f"has mode={mode!r}; constant, reflect and symmetric are read")
    value = call.options.get("constant_values")
    if not isinstance(value, int | float | None):
        raise UnsupportedError("is called with constant_values that are no number")
    around = call.graph.constants(x, np.array([value or 0.0]))
    sources, (own, other) = call.graph.side_by_side([x, around])
    return TensorRef(sources=sources, index=np.pad(own, pads[1:], constant_values=other.item()))


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(one) is int and one >= 0 for one in value)


def _numbers(call: LayerCall, key: str) -> list[int]:
    """Return a setting of one integer or several."""
    value = call.config.get(key)
    numbers: list[Any] = value if isinstance(value, list) else [value]
    if not all(type(one) is int for one in numbers):
        raise UnsupportedError(f"has {key}={value!r}, where integers are needed")
    return numbers


def _same(call: LayerCall) -> TensorRef:
    return call.first


def _like(value: float | None) -> LayerReader:
    """Return the reader of a tensor of one number in the shape of another."""

    def read(call: LayerCall) -> TensorRef:
        number = call.arguments[1] if value is None else value
        if not isinstance(number, int | float):
            raise UnsupportedError("fills a tensor with other things than one number")
        return call.graph.constants(call.first, np.full(call.first.shape, float(number)))

    return read


ARRANGING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        "GetItem": _get_item,
        "Reshape": _reshape,
        "Transpose": _transpose,
        "Swapaxes": _swapaxes,
        "Moveaxis": _moveaxis,
        "ExpandDims": _expand_dims,
        "Squeeze": _squeeze,
        "Stack": _stack,
        "Hstack": _joined(1),
        "Split": _split,
        "Unstack": _unstack,
        "Take": _take,
        "Flip": _flip,
        "Roll": _roll,
        "Repeat": _repeat,
        "Tile": _tile,
        "Pad": _pad,
        "ZerosLike": _like(0.0),
        "OnesLike": _like(1.0),
        "FullLike": _like(None),
        **dict.fromkeys(("Copy", "StopGradient"), _same),
    }
)
"""By class name."""
