"""What a network computes, by PyTorch alone: every kind of layer, merge and activation as its documents say it.

It reads the canonical document and shares no line with the product.
"""

import ast
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Document = Mapping[str, Any]


def _sparsemax(z: Tensor) -> Tensor:
    """Martins & Astudillo (2016), algorithm 1, along the last axis."""
    z = z - z.amax(dim=-1, keepdim=True)  # at large numbers, 1 would be lost
    ordered, _ = z.sort(dim=-1, descending=True)
    sums, counts = ordered.cumsum(dim=-1), torch.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    support = (1 + counts * ordered > sums).sum(dim=-1, keepdim=True).clamp(min=1)  # none of NaN
    return torch.relu(z - (sums.gather(-1, support - 1) - 1) / support)


MERGES: Mapping[str, Callable[[Sequence[Tensor]], Tensor]] = {
    "sum": lambda parts: torch.stack(list(parts)).sum(dim=0),
    "multiply": lambda parts: torch.stack(list(parts)).prod(dim=0),
    "mean": lambda parts: torch.stack(list(parts)).mean(dim=0),
    "max": lambda parts: torch.stack(list(parts)).amax(dim=0),
    "concatenate": lambda parts: torch.cat(list(parts), dim=1),
}
FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "identity": lambda z: z,
    "relu": functional.relu,
    "leaky_relu": lambda z, negative_slope=0.01: functional.leaky_relu(z, negative_slope),
    "prelu": lambda z, slope=0.25: functional.prelu(z, torch.tensor(slope, dtype=z.dtype)),
    "relu6": functional.relu6,
    "elu": lambda z, alpha=1.0: functional.elu(z, alpha),
    "selu": functional.selu,
    "celu": lambda z, alpha=1.0: functional.celu(z, alpha),
    "gelu": functional.gelu,
    "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "softplus": lambda z, beta=1.0: functional.softplus(z, beta, threshold=45),
    "softsign": functional.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": functional.hardsigmoid,
    "hard_tanh": lambda z, min_value=-1.0, max_value=1.0: functional.hardtanh(z, min_value, max_value),
    "hard_swish": functional.hardswish,
    "log_sigmoid": functional.logsigmoid,
    "softmax": lambda z: functional.softmax(z, dim=1),
    "log_softmax": lambda z: functional.log_softmax(z, dim=1),
    "sparsemax": _sparsemax,
    "exp": torch.exp,
    "sin": torch.sin,
    "cos": torch.cos,
    "gaussian": lambda z: torch.exp(-(z**2)),
    "step": lambda z, threshold=0.0: (z >= threshold).to(z.dtype),
    "square": torch.square,
}
WORDS: Mapping[str, Any] = {
    **{
        name: getattr(torch, name)
        for name in ("abs", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "atan")
    },
    "erf": torch.erf,
    "erfc": torch.erfc,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softplus": lambda z: functional.softplus(z, threshold=45),
    "where": torch.where,
    "min": lambda x, y: torch.clamp(x, max=y),
    "max": lambda x, y: torch.clamp(x, min=y),
    "clip": torch.clamp,
    "pi": math.pi,
    "e": math.e,
}
REDUCES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "max": lambda windows: windows.amax(dim=-1),
    "min": lambda windows: windows.amin(dim=-1),
    "mean": lambda windows: windows.mean(dim=-1),
    "sum": lambda windows: windows.sum(dim=-1),
}


def compute(document: Document, rows: Tensor) -> Tensor:
    """Compute rows, `(rows, inputs)`, by a document whose numbers are in it."""
    values = {"inputs": _standardized(document, rows)}
    start = 0
    for group in document.get("input_groups", []):
        values[group["name"]] = values["inputs"][:, start : start + group["width"]]
        start += group["width"]
    before = "inputs"
    for layer in document["layers"]:
        sources = layer.get("from", before)
        sources = [sources] if isinstance(sources, str) else sources
        parts = [values[source] for source in sources]
        merged = MERGES[layer["merge"]](parts) if layer.get("merge") else parts[0]
        values[layer["name"]] = _activation(layer.get("activation", "identity"), KINDS[_kind(layer)](layer, merged))
        before = layer["name"]
    return torch.cat([values[name] for name in document.get("output_layers", [before])], dim=1)


def _kind(layer: Document) -> str:
    return str(layer.get("kind", "dense"))


