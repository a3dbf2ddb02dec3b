"""Operations of `keras.ops` along axes: sums, norms, running sums, softmax."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef, reductions
from forwardpass.importers.graph.normalization import divide_by
from forwardpass.importers.graph.running import accumulate
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, row_axes
from forwardpass.importers.unsupported import UnsupportedError

_REDUCTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Sum": "sum",
        "Mean": "mean",
        **dict.fromkeys(("Max", "Amax", "Any"), "max"),
        **dict.fromkeys(("Min", "Amin", "All"), "min"),
        "Prod": "prod",
        "Logsumexp": "log_sum_exp",
    }
)
"""The reduction of the graph for each class."""

EPSILON: Final = 1e-7
"""`keras.config.epsilon()` as it is unless it is set; the certificate finds another one."""


def _reduce(call: LayerCall) -> TensorRef:
    call.require("initial", None, "begins with a number, which is not supported")
    x = call.first
    if call.kind in {"Any", "All"}:
        x = call.graph.function(x, "where(x != 0, 1, 0)")
    keepdims = call.boolean("keepdims", False)
    return reductions.REDUCTIONS[_REDUCTIONS[call.kind]](call.graph, x, row_axes(call, "axis"), keepdims=keepdims)


def _spread(call: LayerCall) -> TensorRef:
    """Return the variance, or the deviation, of all elements along axes."""
    axes, keepdims = row_axes(call, "axis"), call.boolean("keepdims", False)
    variance, _ = reductions.moments(call.graph, call.first, axes, keepdims=keepdims)
    return call.graph.function(variance, "sqrt(x)") if call.kind == "Std" else variance


def _moments(call: LayerCall) -> list[TensorRef]:
    keepdims = call.boolean("keepdims", False)
    variance, mean = reductions.moments(call.graph, call.first, row_axes(call, "axes"), keepdims=keepdims)
    return [mean, variance]


def _norm(call: LayerCall) -> TensorRef:
    axes, order = row_axes(call, "axis"), call.config.get("ord")
    if order is None or (order == "fro" and len(axes) == 2):
        order = 2
    elif len(axes) > 1 or not isinstance(order, int | float):
        raise UnsupportedError(f"is the norm ord={order!r} along {len(axes)} axes; a number along one axis is read")
    return reductions.norm(call.graph, call.first, axes, float(order), keepdims=call.boolean("keepdims", False))


def _normalize(call: LayerCall) -> TensorRef:
    return normalized(
        call, call.first, row_axes(call, "axis"), call.number("order", 2), call.number("epsilon", EPSILON)
    )


def normalized(call: LayerCall, x: TensorRef, axes: list[int], order: float, least: float) -> TensorRef:
    """Divide by the norm along axes, or by a least number where that is larger."""
    return divide_by(call.graph, x, reductions.norm(call.graph, x, axes, order, keepdims=True), least)


def _place(call: LayerCall) -> TensorRef:
    axis, *more = row_axes(call, "axis")
    if more:
        raise UnsupportedError("finds a place along several axes; one is read")
    keepdims = call.boolean("keepdims", False)
    return reductions.place_of_extreme(call.graph, call.first, axis, largest=call.kind == "Argmax", keepdims=keepdims)


def _running(call: LayerCall) -> TensorRef:
    call.require("dtype", None, "computes in another dtype, which is not supported")
    (axis,) = row_axes(call, "axis")
    return accumulate(call.graph, call.first, axis, "sum" if call.kind == "Cumsum" else "multiply")


def _together(activation: str) -> LayerReader:
    """Return the reader of an activation that reads the elements along an axis together."""

    def read(call: LayerCall) -> TensorRef:
        axes = row_axes(call, "axis")
        return along_axes(call, call.first, axes, activation)

    return read


def along_axes(call: LayerCall, x: TensorRef, axes: list[int], activation: str) -> TensorRef:
    """Apply an activation that reads the elements along one or several axes together."""
    if len(axes) == 1:
        return call.graph.softmax(x, axes[0], activation)
    last = range(-len(axes), 0)
    moved = np.moveaxis(x.index, axes, last)
    done = call.graph.softmax(x.with_index(moved.reshape(*moved.shape[: -len(axes)], -1)), -1, activation)
    return done.with_index(np.moveaxis(done.index.reshape(moved.shape), last, axes))


def _glu(call: LayerCall) -> TensorRef:
    (axis,) = row_axes(call, "axis")
    return gated(call, call.first, axis)


def gated(call: LayerCall, x: TensorRef, axis: int) -> TensorRef:
    """Multiply the first half along an axis by the sigmoid of the second half."""
    if x.shape[axis] % 2:
        raise UnsupportedError(f"halves an axis of {x.shape[axis]}")
    one, other = (x.with_index(part) for part in np.split(x.index, 2, axis))
    return call.graph.elementwise("x * sigmoid(y)", one, other)


ALONG_AXES: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(_REDUCTIONS, _reduce),
        **dict.fromkeys(("Var", "Std"), _spread),
        "Moments": _moments,
        "Norm": _norm,
        "Normalize": _normalize,
        **dict.fromkeys(("Argmax", "Argmin"), _place),
        **dict.fromkeys(("Cumsum", "Cumprod"), _running),
        "Softmax": _together("softmax"),
        "LogSoftmax": _together("log_softmax"),
        "Glu": _glu,
    }
)
"""By class name."""
