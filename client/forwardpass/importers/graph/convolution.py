"""The layer of a convolution, from weights with an axis for each axis of the kernel, as all frameworks have them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec import convolution
from forwardpass.spec.convolution import MAX_AXES, Geometry
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array


def same_pads(sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Return the padding of each axis by which it has a window for every stride; of an odd one, less before the axis.

    Args:
        sizes: The size of each axis.
        extents: The size of a window along each axis, with the gaps that dilations leave.
        strides: The distance between windows along each axis.
    """
    known = zip(sizes, extents, strides, strict=True)
    totals = [max((-(-size // stride) - 1) * stride + extent - size, 0) for size, extent, stride in known]
    return [(total // 2, total - total // 2) for total in totals]


def conv_layer(
    shape: Sequence[int],
    weights: Array,
    bias: Array | None,
    *,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilations: Sequence[int],
    input_dilations: Sequence[int] | None = None,
    group: int = 1,
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return the fields of a layer of the kind `conv`, and the shape of a row of its nodes.

    Args:
        shape: The shape of a row that it reads, `(channels, *sizes)`.
        weights: `(filters, channels of a group, *kernel)`.
        bias: `(filters,)`, or None.
        strides: The distance between windows along each axis.
        pads: The zeros before and after each axis.
        dilations: The distance between the values of a window along each axis.
        input_dilations: The distance between the values that it reads along each axis, with zeros between; None for
            ones.
        group: The number of groups of channels.

    Raises:
        UnsupportedError: They do not fit one another, or make too large a layer.
    """
    axes = weights.ndim - 2
    apart = [1] * axes if input_dilations is None else input_dilations
    if not 1 <= axes <= MAX_AXES or len(shape) != axes + 1:
        raise UnsupportedError(
            f"has weights of shape {list(weights.shape)} and gets rows of shape {list(shape)}; "
            f"channels and from 1 to {MAX_AXES} axes are needed"
        )
    if min(*strides, *dilations, *apart, group) < 1 or min(map(min, pads)) < 0:
        raise UnsupportedError("has a stride, a dilation or groups below 1, or padding below 0")
    geometry = Geometry(
        input_shape=tuple(map(int, shape)),
        kernel_shape=tuple(map(int, weights.shape[2:])),
        strides=tuple(map(int, strides)),
        pads=tuple(int(pad) for side in zip(*pads, strict=True) for pad in side),
        dilations=tuple(map(int, dilations)),
        input_dilations=tuple(map(int, apart)),
        group=int(group),
    )
    for (key, *_), problem in convolution.problems(geometry):
        raise UnsupportedError(f"has a {key} that {problem}")
    if weights.shape[1] * group != shape[0] or len(weights) % group:
        raise UnsupportedError(
            f"has weights of shape {list(weights.shape)} in {group} groups and gets rows of shape {list(shape)}"
        )
    nodes = len(weights) * geometry.positions
    if nodes > DEFAULT_LIMITS.max_width:
        raise UnsupportedError(f"has {nodes:,} nodes; at most {DEFAULT_LIMITS.max_width:,} are allowed")
    document: dict[str, Any] = {
        "kind": "conv",
        "weights": weights.reshape(len(weights), -1),
        "input_shape": list(geometry.input_shape),
        "kernel_shape": list(geometry.kernel_shape),
        "strides": list(geometry.strides),
        "pads": list(geometry.pads),
        "dilations": list(geometry.dilations),
        "input_dilations": list(geometry.input_dilations),
        "group": geometry.group,
        **({} if bias is None else {"bias": bias.reshape(-1)}),
    }
    return document, (len(weights), *geometry.output_sizes)


def transposed_conv_layer(
    shape: Sequence[int],
    weights: Array,
    bias: Array | None,
    *,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    output_padding: Sequence[int],
    dilations: Sequence[int],
    group: int = 1,
) -> tuple[dict[str, Any], tuple[int, ...], tuple[slice, ...]]:
    """Return the fields of a layer that computes a transposed convolution, the shape of its nodes, and which to take.

    A transposed convolution adds a kernel, multiplied by each value, to the outputs around it. So each output is a sum
    over a window of the values, with `strides - 1` zeros between them, by the kernel in reverse order (Dumoulin &
    Visin, 2016).

    Args:
        shape: The shape of a row that it reads, `(channels, *sizes)`.
        weights: `(channels, filters of a group, *kernel)`.
        bias: `(filters,)`, or None.
        strides: The distance between the kernels of neighbouring values along each axis.
        pads: How many outputs are left out before and after each axis.
        output_padding: How many outputs are added after each axis.
        dilations: The distance between the values of a kernel along each axis.
        group: The number of groups of channels.

    Returns:
        The fields, the shape `(filters, *sizes)`, and the slice of each axis of it.

    Raises:
        UnsupportedError: They do not fit one another, or make too large a layer.
    """
    if weights.ndim < 3 or len(weights) % max(group, 1) or group < 1:
        raise UnsupportedError(f"has weights of shape {list(weights.shape)} in {group} groups")
    if min(*strides, *dilations) < 1 or min(map(min, pads)) < 0:
        raise UnsupportedError("has a stride or a dilation below 1, or padding below 0")
    grouped = weights.reshape(group, len(weights) // group, *weights.shape[1:]).swapaxes(1, 2)
    filters = grouped.reshape(-1, len(weights) // group, *weights.shape[2:])
    reach = [(size - 1) * gap for size, gap in zip(weights.shape[2:], dilations, strict=True)]
    known = zip(reach, pads, output_padding, strict=True)
    sides = [(most - before, most - after + more) for most, (before, after), more in known]
    document, nodes = conv_layer(
        shape,
        np.flip(filters, tuple(range(2, filters.ndim))),
        bias,
        strides=[1] * len(reach),
        pads=[(max(before, 0), max(after, 0)) for before, after in sides],
        dilations=dilations,
        input_dilations=strides,
        group=group,
    )
    ends = zip(nodes[1:], sides, strict=True)
    taken = [slice(max(-before, 0), size - max(-after, 0)) for size, (before, after) in ends]
    if any(part.start >= part.stop for part in taken):
        raise UnsupportedError("leaves out all of its outputs by its padding")
    return document, nodes, (slice(None), *taken)
