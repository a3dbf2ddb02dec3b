"""Explanations in the stages of serving: shared matrices, what is kept of a request, and judged sizes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from forwardpass.attribution import METHODS
from forwardpass.tensors import from_tensor, to_tensor
from forwardpass.v1.prediction_service_pb2 import ExplainRequest, ExplainResponse, PredictRequest
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.serving import EXPLAIN, PREDICT, RawRequest
from forwardpass_server.serving.batch import assemble_batches
from forwardpass_server.serving.work_limits import response_bytes_per_row

from tests.support.sample_networks import chain
from tests.support.serving import POLICY, make_predictor, respond

ARRAYS = ("outputs", "input_values", "attributions", "explained_values", "baseline_outputs")
MORE_ARRAYS = ("completeness_error", "standard_error")


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A registry that no test changes."""
    store = SqlStore("sqlite://")
    opened = Registry.open(store)
    opened.register("small", chain([3, 4, 2]))
    opened.register("many", chain([14, 5, 3], dtype="float32", classes=["a", "b", "c"]))
    yield opened
    store.close()


def raw(*rows: Any, network: str = "small", method: Any = "gradient", **fields: Any) -> RawRequest:
    tensor = to_tensor(np.array(rows, np.float64))
    request = ExplainRequest(network=network, tensor=tensor, method=METHODS[method], **fields)
    return RawRequest(EXPLAIN, request.SerializeToString())


def test_requests_that_differ_in_their_numbers_share_a_matrix(registry: Registry) -> None:
    predictor = make_predictor(registry)
    requests = [raw([number, 1, 2]) for number in range(5)]
    alone = [respond(predictor, [request])[0] for request in requests]
    read = predictor.read([*requests, raw([1, 1, 2], method="feature_ablation")])
    assert [len(member.requests) for member in read.rows if len(member.requests) > 1] == [5]
    assert sorted(len(batch.requests) for batch in assemble_batches(read.rows, POLICY)) == [1, 5]
    assert respond(predictor, requests) == alone


def test_rows_of_a_baseline_are_not_kept(registry: Registry) -> None:
    predictor = make_predictor(registry)
    baseline = {"tensor": to_tensor(np.zeros((1, 3)))}
    requests = [raw([number, 1, 2], method="feature_ablation", baseline=baseline) for number in range(3)]
    for request in requests:
        respond(predictor, [request])
    assert [len(member.requests) for member in predictor.read(requests).rows] == [1, 1, 1]


def test_admission_learns_the_speed_of_each_method_by_itself(registry: Registry) -> None:
    predictor = make_predictor(registry)
    methods = ("integrated_gradients", "shapley_values")
    requests = [raw([1, 2, 3], method=method) for method in methods for _ in range(2)]
    predict = PredictRequest(network="small", tensor=to_tensor(np.ones((1, 3))))
    read = predictor.read([*requests, RawRequest(PREDICT, predict.SerializeToString())])
    keys = [batch.speed_key for batch in assemble_batches(read.rows, POLICY)]
    assert len({*keys}) == 3


@pytest.mark.parametrize("network", ["small", "many"])
@pytest.mark.parametrize("method", METHODS)
def test_a_response_is_no_larger_than_it_is_judged(registry: Registry, network: str, method: Any) -> None:
    predictor = make_predictor(registry)
    width = 3 if network == "small" else 14
    fields: dict[str, Any] = {"layers": ["layer_0"]} if method == "integrated_gradients" else {}
    request = raw(*np.ones((7, width)), network=network, method=method, **fields)
    (member,) = predictor.read([request]).rows
    (response,) = respond(predictor, [request])
    assert isinstance(response, bytes)
    message = ExplainResponse.FromString(response)
    arrays = [getattr(message, name) for name in (*ARRAYS, *MORE_ARRAYS) if message.HasField(name)]
    arrays += [layer.attributions for layer in message.layers]
    numbers = sum(from_tensor(array).size for array in arrays) + len(message.explained_outputs)
    judged = response_bytes_per_row(member.loaded, member.options.computation) / member.loaded.plan.dtype.itemsize
    assert 0.5 * 7 * judged <= numbers <= 7 * judged
