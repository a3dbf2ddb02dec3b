"""Random layers of every kind, and their formulas in plain loops."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from forwardpass.spec import Layer
from forwardpass.spec.recurrence import GATES, STATES

STEPS = ("embedding", "one_hot", "bucketize", "lookup", "impute")
"""Kinds with jumps: two roundings of one value may give very different results."""

SMOOTH = (
    *("dense", "scale_shift", "batch_norm", "layer_norm", "clip", "dropout", "take", "pool"),
    *("conv", "matmul", "elementwise", "group_softmax", "group_sparsemax", "recurrent"),
)


def random_layer(rng: np.random.Generator, kind: str, reads: int, dtype: str, widest: int = 5) -> dict[str, Any]:
    """Return the document of a random layer of a kind, which reads a number of values."""
    nodes, size = int(rng.integers(1, widest + 1)), int(rng.integers(1, 4))

    def numbers(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    some: Mapping[str, Callable[[], dict[str, Any]]] = {
        "dense": lambda: {
            "weights": numbers(nodes, reads) / np.sqrt(reads).astype(dtype),
            "bias": numbers(nodes),
            **({"mask": rng.integers(0, 2, (nodes, reads))} if rng.random() < 0.2 else {}),
        },
        "scale_shift": lambda: {"scale": numbers(reads), "shift": numbers(reads)},
        "batch_norm": lambda: {
            "mean": numbers(reads),
            "variance": abs(numbers(reads)),
            "gamma": numbers(reads),
            "beta": numbers(reads),
            "epsilon": 0.1,
        },
        "layer_norm": lambda: {
            "gamma": numbers(reads),
            "beta": numbers(reads),
            "epsilon": 0.1,
            **({"groups": _divisor(rng, reads)} if rng.random() < 0.3 else {}),
        },
        "embedding": lambda: {"table": numbers(3, size)},
        "one_hot": lambda: {"categories": np.arange(nodes) - 1.0, "indices": rng.integers(0, reads, nodes)},
        "bucketize": lambda: {"boundaries": np.sort(numbers(nodes))},
        "lookup": lambda: {"keys": rng.permutation(nodes), "values": numbers(nodes), "default": 0.5},
        "clip": lambda: {"low": -abs(numbers(reads)), "high": abs(numbers(reads))},
        "impute": lambda: {"values": numbers(reads), "missing": 0},
        "dropout": lambda: {"rate": 0.5},
        "take": lambda: {"indices": rng.integers(0, reads, nodes)},
        "pool": lambda: {
            "windows": rng.integers(0, reads, (nodes, size)),
            "reduce": str(rng.choice(["max", "mean", "sum", "min"])),
        },
        "matmul": lambda: _matrices(rng, reads),
        "elementwise": lambda: {"expression": str(rng.choice(FUNCTIONS_OF_PARTS[_divisor(rng, reads, most=3)]))},
        "group_softmax": lambda: {"groups": _divisor(rng, reads)},
        "group_sparsemax": lambda: {"groups": _divisor(rng, reads)},
        "conv": lambda: _random_conv(rng, reads, dtype, widest),
        "recurrent": lambda: _random_recurrent(rng, reads, dtype, widest),
    }
    if kind == "matmul" and reads == 1:
        kind = "dropout"  # there is no product of less than two values
    said = some[kind]()
    return said if kind == "dense" else {"kind": kind, **said}


FUNCTIONS_OF_PARTS = {
    1: ("tanh(x) * 2", "atan(x) + x / 2"),
    2: ("x * sigmoid(y)", "where(x > y, x - y, 0)", "x / (1 + abs(y))", "min(x, y)"),
    3: ("where(x > 0, x * y, x * z)", "x * y + z", "clip(x, min(y, z), max(y, z))"),
}
"""Expressions of an elementwise layer, by the number of parts."""


def _divisor(rng: np.random.Generator, number: int, most: int = 2**16) -> int:
    return int(rng.choice([each for each in range(1, min(number, most) + 1) if number % each == 0]))


def _matrices(rng: np.random.Generator, reads: int) -> dict[str, Any]:
    """Return sizes of matrices that have as many values together as are read."""
    groups = _divisor(rng, reads) if rng.random() < 0.5 else 1
    groups = groups if reads // groups > 1 else 1
    inner = _divisor(rng, reads // groups)
    both = reads // groups // inner
    if both == 1:
        inner, both = 1, reads // groups
    rows = int(rng.integers(1, both))
    return {"groups": groups, "rows": rows, "inner": inner, "columns": both - rows}


def _random_conv(rng: np.random.Generator, reads: int, dtype: str, widest: int) -> dict[str, Any]:
    """Return a convolution of one to three axes, often strided, padded, dilated and grouped."""
    shape = [reads]
    for _ in range(rng.integers(1, 4)):  # the channels, and some sizes whose product with them is `reads`
        size = int(rng.choice([number for number in range(1, shape[0] + 1) if shape[0] % number == 0]))
        shape = [shape[0] // size, size, *shape[1:]]
    axes = len(shape) - 1
    kernel = [int(rng.integers(1, min(size, 3) + 1)) for size in shape[1:]]
    dilations = [
        int(rng.integers(1, (size - 1) // max(k - 1, 1) + 2)) if k > 1 else 2
        for size, k in zip(shape[1:], kernel, strict=True)
    ]
    dilations = [gap if (k - 1) * gap < size else 1 for size, k, gap in zip(shape[1:], kernel, dilations, strict=True)]
    pads = rng.integers(0, 2, 2 * axes).tolist()
    strides = rng.integers(1, 4, axes).tolist()
    apart = rng.integers(1, 4, axes).tolist() if rng.random() < 0.3 else [1] * axes
    group = int(rng.choice([number for number in (1, 2, 3, shape[0]) if shape[0] % number == 0]))
    places = math.prod(
        ((size - 1) * between + 1 + before + after - (k - 1) * gap - 1) // stride + 1
        for size, between, before, after, k, gap, stride in zip(
            shape[1:], apart, pads[:axes], pads[axes:], kernel, dilations, strides, strict=True
        )
    )
    filters = group * int(rng.integers(1, max(widest // (group * places), 1) + 1))
    window = shape[0] // group * math.prod(kernel)
    return {
        "weights": (rng.standard_normal((filters, window)) / np.sqrt(window)).astype(dtype),
        **({"bias": rng.standard_normal(filters).astype(dtype)} if rng.random() < 0.8 else {}),
        "input_shape": shape,
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "input_dilations": apart,
        "group": group,
    }


def _random_recurrent(rng: np.random.Generator, reads: int, dtype: str, widest: int) -> dict[str, Any]:
    """Return a recurrent layer of any cell, which often reads its initial state."""
    cell = str(rng.choice(list(GATES)))
    states = STATES[cell]
    has_state = reads > states and rng.random() < 0.4
    units = int(rng.integers(1, min((reads - 1) // states, widest) + 1)) if has_state else int(rng.integers(1, widest))
    read = reads - states * units if has_state else reads
    steps = _divisor(rng, read, most=max(widest // units, 1))
    gates = GATES[cell] * units

    def numbers(*shape: int) -> Any:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(dtype)

    return {
        "cell": cell,
        "steps": steps,
        "weights": numbers(gates, read // steps),
        "recurrent_weights": numbers(gates, units),
        **({"bias": numbers(gates)} if rng.random() < 0.7 else {}),
        **({"recurrent_bias": numbers(gates)} if rng.random() < 0.5 else {}),
        **({"gate_activation": "hard_sigmoid"} if rng.random() < 0.2 else {}),
        **({"state_activation": str(rng.choice(["softsign", "relu", "sigmoid"]))} if rng.random() < 0.3 else {}),
        **({"reset": "before"} if rng.random() < 0.5 else {}),
        **({"final_cell": True} if cell == "lstm" and rng.random() < 0.4 else {}),
    }


def pre_activations(layer: Layer, x: list[float]) -> list[float]:
    """Compute the pre-activations of a layer for one row, in plain loops."""
    return _FORMULAS[layer.kind](x, **{key: array.tolist() for key, array in layer.arrays.items()}, **layer.settings)


def _dense(x: list[float], weights: Any, bias: Any, mask: Any = None) -> list[float]:
    counted = np.array(weights) * (1 if mask is None else np.array(mask))
    rows = counted.tolist()
    return [math.fsum([*(w * v for w, v in zip(row, x, strict=True)), b]) for row, b in zip(rows, bias, strict=True)]


def _batch_norm(x: list[float], mean: Any, variance: Any, gamma: Any, beta: Any, epsilon: float) -> list[float]:
    return [
        g * (v - m) / math.sqrt(s + epsilon) + b for v, m, s, g, b in zip(x, mean, variance, gamma, beta, strict=True)
    ]


def _layer_norm(x: list[float], gamma: Any, beta: Any, epsilon: float, groups: int = 1) -> list[float]:
    if groups > 1:
        size = len(x) // groups
        starts = range(0, len(x), size)
        parts = [[values[at : at + size] for values in (x, gamma, beta)] for at in starts]
        return [number for v, g, b in parts for number in _layer_norm(v, g, b, epsilon)]
    mean = math.fsum(x) / len(x)
    variance = math.fsum((v - mean) ** 2 for v in x) / len(x)
    return [g * (v - mean) / math.sqrt(variance + epsilon) + b for v, g, b in zip(x, gamma, beta, strict=True)]


def _embedding(x: list[float], table: Any) -> list[float]:
    rows: dict[float, list[float]] = dict(enumerate(table))
    return [number for v in x for number in rows.get(v, [math.nan] * len(table[0]))]


def _bucketize(x: list[float], boundaries: Any) -> list[float]:
    return [math.nan if math.isnan(v) else float(sum(boundary <= v for boundary in boundaries)) for v in x]


def _conv(
    x: list[float],
    weights: Any,
    bias: Any,
    input_shape: Any,
    kernel_shape: Any,
    strides: Any,
    pads: Any,
    dilations: Any,
    input_dilations: Any,
    group: int,
) -> list[float]:
    axes = len(kernel_shape)
    sizes = [(size - 1) * gap + 1 for size, gap in zip(input_shape[1:], input_dilations, strict=True)]
    image = np.array(x).reshape(input_shape)
    share, filters = input_shape[0] // group, len(weights) // group
    starts = [
        range(
            -pads[axis],
            sizes[axis] + pads[axes + axis] - (kernel_shape[axis] - 1) * dilations[axis],
            strides[axis],
        )
        for axis in range(axes)
    ]
    found = []
    for number, (row, b) in enumerate(zip(weights, bias, strict=True)):
        channels = image[number // filters * share :][:share]
        for corner in itertools.product(*starts):
            terms = [b]
            for weight, (channel, *place) in zip(row, np.ndindex(share, *kernel_shape), strict=True):
                at = [c + p * gap for c, p, gap in zip(corner, place, dilations, strict=True)]
                if all(0 <= a < size for a, size in zip(at, sizes, strict=True)) and not any(
                    a % gap for a, gap in zip(at, input_dilations, strict=True)
                ):
                    value = channels[(channel, *(a // gap for a, gap in zip(at, input_dilations, strict=True)))]
                    terms.append(weight * float(value))
            found.append(math.fsum(terms) if np.isfinite(terms).all() else sum(terms))
    return found


def _clip(x: list[float], low: Any = None, high: Any = None) -> list[float]:
    lows, highs = low or [-math.inf] * len(x), high or [math.inf] * len(x)
    return [v if math.isnan(v) else min(max(v, a), b) for v, a, b in zip(x, lows, highs, strict=True)]


def _impute(x: list[float], values: Any, missing: float = math.nan) -> list[float]:
    absent = math.isnan if math.isnan(missing) else missing.__eq__
    return [value if absent(v) else v for v, value in zip(x, values, strict=True)]


def _lookup(x: list[float], keys: Any, values: Any, default: float = math.nan) -> list[float]:
    beside: dict[float, float] = dict(zip(keys, values, strict=True))
    return [beside.get(v, default) for v in x]


def _matmul(x: list[float], groups: int, rows: int, inner: int, columns: int) -> list[float]:
    right = groups * rows * inner
    return [
        math.fsum(
            x[(group * rows + row) * inner + place] * x[right + (group * inner + place) * columns + column]
            for place in range(inner)
        )
        for group in range(groups)
        for row in range(rows)
        for column in range(columns)
    ]


_WORDS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "atan": math.atan,
    "clip": lambda x, low, high: min(max(x, low), high),
    "max": max,
    "min": min,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "where": lambda condition, x, y: x if condition else y,
}


def _elementwise(x: list[float], expression: str) -> list[float]:
    """Compute by Python itself: these expressions are Python too."""
    parts = next(count for count, known in FUNCTIONS_OF_PARTS.items() if expression in known)
    size = len(x) // parts
    columns = zip(*(x[start : start + size] for start in range(0, len(x), size)), strict=True)
    code = compile(expression, "expression", "eval")
    return [eval(code, dict(_WORDS), dict(zip("xyz", each, strict=False))) for each in columns]  # noqa: S307 - ours


def _group_softmax(x: list[float], groups: int) -> list[float]:
    size = len(x) // groups
    found: list[float] = []
    for start in range(0, len(x), size):
        powers = [math.exp(v - max(x[start : start + size])) for v in x[start : start + size]]
        found += [power / math.fsum(powers) for power in powers]
    return found


def _group_sparsemax(x: list[float], groups: int) -> list[float]:
    size = len(x) // groups
    return [share for start in range(0, len(x), size) for share in sparsemax(x[start : start + size])]


def sparsemax(x: list[float]) -> list[float]:
    """Return `max(v - t, 0)` for each number; t is found by halving the interval where they add up to 1."""
    low, high = max(x) - 1, max(x)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if math.fsum(max(v - middle, 0.0) for v in x) > 1 else (low, middle)
    return [max(v - high, 0.0) for v in x]


def _recurrent(
    x: list[float],
    weights: Any,
    recurrent_weights: Any,
    bias: Any,
    recurrent_bias: Any,
    cell: str,
    steps: int,
    gate_activation: str,
    state_activation: str,
    reset: str,
    final_cell: bool,
) -> list[float]:
    units, features = len(recurrent_weights[0]), len(weights[0])
    rest = x[steps * features :] or [0.0] * (units * STATES[cell])
    h, c = rest[:units], rest[units:]
    gate, state = _CELL_FUNCTIONS[gate_activation], _CELL_FUNCTIONS[state_activation]

    def of(rows: Any, values: list[float], biases: Any, unit: int) -> float:
        return math.fsum([*(w * v for w, v in zip(rows[unit], values, strict=True)), biases[unit]])

    found: list[float] = []
    for step in range(steps):
        values, old = x[step * features : (step + 1) * features], h
        read = [of(weights, values, bias, unit) for unit in range(len(weights))]
        kept = [of(recurrent_weights, old, recurrent_bias, unit) for unit in range(len(weights))]
        sums = [a + b for a, b in zip(read, kept, strict=True)]
        if cell == "rnn":
            h = [state(z) for z in sums]
        elif cell == "lstm":
            i, o, f, n = (sums[at : at + units] for at in range(0, 4 * units, units))
            c = [gate(f[u]) * c[u] + gate(i[u]) * state(n[u]) for u in range(units)]
            h = [gate(o[u]) * state(c[u]) for u in range(units)]
        else:
            r = [gate(z) for z in sums[units : 2 * units]]
            was_reset = [r[u] * old[u] for u in range(units)]
            inner = [
                r[u] * kept[2 * units + u]
                if reset == "after"
                else of(recurrent_weights, was_reset, recurrent_bias, 2 * units + u)
                for u in range(units)
            ]
            new = [state(read[2 * units + u] + inner[u]) for u in range(units)]
            h = [(1 - gate(sums[u])) * new[u] + gate(sums[u]) * old[u] for u in range(units)]
        found += h
    return found + c if final_cell else found


_CELL_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "hard_sigmoid": lambda x: min(max(x + 3, 0), 6) / 6,
    "tanh": math.tanh,
    "softsign": lambda x: x / (1 + abs(x)),
    "relu": lambda x: max(x, 0.0),
}


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


_REDUCTIONS: Mapping[str, Callable[[list[float]], float]] = {"max": max, "mean": _mean, "sum": math.fsum, "min": min}
_FORMULAS: Mapping[str, Callable[..., list[float]]] = {
    "dense": _dense,
    "scale_shift": lambda x, scale, shift: [v * a + b for v, a, b in zip(x, scale, shift, strict=True)],
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "one_hot": lambda x, categories, indices: [
        float(x[int(place)] == category) for category, place in zip(categories, indices, strict=True)
    ],
    "bucketize": _bucketize,
    "lookup": _lookup,
    "clip": _clip,
    "impute": _impute,
    "dropout": lambda x, **_: x,
    "take": lambda x, indices: [x[int(place)] for place in indices],
    "conv": _conv,
    "pool": lambda x, windows, reduce: [_REDUCTIONS[reduce]([x[int(place)] for place in window]) for window in windows],
    "matmul": _matmul,
    "elementwise": _elementwise,
    "group_softmax": _group_softmax,
    "group_sparsemax": _group_sparsemax,
    "recurrent": _recurrent,
}
