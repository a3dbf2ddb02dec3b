"""Reduction and pooling operators."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph.convolution import conv_layer, same_pads, transposed_conv_layer
from forwardpass.importers.graph.windows import Windows, pool
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import numbers_of, reduced_constant
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result, front
from forwardpass.importers.onnx.reductions import reduced
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.onnx.whole_numbers import WHOLE, check_whole, wrapped
from forwardpass.importers.unsupported import UnsupportedError

_REDUCTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"Reduce{name.title()}": name for name in ("sum", "mean", "max", "min", "prod", "l1", "l2")},
        "ReduceSumSquare": "sum_square",
        "ReduceLogSum": "log_sum",
        "ReduceLogSumExp": "log_sum_exp",
    }
)
"""The reduction of each operator."""


def _reduce(node: NodeContext) -> Result:
    value, keep = node.value(0), bool(node.integer("keepdims", 1))
    given = node.integers("axes", 1)
    empty = not given and bool(node.integer("noop_with_empty_axes", 0))
    axes = [] if empty else sorted({front(axis, len(value.shape)) for axis in given or range(len(value.shape))})
    if isinstance(value, Constant):
        return reduced_constant(node.graph, node.op, numbers_of(value), axes, keep=keep)
    return wrapped(node, node.op, reduced(node, _reducible(node, axes), axes, _REDUCTIONS[node.op], keep=keep))


def _reducible(node: NodeContext, axes: Sequence[int]) -> GraphTensor:
    """Return an input of floats, or of whole numbers or booleans where the reduction is exact."""
    tensor = node.tensor(0)
    terms = math.prod(tensor.shape[axis] for axis in axes)
    if tensor.kind == "bool" and node.op in {"ReduceMax", "ReduceMin"}:
        return node.graph.without_pending(tensor)
    if tensor.kind in WHOLE:
        check_whole(node, node.op, tensor, terms)
        return tensor
    return node.float_tensor(0)


def _global(node: NodeContext) -> Result:
    tensor = node.float_tensor(0)
    _check_layout(tensor)
    return reduced(node, tensor, range(2, len(tensor.shape)), "max" if node.op == "GlobalMaxPool" else "mean")


def _conv(node: NodeContext) -> Result:
    """Convolve over all axes from 2 on, as `conv` does."""
    tensor, weights, bias = _convolved(node)
    strides, gaps = _steps(node, len(tensor.shape) - 2)
    known = zip(tensor.shape[2:], weights.shape[2:], strides, gaps, strict=True)
    pads = [_padding(node, axis, *one) for axis, one in enumerate(known)]
    # Where axis 0 is not that of the rows, a row has several images, which are groups of channels with equal weights.
    images = tensor.shape[0]
    node.graph.budget.check_weights(images * len(weights), weights[0].size, expanded=images > 1)
    document, shape = conv_layer(
        (images * tensor.shape[1], *tensor.shape[2:]),
        np.tile(weights, (images, *(1,) * (weights.ndim - 1))),
        None if bias is None else np.tile(bias, images),
        strides=strides,
        pads=pads,
        dilations=gaps,
        group=images * node.integer("group", 1),
    )
    name = node.graph.layer(node.hint, [tensor], math.prod(shape), **document)
    return node.graph.nodes(name, (images, len(weights), *shape[1:]), tensor.row_axis, tensor.kind)


def _conv_transpose(node: NodeContext) -> Result:
    """Convolve over all axes from 2 on, as `conv` does with zeros between the values that it reads."""
    tensor, weights, bias = _convolved(node)
    strides, gaps = _steps(node, len(tensor.shape) - 2)
    pads, more = _transposed_padding(node, tensor.shape[2:], weights.shape[2:], strides, gaps)
    images, group = tensor.shape[0], node.integer("group", 1)
    filters = weights.shape[1] * group
    node.graph.budget.check_weights(images * filters, weights.size // max(filters, 1), expanded=images > 1)
    document, shape, taken = transposed_conv_layer(
        (images * tensor.shape[1], *tensor.shape[2:]),
        np.tile(weights, (images, *(1,) * (weights.ndim - 1))),
        None if bias is None else np.tile(bias, images),
        strides=strides,
        pads=pads,
        output_padding=more,
        dilations=gaps,
        group=images * group,
    )
    name = node.graph.layer(node.hint, [tensor], math.prod(shape), **document)
    nodes = node.graph.nodes(name, (images, filters, *shape[1:]), tensor.row_axis, tensor.kind)
    return replace(nodes, index=nodes.index[(slice(None), *taken)])


def _transposed_padding(
    node: NodeContext, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], gaps: Sequence[int]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return how many outputs are left out before and after each axis, and how many are added after it.

    `output_shape` and `auto_pad` say so by the size of the outputs.
    """
    axes = len(sizes)
    more = _numbers(node, "output_padding", axes, 0)
    if min(more) < 0:
        raise UnsupportedError("has output_padding below 0")
    mode = node.attributes.get("auto_pad", b"NOTSET").decode()
    given = node.attributes.get("output_shape")
    if given is None and mode not in {"SAME_UPPER", "SAME_LOWER"}:
        none = mode == "VALID" or "pads" not in node.attributes
        pads = [0] * 2 * axes if none else [int(number) for number in node.attributes["pads"]]
        if len(pads) != 2 * axes:
            raise UnsupportedError(f"has {len(pads)} pads for {axes} axes")
        return list(zip(pads[:axes], pads[axes:], strict=True)), more
    wanted = _numbers(node, "output_shape", axes) if given is not None else np.multiply(sizes, strides).tolist()
    known = zip(sizes, kernel, strides, gaps, more, wanted, strict=True)
    totals = [
        (size - 1) * stride + (length - 1) * gap + 1 + extra - end for size, length, stride, gap, extra, end in known
    ]
    # Beyond the kernel's reach, onnxruntime and the specification agree only on one more output, at the end.
    if min(totals) < (-1 if given is not None and mode != "SAME_UPPER" else 0):
        raise UnsupportedError(f"makes outputs of shape {wanted}, further than its kernel reaches; use output_padding")
    less = [total // 2 if mode == "SAME_UPPER" else total - total // 2 for total in totals]
    ends = zip(less, totals, more, strict=True)
    sides = [(before, total - before, extra) for before, total, extra in ends]
    return [(before, max(after, 0)) for before, after, _ in sides], [extra - min(after, 0) for _, after, extra in sides]


def _convolved(node: NodeContext) -> tuple[GraphTensor, Array, Array | None]:
    """Return the tensor, the weights and the bias of a convolution, which fit one another."""
    tensor, weights = node.float_tensor(0), node.constant(1)
    _check_layout(tensor)
    if weights.ndim != len(tensor.shape):
        raise UnsupportedError(f"has weights of shape {list(weights.shape)} for values of {list(tensor.shape)}")
    kernel = [int(size) for size in node.attributes.get("kernel_shape", weights.shape[2:])]
    if kernel != list(weights.shape[2:]):
        raise UnsupportedError(f"has a kernel_shape {kernel} and weights of shape {list(weights.shape)}")
    return tensor, weights, node.constant(2) if node.has(2) else None


def _steps(node: NodeContext, axes: int) -> tuple[list[int], list[int]]:
    """Return the strides and dilations of a convolution."""
    strides, gaps = (_numbers(node, key, axes) for key in ("strides", "dilations"))
    if min(*strides, *gaps) < 1:
        raise UnsupportedError("has a stride or dilation below 1")
    return strides, gaps


def _numbers(node: NodeContext, key: str, axes: int, default: int = 1) -> list[int]:
    numbers = [int(number) for number in node.attributes.get(key, [default] * axes)]
    if len(numbers) != axes:
        raise UnsupportedError(f"has {len(numbers)} {key} for {axes} axes")
    return numbers


def _pool(node: NodeContext) -> Result:
    """Pool over windows along all axes from 2 on; axis 0 is that of the rows, axis 1 that of the channels."""
    tensor = node.float_tensor(0)
    _check_layout(tensor)
    if any(node.used[1:]):
        raise UnsupportedError("gives the places of the largest elements, which no layer does")
    axes = len(tensor.shape) - 2
    kernel = _numbers(node, "kernel_shape", axes, 0)
    strides, gaps = _steps(node, axes)
    known = zip(tensor.shape[2:], kernel, strides, gaps, strict=True)
    windows = Windows(
        kernel=kernel,
        strides=strides,
        pads=[_padding(node, axis, *one) for axis, one in enumerate(known)],
        dilations=gaps,
        ceil=bool(node.integer("ceil_mode", 0)) and node.attributes.get("auto_pad", b"NOTSET") in {b"NOTSET", b""},
    )
    reduce = "max" if node.op == "MaxPool" else "mean"
    include_pads = bool(node.integer("count_include_pad", 0))
    done = pool(node.graph, node.graph.plain(tensor), windows, reduce, include_pads=include_pads)
    return node.graph.tensor(done, tensor.row_axis, tensor.kind)


def _padding(node: NodeContext, axis: int, size: int, kernel: int, stride: int, pace: int) -> tuple[int, int]:
    """Return the padding before and after an axis."""
    mode = node.attributes.get("auto_pad", b"NOTSET").decode()
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        ((less, more),) = same_pads([size], [(kernel - 1) * pace + 1], [stride])
        return (less, more) if mode == "SAME_UPPER" else (more, less)
    pads = [int(number) for number in node.attributes.get("pads", [])]
    if mode == "VALID" or not pads:
        return 0, 0
    before, after = pads[axis], pads[len(pads) // 2 + axis]
    if not 0 <= min(before, after) <= max(before, after) < kernel * pace and node.op != "Conv":
        raise UnsupportedError(f"pads by {before} and {after} elements, windows of {kernel}")
    return before, after


def _check_layout(tensor: GraphTensor) -> None:
    if len(tensor.shape) < 3 or tensor.row_axis not in {0, None}:
        raise UnsupportedError("needs its rows as axis 0, channels as axis 1, and more axes after them")


POOLING: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        **dict.fromkeys(_REDUCTIONS, _reduce),
        **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), _global),
        **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
    }
)
"""The reader of each reduction or pooling operator."""
