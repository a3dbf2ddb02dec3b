"""The services over the wire: responses when nothing is wrong."""

import hashlib
import math
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from forwardpass import spec
from forwardpass.numerics import NUMERICS, Numerics
from forwardpass.tensors import from_tensor, to_tensor
from forwardpass.v1 import network_pb2
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1 import prediction_service_pb2 as predictions
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub
from forwardpass.v1.tensor_pb2 import Rows
from forwardpass_server.oip import INFERENCE_SERVICE
from forwardpass_server.rpc import NETWORK_SERVICE, PREDICTION_SERVICE, declared_scopes
from forwardpass_server.rpc.auth import OPEN
from google.protobuf.struct_pb2 import Struct
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.support import fork_server
from tests.support.raw_grpc import PREDICTIONS, call, network_spec, predict_request, refused, register
from tests.support.server_process import ServerProcess, wait_until

ROOT = Path(__file__).resolve().parents[3]
SERVICES = (NETWORK_SERVICE, PREDICTION_SERVICE, INFERENCE_SERVICE)


@pytest.fixture
def predict(channel: grpc.Channel) -> Callable[..., predictions.PredictResponse]:
    response: Callable[..., predictions.PredictResponse] = PredictionServiceStub(channel).Predict
    return response


def health_stub(channel: grpc.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("nodes", "activation", "output_activation", "row", "hidden", "output"),
    [
        (
            {"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]},
            "identity",
            "identity",
            [2, 3],
            [[5, 1]],
            9,
        ),
        ({"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]}, "relu", "relu", [2, 3], [[5, 1]], 9),
        (
            {
                "node_0_0": [2, 4],
                "node_0_1": [4, -5],
                "node_1_0": [-1, 2],
                "node_1_1": [1, 2],
                "output": [2, 7],
            },
            "relu",
            "identity",
            [3, 5],
            [[26, 0], [0, 26]],
            182,
        ),
    ],
    ids=["linear", "one hidden layer", "two hidden layers"],
)
def test_the_article_to_the_last_digit(
    channel: grpc.Channel,
    nodes: dict[str, list[float]],
    activation: str,
    output_activation: str,
    row: list[float],
    hidden: list[list[float]],
    output: float,
    dtype: str,
) -> None:
    network = spec.from_nodes(nodes, activation=activation, output_activation=output_activation, dtype=dtype)
    name = f"exact-{dtype}-{activation}-{len(hidden)}"
    register(channel, name, spec.to_message(network))
    stub = PredictionServiceStub(channel)
    response = stub.Predict(predict_request(name, row))
    assert from_tensor(response.outputs).tolist() == [[output]]
    assert from_tensor(response.outputs).dtype == dtype
    many = stub.Predict(predict_request(name, [row, [0, 0], row]))
    assert from_tensor(many.outputs).ravel().tolist() == [output, 0, output]
    request = predictions.TraceRequest(network=name, tensor=predict_request(name, row).tensor)
    trace = stub.Trace(request)
    assert [from_tensor(layer.activation).tolist() for layer in trace.layers] == [
        *([h] for h in hidden),
        [[output]],
    ]


def test_a_response_names_the_version_that_computed_it(predict: Callable[..., predictions.PredictResponse]) -> None:
    response = predict(predict_request("article-linear", [2, 3]))
    assert (response.network, response.version) == ("article-linear", 1)
    assert len(response.digest) == 64
    assert list(response.output_names) == ["transactions"]


@pytest.mark.parametrize("said", ["exact", "fast"])
def test_every_response_has_its_numerics(channel: grpc.Channel, said: Numerics) -> None:
    network = replace(spec.from_nodes({"output": [1, 2]}), numerics=said)
    register(channel, f"numerics-{said}", spec.to_message(network))
    request = predict_request(f"numerics-{said}", [2, 3])
    stub = PredictionServiceStub(channel)
    predicted = stub.Predict(request)
    traced = stub.Trace(predictions.TraceRequest(network=request.network, tensor=request.tensor))
    version = NetworkServiceStub(channel).GetNetwork(networks.GetNetworkRequest(network=request.network)).version
    assert predicted.numerics == traced.numerics == version.numerics == NUMERICS[said]


def test_named_rows_are_the_same_prediction(channel: grpc.Channel) -> None:
    weights = np.random.default_rng(3).standard_normal((5, 3))
    features = [network_pb2.Feature(name=name, mean=0.1, scale=3.0) for name in "abc"]
    for dtype in ("DATA_TYPE_FLOAT32", "DATA_TYPE_FLOAT64"):
        network = network_spec(weights.tolist(), dtype=dtype)
        network.inputs.features.extend(features)
        register(channel, f"named-{dtype[-2:]}", network)
        rows = np.random.default_rng(4).standard_normal((4, 3))
        structs = [Struct() for _ in rows]
        for struct, row in zip(structs, rows.tolist(), strict=True):
            struct.update(dict(zip("cab", [row[2], row[0], row[1]], strict=True)))
        stub = PredictionServiceStub(channel)
        named = stub.Predict(predictions.PredictRequest(network=f"named-{dtype[-2:]}", rows=Rows(rows=structs)))
        plain = stub.Predict(predictions.PredictRequest(network=f"named-{dtype[-2:]}", tensor=to_tensor(rows)))
        assert named.outputs == plain.outputs


def test_classifier_says_label_and_probability(channel: grpc.Channel) -> None:
    binary = network_spec([[1.0]], class_labels=["no", "yes"])
    binary.layers[0].activation.name = "sigmoid"
    register(channel, "binary", binary)
    stub = PredictionServiceStub(channel)
    response = stub.Predict(predict_request("binary", [[-2.0], [0.0], [2.0]]))
    assert [c.label for c in response.classifications] == ["no", "yes", "yes"]
    low, _, high = (c.probability for c in response.classifications)
    assert low == pytest.approx(high) == 1 / (1 + math.exp(-2))
    several = network_spec([[1.0], [2.0], [-1.0]], class_labels=["a", "b", "c"])
    several.layers[0].activation.name = "softmax"
    register(channel, "several", several)
    response = stub.Predict(predict_request("several", [[1.0], [-1.0]]))
    assert [c.label for c in response.classifications] == ["b", "c"]
    assert response.classifications[0].probability == from_tensor(response.outputs)[0].max()


def test_contributions_and_bias_sum_to_the_pre_activation(channel: grpc.Channel) -> None:
    rng = np.random.default_rng(0)
    network = spec.parse(
        {
            "format": spec.FORMAT,
            "inputs": [{"name": f"f{i}", "mean": 0.5, "scale": 2.0} for i in range(6)],
            "layers": [
                {
                    "name": "a",
                    "weights": rng.standard_normal((5, 6)),
                    "bias": rng.standard_normal(5),
                    "activation": "tanh",
                },
                {"name": "b", "weights": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)},
            ],
        }
    )
    register(channel, "contributing", spec.to_message(network))
    request = predictions.TraceRequest(
        network="contributing",
        tensor=to_tensor(rng.standard_normal((4, 6))),
        contributions=True,
        layers=["b"],
    )
    trace = PredictionServiceStub(channel).Trace(request)
    (layer,) = trace.layers
    assert (layer.name, list(layer.inputs)) == ("b", [f"a_{i}" for i in range(5)])
    contributions = from_tensor(layer.contributions)
    assert contributions.shape == (4, 3, 5)
    sums = contributions.sum(axis=2) + from_tensor(layer.bias)
    np.testing.assert_allclose(sums, from_tensor(layer.pre_activation), rtol=1e-12)


def test_versions_and_aliases(channel: grpc.Channel) -> None:
    stub, name = NetworkServiceStub(channel), "versioned"
    first = register(channel, name, network_spec([[1.0]]))
    again = register(channel, name, network_spec([[1.0]]))
    assert (first.created, again.created) == (True, False)
    assert first.version.digest == again.version.digest
    assert register(channel, name, network_spec([[2.0]]), validate_only=True).version.version == 0
    assert register(channel, name, network_spec([[2.0]])).version.version == 2
    assert register(channel, name, network_spec([[3.0]]), keep_latest=True).version.version == 3
    stub.SetAlias(networks.SetAliasRequest(network=name, alias="production", version="1"))
    predict = PredictionServiceStub(channel).Predict
    found = {v: predict(predict_request(name, [1.0], v)).version for v in ("", "latest", "1", "3", "production")}
    assert found == {"": 2, "latest": 2, "1": 1, "3": 3, "production": 1}
    got = stub.GetNetwork(networks.GetNetworkRequest(network=name, view=networks.NETWORK_VIEW_FULL))
    assert dict(got.network.aliases) == {"latest": 2, "production": 1}
    assert spec.digest(spec.from_message(got.spec)) == got.version.digest
    stub.DeleteVersion(networks.DeleteVersionRequest(network=name, version=2))
    assert predict(predict_request(name, [1.0])).version == 3
    listed = stub.ListVersions(networks.ListVersionsRequest(network=name, page_size=1))
    assert [v.version for v in listed.versions] == [3]
    rest = stub.ListVersions(networks.ListVersionsRequest(network=name, page_token=listed.next_page_token))
    assert [v.version for v in rest.versions] == [1]
    stub.DeleteNetwork(networks.DeleteNetworkRequest(network=name))
    assert register(channel, name, network_spec([[1.0]])).version.version == 4


def test_an_alias_moves_forth_and_back(channel: grpc.Channel) -> None:
    stub, name = NetworkServiceStub(channel), "moving"
    for weight in (1.0, 2.0):
        register(channel, name, network_spec([[weight]]))
    for version, expected in (("1", 0), ("2", 1)):
        stub.SetAlias(
            networks.SetAliasRequest(network=name, alias="production", version=version, expected_version=expected)
        )
    back = stub.RollbackAlias(networks.RollbackAliasRequest(network=name, alias="production", expected_version=2))
    assert (back.from_version, back.to_version, back.network.aliases["production"]) == (2, 1, 1)
    predict = PredictionServiceStub(channel).Predict
    assert predict(predict_request(name, [1.0], "production")).version == 1
    stub.DeleteVersion(networks.DeleteVersionRequest(network=name, version=2))
    listed = stub.ListAliasMoves(networks.ListAliasMovesRequest(network=name, alias="production"))
    said = [(move.version, move.rollback, move.deleted) for move in listed.moves]
    assert said == [(1, True, False), (2, False, True), (1, False, False)]
    assert listed.moves[0].HasField("time")
    with pytest.raises(grpc.RpcError) as moved:
        stub.RollbackAlias(networks.RollbackAliasRequest(network=name, alias="production", expected_version=2))
    assert moved.value.code() is grpc.StatusCode.ABORTED


def test_lists_are_paged(channel: grpc.Channel) -> None:
    stub = NetworkServiceStub(channel)
    for index in range(5):
        register(channel, f"paged-{index}", network_spec([[float(index)]]))
    everything = [network.name for network in stub.ListNetworks(networks.ListNetworksRequest(page_size=1000)).networks]
    paged, token = [], ""
    while True:
        page = stub.ListNetworks(networks.ListNetworksRequest(page_size=2, page_token=token))
        paged += [network.name for network in page.networks]
        token = page.next_page_token
        if not token:
            break
    assert paged == everything == sorted(everything)


def test_upload(channel: grpc.Channel) -> None:
    weights = np.random.default_rng(0).standard_normal((512, 5_000))
    network = spec.parse({"format": spec.FORMAT, "inputs": 5_000, "layers": [{"weights": weights}]})
    content = spec.to_safetensors(network)
    assert len(content) > 16 * 2**20

    def parts() -> Iterator[networks.UploadNetworkRequest]:
        header = networks.UploadHeader(network="uploaded", size_bytes=len(content))
        yield networks.UploadNetworkRequest(header=header)
        for start in range(0, len(content), 2**20):
            yield networks.UploadNetworkRequest(chunk=content[start : start + 2**20])

    response = NetworkServiceStub(channel).UploadNetwork(parts(), timeout=60)
    assert response.created
    assert response.version.digest == hashlib.sha256(content).hexdigest()


def test_a_stream_responds_to_every_id_and_survives_errors(channel: grpc.Channel) -> None:
    def requests() -> Iterator[predictions.PredictStreamRequest]:
        for index in range(500):
            name = "article-linear" if index % 7 else "missing"
            yield predictions.PredictStreamRequest(id=f"{index}", request=predict_request(name, [index, 1.0]))

    responses = list(PredictionServiceStub(channel).PredictStream(requests(), timeout=120))
    assert sorted(int(response.id) for response in responses) == list(range(500))
    for response in responses:
        index = int(response.id)
        if index % 7:
            assert from_tensor(response.response.outputs).item() == 3 * index + 1
        else:
            assert response.error.code == grpc.StatusCode.NOT_FOUND.value[0]
            assert len(response.error.details) >= 2


def test_predict_many_has_a_result_for_each_request_in_order(channel: grpc.Channel) -> None:
    names = ["article-linear", "missing", "article-2-hidden", "article-linear"]
    rows = [[2.0, 3.0], [1.0, 1.0], [3.0, 5.0], [1.0, 2.0, 3.0]]
    requests = [predict_request(name, row) for name, row in zip(names, rows, strict=True)]
    stub = PredictionServiceStub(channel)
    results = stub.PredictMany(predictions.PredictManyRequest(requests=requests)).results
    assert [result.WhichOneof("result") for result in results] == ["response", "error", "response", "error"]
    assert results[0].response == stub.Predict(requests[0])
    assert results[2].response == stub.Predict(requests[2])
    assert results[1].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert results[3].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    error = refused(channel, f"{PREDICTIONS}PredictMany", b"")
    assert (error.reason, error.paths) == ("INVALID_FIELD", ["requests"])


def test_stream_ends_on_a_malformed_message(channel: grpc.Channel) -> None:
    open_: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{PREDICTIONS}PredictStream")
    stream = open_(iter([b"\xff"]), timeout=60)
    with pytest.raises(grpc.RpcError) as error:
        list(stream)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_watch_tells_the_state_and_each_change(channel: grpc.Channel) -> None:
    stub = NetworkServiceStub(channel)
    register(channel, "watched-a", network_spec([[1.0]]))
    stream = stub.WatchNetworks(networks.WatchNetworksRequest(name_prefix="watched-"), timeout=120)
    current, synced = next(stream), next(stream)
    assert (current.event, current.network.name) == (networks.NETWORK_EVENT_CURRENT, "watched-a")
    assert synced.event == networks.NETWORK_EVENT_SYNCED
    register(channel, "unwatched", network_spec([[1.0]]))
    register(channel, "watched-b", network_spec([[1.0]]))
    change = next(stream)
    assert (change.event, change.network.name) == (networks.NETWORK_EVENT_CHANGED, "watched-b")
    stub.DeleteNetwork(networks.DeleteNetworkRequest(network="watched-a"))
    gone = next(stream)
    assert (gone.event, gone.network.name) == (networks.NETWORK_EVENT_DELETED, "watched-a")
    assert gone.revision > synced.revision
    stream.cancel()


@pytest.mark.parametrize(
    ("service", "state"),
    [
        ("", "SERVING"),
        ("forwardpass.v1.PredictionService", "SERVING"),
        ("forwardpass.v1.network/article-linear", "SERVING"),
    ],
)
def test_health(channel: grpc.Channel, service: str, state: str) -> None:
    response = health_stub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert health_pb2.HealthCheckResponse.ServingStatus.Name(response.status) == state


def test_health_of_what_is_not_there(channel: grpc.Channel) -> None:
    stub = health_stub(channel)
    request = health_pb2.HealthCheckRequest(service="forwardpass.v1.network/nothing")
    with pytest.raises(grpc.RpcError) as error:
        stub.Check(request)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(request, timeout=60)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    register(channel, "nothing", network_spec([[1.0]]))
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def test_reflection_tells_every_method_and_each_declares_its_scope(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    own = {service.full_name for service in SERVICES}
    assert {*own, "grpc.health.v1.Health"} <= services
    methods = set()
    for name in own:
        found = database.FindFileContainingSymbol(name)
        methods |= {f"/{name}/{method.name}" for service in found.service for method in service.method}
    assert methods == declared_scopes(SERVICES).keys()


def test_the_documented_scopes_are_those_of_the_protos() -> None:
    text = (ROOT / "docs" / "explanation" / "security.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, flags=re.MULTILINE)
    documented = {name: scope for scope, names in rows for name in re.findall(r"\b[A-Z]\w+(?=[,;]| \|$|$)", names)}
    declared = {path.rpartition("/")[2]: scope for path, scope in declared_scopes(SERVICES).items()}
    assert documented == {name: scope for name, scope in declared.items() if scope != OPEN}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_lame_duck_serves(start_server: Callable[..., ServerProcess], number: signal.Signals) -> None:
    server = start_server("--lame-duck=600")
    failures: list[grpc.StatusCode] = []
    served = [0] * 4
    stopping = threading.Event()

    def load(index: int) -> None:
        with grpc.insecure_channel(server.address) as channel:
            while not stopping.is_set():
                try:
                    call(channel, f"{PREDICTIONS}Predict", predict_request("article-linear", [2, 3]))
                    served[index] += 1
                except grpc.RpcError as error:
                    failures.append(error.code())
                    return

    threads = [threading.Thread(target=load, args=[index]) for index in range(len(served))]
    with grpc.insecure_channel(server.address) as channel:
        watch = health_stub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        for thread in threads:
            thread.start()
        server.process.send_signal(number)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        before = min(served)
        wait_until(lambda: failures or min(served) > before + 5)
        stopping.set()
        for thread in threads:
            thread.join()
    assert not failures
    server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_drain_ends_streams_in_order(start_server: Callable[..., ServerProcess], number: signal.Signals) -> None:
    server = start_server()
    with grpc.insecure_channel(server.address) as channel:
        watch = health_stub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.process.send_signal(number)
        assert [state.status for state in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert watch.code() is grpc.StatusCode.OK
    assert server.wait() == 0


def test_a_second_server_cannot_take_the_port_or_the_database(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = start_server()
    for listen, database, word in (
        (server.address, f"sqlite:///{tmp_path}/other.db", "in use"),
        ("127.0.0.1:0", f"sqlite:///{server.database}", "in use"),
    ):
        arguments = ["serve", "--listen", listen, "--database", database]
        ended = fork_server.run("forwardpass-server", arguments, environment=os.environ)
        assert ended.returncode == 2
        assert word in ended.stderr
        assert "Traceback" not in ended.stderr
