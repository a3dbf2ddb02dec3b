"""Random graphs of layers, and their outputs in plain loops."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from forwardpass.spec import FORMAT, NetworkSpec, Output, parse
from forwardpass.spec.layers import ARRAYS, KINDS

from tests.support.random_layers import SMOOTH, STEPS, pre_activations, random_layer

FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "identity": lambda x: x,
    "relu": lambda x: max(0.0, x),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}
MERGES: Mapping[str, Callable[[tuple[float, ...]], float]] = {
    "sum": sum,
    "multiply": math.prod,
    "mean": lambda values: sum(values) / len(values),
    "max": max,
}


def random_graph(seed: int, dtype: str = "float64", *, layers: int = 6, widest: int = 5) -> NetworkSpec:
    """Return a random network: each layer reads any earlier ones, with any merge; unread layers are outputs."""
    rng = np.random.default_rng(seed)
    groups = {f"group_{index}": int(rng.integers(1, widest + 1)) for index in range(rng.integers(0, 4))}
    width = sum(groups.values()) or int(rng.integers(1, widest + 1))
    known = {"inputs": width, **groups}
    unread = list(groups)
    documents: list[dict[str, Any]] = []
    # Where a value jumps, float32 and plain loops may not be on the same side. Embeddings would be NaN mostly.
    # Sums of computed products cancel, of which float32 leaves few digits.
    kinds = [*SMOOTH, *STEPS[1:]] if dtype == "float64" else [kind for kind in SMOOTH if kind != "matmul"]

    def add(name: str, sources: list[str], merge: str) -> None:
        reads = sum(known[source] for source in sources) if merge == "concatenate" else known[sources[0]]
        kind = "dense" if rng.random() < 0.5 else str(rng.choice(kinds))
        layer = {
            "name": name,
            **random_layer(rng, kind, reads, dtype, widest),
            "activation": str(rng.choice(list(FUNCTIONS))),
            "from": sources,
        }
        documents.append({**layer, "merge": merge} if len(sources) > 1 else layer)
        kind = layer.get("kind", "dense")
        lengths = {"inputs": reads, **KINDS[kind].declared_lengths(layer)}
        for key, axes in ARRAYS[kind].items():
            if key in layer:
                lengths.update(zip(axes, np.shape(layer[key]), strict=True))
        known[name] = KINDS[kind].count_nodes(lengths) or 0
        read = {*sources, *(groups if "inputs" in sources else ())}
        unread[:] = [other for other in unread if other not in read] + [name]

    for index in range(layers):
        merge = str(rng.choice(["concatenate", *MERGES]))
        first = str(rng.choice(list(known)))
        fitting = [name for name in known if merge == "concatenate" or known[name] == known[first]]
        add(f"layer_{index}", rng.permutation(fitting)[: rng.integers(1, 5)].tolist(), merge)
    left = [name for name in unread if name in groups or rng.random() < 0.5]
    if left:
        add("last", left, "concatenate")
    outputs = [name for name in unread if name not in groups]
    facts = [
        {"name": f"y{index}", "scale": float(rng.normal()), "shift": 0.5}
        for index in range(sum(known[name] for name in outputs))
    ]
    features = [{"name": f"f{index}", "mean": 0.5, "scale": 1.5} for index in range(width)]
    return parse(
        {
            "format": FORMAT,
            "dtype": dtype,
            "inputs": features if rng.random() < 0.5 else width,
            "input_groups": [{"name": name, "width": size} for name, size in groups.items()],
            "layers": documents,
            "output_layers": rng.permutation(outputs).tolist(),
            **({"outputs": facts} if rng.random() < 0.3 else {}),
        }
    )


def compute(network: NetworkSpec, row: list[float]) -> dict[str, list[float]]:
    """Compute one row: the activations of every layer, the standardized `inputs`, and those of each group."""
    features = network.inputs.features
    values = {"inputs": [(x - f.mean) / f.scale for x, f in zip(row, features, strict=True)] if features else row}
    start = 0
    for group in network.inputs.groups:
        values[group.name] = values["inputs"][start : start + group.width]
        start += group.width
    for layer in network.layers:
        read = merged([values[name] for name in layer.from_], layer.merge)
        values[layer.name] = [FUNCTIONS[layer.activation.name](value) for value in pre_activations(layer, read)]
    return values


def outputs_of(network: NetworkSpec, values: Mapping[str, list[float]]) -> list[float]:
    """Put the output layers' values of one row side by side."""
    found = [value for name in network.output_layers for value in values[name]]
    facts = network.output_metadata or [Output()] * len(found)
    return [value * fact.scale + fact.shift for value, fact in zip(found, facts, strict=True)]


def merged(sources: list[list[float]], merge: str | None) -> list[float]:
    """Make one list of several."""
    if merge is None or merge == "concatenate":
        return [value for source in sources for value in source]
    return [float(MERGES[merge](values)) for values in zip(*sources, strict=True)]
