"""Networks to draw: of random shapes and sizes, with features and classes."""

from itertools import pairwise
from typing import Any

import numpy as np
from forwardpass.spec import FORMAT, NetworkSpec, parse

from tests.support.random_graphs import random_graph

FEATURES: tuple[dict[str, Any], ...] = (
    {"name": "age", "unit": "years", "mean": 40, "scale": 12},
    {"name": "income", "unit": "EUR", "mean": 30_000, "scale": 9_000},
    {"name": "color", "kind": "category", "categories": ["red", "green", "blue"]},
    {"name": "married", "kind": "boolean"},
    {"name": "a feature with a name that is far too long for any card of a picture", "scale": 2},
)


def chain(
    *sizes: int, hidden: str = "relu", last: str = "identity", dtype: str = "float32", seed: int = 0, **fields: Any
) -> NetworkSpec:
    """Return a chain of dense layers with random weights."""
    rng = np.random.default_rng(seed)
    layers = [
        {
            "name": "output" if index == len(sizes) - 2 else f"hidden_{index}",
            "weights": (rng.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(dtype),
            "bias": (0.1 * rng.standard_normal(outputs)).astype(dtype),
            "activation": last if index == len(sizes) - 2 else hidden,
        }
        for index, (inputs, outputs) in enumerate(pairwise(sizes))
    ]
    return parse({"format": FORMAT, "dtype": dtype, "inputs": sizes[0], "layers": layers, **fields})


def residual(depth: int, width: int = 16, seed: int = 0) -> NetworkSpec:
    """Return a chain of layers in which every third adds what the one three before it gives."""
    rng = np.random.default_rng(seed)
    layers: list[dict[str, Any]] = []
    for index in range(depth):
        layer = {
            "name": f"block_{index}",
            "weights": rng.standard_normal((width, width)) / np.sqrt(width),
            "activation": ("relu", "tanh", "sigmoid")[index % 3],
            "from": [f"block_{index - 1}" if index else "inputs"],
        }
        if index > 2 and index % 3 == 2:
            layer |= {"from": [f"block_{index - 1}", f"block_{index - 3}"], "merge": "sum"}
        layers.append(layer)
    return parse({"format": FORMAT, "inputs": width, "layers": layers})


def random_network(seed: int) -> NetworkSpec:
    """Return a random graph with every kind of layer and merge, or a random chain with wide layers."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        return random_graph(seed, layers=int(rng.integers(1, 12)), widest=int(rng.integers(1, 20)))
    depth = int(rng.integers(2, 7))
    sizes = [int(size) for size in np.exp(rng.uniform(0, 6, depth)).astype(int) + 1]
    return chain(*sizes, hidden=str(rng.choice(["relu", "tanh", "sigmoid"])), seed=seed)


def random_rows(network: NetworkSpec, rows: int, seed: int) -> list[list[float]]:
    """Return random rows for a network."""
    values: list[list[float]] = np.random.default_rng(seed).standard_normal((rows, network.inputs.width)).tolist()
    return values
