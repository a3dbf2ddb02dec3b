# ruff: noqa: ARG001 - all functions of the table have the same parameters
"""The pre-activation of each layer kind as ONNX nodes over rows `(rows, inputs)`; docs/reference/layers.md."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass.onnx_form.activations import add_expression, add_sparsemax
from forwardpass.onnx_form.graph_writer import GraphWriter
from forwardpass.onnx_form.recurrence import add_recurrent
from forwardpass.spec import Layer
from forwardpass.spec.fields.formula import OPERANDS, fold_formula
from forwardpass.spec.layers import FILLS
from forwardpass.tensors import Array

_Arrays: TypeAlias = Mapping[str, str]
"""The names of a layer's arrays in the graph, without those that change nothing."""


def add_layer(graph: GraphWriter, layer: Layer, x: str) -> str:
    """Add the nodes of a layer's pre-activation, and return its name."""
    arrays = {
        name: graph.keep(f"{layer.name}/{name}", array)
        for name, array in layer.arrays.items()
        if (layer.kind, name) not in _SILENT or not _is_full(array, FILLS[layer.kind][name])
    }
    return _KINDS[layer.kind](graph, layer, x, arrays)


_SILENT: Final = frozenset(
    (kind, name) for kind in ("dense", "scale_shift", "batch_norm", "layer_norm", "conv") for name in FILLS[kind]
)
"""Arrays that change nothing when they hold only their default."""


def _is_full(array: Array, number: float) -> bool:
    """Return whether all elements equal a number, including the sign of 0."""
    return array.tobytes() == np.full_like(array, number).tobytes()


