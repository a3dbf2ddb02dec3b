"""The layout of tensors with channels: a layer's `data_format` makes them the last axis of a row, or the first."""

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.keras.layer_call import LayerCall
from forwardpass.importers.unsupported import UnsupportedError


def spatial_axes(call: LayerCall) -> int:
    """Return the number of spatial axes of a layer by its class, for example 2 of `Conv2D`."""
    return int(call.kind.removesuffix("Transpose")[-2])


def is_channels_first(call: LayerCall) -> bool:
    """Return whether the channels are the first axis of a row.

    Raises:
        UnsupportedError: The layer has another `data_format` than the two of Keras.
    """
    known = {"channels_last": False, "channels_first": True}
    name = call.text("data_format", "channels_last")
    if name not in known:
        raise UnsupportedError(f"has data_format={name!r}; {' and '.join(known)} are read")
    return known[name]


def channels_first(call: LayerCall) -> TensorRef:
    """Return the layer's input as `(channels, *sizes)`.

    Raises:
        UnsupportedError: It has another number of axes than the layer needs.
    """
    values, axes = call.input, spatial_axes(call)
    if len(values.shape) != axes + 1:
        raise UnsupportedError(f"is given values of shape {list(values.shape)}; {axes + 1} axes are read")
    return values if is_channels_first(call) else values.with_index(np.moveaxis(values.index, -1, 0))


def in_data_format(call: LayerCall, values: TensorRef) -> TensorRef:
    """Return values `(channels, *sizes)` in the layout of the layer."""
    return values if is_channels_first(call) else values.with_index(np.moveaxis(values.index, 0, -1))
