"""Random layers of every kind, and their formulas in plain loops."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from forwardpass.spec import Layer

STEPS = ("embedding", "one_hot", "bucketize", "lookup", "impute")
"""Kinds with jumps: two roundings of one value may give very different results."""

SMOOTH = ("dense", "scale_shift", "batch_norm", "layer_norm", "clip", "dropout", "take", "pool")


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
        "layer_norm": lambda: {"gamma": numbers(reads), "beta": numbers(reads), "epsilon": 0.1},
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
    }
    said = some[kind]()
    return said if kind == "dense" else {"kind": kind, **said}


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


def _layer_norm(x: list[float], gamma: Any, beta: Any, epsilon: float) -> list[float]:
    mean = math.fsum(x) / len(x)
    variance = math.fsum((v - mean) ** 2 for v in x) / len(x)
    return [g * (v - mean) / math.sqrt(variance + epsilon) + b for v, g, b in zip(x, gamma, beta, strict=True)]


def _embedding(x: list[float], table: Any) -> list[float]:
    rows: dict[float, list[float]] = dict(enumerate(table))
    return [number for v in x for number in rows.get(v, [math.nan] * len(table[0]))]


def _bucketize(x: list[float], boundaries: Any) -> list[float]:
    return [math.nan if math.isnan(v) else float(sum(boundary <= v for boundary in boundaries)) for v in x]


def _clip(x: list[float], low: Any = None, high: Any = None) -> list[float]:
    lows, highs = low or [-math.inf] * len(x), high or [math.inf] * len(x)
    return [v if math.isnan(v) else min(max(v, a), b) for v, a, b in zip(x, lows, highs, strict=True)]


def _impute(x: list[float], values: Any, missing: float = math.nan) -> list[float]:
    absent = math.isnan if math.isnan(missing) else missing.__eq__
    return [value if absent(v) else v for v, value in zip(x, values, strict=True)]


def _lookup(x: list[float], keys: Any, values: Any, default: float = math.nan) -> list[float]:
    beside: dict[float, float] = dict(zip(keys, values, strict=True))
    return [beside.get(v, default) for v in x]


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
    "pool": lambda x, windows, reduce: [_REDUCTIONS[reduce]([x[int(place)] for place in window]) for window in windows],
}
