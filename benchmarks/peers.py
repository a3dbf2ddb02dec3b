"""`forward` and its peers, which compute the same network: one thread each, with the outputs compared.

A peer is a function of a plan and rows that returns the work to time. Importing a peer takes seconds, so each is
imported on use.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from forwardpass.tensors import Array
from forwardpass_server.core import Plan, forward

from benchmarks import networks
from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.needs import ONNXRUNTIME, SKLEARN, TORCH, Need
from benchmarks.timing import best

ROWS: Final = (1, 32, 1024)
DTYPES: Final = ("float32", "float64")

Work = Callable[[], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """The time of one peer.

    Attributes:
        network: The network's label.
        dtype: The dtype of weights and rows.
        rows: The number of rows.
        contender: The peer.
        microseconds: The time for all rows.
    """

    network: str
    dtype: str
    rows: int
    contender: str
    microseconds: float


def numpy(plan: Plan, rows: Array) -> Work:
    """Compute with plain numpy; the last bits of a row depend on the batch composition."""

    def work() -> Array:
        values = rows
        for layer in plan.dense:
            values = np.maximum(values @ layer.columns + layer.bias, 0)
        return values

    return work


def exact(plan: Plan, rows: Array) -> Work:
    """Compute as the server does by default."""
    return partial(forward, plan, rows)


def fast(plan: Plan, rows: Array) -> Work:
    """Compute as the server does for networks with numerics `fast`."""
    sizes = (plan.inputs, *(len(layer.weights) for layer in plan.dense))
    return partial(forward, networks.plan(sizes, plan.dtype.name, fast=True), rows)


def onnx_model(plan: Plan) -> bytes:
    """Return the network as an ONNX file: Gemm and Relu, with the input `rows`."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    nodes, weights, name = [], [], "rows"
    for index, layer in enumerate(plan.dense):
        matrix, bias, sums, values = (f"{part}{index}" for part in ("matrix", "bias", "sums", "values"))
        weights += [
            numpy_helper.from_array(np.ascontiguousarray(layer.columns), matrix),
            numpy_helper.from_array(np.array(layer.bias), bias),
        ]
        nodes += [helper.make_node("Gemm", [name, matrix, bias], [sums]), helper.make_node("Relu", [sums], [values])]
        name = values
    number = TensorProto.FLOAT if plan.dtype == np.float32 else TensorProto.DOUBLE
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("rows", number, [None, plan.inputs])],
        [helper.make_tensor_value_info(name, number, [None, plan.outputs])],
        weights,
    )
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()
    return model


def onnxruntime(plan: Plan, rows: Array) -> Work:
    """Compute with ONNX Runtime, which fuses each Gemm with its Relu."""
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(onnx_model(plan), options, providers=["CPUExecutionProvider"])
    feed = {"rows": rows}
    return lambda: session.run(None, feed)[0]


def torch(plan: Plan, rows: Array) -> Work:
    """Compute with PyTorch in inference mode, from a numpy array to a numpy array."""
    import torch as pytorch  # noqa: PLC0415

    pytorch.set_num_threads(1)
    layers = []
    for layer in plan.dense:
        linear = pytorch.nn.Linear(*layer.weights.T.shape).to(getattr(pytorch, plan.dtype.name))
        with pytorch.no_grad():
            linear.weight.copy_(pytorch.from_numpy(np.array(layer.weights)))
            linear.bias.copy_(pytorch.from_numpy(np.array(layer.bias)))
        layers += [linear, pytorch.nn.ReLU()]
    model = pytorch.nn.Sequential(*layers).eval()

    def work() -> Any:
        with pytorch.inference_mode():
            return model(pytorch.from_numpy(rows)).numpy()

    return work


def sklearn(plan: Plan, rows: Array) -> Work:
    """Compute with scikit-learn's MLPRegressor, including its checks of the input."""
    from sklearn.neural_network import MLPRegressor  # noqa: PLC0415

    model = MLPRegressor(activation="relu")
    model.coefs_ = [np.ascontiguousarray(layer.columns) for layer in plan.dense]
    model.intercepts_ = [np.array(layer.bias) for layer in plan.dense]
    model.n_layers_ = len(plan.dense) + 1
    model.n_outputs_ = plan.outputs
    model.n_features_in_ = plan.inputs
    model.out_activation_ = "relu"
    return partial(model.predict, rows)


Peer = Callable[[Plan, Array], Work]

PEERS: Final[Mapping[str, tuple[Peer, tuple[Need, ...]]]] = {
    "exact": (exact, ()),
    "fast": (fast, ()),
    "numpy": (numpy, ()),
    "onnxruntime": (onnxruntime, (ONNXRUNTIME,)),
    "torch": (torch, (TORCH,)),
    "scikit-learn": (sklearn, (SKLEARN,)),
}


def race(lab: Lab, sizes: networks.Sizes, dtype: str, count: int, *names: str) -> list[float]:
    """Return the seconds that each peer takes for the rows."""
    plan, rows = networks.plan(sizes, dtype), networks.rows(sizes, count, dtype)
    works = [PEERS[name][0](plan, rows) for name in names]
    expected = exact(plan, rows)()
    for name, work in zip(names, works, strict=True):
        np.testing.assert_allclose(
            work().reshape(expected.shape), expected, rtol=1e-3, atol=1e-3, err_msg=f"{name} computes something else"
        )
    with on_core(LOAD_CORE):
        return best(works, repeats=lab.repeats, min_seconds=lab.min_seconds)


def contenders() -> tuple[str, ...]:
    """Return the names of the installed peers."""
    return tuple(name for name, (_, needs) in PEERS.items() if all(need.found() for need in needs))


def measure(lab: Lab) -> Iterator[Timing]:
    """Time every installed peer on every network, in both dtypes, with different numbers of rows."""
    names = contenders()
    for sizes in networks.ALL:
        for dtype in DTYPES:
            for count in ROWS:
                for name, seconds in zip(names, race(lab, sizes, dtype, count, *names), strict=True):
                    yield Timing(
                        network=networks.label(sizes),
                        dtype=dtype,
                        rows=count,
                        contender=name,
                        microseconds=seconds * 1e6,
                    )
