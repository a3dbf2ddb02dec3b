"""The output `attributions` of ModelInfer: what Explain computes, over gRPC and HTTP."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from forwardpass import Client, spec
from forwardpass.attribution import METHODS

from tests.support.infer_requests import INFERENCE, infer_request, outputs_of, parameter, row_request, stub, tensor
from tests.support.plain_http import Http, HttpResponse, infer_body
from tests.support.raw_grpc import call, refused
from tests.support.sample_networks import chain
from tests.support.server_process import ServerProcess

INFER = f"{INFERENCE}ModelInfer"
INSURANCE = Path(__file__).parents[3] / "examples" / "features" / "insurance.json"
ROWS = [[2.0, 3.0], [3.0, 5.0]]


@pytest.fixture
def client(server: ServerProcess) -> Any:
    with Client(server.address, timeout=60) as client:
        yield client


def infer(channel: grpc.Channel, model: str = "article-1-hidden", rows: Any = None, **explain: Any) -> dict[str, Any]:
    """The outputs of a request for attributions, with parameters `explain_...`."""
    parameters = {f"explain_{name}": parameter(value) for name, value in explain.items()}
    request = row_request(model, ROWS if rows is None else rows, outputs=["attributions", "outputs"])
    for name, value in parameters.items():
        request.parameters[name].CopyFrom(value)
    return outputs_of(call(channel, INFER, request, timeout=60))


@pytest.mark.parametrize("method", METHODS)
def test_they_have_the_bits_of_explain(channel: grpc.Channel, client: Client, method: Any) -> None:
    found = infer(channel, method=method)
    explained = client.explain("article-1-hidden", ROWS, method=method)
    assert found["attributions"].tobytes() == explained.attributions.tobytes()
    assert found["attributions"].shape == (2, 2)
    assert found["outputs"].tobytes() == explained.outputs.tobytes()


def test_every_parameter(channel: grpc.Channel, client: Client) -> None:
    network = chain([14, 6, 3], dtype="float32", classes=["a", "b", "c"])
    client.register("oip-explained", network)
    rows = np.random.default_rng(0).standard_normal((4, 14)).astype(np.float32)
    names = list(network.outputs)
    two = client.explain("oip-explained", rows, outputs=names[:2], baseline=rows[:2], tolerance=0.01, max_steps=256)
    texts = {"outputs": json.dumps(names[:2]), "baseline": json.dumps(rows[:2].tolist())}
    for tolerance, steps in (("0.01", "256"), (0.01, 256)):
        found = infer(channel, "oip-explained", rows, **texts, tolerance=tolerance, max_steps=steps)
        assert found["attributions"].shape == (4, 2, 14)
        assert found["attributions"].tobytes() == two.attributions.tobytes()
    sampled = client.explain("oip-explained", rows, method="shapley_values", samples=5, seed=3, baseline="means")
    found = infer(channel, "oip-explained", rows, method="shapley_values", samples="5", seed=3, baseline="means")
    assert found["attributions"].tobytes() == sampled.attributions.tobytes()
    one = infer(channel, "oip-explained", rows, outputs=names[1], method="gradient", scale="outputs")
    assert one["attributions"].shape == (4, 14)


def test_features_and_baselines_by_name(channel: grpc.Channel, client: Client) -> None:
    client.register("oip-insurance", spec.load(INSURANCE))
    row = {"age": 55, "bmi": 32, "region": "south", "smoker": True}
    baseline = {"age": 40, "bmi": None, "region": "north", "smoker": False}
    explained = client.explain("oip-insurance", row, baseline=baseline)
    request = row_request("oip-insurance", [[55.0, 32.0, 1.0, 1.0]], outputs=["attributions"])
    request.parameters["explain_baseline"].string_param = json.dumps(baseline)
    for _ in range(2):
        found = outputs_of(call(channel, INFER, request, timeout=60))
        assert found["attributions"].tobytes() == explained.attributions.tobytes()
    tensors = [tensor([[55.0]], name="age"), tensor([[32.0]], name="bmi"), tensor([[1.0]], name="smoker")]
    request = infer_request("oip-insurance", *tensors, outputs=["attributions"])
    error = refused(channel, INFER, request)
    assert "region" in error.message


def test_over_http(http: Http) -> None:
    def post(method: str) -> HttpResponse:
        parameters = {"explain_method": method}
        body, headers = infer_body(np.array(ROWS), outputs=[{"name": "attributions"}], parameters=parameters)
        return http.post("/v2/models/article-1-hidden/infer", body, **headers)

    response = post("gradient")
    assert response.status == 200
    assert response.output().tolist() == [[3, 1], [3, 1]]
    response = post("magic")
    assert response.status == 400
    assert "explain_method: is 'magic'; known are gradient, " in response.error


def test_generic_clients_do_not_meet_them(channel: grpc.Channel) -> None:
    server = stub(channel)
    assert [output.name for output in server.ModelMetadata(name="article-1-hidden").outputs] == ["outputs"]
    parameters = server.ModelConfig(name="article-1-hidden").config.parameters
    assert json.loads(parameters["attribution_methods"].string_value) == [*METHODS]
    plain = row_request("article-1-hidden", ROWS)
    plain.parameters["explain_method"].string_param = "magic"
    assert [*outputs_of(call(channel, INFER, plain, timeout=60))] == ["outputs"]


def test_an_output_of_this_name_stays_what_it_is(channel: grpc.Channel, client: Client) -> None:
    document = {"format": spec.FORMAT, "inputs": 2, "layers": [{"weights": {"attributions": [1, 1]}}]}
    client.register("oip-named-so", document)
    assert infer(channel, "oip-named-so")["attributions"].tolist() == [[5], [8]]


@pytest.mark.parametrize(
    ("explain", "path"),
    [
        ({"method": "magic"}, "method"),
        ({"method": 3}, "method"),
        ({"scale": "decibels"}, "scale"),
        ({"scale": "logits"}, "scale"),
        ({"outputs": "nothing"}, "outputs[0]"),
        ({"outputs": "[3]"}, "outputs"),
        ({"outputs": "[" * 100_000}, "outputs"),
        ({"baseline": "ones"}, "baseline"),
        ({"baseline": "[[1, 2], [3]]"}, "baseline"),
        ({"baseline": "[1, NaN]"}, "baseline.tensor[0][1]"),
        ({"baseline": "[1, 2, 3]"}, "baseline.tensor.shape"),
        ({"baseline": '{"children": 1}'}, "baseline.rows[0].accounts"),
        ({"baseline": '{"children": NaN, "accounts": 1}'}, "baseline.rows[0].children"),
        ({"baseline": f"[1, {10**400}]"}, "baseline"),
        ({"baseline": "1" * 10_000}, "baseline"),
        ({"baseline": True}, "baseline"),
        ({"tolerance": "small"}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
        ({"tolerance": -1}, "tolerance"),
        ({"max_steps": 1.5}, "max_steps"),
        ({"max_steps": 10**9}, "max_steps"),
        ({"method": "shapley_values", "samples": 10**9}, "samples"),
        ({"method": "shapley_values", "seed": str(2**64)}, "seed"),
        ({"method": "gradient", "baseline": "means"}, "baseline"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_hostile_parameter_gets_a_typed_error(channel: grpc.Channel, explain: dict[str, Any], path: str) -> None:
    request = row_request("article-1-hidden", ROWS, outputs=["attributions"])
    for name, value in explain.items():
        request.parameters[f"explain_{name}"].CopyFrom(parameter(value))
    error = refused(channel, INFER, request)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.paths[0] == f"parameters.explain_{path}"
    assert error.message.startswith("output 'attributions': explain_")


def test_layers_are_another_request(channel: grpc.Channel) -> None:
    request = row_request("article-1-hidden", ROWS, outputs=["attributions", "hidden.activation"])
    error = refused(channel, INFER, request)
    assert (error.reason, "send two requests" in error.message) == ("INVALID_FIELD", True)
    request = row_request("article-1-hidden", ROWS, outputs=["attributions"])
    request.outputs[0].parameters["classification"].int64_param = 1
    assert refused(channel, INFER, request).reason == "INVALID_FIELD"


def test_they_need_the_scope_of_traces(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    scopes = {"p": "predict", "pt": "predict,trace"}
    tokens.write_text("".join(f"{hashlib.sha256(name.encode()).hexdigest()} {each}\n" for name, each in scopes.items()))
    with grpc.insecure_channel(start_server(f"--tokens-file={tokens}").address) as channel:
        request = row_request("article-1-hidden", ROWS, outputs=["attributions"])
        assert call(channel, INFER, request, metadata=[("authorization", "Bearer pt")], timeout=60)
        error = refused(channel, INFER, request, metadata=[("authorization", "Bearer p")], timeout=60)
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