def _standardized(document: Document, rows: Tensor) -> Tensor:
    inputs = document["inputs"]
    if isinstance(inputs, int):
        return rows
    each = [feature if isinstance(feature, dict) else {} for feature in inputs]
    mean = rows.new_tensor([feature.get("mean", 0.0) for feature in each])
    return (rows - mean) / rows.new_tensor([feature.get("scale", 1.0) for feature in each])


class _Conditions(ast.NodeTransformer):
    """Makes `and`, `or` and `not` of numbers those of tensors."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        together: ast.operator = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        parts = [self.visit(part) for part in node.values]
        joined: ast.AST = functools.reduce(lambda left, right: ast.BinOp(left, together, right), parts)
        return joined

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return ast.UnaryOp(ast.Invert(), node.operand) if isinstance(node.op, ast.Not) else node


def _activation(activation: Any, z: Tensor) -> Tensor:
    if isinstance(activation, str):
        return FUNCTIONS[activation](z)
    if "expression" in activation:
        return _evaluated(activation["expression"], {**activation.get("parameters", {}), "x": z})
    parameters = {key: value for key, value in activation.items() if key != "name"}
    return FUNCTIONS[activation["name"]](z, **parameters)


def _evaluated(expression: str, names: Mapping[str, Any]) -> Tensor:
    # The text is the test's own, and so are all the names that it may use.
    text = ast.fix_missing_locations(_Conditions().visit(ast.parse(expression, mode="eval")))
    found = eval(compile(text, "expression", "eval"), {"__builtins__": {}}, {**WORDS, **names})  # noqa: S307 - ours
    return torch.as_tensor(found, dtype=names["x"].dtype).expand_as(names["x"])


def _numbers(layer: Document, key: str, like: Tensor) -> Tensor | None:
    return like.new_tensor(layer[key]) if key in layer else None


def _places(numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


def _dense(layer: Document, x: Tensor) -> Tensor:
    weights = x.new_tensor(layer["weights"])
    mask = _numbers(layer, "mask", x)
    return functional.linear(x, weights if mask is None else weights * mask, _numbers(layer, "bias", x))


def _scale_shift(layer: Document, x: Tensor) -> Tensor:
    scale, shift = _numbers(layer, "scale", x), _numbers(layer, "shift", x)
    x = x if scale is None else x * scale
    return x if shift is None else x + shift


def _batch_norm(layer: Document, x: Tensor) -> Tensor:
    mean, variance, gamma, beta = (_numbers(layer, key, x) for key in ("mean", "variance", "gamma", "beta"))
    return functional.batch_norm(x, mean, variance, gamma, beta, training=False, eps=layer.get("epsilon", 1e-5))


def _layer_norm(layer: Document, x: Tensor) -> Tensor:
    gamma, beta, groups = _numbers(layer, "gamma", x), _numbers(layer, "beta", x), layer.get("groups", 1)
    wide = x.unflatten(1, (groups, -1))
    normal = functional.layer_norm(wide, wide.shape[2:], eps=layer.get("epsilon", 1e-5)).flatten(1)
    normal = normal if gamma is None else normal * gamma
    return normal if beta is None else normal + beta


def _embedding(layer: Document, x: Tensor) -> Tensor:
    table = x.new_tensor(layer["table"])
    known = (x >= 0) & (x < len(table)) & (x == torch.round(x))
    found = functional.embedding(torch.where(known, x, 0).long(), table)
    return torch.where(known[..., None], found, math.nan).flatten(1)


def _one_hot(layer: Document, x: Tensor) -> Tensor:
    categories = x.new_tensor(layer["categories"])
    return (x[:, _places(layer.get("indices", [0] * len(categories)))] == categories).to(x.dtype)


def _bucketize(layer: Document, x: Tensor) -> Tensor:
    found = torch.bucketize(x.contiguous(), x.new_tensor(layer["boundaries"]), right=True).to(x.dtype)
    return torch.where(torch.isnan(x), math.nan, found)


def _lookup(layer: Document, x: Tensor) -> Tensor:
    found = torch.full_like(x, layer.get("default", math.nan))
    for key, value in zip(layer["keys"], layer["values"], strict=True):
        found = torch.where(x == key, value, found)
    return found


def _clip(layer: Document, x: Tensor) -> Tensor:
    return torch.clamp(x, _numbers(layer, "low", x), _numbers(layer, "high", x))


def _impute(layer: Document, x: Tensor) -> Tensor:
    missing = layer.get("missing", math.nan)
    return torch.where(torch.isnan(x) if math.isnan(missing) else x == missing, x.new_tensor(layer["values"]), x)


def _pool(layer: Document, x: Tensor) -> Tensor:
    return REDUCES[layer["reduce"]](x[:, _places(layer["windows"])])


def _conv(layer: Document, x: Tensor) -> Tensor:
    kernel, shape = layer["kernel_shape"], layer["input_shape"]
    axes, group = len(kernel), layer.get("group", 1)
    pads = layer.get("pads", [0] * 2 * axes)
    # The last axis first, with both of its ends.
    ends = [pads[place] for axis in reversed(range(axes)) for place in (axis, axes + axis)]
    apart = layer.get("input_dilations", [1] * axes)
    image = x.reshape(-1, *shape)
    spread = image.new_zeros(
        *image.shape[:2], *((size - 1) * gap + 1 for size, gap in zip(shape[1:], apart, strict=True))
    )
    spread[(..., *(slice(None, None, gap) for gap in apart))] = image
    convolve = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[axes]
    return convolve(
        functional.pad(spread, ends),
        x.new_tensor(layer["weights"]).reshape(-1, shape[0] // group, *kernel),
        x.new_tensor(layer["bias"]),
        stride=layer.get("strides", [1] * axes),
        dilation=layer.get("dilations", [1] * axes),
        groups=group,
    ).flatten(1)


def _recurrent(layer: Document, x: Tensor) -> Tensor:
    """Go from step to step by the cells of PyTorch, whose gates have another order."""
    cell, steps = layer["cell"], layer["steps"]
    order = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 2, 3, 1]}[cell]
    keys = ("weights", "recurrent_weights", "bias", "recurrent_bias")
    arrays = []
    for numbers in (x.new_tensor(layer[key]) for key in keys):
        gates = numbers.chunk(len(order))
        arrays.append(torch.cat([gates[place] for place in order]))
    units, features = arrays[1].shape[1], arrays[0].shape[1]
    given = x[:, steps * features :]
    states = given.split(units, dim=1) if given.shape[1] else (x.new_zeros(len(x), units),) * 2
    found = []
    for values in x[:, : steps * features].split(features, dim=1):
        if cell == "lstm":
            states = torch.lstm_cell(values, states[:2], *arrays)
        else:
            states = ({"rnn": torch.rnn_tanh_cell, "gru": torch.gru_cell}[cell](values, states[0], *arrays),)
        found.append(states[0])
    return torch.cat([*found, states[1]] if layer.get("final_cell") else found, dim=1)


def _matmul(layer: Document, x: Tensor) -> Tensor:
    groups, (rows, inner, columns) = layer.get("groups", 1), (layer[key] for key in ("rows", "inner", "columns"))
    left, right = x.split([groups * rows * inner, groups * inner * columns], dim=1)
    return torch.matmul(left.reshape(-1, groups, rows, inner), right.reshape(-1, groups, inner, columns)).flatten(1)


def _elementwise(layer: Document, x: Tensor) -> Tensor:
    names = {node.id for node in ast.walk(ast.parse(layer["expression"])) if isinstance(node, ast.Name)}
    parts = sorted(names & set("xyz"))
    return _evaluated(layer["expression"], dict(zip(parts, x.chunk(len(parts), dim=1), strict=True)))


def _group_softmax(layer: Document, x: Tensor) -> Tensor:
    return x.unflatten(1, (layer.get("groups", 1), -1)).softmax(dim=2).flatten(1)


def _group_sparsemax(layer: Document, x: Tensor) -> Tensor:
    return _sparsemax(x.unflatten(1, (layer.get("groups", 1), -1))).flatten(1)


KINDS: Mapping[str, Callable[[Document, Tensor], Tensor]] = {
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
    "dropout": lambda _, x: x,
    "pool": _pool,
    "conv": _conv,
    "recurrent": _recurrent,
    "matmul": _matmul,
    "elementwise": _elementwise,
    "group_softmax": _group_softmax,
    "group_sparsemax": _group_sparsemax,
    "take": lambda layer, x: x[:, _places(layer["indices"])],
}
