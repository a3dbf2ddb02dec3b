# ruff: noqa: ARG001 - all functions of the table have the same parameters
"""The pre-activation of each layer kind as ONNX nodes over rows `(rows, inputs)`; docs/reference/layers.md."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from forwardpass.onnx_form.nodes import Nodes
from forwardpass.spec import Layer
from forwardpass.spec.layers import FILLS
from forwardpass.tensors import Array

_Arrays: TypeAlias = Mapping[str, str]
"""What the arrays of a layer are called in the graph; those that say nothing are not there."""


def add_layer(nodes: Nodes, layer: Layer, x: str) -> str:
    """Compute a layer's pre-activation of what it reads, and return what that is called."""
    arrays = {
        name: nodes.keep(f"{layer.name}/{name}", array)
        for name, array in layer.arrays.items()
        if (layer.kind, name) not in _SILENT or not _is_full(array, FILLS[layer.kind][name])
    }
    return _KINDS[layer.kind](nodes, layer, x, arrays)


_SILENT: Final = frozenset(
    (kind, name) for kind in ("dense", "scale_shift", "batch_norm", "layer_norm") for name in FILLS[kind]
)
"""Arrays that change nothing where they are full of their default."""


def _is_full(array: Array, number: float) -> bool:
    """Whether all numbers are one, to the sign of 0."""
    return array.tobytes() == np.full_like(array, number).tobytes()


def _dense(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    weights = arrays["weights"]
    if "mask" in arrays:
        weights = nodes.add("Mul", weights, arrays["mask"])
    bias = [arrays["bias"]] if "bias" in arrays else []
    return nodes.add("Gemm", x, weights, *bias, transB=1)


def _scale_shift(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    return _scaled(nodes, x, arrays.get("scale"), arrays.get("shift"))


def _scaled(nodes: Nodes, x: str, scale: str | None, shift: str | None) -> str:
    x = x if scale is None else nodes.add("Mul", x, scale)
    return x if shift is None else nodes.add("Add", x, shift)


def _batch_norm(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    centred = nodes.add("Sub", x, arrays["mean"])
    return _normal(nodes, layer, centred, arrays["variance"], arrays)


def _layer_norm(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    centred = nodes.add("Sub", x, nodes.add("ReduceMean", x, axes=[1], keepdims=1))
    variance = nodes.add("ReduceMean", nodes.add("Mul", centred, centred), axes=[1], keepdims=1)
    return _normal(nodes, layer, centred, variance, arrays)


def _normal(nodes: Nodes, layer: Layer, centred: str, variance: str, arrays: _Arrays) -> str:
    # The operators of normalization have their epsilon in float32, which float64 can tell from the network's.
    deviation = nodes.add("Sqrt", nodes.add("Add", variance, nodes.number(float(layer.settings["epsilon"]))))
    return _scaled(nodes, nodes.add("Div", centred, deviation), arrays.get("gamma"), arrays.get("beta"))


def _embedding(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    """The table's rows, and NaN where there is no such row."""
    categories, size = layer.arrays["table"].shape
    above = nodes.add("GreaterOrEqual", x, nodes.number(0.0))
    below = nodes.add("Less", x, nodes.number(float(categories)))
    known = nodes.add("And", nodes.add("And", above, below), nodes.add("Equal", x, nodes.add("Floor", x)))
    places = nodes.cast(nodes.add("Where", known, x, nodes.number(0.0)), "int64")
    rows = nodes.add("Gather", arrays["table"], places, axis=0)
    wide = nodes.add("Unsqueeze", known, nodes.sizes([2]))
    found = nodes.add("Where", wide, rows, nodes.number(float("nan")))
    return nodes.add("Reshape", found, nodes.sizes([-1, layer.inputs * size]))


def _one_hot(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    x = nodes.add("Gather", x, nodes.cast(arrays["indices"], "int64"), axis=1)
    return nodes.cast(nodes.add("Equal", x, arrays["categories"]), nodes.dtype)


def _bucketize(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    wide = nodes.add("Unsqueeze", x, nodes.sizes([2]))
    reached = nodes.cast(nodes.add("GreaterOrEqual", wide, arrays["boundaries"]), nodes.dtype)
    counts = nodes.add("ReduceSum", reached, nodes.sizes([2]), keepdims=0)
    return nodes.add("Where", nodes.add("IsNaN", x), x, counts)


def _lookup(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    wide = nodes.add("Unsqueeze", x, nodes.sizes([2]))
    equal = nodes.cast(nodes.add("Equal", wide, arrays["keys"]), nodes.dtype)
    values = nodes.add("ReduceSum", nodes.add("Mul", equal, arrays["values"]), nodes.sizes([2]), keepdims=0)
    known = nodes.cast(nodes.add("ReduceSum", equal, nodes.sizes([2]), keepdims=0), "bool")
    return nodes.add("Where", known, values, nodes.number(float(layer.settings.get("default", float("nan")))))


def _clip(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    # By Where, so that NaN stays NaN.
    if "low" in arrays:
        x = nodes.add("Where", nodes.add("Less", x, arrays["low"]), arrays["low"], x)
    if "high" in arrays:
        x = nodes.add("Where", nodes.add("Greater", x, arrays["high"]), arrays["high"], x)
    return x


def _impute(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    missing = float(layer.settings.get("missing", float("nan")))
    absent = nodes.add("IsNaN", x) if np.isnan(missing) else nodes.add("Equal", x, nodes.number(missing))
    return nodes.add("Where", absent, arrays["values"], x)


def _dropout(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    return x


def _take(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    return nodes.add("Gather", x, nodes.cast(arrays["indices"], "int64"), axis=1)


def _pool(nodes: Nodes, layer: Layer, x: str, arrays: _Arrays) -> str:
    windows = nodes.add("Gather", x, nodes.cast(arrays["windows"], "int64"), axis=1)
    reduce = str(layer.settings["reduce"])
    if reduce == "sum":
        return nodes.add("ReduceSum", windows, nodes.sizes([2]), keepdims=0)
    return nodes.add(f"Reduce{reduce.capitalize()}", windows, axes=[2], keepdims=0)


_KINDS: Final[Mapping[str, Callable[[Nodes, Layer, str, _Arrays], str]]] = MappingProxyType(
    {
        "dense": _dense,
        "scale_shift": _scale_shift,
        "batch_norm": _batch_norm,
        "layer_norm": _layer_norm,
        "embedding": _embedding,
        "one_hot": _one_hot,
        "bucketize": _bucketize,
        "lookup": _lookup,
        "clip": _clip,
        "impute": _impute,
        "dropout": _dropout,
        "take": _take,
        "pool": _pool,
    }
)
