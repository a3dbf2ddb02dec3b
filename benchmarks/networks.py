"""The measured networks: dense layers with random weights and relu."""

import itertools
from typing import Final

import numpy as np
from forwardpass import spec
from forwardpass.attribution import METHODS, AttributionMethod
from forwardpass.tensors import Array, to_tensor
from forwardpass.v1.prediction_service_pb2 import ExplainRequest, PredictRequest
from forwardpass_server.core import Dense, Plan
from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest

Sizes = tuple[int, ...]

SMALL: Final[Sizes] = (2, 2, 1)
MIDDLE: Final[Sizes] = (30, 64, 32, 1)
LARGE: Final[Sizes] = (784, 512, 512, 10)
ALL: Final = (SMALL, MIDDLE, LARGE)


def label(sizes: Sizes) -> str:
    """Return the sizes as text, for example `30-64-32-1`."""
    return "-".join(map(str, sizes))


def weights(sizes: Sizes, dtype: str = "float32") -> list[tuple[Array, Array]]:
    """Return the weights, `(outputs, inputs)`, and bias, `(outputs,)`, of each layer; the same at each call."""
    rng = np.random.default_rng(0)
    return [
        (
            (rng.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(dtype),
            rng.standard_normal(outputs).astype(dtype),
        )
        for inputs, outputs in itertools.pairwise(sizes)
    ]


def plan(sizes: Sizes, dtype: str = "float32", *, fast: bool = False) -> Plan:
    """Return a plan that is ready to compute."""
    layers = tuple(
        Dense(name=f"layer_{index}", weights=matrix, bias=bias, activation="relu")
        for index, (matrix, bias) in enumerate(weights(sizes, dtype))
    )
    return Plan(dtype=np.dtype(dtype), layers=layers, fast=fast)


def network(sizes: Sizes, dtype: str = "float32") -> spec.NetworkSpec:
    """Return the spec of a network."""
    return spec.parse(
        {
            "format": spec.FORMAT,
            "dtype": dtype,
            "inputs": sizes[0],
            "layers": [
                {"weights": matrix, "bias": bias, "activation": "relu"} for matrix, bias in weights(sizes, dtype)
            ],
        }
    )


def rows(sizes: Sizes, count: int, dtype: str = "float32") -> Array:
    """Return inputs, `(count, inputs)`."""
    return np.random.default_rng(1).standard_normal((count, sizes[0])).astype(dtype)


def request(sizes: Sizes, count: int = 1) -> bytes:
    """Serialize a `PredictRequest` for a network registered under its label; it is a valid `TraceRequest` too."""
    return PredictRequest(network=f"net-{label(sizes)}", tensor=to_tensor(rows(sizes, count))).SerializeToString()


def explain_request(sizes: Sizes, method: AttributionMethod, count: int = 1) -> bytes:
    """Serialize an `ExplainRequest` for the same rows."""
    return ExplainRequest(
        network=f"net-{label(sizes)}", tensor=to_tensor(rows(sizes, count)), method=METHODS[method]
    ).SerializeToString()


def infer_request(sizes: Sizes, count: int = 1) -> bytes:
    """Serialize the same request in the Open Inference Protocol, with an id as its clients send."""
    return encode_infer(sizes, rows(sizes, count))


def encode_infer(sizes: Sizes, values: Array) -> bytes:
    """Serialize a `ModelInferRequest` for some rows."""
    tensor = ModelInferRequest.InferInputTensor(name="inputs", datatype="FP32", shape=values.shape)
    return ModelInferRequest(
        model_name=f"net-{label(sizes)}", id="request-1", inputs=[tensor], raw_input_contents=[values.tobytes()]
    ).SerializeToString()
