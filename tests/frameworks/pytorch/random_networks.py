"""Random networks of every kind of layer, merge and activation, as documents."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from forwardpass.spec import FORMAT

from tests.frameworks.pytorch.plain import FUNCTIONS

Random: TypeAlias = np.random.Generator

NUMBERS, LEVELS = "numbers", "categories"
"""Inputs that are numbers, and inputs that are categories from 0."""

PARAMETERS: Mapping[str, Callable[[Random], dict[str, float]]] = {
    "leaky_relu": lambda random: {"negative_slope": float(random.uniform(0, 0.5))},
    "prelu": lambda random: {"slope": float(random.uniform(-0.5, 0.5))},
    "elu": lambda random: {"alpha": float(random.uniform(0.1, 2))},
    "celu": lambda random: {"alpha": float(random.uniform(0.1, 2))},
    "softplus": lambda random: {"beta": float(random.uniform(0.5, 3))},
    "hard_tanh": lambda random: {"min_value": float(random.uniform(-2, 0)), "max_value": float(random.uniform(0.5, 2))},
    "step": lambda random: {"threshold": float(random.normal())},
}
EXPRESSIONS = (
    "x * sigmoid(1.702 * x)",
    "where(x > 0, x, 0.5 * expm1(x))",
    "clip(x, -2, 2) + sin(x) / 3",
    "min(max(x, -1), 1) - tanh(x) ** 2",
    "sqrt(abs(x)) * erf(x)",
    "log1p(abs(x)) + softplus(-x) - erfc(x) / 2",
    "where(x > 0 and not (x >= 1 or x == 0.5), x, clip(x, 0, 1)) + cos(pi * x) * exp(-abs(x))",
)
FORMULAS: Mapping[int, tuple[str, ...]] = {
    1: ("atan(x) - x / 2", "sqrt(x * x + 0.25)"),
    2: (
        "x * sigmoid(y)",
        "where(x > y, x - y, 0) + atan(y)",
        "x / (1 + abs(y))",
        "min(x, tanh(y)) + max(x, -y)",
        "abs(x) ** clip(y, 0.5, 2)",
    ),
    3: (
        "where(x > 0, x * y, x * z)",
        "tanh(x) * y + z",
        "clip(x, min(y, z), max(y, z))",
        "where(not (x > 0 and y > 0) or z > 0, 0, min(x, min(y, -z)))",
    ),
}
"""Expressions of an elementwise layer by the number of their parts. They are continuous, for the same reason."""
_JUMPS = frozenset({"embedding", "one_hot", "lookup", "bucketize", "impute"})
"""Kinds that compare numbers for equality. They read inputs, since the last bit of a computed number is not fixed."""
_MERGES = ("sum", "multiply", "mean", "max")


def random_network(random: Random, *, most_layers: int = 8, widest: int = 6) -> dict[str, Any]:
    """Make a network in which each layer reads any others; layers without readers are outputs."""
    widths = {NUMBERS: int(random.integers(1, widest + 1)), LEVELS: int(random.integers(1, 4))}
    groups = [{"name": name, "width": width} for name, width in widths.items()]
    layers: list[dict[str, Any]] = []
    unread = [NUMBERS, LEVELS]
    count = int(random.integers(3, most_layers + 1))
    while len(layers) < count or set(unread) & {NUMBERS, LEVELS}:
        name = f"layer_{len(layers)}"
        kind, sources, merge = _choice(random, widths, unread if len(layers) >= count else [])
        read = sum(widths[source] for source in sources) if merge == "concatenate" else widths[sources[0]]
        kind = "dense" if kind == "matmul" and read == 1 else kind  # there is no product of one number
        numbers = KINDS[kind](random, read)
        widths[name] = numbers.pop("width", read)
        layer = {"name": name, "kind": kind, **numbers, "activation": _activation(random), "from": sources}
        layers.append({**layer, "merge": merge} if merge else layer)
        unread = [other for other in unread if other not in sources] + [name]
    return {
        "format": FORMAT,
        "inputs": widths[NUMBERS] + widths[LEVELS],
        "input_groups": groups,
        "layers": layers,
        "output_layers": random.permutation(unread).tolist(),
        "allow_non_finite_inputs": True,
    }


def random_rows(random: Random, document: Mapping[str, Any], count: int) -> Any:
    """Make rows for it: numbers, some of them missing, and categories, some of them none that is known."""
    numbers, categories = (group["width"] for group in document["input_groups"])
    known = random.normal(size=(count, numbers)) * random.choice([1.0, 3.0], size=(count, 1))
    known[random.random(known.shape) < random.choice([0.0, 0.05])] = np.nan
    coded = random.integers(0, 4, size=(count, categories)).astype(float)
    coded[random.random(coded.shape) < random.choice([0.0, 0.05])] = random.choice([-1.0, 0.5, 7.0])
    return np.concatenate([known, coded], axis=1)


def _choice(random: Random, widths: Mapping[str, int], needed: list[str]) -> tuple[str, list[str], str | None]:
    """Choose what a layer is, and what it reads."""
    if LEVELS in needed or random.random() < 0.1:
        return str(random.choice(["embedding", "one_hot", "dense"])), [LEVELS], None
    kind = str(random.choice([*KINDS, "dense", "dense"]))
    if kind in _JUMPS:
        return kind, [str(random.choice([NUMBERS, LEVELS]))], None
    first = NUMBERS if NUMBERS in needed else str(random.choice([name for name in widths if name != LEVELS]))
    merge = str(random.choice(["concatenate", *_MERGES]))
    fitting = [name for name in widths if merge == "concatenate" or widths[name] == widths[first]]
    others = [name for name in random.permutation(fitting).tolist() if name not in {first, LEVELS}]
    sources = [first, *others[: random.integers(0, 4)]]
    return kind, sources, merge if len(sources) > 1 else None


def _activation(random: Random) -> Any:
    if random.random() < 0.3:
        return {"expression": str(random.choice(EXPRESSIONS))}
    name = str(random.choice(list(FUNCTIONS)))
    return {"name": name, **PARAMETERS[name](random)} if name in PARAMETERS else name


def _some(random: Random, size: int, *names: str) -> dict[str, Any]:
    """Give each of some optional vectors or leave it out."""
    return {name: random.uniform(0.2, 1, size).tolist() for name in names if random.random() < 0.7}


def _dense(random: Random, read: int) -> dict[str, Any]:
    width = int(random.integers(1, 7))
    numbers = {"width": width, "weights": (random.normal(size=(width, read)) / np.sqrt(read) / 2).tolist()}
    if random.random() < 0.3:
        numbers["mask"] = random.integers(0, 2, size=(width, read)).tolist()
    return {**numbers, **_some(random, width, "bias")}


def _batch_norm(random: Random, read: int) -> dict[str, Any]:
    mean, variance = random.normal(size=read).tolist(), random.uniform(0.5, 2, read).tolist()
    epsilon = {"epsilon": 1e-3} if random.random() < 0.5 else {}
    return {"mean": mean, "variance": variance, **_some(random, read, "gamma", "beta"), **epsilon}


def _layer_norm(random: Random, read: int) -> dict[str, Any]:
    groups = {"groups": _divisor(random, read)} if random.random() < 0.5 else {}
    return {**_some(random, read, "gamma", "beta"), "epsilon": 0.1, **groups}


def _embedding(random: Random, read: int) -> dict[str, Any]:
    categories, size = int(random.integers(4, 6)), int(random.integers(1, 4))
    return {"width": read * size, "table": random.normal(size=(categories, size)).tolist()}


def _one_hot(random: Random, read: int) -> dict[str, Any]:
    count = int(random.integers(1, min(6, 4 * read) + 1))
    indices, categories = np.divmod(random.permutation(4 * read)[:count], 4)
    return {"width": count, "categories": categories.astype(float).tolist(), "indices": indices.tolist()}


def _bucketize(random: Random, read: int) -> dict[str, Any]:  # noqa: ARG001 - all kinds are made alike
    return {"boundaries": np.unique(random.integers(-2, 4, size=3).astype(float)).tolist()}


def _lookup(random: Random, read: int) -> dict[str, Any]:  # noqa: ARG001
    keys = random.permutation(4)[: random.integers(1, 5)].astype(float).tolist()
    default = {"default": float(random.normal())} if random.random() < 0.7 else {}
    return {"keys": keys, "values": random.normal(size=len(keys)).tolist(), **default}


def _clip(random: Random, read: int) -> dict[str, Any]:
    low, high = (-random.uniform(0.1, 1, read)).tolist(), random.uniform(0.1, 1, read).tolist()
    return {("low", "high")[place]: bound for place, bound in enumerate((low, high)) if random.random() < 0.8} or {
        "low": low
    }


def _impute(random: Random, read: int) -> dict[str, Any]:
    missing = {"missing": 0.0} if random.random() < 0.3 else {}
    return {"values": random.normal(size=read).tolist(), **missing}


def _take(random: Random, read: int) -> dict[str, Any]:
    count = int(random.integers(1, 7))
    return {"width": count, "indices": random.integers(0, read, count).tolist()}


def _pool(random: Random, read: int) -> dict[str, Any]:
    outputs, size = random.integers(1, 5, size=2).tolist()
    windows = random.integers(0, read, size=(outputs, size)).tolist()
    return {"width": outputs, "windows": windows, "reduce": str(random.choice(["max", "mean", "sum", "min"]))}


def _conv(random: Random, read: int) -> dict[str, Any]:
    """Convolve along one to three axes whose product with the channels is what is read."""
    shape = [read]
    for _ in range(random.integers(1, 4)):
        size = int(random.choice([number for number in range(1, shape[0] + 1) if shape[0] % number == 0]))
        shape = [shape[0] // size, size, *shape[1:]]
    kernel = [int(random.integers(1, min(size, 3) + 1)) for size in shape[1:]]
    dilations = [
        int(random.integers(1, 3)) if (k - 1) * 2 < size else 1 for k, size in zip(kernel, shape[1:], strict=True)
    ]
    strides = random.integers(1, 4, size=len(kernel)).tolist()
    pads = random.integers(0, 3, size=2 * len(kernel)).tolist()
    apart = random.integers(1, 3, size=len(kernel)).tolist() if random.random() < 0.3 else [1] * len(kernel)
    group = int(random.choice([number for number in (1, 2, shape[0]) if shape[0] % number == 0]))
    filters = group * int(random.integers(1, 3))
    places = 1
    for axis, (k, gap, stride) in enumerate(zip(kernel, dilations, strides, strict=True)):
        room = (shape[axis + 1] - 1) * apart[axis] + 1 + pads[axis] + pads[len(kernel) + axis] - (k - 1) * gap - 1
        places *= room // stride + 1
    return {
        "width": filters * places,
        "weights": (random.normal(size=(filters, shape[0] // group * math.prod(kernel))) / 2).tolist(),
        "bias": random.normal(size=filters).tolist(),
        "input_shape": shape,
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "input_dilations": apart,
        "group": group,
    }


def _divisor(random: Random, number: int, most: int = 2**16) -> int:
    return int(random.choice([one for one in range(1, min(number, most) + 1) if number % one == 0]))


def _matmul(random: Random, read: int) -> dict[str, Any]:
    """Multiply matrices whose numbers together are those that are read."""
    groups = int(random.choice([one for one in range(1, read) if read % one == 0]))
    inner = int(random.choice([one for one in range(1, read // groups) if read // groups % one == 0]))
    both = read // groups // inner
    rows = int(random.integers(1, both))
    sizes = {"groups": groups, "rows": rows, "inner": inner, "columns": both - rows}
    return {"width": groups * rows * (both - rows), **sizes}


def _elementwise(random: Random, read: int) -> dict[str, Any]:
    parts = _divisor(random, read, most=3)
    return {"width": read // parts, "expression": str(random.choice(FORMULAS[parts]))}


def _recurrent(random: Random, read: int) -> dict[str, Any]:
    """Go over what is read in steps, or over a part of it, of which the rest is the initial state."""
    cell = str(random.choice(["rnn", "gru", "lstm"]))
    gates, states = {"rnn": (1, 1), "gru": (3, 1), "lstm": (4, 2)}[cell]
    has_state = read > states and random.random() < 0.4
    units = int(random.integers(1, min((read - 1) // states, 6) + 1 if has_state else 7))
    values = read - states * units if has_state else read
    steps = _divisor(random, values)
    while steps > 8:
        steps = _divisor(random, values)
    final = cell == "lstm" and bool(random.random() < 0.4)
    sizes = (units * gates, values // steps), (units * gates, units)
    return {
        "cell": cell,
        "steps": steps,
        "weights": (random.normal(size=sizes[0]) / np.sqrt(sizes[0][1])).tolist(),
        "recurrent_weights": (random.normal(size=sizes[1]) / np.sqrt(units)).tolist(),
        "bias": random.normal(size=units * gates).tolist(),
        "recurrent_bias": random.normal(size=units * gates).tolist(),
        **({"final_cell": True} if final else {}),
        "width": (steps + final) * units,
    }


KINDS: Mapping[str, Callable[[Random, int], dict[str, Any]]] = {
    "dense": _dense,
    "scale_shift": lambda random, read: _some(random, read, "scale", "shift"),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "one_hot": _one_hot,
    "bucketize": _bucketize,
    "lookup": _lookup,
    "clip": _clip,
    "impute": _impute,
    "take": _take,
    "pool": _pool,
    "conv": _conv,
    "recurrent": _recurrent,
    "matmul": _matmul,
    "elementwise": _elementwise,
    "group_softmax": lambda random, read: {"groups": _divisor(random, read)},
    "group_sparsemax": lambda random, read: {"groups": _divisor(random, read)},
    "dropout": lambda random, read: {"rate": float(random.uniform(0, 0.9))},  # noqa: ARG005
}
"""The numbers of each kind of layer, and its width where it is not what it reads."""
