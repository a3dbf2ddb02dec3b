"""Inputs and outputs as tritonclient has them, for gRPC or for HTTP."""

import json
from types import ModuleType
from typing import Any

import numpy as np
from tritonclient.utils import np_to_triton_dtype

from tests.clients.place import ExpectedResponses

Array = np.ndarray[Any, Any]

CUSTOMER = np.array([[3.0, 5.0]])
"""The article's example, of which each node is known."""

TRANSACTIONS = 182.0


def tensor(protocol: ModuleType, array: Array, name: str = "inputs", **options: bool) -> Any:
    """An input; `protocol` is `tritonclient.grpc` or `tritonclient.http`."""
    given = protocol.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    given.set_data_from_numpy(array, **options)
    return given


def requested_outputs(protocol: ModuleType, *names: str, **options: Any) -> list[Any]:
    """Requested outputs by name."""
    return [protocol.InferRequestedOutput(name, **options) for name in names]


def check(result: Any, responses: ExpectedResponses) -> None:
    """The bits are those that our own client got."""
    expected = responses.array(responses.outputs)
    outputs = result.as_numpy("outputs")
    assert outputs.dtype == expected.dtype
    assert outputs.shape == expected.shape
    assert outputs.tobytes() == expected.tobytes()
    if responses.classes:
        assert texts(result, "label") == [[label] for label in responses.labels]


def check_layers(result: Any, responses: ExpectedResponses) -> None:
    """Each layer's values are those of our own client's trace."""
    for name, numbers in responses.layers.items():
        assert result.as_numpy(name).tobytes() == responses.array(numbers).tobytes(), name


def texts(result: Any, name: str) -> list[list[str]]:
    """An output of BYTES, which tritonclient gives as bytes, or as text where it came as JSON."""
    rows = result.as_numpy(name).tolist()
    return [[element.decode() if isinstance(element, bytes) else element for element in row] for row in rows]


def largest(responses: ExpectedResponses, count: int) -> list[list[str]]:
    """What Triton's classification says of the outputs."""
    rows = []
    for row in responses.array(responses.outputs):
        places = np.argsort(-row, kind="stable")[:count]
        rows.append([f"{row[place]:f}:{place}:{responses.classes[place]}" for place in places])
    return rows


NETWORK_FILE = b"""{"format": "forwardpass.network/1", "inputs": ["children", "accounts"], "layers": [
    {"weights": {"node_0": [1, 1], "node_1": [-1, 1]}, "activation": "relu"}, {"weights": {"output": [2, -1]}}]}"""
"""A network as a file: the article's with one hidden layer."""

JSON_DATATYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
]
DATATYPES = [*JSON_DATATYPES, "float16", "bfloat16"]
"""Each one that has numbers. tritonclient sends the last two as binary data only; bfloat16 is ml_dtypes'."""


def numbers(datatype: str) -> Array:
    """Rows of the article's two features, some of each datatype's own kind."""
    if datatype == "bfloat16":
        import ml_dtypes

        return np.array([[3, 5], [-1.5, 0.25], [256, -0.0078125]], ml_dtypes.bfloat16)
    dtype = np.dtype(datatype)
    if dtype.kind == "b":
        return np.array([[True, False], [True, True], [False, False]])
    if dtype.kind == "f":
        return np.array([[3, 5], [-1.5, 0.25], [2.0**-10, -256.5]], dtype)
    limits = np.iinfo(dtype)
    # Up to 2**53 float64 holds every whole number.
    large = min(int(limits.max), 2**53)
    return np.array([[3, 5], [large, 0], [max(int(limits.min), -large), 1]], dtype)


def counted(statistics: dict[str, Any], kind: str = "success") -> int:
    """How many calls of a kind there were; JSON of protobuf has 64-bit numbers as texts and leaves out zeros."""
    return int(statistics["inference_stats"].get(kind, {}).get("count", 0))


def config(name: str) -> str:
    """What an upload must be accompanied by."""
    return json.dumps({"name": name, "backend": "forwardpass"})
