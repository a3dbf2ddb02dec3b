"""Small networks and requests for tests."""

from itertools import pairwise
from typing import Any

import numpy as np
from forwardpass.spec import FORMAT, NetworkSpec, digest, parse
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Tensor
from forwardpass_server.registry import LoadedVersion
from forwardpass_server.registry.compile import compile_plan
from hypothesis import strategies as st

from tests.support.random_graphs import random_graph

DTYPES = st.sampled_from(["float32", "float64"])
LABELS = st.text("abcé", min_size=1, max_size=40)
BUILTINS = ("article-1-hidden", "article-2-hidden", "article-linear")


def tiny(weight: float = 1.0, **fields: Any) -> NetworkSpec:
    """A network of one node: its input times the weight."""
    layer = {"name": "only", "weights": [[weight]]}
    return parse({"format": FORMAT, "inputs": 1, "layers": [layer], **fields})


def chain(sizes: list[int], *, dtype: str = "float64", seed: int = 0, **fields: Any) -> NetworkSpec:
    """A chain of dense layers; the first size is the number of inputs."""
    rng = np.random.default_rng(seed)
    layers = [
        {"weights": rng.standard_normal((nodes, reads)), "bias": rng.standard_normal(nodes), "activation": "tanh"}
        for reads, nodes in pairwise(sizes)
    ]
    return parse({"format": FORMAT, "dtype": dtype, "inputs": sizes[0], "layers": layers, **fields})


def identity(width: int = 1, **fields: Any) -> NetworkSpec:
    """A network whose outputs are its inputs."""
    return parse({"format": FORMAT, "inputs": width, "layers": [{"weights": np.eye(width)}], **fields})


def loaded(network: NetworkSpec, name: str = "sample", version: int = 1) -> LoadedVersion:
    """Load a network without a registry."""
    return LoadedVersion.of(name, version, digest(network), network, compile_plan(network))


@st.composite
def chains(draw: st.DrawFn) -> NetworkSpec:
    """Any small chain: a classifier of one output, of several, or none; named features or none."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    outputs = sizes[-1]
    fields: dict[str, Any] = {}
    if draw(st.booleans()):
        count = 2 if outputs == 1 else outputs
        fields["classes"] = draw(st.lists(LABELS, min_size=count, max_size=count, unique=True))
    if draw(st.booleans()):
        names = draw(st.lists(LABELS, min_size=sizes[0], max_size=sizes[0], unique=True))
        fields["inputs"] = [{"name": name, "mean": 0.5, "scale": 2.0} for name in names]
    if draw(st.booleans()):
        fields["outputs"] = draw(st.lists(LABELS, min_size=outputs, max_size=outputs, unique=True))
    return chain(sizes, dtype=draw(DTYPES), seed=draw(st.integers(0, 9)), **fields)


def graphs() -> st.SearchStrategy[NetworkSpec]:
    """Any small graph."""
    return st.builds(random_graph, st.integers(0, 2**32 - 1), DTYPES)


def number_request(network: str, *numbers: float) -> PredictRequest:
    """A request whose rows have one number each, as bytes."""
    data = np.array(numbers, dtype="<f8").tobytes()
    return PredictRequest(network=network, tensor=Tensor(dtype=DATA_TYPE_FLOAT64, shape=[len(numbers), 1], data=data))
