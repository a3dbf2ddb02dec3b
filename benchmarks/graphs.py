"""The rows of networks that are graphs: a residual network, and a wide-and-deep one with embeddings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from forwardpass import spec
from forwardpass.tensors import Array, to_tensor
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan

from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.load import load
from benchmarks.needs import LOAD
from benchmarks.server import PREDICT, Server
from benchmarks.table import Finding, Goal, Row, ratio
from benchmarks.timing import best

COUNT: Final = 1024
_INPUTS, _WIDTH, _BLOCKS = 32, 64, 4
_NUMBERS, _CATEGORIES, _CATEGORY_COUNT, _SIZE = 13, 3, 100, 8

Weights = Mapping[str, tuple[Array, Array]]
"""Each dense layer's weights, `(outputs, inputs)`, and bias."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A network, and the numpy code that one would write for it.

    Attributes:
        network: Its spec.
        rows: Returns valid rows, `(count, inputs)`.
        plain: Computes rows with plain numpy.
    """

    network: spec.NetworkSpec
    rows: Callable[[int], Array]
    plain: Callable[[Array], Array]


def _dense(random: np.random.Generator, **sizes: tuple[int, int]) -> Weights:
    return {
        name: (
            (random.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32),
            random.standard_normal(outputs).astype(np.float32),
        )
        for name, (outputs, inputs) in sizes.items()
    }


def _layer(weights: Weights, name: str, **words: Any) -> dict[str, Any]:
    matrix, bias = weights[name]
    return {"name": name, "weights": matrix, "bias": bias, **words}


def _spec(**document: Any) -> spec.NetworkSpec:
    return spec.parse({"format": spec.FORMAT, "dtype": "float32", **document})


def residual() -> Graph:
    """Return 32-64-1 with four residual blocks of layer normalization and two dense layers."""
    blocks = {f"{part}_{block}": (_WIDTH, _WIDTH) for block in range(_BLOCKS) for part in ("up", "down")}
    weights = _dense(np.random.default_rng(0), stem=(_WIDTH, _INPUTS), **blocks, head=(1, _WIDTH))
    layers, stream = [_layer(weights, "stem")], "stem"
    for block in range(_BLOCKS):
        layers += [
            {"name": f"normal_{block}", "kind": "layer_norm", "from": stream},
            _layer(weights, f"up_{block}", activation="relu"),
            _layer(weights, f"down_{block}"),
            {"name": f"sum_{block}", "kind": "scale_shift", "from": [stream, f"down_{block}"], "merge": "sum"},
        ]
        stream = f"sum_{block}"

    def plain(rows: Array) -> Array:
        h = rows @ weights["stem"][0].T + weights["stem"][1]
        for block in range(_BLOCKS):
            (up, more), (down, less) = weights[f"up_{block}"], weights[f"down_{block}"]
            centred = h - h.mean(axis=1, keepdims=True)
            normal = centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(1e-5))
            h = h + np.maximum(normal @ up.T + more, 0) @ down.T + less
        return h @ weights["head"][0].T + weights["head"][1]

    return Graph(
        network=_spec(inputs=_INPUTS, layers=[*layers, _layer(weights, "head")]),
        rows=lambda count: np.random.default_rng(1).standard_normal((count, _INPUTS)).astype(np.float32),
        plain=plain,
    )


def wide_and_deep() -> Graph:
    """Return 13 numbers and 3 embedded features of 100 categories, read by two dense layers and by the output."""
    random = np.random.default_rng(0)
    table = random.standard_normal((_CATEGORY_COUNT, _SIZE)).astype(np.float32)
    read = _NUMBERS + _CATEGORIES * _SIZE
    weights = _dense(random, deep_0=(64, read), deep_1=(32, 64), output=(1, _NUMBERS + 32))
    network = _spec(
        inputs=_NUMBERS + _CATEGORIES,
        input_groups=[{"name": "numbers", "width": _NUMBERS}, {"name": "categories", "width": _CATEGORIES}],
        layers=[
            {"name": "table", "kind": "embedding", "table": table, "from": "categories"},
            _layer(weights, "deep_0", activation="relu", merge="concatenate", **{"from": ["numbers", "table"]}),
            _layer(weights, "deep_1", activation="relu"),
            _layer(weights, "output", activation="sigmoid", merge="concatenate", **{"from": ["numbers", "deep_1"]}),
        ],
    )

    def rows(count: int) -> Array:
        chance = np.random.default_rng(1)
        numbers, categories = (
            chance.standard_normal((count, _NUMBERS)),
            chance.integers(_CATEGORY_COUNT, size=(count, _CATEGORIES)),
        )
        return np.concatenate([numbers, categories], axis=1).astype(np.float32)

    def plain(rows: Array) -> Array:
        numbers = rows[:, :_NUMBERS]
        looked_up = table[rows[:, _NUMBERS:].astype(np.intp)].reshape(len(rows), -1)
        h = np.concatenate([numbers, looked_up], axis=1)
        for name in ("deep_0", "deep_1"):
            h = np.maximum(h @ weights[name][0].T + weights[name][1], 0)
        matrix, bias = weights["output"]
        outputs: Array = 1 / (1 + np.exp(-(np.concatenate([numbers, h], axis=1) @ matrix.T + bias)))
        return outputs

    return Graph(network=network, rows=rows, plain=plain)


GRAPHS: Final[Mapping[str, Callable[[], Graph]]] = {"residual": residual, "wide-and-deep": wide_and_deep}


def exact(lab: Lab) -> Mapping[str, Finding]:
    """Compare exact numerics with plain numpy, after checking that their outputs agree."""
    return {name: _against_numpy(lab, make()) for name, make in GRAPHS.items()}


def _against_numpy(lab: Lab, graph: Graph) -> Finding:
    plan, rows = compile_plan(graph.network), graph.rows(COUNT)
    works = [partial(forward, plan, rows), partial(graph.plain, rows)]
    with on_core(LOAD_CORE):
        np.testing.assert_allclose(works[0](), works[1](), rtol=1e-3, atol=1e-3)
        ours, theirs = best(works, repeats=lab.repeats, min_seconds=lab.min_seconds)
    return ratio(theirs, ours, exact_us=ours * 1e6, numpy_us=theirs * 1e6)


def batching(lab: Lab) -> Mapping[str, Finding]:
    """Compare one-row calls with those of a server without batching (`benchmarks.unbatched`)."""
    return {name: _batched(lab, f"net-{name}", make()) for name, make in GRAPHS.items()}


def _batched(lab: Lab, name: str, graph: Graph) -> Finding:
    request = PredictRequest(network=name, tensor=to_tensor(graph.rows(1))).SerializeToString()
    rates = []
    for module in ("forwardpass_server", "benchmarks.unbatched"):
        with Server(lab, module=module, specs={name: graph.network}) as server:
            rates.append(load(lab, server.address, PREDICT, request).rate)
    batched, unbatched = rates
    return ratio(batched, unbatched, calls_per_s=batched, unbatched_calls_per_s=unbatched)


ROWS: Final = (
    Row(
        number=15,
        goals={name: Goal(title=f"forward, 1,024 rows, exact / plain numpy, {name}", wanted=0.6) for name in GRAPHS},
        measure=exact,
    ),
    Row(
        number=16,
        goals={
            name: Goal(title=f"Predict, one row, {name}, 4 x 16: batched / each call alone", wanted=2)
            for name in GRAPHS
        },
        measure=batching,
        needs=LOAD,
    ),
)
