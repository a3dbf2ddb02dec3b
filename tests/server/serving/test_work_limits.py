"""The bytes by which a response is judged before it is computed."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from forwardpass import spec
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import from_tensor
from forwardpass.v1.prediction_service_pb2 import TraceRequest, TraceResponse
from forwardpass.v1.tensor_pb2 import Tensor
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.serving import TRACE, RawRequest
from google.protobuf.message import Message

from tests.support.sample_networks import chain, number_request
from tests.support.serving import make_predictor, respond

ROWS = 7
"""Unlike the width of any layer."""

MERGED = spec.parse(
    {
        "format": spec.FORMAT,
        "inputs": 2,
        "layers": [
            {"name": "a", "weights": [[1, 2], [3, 4], [5, 6]], "activation": "relu"},
            {"name": "n", "kind": "layer_norm", "gamma": [1, 1, 1], "beta": [0, 0, 0], "epsilon": 0.1},
            {"name": "o", "weights": [[1, -1, 2]], "from": ["a", "n"], "merge": "sum"},
        ],
    }
)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with SqlStore("sqlite://") as store:
        yield Registry.open(store)


def numbers_in(message: Message) -> int:
    """Return how many numbers of rows a message has; a layer's bias, which is there once, is no row's."""
    if isinstance(message, Tensor):
        return from_tensor(message).size if message.shape[0] == ROWS else 0
    fields = [value for _, value in message.ListFields()]
    messages = [each for value in fields for each in (value if hasattr(value, "extend") else [value])]
    return sum(numbers_in(each) for each in messages if isinstance(each, Message))


@pytest.mark.parametrize(
    ("network", "inputs", "fields"),
    [
        (chain([3, 5, 2]), 3, {}),
        (chain([2, 4], dtype="float32"), 2, {"contributions": True}),
        (MERGED, 2, {}),
        (MERGED, 2, {"contributions": True}),
        (MERGED, 2, {"layers": ["o"], "contributions": True}),
        (MERGED, 2, {"layers": ["a", "n"]}),
    ],
    ids=["chain", "contributions of a chain", "merged", "contributions", "contributions of one layer", "two layers"],
)
def test_a_trace_has_as_many_numbers_as_it_is_judged_by(
    registry: Registry, network: NetworkSpec, inputs: int, fields: Mapping[str, Any]
) -> None:
    registry.register("net", network)
    tensor = number_request("net", *([1.0] * inputs * ROWS)).tensor
    tensor.shape[:] = [ROWS, inputs]
    request = RawRequest(TRACE, TraceRequest(network="net", tensor=tensor, **fields).SerializeToString())
    predictor = make_predictor(registry)
    (member,) = predictor.read([request]).rows
    (response,) = respond(predictor, [request])
    assert isinstance(response, bytes)
    numbers = numbers_in(TraceResponse.FromString(response))
    assert member.response_bytes == numbers * member.loaded.plan.dtype.itemsize + ROWS * member.options.row_bytes