def _dense(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    weights = arrays["weights"]
    if "mask" in arrays:
        weights = graph.add("Mul", weights, arrays["mask"])
    bias = [arrays["bias"]] if "bias" in arrays else []
    return graph.add("Gemm", x, weights, *bias, transB=1)


def _scale_shift(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    return _scaled(graph, x, arrays.get("scale"), arrays.get("shift"))


def _scaled(graph: GraphWriter, x: str, scale: str | None, shift: str | None) -> str:
    x = x if scale is None else graph.add("Mul", x, scale)
    return x if shift is None else graph.add("Add", x, shift)


def _batch_norm(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    centred = graph.add("Sub", x, arrays["mean"])
    normal = graph.add("Div", centred, _deviation(graph, layer, arrays["variance"]))
    return _scaled(graph, normal, arrays.get("gamma"), arrays.get("beta"))


def _layer_norm(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    groups = int(layer.settings.get("groups", 1))
    if groups > 1:
        x = graph.add("Reshape", x, graph.sizes([-1, groups, layer.inputs // groups]))
    axis = 1 if groups == 1 else 2
    centred = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[axis], keepdims=1))
    variance = graph.add("ReduceMean", graph.add("Mul", centred, centred), axes=[axis], keepdims=1)
    normal = graph.add("Div", centred, _deviation(graph, layer, variance))
    if groups > 1:
        normal = graph.add("Reshape", normal, graph.sizes([-1, layer.inputs]))
    return _scaled(graph, normal, arrays.get("gamma"), arrays.get("beta"))


def _deviation(graph: GraphWriter, layer: Layer, variance: str) -> str:
    # The normalization operators have a float32 epsilon, which differs from that of a float64 network.
    return graph.add("Sqrt", graph.add("Add", variance, graph.number(float(layer.settings["epsilon"]))))


def _embedding(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    """Look up rows of the table, and NaN for an unknown category."""
    categories, size = layer.arrays["table"].shape
    above = graph.add("GreaterOrEqual", x, graph.number(0.0))
    below = graph.add("Less", x, graph.number(float(categories)))
    known = graph.add("And", graph.add("And", above, below), graph.add("Equal", x, graph.add("Floor", x)))
    places = graph.cast(graph.add("Where", known, x, graph.number(0.0)), "int64")
    rows = graph.add("Gather", arrays["table"], places, axis=0)
    wide = graph.add("Unsqueeze", known, graph.sizes([2]))
    found = graph.add("Where", wide, rows, graph.number(float("nan")))
    return graph.add("Reshape", found, graph.sizes([-1, layer.inputs * size]))


def _one_hot(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    x = graph.add("Gather", x, graph.cast(arrays["indices"], "int64"), axis=1)
    return graph.cast(graph.add("Equal", x, arrays["categories"]), graph.dtype)


def _bucketize(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    wide = graph.add("Unsqueeze", x, graph.sizes([2]))
    reached = graph.cast(graph.add("GreaterOrEqual", wide, arrays["boundaries"]), graph.dtype)
    counts = graph.add("ReduceSum", reached, graph.sizes([2]), keepdims=0)
    return graph.add("Where", graph.add("IsNaN", x), x, counts)


def _lookup(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    wide = graph.add("Unsqueeze", x, graph.sizes([2]))
    equal = graph.cast(graph.add("Equal", wide, arrays["keys"]), graph.dtype)
    values = graph.add("ReduceSum", graph.add("Mul", equal, arrays["values"]), graph.sizes([2]), keepdims=0)
    known = graph.cast(graph.add("ReduceSum", equal, graph.sizes([2]), keepdims=0), "bool")
    return graph.add("Where", known, values, graph.number(float(layer.settings.get("default", float("nan")))))


def _clip(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    # By Where, so that NaN stays NaN.
    if "low" in arrays:
        x = graph.add("Where", graph.add("Less", x, arrays["low"]), arrays["low"], x)
    if "high" in arrays:
        x = graph.add("Where", graph.add("Greater", x, arrays["high"]), arrays["high"], x)
    return x


def _impute(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    missing = float(layer.settings.get("missing", float("nan")))
    absent = graph.add("IsNaN", x) if np.isnan(missing) else graph.add("Equal", x, graph.number(missing))
    return graph.add("Where", absent, arrays["values"], x)


def _dropout(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    return x


def _take(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    return graph.add("Gather", x, graph.cast(arrays["indices"], "int64"), axis=1)


def _pool(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    windows = graph.add("Gather", x, graph.cast(arrays["windows"], "int64"), axis=1)
    reduce = str(layer.settings["reduce"])
    if reduce == "sum":
        return graph.add("ReduceSum", windows, graph.sizes([2]), keepdims=0)
    return graph.add(f"Reduce{reduce.capitalize()}", windows, axes=[2], keepdims=0)


def _matmul(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    groups, rows, inner, columns = (int(layer.settings[key]) for key in ("groups", "rows", "inner", "columns"))
    middle, axis = groups * rows * inner, graph.sizes([1])
    left = graph.add("Slice", x, graph.sizes([0]), graph.sizes([middle]), axis)
    right = graph.add("Slice", x, graph.sizes([middle]), graph.sizes([layer.inputs]), axis)
    product = graph.add(
        "MatMul",
        graph.add("Reshape", left, graph.sizes([-1, groups, rows, inner])),
        graph.add("Reshape", right, graph.sizes([-1, groups, inner, columns])),
    )
    return graph.add("Reshape", product, graph.sizes([-1, layer.outputs]))


def _elementwise(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    tree = fold_formula(str(layer.settings["expression"]), graph.dtype)
    ends = [graph.sizes([end]) for end in range(0, layer.inputs + 1, layer.outputs)]
    parts = (graph.add("Slice", x, start, end, graph.sizes([1])) for start, end in pairwise(ends))
    return graph.add("Identity", add_expression(graph, tree, **dict(zip(OPERANDS, parts, strict=False))))


def _group_softmax(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    groups = int(layer.settings["groups"])
    wide = graph.add("Reshape", x, graph.sizes([-1, groups, layer.inputs // groups]))
    return graph.add("Reshape", graph.add("Softmax", wide, axis=2), graph.sizes([-1, layer.inputs]))


def _group_sparsemax(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    groups = int(layer.settings["groups"])
    size = layer.inputs // groups
    wide = graph.add("Reshape", x, graph.sizes([-1, groups, size]))
    return graph.add("Reshape", add_sparsemax(graph, wide, size), graph.sizes([-1, layer.inputs]))


def _conv(graph: GraphWriter, layer: Layer, x: str, arrays: _Arrays) -> str:
    known = layer.settings
    group, kernel, channels = known["group"], known["kernel_shape"], known["input_shape"][0]
    image = _spread(graph, graph.add("Reshape", x, graph.sizes([-1, *known["input_shape"]])), layer)
    bias = [arrays["bias"]] if "bias" in arrays else []
    if graph.dtype == "float64":  # onnxruntime's Conv is of float32 only
        product = _conv_by_matmul(graph, layer, image, arrays["weights"])
        if bias:
            product = graph.add("Add", product, graph.add("Reshape", bias[0], graph.sizes([group, -1, 1])))
        return graph.add("Reshape", product, graph.sizes([-1, layer.outputs]))
    weights = graph.add("Reshape", arrays["weights"], graph.sizes([-1, channels // group, *kernel]))
    settings: dict[str, Any] = {key: list(known[key]) for key in ("kernel_shape", "strides", "pads", "dilations")}
    product = graph.add("Conv", image, weights, *bias, group=group, **settings)
    return graph.add("Reshape", product, graph.sizes([-1, layer.outputs]))


def _spread(graph: GraphWriter, image: str, layer: Layer) -> str:
    """Put the zeros of `input_dilations` between the values of an image, `(rows, channels, *sizes)`."""
    channels, *sizes = layer.settings["input_shape"]
    gaps = layer.settings["input_dilations"]
    if max(gaps) == 1:
        return image
    axes = range(len(sizes))
    # An axis of size 1 after each, whose end is padded, makes the zeros after each value; those at the end are cut off.
    apart = [number for size in sizes for number in (size, 1)]
    zeros = [number for gap in gaps for number in (0, gap - 1)]
    image = graph.add("Reshape", image, graph.sizes([-1, channels, *apart]))
    image = graph.add("Pad", image, graph.sizes([0, 0, *[0] * len(apart), 0, 0, *zeros]))
    known = zip(sizes, gaps, strict=True)
    image = graph.add("Reshape", image, graph.sizes([-1, channels, *(size * gap for size, gap in known)]))
    ends = [(size - 1) * gap + 1 for size, gap in zip(sizes, gaps, strict=True)]
    return graph.add(
        "Slice", image, graph.sizes([0] * len(sizes)), graph.sizes(ends), graph.sizes([2 + axis for axis in axes])
    )


def _conv_by_matmul(graph: GraphWriter, layer: Layer, image: str, weights: str) -> str:
    """Gather the windows axis by axis, and multiply them by the weights; `(rows, groups, filters, positions)`."""
    known = layer.settings
    axes, group = len(known["kernel_shape"]), known["group"]
    before, after = known["pads"][:axes], known["pads"][axes:]
    if any(known["pads"]):
        image = graph.add("Pad", image, graph.sizes([0, 0, *before, 0, 0, *after]))
    for axis, kernel in enumerate(known["kernel_shape"]):
        gap, stride = known["dilations"][axis], known["strides"][axis]
        size = before[axis] + (known["input_shape"][axis + 1] - 1) * known["input_dilations"][axis] + 1 + after[axis]
        starts = np.arange(0, size - (kernel - 1) * gap, stride)
        places = graph.indices(np.arange(kernel)[:, np.newaxis] * gap + starts)
        image = graph.add("Gather", image, places, axis=2 + 2 * axis)
    order = [0, 1, *range(2, 2 + 2 * axes, 2), *range(3, 2 + 2 * axes, 2)]
    windows = graph.add("Transpose", image, perm=order)
    filters, window = layer.arrays["weights"].shape
    columns = graph.add("Reshape", windows, graph.sizes([-1, group, window, layer.outputs // filters]))
    kernels = graph.add("Reshape", weights, graph.sizes([group, -1, window]))
    return graph.add("MatMul", kernels, columns)


_KINDS: Final[Mapping[str, Callable[[GraphWriter, Layer, str, _Arrays], str]]] = MappingProxyType(
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
        "matmul": _matmul,
        "elementwise": _elementwise,
        "group_softmax": _group_softmax,
        "group_sparsemax": _group_sparsemax,
        "conv": _conv,
        "recurrent": add_recurrent,
    }
)
