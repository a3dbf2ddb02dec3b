"""Convolutions over one, two and three axes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.graph.convolution import same_pads
from forwardpass.importers.pytorch.constants import array_of
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array


def conv(
    graph: LayerOperations,
    x: TensorRef,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    axes: int,
) -> TensorRef:
    """Convolve rows `(channels, *sizes)`; `padding` is a number for each axis, `valid` or `same`."""
    weights, number = _constants(x, weight, bias, axes)
    strides, dilations = (_each(numbers, axes) for numbers in (stride, dilation))
    extents = [(size - 1) * gap + 1 for size, gap in zip(weights.shape[2:], dilations, strict=True)]
    if padding == "same":
        pads = same_pads(x.shape[1:], extents, strides)
    else:
        pads = [(pad, pad) for pad in ([0] * axes if padding == "valid" else _each(padding, axes))]
    return graph.conv(x, weights, number, strides=strides, pads=pads, dilations=dilations, group=groups)


def conv_transpose(
    graph: LayerOperations,
    x: TensorRef,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    axes: int,
) -> TensorRef:
    """Convolve rows `(channels, *sizes)` transposed; `padding` is a number for each axis."""
    weights, number = _constants(x, weight, bias, axes)
    return graph.transposed_conv(
        x,
        weights,
        number,
        strides=_each(stride, axes),
        pads=[(pad, pad) for pad in _each(padding, axes)],
        output_padding=_each(output_padding, axes),
        dilations=_each(dilation, axes),
        group=groups,
    )


def _constants(x: TensorRef, weight: Any, bias: Any, axes: int) -> tuple[Array, Array | None]:
    """Return weights and bias that fit rows of this many axes."""
    if isinstance(weight, TensorRef) or isinstance(bias, TensorRef):
        raise UnsupportedError("has weights that depend on the rows; only constant ones are read")
    weights = array_of(weight)
    if len(x.shape) != axes + 1 or weights.ndim != axes + 2:
        raise UnsupportedError(f"gets rows of shape {list(x.shape)}; channels and {axes} axes are needed")
    return weights, None if bias is None else array_of(bias)


def convolution(
    graph: LayerOperations,
    x: TensorRef,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: Any,
    output_padding: Any,
    groups: int,
    *_: Any,
) -> TensorRef:
    """Convolve, with the arguments of a traced graph."""
    axes = len(array_of(weight).shape) - 2
    if transposed:
        return conv_transpose(graph, x, weight, bias, stride, padding, output_padding, groups, dilation, axes=axes)
    return conv(graph, x, weight, bias, stride, padding, dilation, groups, axes=axes)


def _each(numbers: Any, axes: int) -> list[int]:
    known: Sequence[int] = [numbers] if isinstance(numbers, int) else list(numbers)
    return [*known] * (axes if len(known) == 1 else 1)


CONVOLUTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **{f"conv{axes}d": partial(conv, axes=axes) for axes in (1, 2, 3)},
        **{f"conv_transpose{axes}d": partial(conv_transpose, axes=axes) for axes in (1, 2, 3)},
        "convolution": convolution,
    }
)
"""The function for each operation, by its name in torch."""
