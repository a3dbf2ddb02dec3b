"""Convolutions over one, two and three axes.

Keras's kernels are `(*kernel, channels of a group, filters)`, and `padding="same"` is that of TensorFlow
(https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.convolution import conv_layer, same_pads
from forwardpass.importers.keras.activations import activated, own_activation
from forwardpass.importers.keras.data_format import channels_first, in_data_format, spatial_axes
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class _Windows:
    """The windows of a convolution.

    Attributes:
        strides: The distance between windows along each axis.
        pads: The zeros before and after each axis.
        dilations: The distance between the values of a window along each axis.
        input_dilations: The distance between the values that are read, with zeros between them; None for ones.
    """

    strides: Sequence[int]
    pads: Sequence[tuple[int, int]]
    dilations: Sequence[int]
    input_dilations: Sequence[int] | None = None


def _conv(call: LayerCall) -> TensorRef:
    kernel, *bias = _variables(call, kernels=1)
    x, weights = channels_first(call), _filters_first(kernel)
    return _last(call, x, weights, bias, _windows(call, x, weights), group=call.integer("groups", 1))


def _depthwise(call: LayerCall) -> TensorRef:
    kernel, *bias = _variables(call, kernels=1)
    x, weights = channels_first(call), _depthwise_weights(kernel)
    return _last(call, x, weights, bias, _windows(call, x, weights), group=x.shape[0])


def _separable(call: LayerCall) -> TensorRef:
    """Convolve each channel by itself, then all channels at each place."""
    depthwise, pointwise, *bias = _variables(call, kernels=2)
    x, weights = channels_first(call), _depthwise_weights(depthwise)
    each = _convolved(call, x, weights, [], _windows(call, x, weights), group=x.shape[0], hint="_depthwise")
    ones = [1] * spatial_axes(call)
    alone = _Windows(strides=ones, pads=[(0, 0)] * len(ones), dilations=ones)
    return _last(call, each, _filters_first(pointwise), bias, alone, group=1)


def _transposed(call: LayerCall) -> TensorRef:
    """Convolve the values with zeros between them by the kernel `(*kernel, filters, channels)` in reverse order."""
    kernel, *bias = _variables(call, kernels=1)
    axes = spatial_axes(call)
    weights = np.flip(_filters_first(kernel.swapaxes(-1, -2)), tuple(range(2, 2 + axes)))
    strides, dilations = call.integers("strides", axes, 1), call.integers("dilation_rate", axes, 1)
    if min(*strides, *dilations) < 1:
        raise UnsupportedError("has a stride or a dilation below 1")
    given = call.config.get("output_padding")
    more: list[int | None] = [None] * axes if given is None else [*call.integers("output_padding", axes)]
    extents = [(size - 1) * gap + 1 for size, gap in zip(weights.shape[2:], dilations, strict=True)]
    known = zip(extents, strides, more, strict=True)
    pads = [_transposed_pads(call.text("padding", "valid"), extent, stride, one) for extent, stride, one in known]
    windows = _Windows(strides=[1] * axes, pads=pads, dilations=dilations, input_dilations=strides)
    return _last(call, channels_first(call), weights, bias, windows, group=1)


def _transposed_pads(padding: str, extent: int, stride: int, output_padding: int | None) -> tuple[int, int]:
    """Return the zeros before and after an axis, by the sizes that Keras gives the outputs of each mode of padding.

    The same numbers as in `keras.src.backend.common.backend_utils`, which has them for each backend.
    """
    if padding == "valid":
        return extent - 1, extent - 1 + (max(stride - extent, 0) if output_padding is None else output_padding)
    if padding != "same":
        raise UnsupportedError(f"has padding={padding!r}; valid, same are read")
    both = extent - 2 + (stride if output_padding is None else extent % 2 + output_padding)
    before = min(-(-both // 2), extent - 1)
    return before, both - before


def _variables(call: LayerCall, *, kernels: int) -> list[Array]:
    """Return the kernels of a layer, and its bias if it has one."""
    call.require("quantization_config", None, "has rounded weights; save the model before it is quantized")
    axes, variables = spatial_axes(call), call.variables()
    if not kernels <= len(variables) <= kernels + 1:
        raise UnsupportedError(f"has {len(variables)} variables; {kernels} or {kernels + 1} are needed")
    for kernel in variables[:kernels]:
        if kernel.ndim != axes + 2:
            raise UnsupportedError(f"has a kernel of shape {list(kernel.shape)}; {axes + 2} axes are needed")
    return variables


def _filters_first(kernel: Array) -> Array:
    """Return a kernel `(*kernel, channels, filters)` as `(filters, channels, *kernel)`."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _depthwise_weights(kernel: Array) -> Array:
    """Return a kernel `(*kernel, channels, multiplier)` as `(channels * multiplier, 1, *kernel)`."""
    each = np.moveaxis(kernel, (-2, -1), (0, 1))
    return each.reshape(-1, 1, *each.shape[2:])


def _windows(call: LayerCall, x: TensorRef, weights: Array) -> _Windows:
    """Return the windows as a layer is configured, for the sizes of its input and kernel."""
    axes = spatial_axes(call)
    strides, dilations = call.integers("strides", axes, 1), call.integers("dilation_rate", axes, 1)
    if min(*strides, *dilations) < 1:
        raise UnsupportedError("has a stride or a dilation below 1")
    extents = [(size - 1) * gap + 1 for size, gap in zip(weights.shape[2:], dilations, strict=True)]
    pads = {
        "valid": [(0, 0)] * axes,
        "same": same_pads(x.shape[1:], extents, strides),
        "causal": [(extent - 1, 0) for extent in extents],
    }
    padding = call.text("padding", "valid")
    if padding not in pads:
        raise UnsupportedError(f"has padding={padding!r}; {', '.join(pads)} are read")
    return _Windows(strides=strides, pads=pads[padding], dilations=dilations)


def _last(
    call: LayerCall, x: TensorRef, weights: Array, bias: Sequence[Array], windows: _Windows, *, group: int
) -> TensorRef:
    """Convolve, apply the layer's activation, and return the values in the layer's layout."""
    activation = call.config.get("activation")
    own = own_activation(activation)
    values = _convolved(call, x, weights, bias, windows, group=group, activation="identity" if own is None else own)
    values = in_data_format(call, values)
    return activated(call, values, activation) if own is None else values


def _convolved(
    call: LayerCall,
    x: TensorRef,
    weights: Array,
    bias: Sequence[Array],
    windows: _Windows,
    *,
    group: int,
    hint: str = "",
    **more: Any,
) -> TensorRef:
    """Convolve `(channels, *sizes)` by weights `(filters, channels of a group, *kernel)`."""
    document, shape = conv_layer(
        x.shape,
        weights,
        bias[0] if bias else None,
        strides=windows.strides,
        pads=windows.pads,
        dilations=windows.dilations,
        input_dilations=windows.input_dilations,
        group=group,
    )
    return call.layer(x, prod(shape), hint=hint, **document, **more).reshape(*shape)


CONVOLUTIONS: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **{f"Conv{axes}D": _conv for axes in (1, 2, 3)},
        **{f"Conv{axes}DTranspose": _transposed for axes in (1, 2, 3)},
        **{f"DepthwiseConv{axes}D": _depthwise for axes in (1, 2)},
        **{f"SeparableConv{axes}D": _separable for axes in (1, 2)},
    }
)
"""By class name."""
