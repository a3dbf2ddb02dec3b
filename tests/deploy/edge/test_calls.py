"""gRPC through the edge: how calls are spread and tried again, deadlines, streams, TLS."""

import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml
from forwardpass import Client, errors, spec
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Tensor
from forwardpass_server.oip.v2 import inference_pb2
from forwardpass_server.rpc.error_mapping import NO_RETRY_TRAILER
from forwardpass_server.settings import Settings
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.deploy.edge.envoy import CONFIGURATION, Edge, without_comment
from tests.deploy.edge.fleet import MARKED, Fleet
from tests.deploy.edge.http import ask
from tests.deploy.edge.names import NameServer
from tests.deploy.edge.refuser import Refuser
from tests.deploy.edge.test_configuration import METHODS, path_of, tried_again_for
from tests.support.certificates import self_signed
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, network_spec, predict_request, refused, register
from tests.support.server_process import wait_until

Code = grpc.StatusCode


def spread_of(client: Client, calls: int = 40) -> Counter[float]:
    """How many of some calls each server responded to, by its mark."""
    return Counter(client.predict(MARKED, [[1.0]]).outputs.item() for _ in range(calls))


def test_calls_of_one_connection_go_to_all_servers(edge: Edge) -> None:
    with Client(edge.address) as client:
        spread = spread_of(client, 200)
    assert set(spread) == {2.0, 3.0}
    assert min(spread.values()) > 40


def test_servers_come_and_go(start_before: Callable[..., Edge], tmp_path: Path) -> None:
    with Fleet(tmp_path, "--lame-duck=1.5") as fleet:
        fleet.add_marked(1)
        edge = start_before(fleet)
        with Client(edge.address) as client:
            assert set(spread_of(client)) == {2.0}
            fleet.add_marked(2)
            edge.wait_for(*fleet.addresses)
            assert set(spread_of(client, 200)) == {2.0, 3.0, 4.0}
            assert fleet.remove(fleet.servers[0]) == 0
            edge.wait_for(*fleet.addresses)
            assert set(spread_of(client)) == {3.0, 4.0}
            for server in list(fleet.servers):
                server.kill()
            wait_until(lambda: not any(edge.servers().values()))
            response = ask(edge.address, "/v1/networks")
            assert (response.status, response.json["code"]) == (503, Code.UNAVAILABLE.value[0])
            assert ask(edge.address, "/healthz").status == 503
            # One that retries would go on until its timeout.
            with Client(edge.address, retries=False) as other, pytest.raises(errors.UnavailableError):
                other.predict(MARKED, [[1.0]])


@pytest.fixture
def before_refuser(start_edge: Callable[..., Edge], tmp_path: Path) -> Iterator[Callable[[Refuser], Edge]]:
    """Start Envoy before a server that refuses all."""
    with NameServer() as names:
        names.says(["127.0.0.2"])
        started: list[Edge] = []

        def start(refuser: Refuser) -> Edge:
            edge = start_edge(tmp_path, port=refuser.port, name_server=names.port)
            started.append(edge)
            edge.wait_for(f"127.0.0.2:{refuser.port}")
            return edge

        yield start
        for edge in started:
            edge.stop()


def stub(channel: grpc.Channel, method: Any) -> Callable[..., bytes]:
    """What calls a method with the bytes of a request, and returns the last response's."""
    path = path_of(method)
    if method.client_streaming:
        return lambda request, **options: list(channel.stream_stream(path)(iter([request]), **options))[-1]
    return lambda request, **options: list(channel.unary_stream(path)(request, **options))[-1]


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.CANCELLED, Code.INTERNAL], ids=lambda code: code.name)
def test_only_what_may_be_repeated_is_tried_again(before_refuser: Callable[[Refuser], Edge], code: Code) -> None:
    with Refuser(code) as refuser:
        edge = before_refuser(refuser)
        with grpc.insecure_channel(edge.address) as channel:
            for method in METHODS:
                with pytest.raises(grpc.RpcError) as error:
                    stub(channel, method)(b"", timeout=60)
                assert error.value.code() is code, path_of(method)
    attempts = Counter(seen.method for seen in refuser.seen)
    name = code.name.lower()
    assert attempts == {path_of(method): 4 if name in tried_again_for(method) else 1 for method in METHODS}


def test_rejections_by_admission_are_not_tried_again(before_refuser: Callable[[Refuser], Edge]) -> None:
    with Refuser(Code.UNAVAILABLE, NO_RETRY_TRAILER) as refuser:
        edge = before_refuser(refuser)
        with grpc.insecure_channel(edge.address) as channel:
            for method in METHODS:
                with pytest.raises(grpc.RpcError) as error:
                    stub(channel, method)(b"", timeout=60)
                assert error.value.code() is Code.UNAVAILABLE, path_of(method)
        assert ask(edge.address, "/v1/networks").status == 503
    attempts = Counter(seen.method for seen in refuser.seen)
    assert attempts == Counter(map(path_of, METHODS)) + Counter({f"{NETWORKS}ListNetworks": 1})


def test_a_full_server_is_not_asked_again(start_before: Callable[..., Edge], tmp_path: Path, engine: str) -> None:
    with Fleet(tmp_path, "--engine", engine, "--max-in-flight=1") as fleet:
        fleet.add(1)
        edge = start_before(fleet)
        slow = network_spec([[1.0] * 10] * 2_000)
        slow.layers.append(network_spec([[1.0] * 2_000]).layers[0])
        tensor = Tensor(shape=[20_000, 10], data=bytes(20_000 * 80), dtype=DATA_TYPE_FLOAT64)
        request = PredictRequest(network="slow", tensor=tensor).SerializeToString()
        with grpc.insecure_channel(edge.address) as channel:
            register(channel, "slow", slow)
            predict: Any = channel.unary_unary(f"{PREDICTIONS}Predict")
            calls = [predict.future(request, timeout=120) for _ in range(8)]
            codes = Counter(each.code() for each in calls)
        assert set(codes) == {Code.OK, Code.UNAVAILABLE}
        assert edge.count("cluster.server.upstream_rq_retry") == 0


def test_the_deadline_goes_on_to_the_server(before_refuser: Callable[[Refuser], Edge]) -> None:
    with Refuser(Code.INTERNAL) as refuser:
        edge = before_refuser(refuser)
        with grpc.insecure_channel(edge.address) as channel:
            for timeout in (40, None):
                with pytest.raises(grpc.RpcError):
                    call(channel, f"{PREDICTIONS}Predict", b"", timeout=timeout)
        ask(edge.address, "/v1/networks", headers={"grpc-timeout": "50S"})
        ask(edge.address, "/v1/networks")
    limits = [seen.seconds for seen in refuser.seen]
    assert 20 < limits[0] <= 41  # gRPC rounds a deadline up when it says it in few digits
    assert 25 < limits[2] <= 50
    longest = Settings().call_timeout + 5  # Envoy's own limit
    assert all(longest - 30 < limit <= longest for limit in (limits[1], limits[3]))


def test_a_server_that_hangs_ends_at_the_deadline(before_refuser: Callable[[Refuser], Edge]) -> None:
    with Refuser(Code.INTERNAL) as refuser:
        edge = before_refuser(refuser)
        refuser.hold.clear()
        response = ask(edge.address, "/v1/networks", headers={"grpc-timeout": "300m"})
        assert (response.status, response.json["code"]) == (504, Code.DEADLINE_EXCEEDED.value[0])
        # As metadata it is Envoy's deadline alone, the client's being far.
        with grpc.insecure_channel(edge.address) as channel:
            begun = time.monotonic()
            with pytest.raises(grpc.RpcError) as error:
                call(channel, f"{PREDICTIONS}Predict", b"", timeout=None, metadata=[("grpc-timeout", "300m")])
            assert error.value.code() is Code.DEADLINE_EXCEEDED
            assert time.monotonic() - begun < 60


def test_what_steers_envoy_is_taken_from_strangers(before_refuser: Callable[[Refuser], Edge]) -> None:
    steering = [("x-envoy-retry-grpc-on", "internal"), ("x-envoy-max-retries", "9"), ("x-envoy-retry-on", "5xx")]
    with Refuser(Code.INTERNAL) as refuser:
        edge = before_refuser(refuser)
        with grpc.insecure_channel(edge.address) as channel, pytest.raises(grpc.RpcError):
            call(channel, f"{NETWORKS}DeleteNetwork", b"", metadata=steering)
    (seen,) = refuser.seen
    assert not {name for name, _ in steering} & set(seen.metadata)


def test_errors_have_their_details(edge: Edge) -> None:
    with grpc.insecure_channel(edge.address) as channel:
        assert refused(channel, f"{PREDICTIONS}Predict", predict_request("nobody", [1])).reason == "NETWORK_NOT_FOUND"
    with Client(edge.address) as client, pytest.raises(errors.ShapeMismatchError):
        client.predict("article-linear", [1, 2, 3])


# The second one is beyond what Envoy would hold of JSON.
@pytest.mark.parametrize("width", [1_200, pytest.param(2_600, marks=pytest.mark.prove)], ids=["11 MB", "54 MB"])
def test_an_upload_passes(start_before: Callable[..., Edge], tmp_path: Path, width: int) -> None:
    rng = np.random.default_rng(3)
    large = {"format": spec.FORMAT, "inputs": width, "layers": [{"weights": rng.normal(size=(width, width))}]}
    with Fleet(tmp_path) as fleet:  # of one server, since those of other tests must stay alike
        fleet.add(1)
        edge = start_before(fleet)
        with Client(edge.address, timeout=120) as client:
            assert client.register("uploaded", large).created
            assert client.predict("uploaded", np.eye(1, width)).outputs.shape == (1, width)


def test_a_stream_of_predictions_passes(edge: Edge) -> None:
    rows = [[float(number), 1.0] for number in range(3000)]
    with Client(edge.address, timeout=60) as client:
        parts = list(client.predict_batches("article-linear", iter(rows)))
        expected = client.predict("article-linear", rows).outputs
    assert np.array_equal(np.concatenate([part.outputs for part in parts]), expected)


def test_a_watch_goes_on_in_silence(edge: Edge, fleet: Fleet) -> None:
    with Client(edge.address, timeout=60) as client:
        changes = client.watch(prefix="watched", timeout=60)
        for number, server in enumerate(fleet.servers):
            with grpc.insecure_channel(server.address) as channel:
                register(channel, "watched", network_spec([[float(number)]]))
        assert next(changes).name == "watched"


def test_other_protocols_pass(edge: Edge) -> None:
    infer = inference_pb2.ModelInferRequest(model_name="article-2-hidden")
    values = infer.inputs.add(name="inputs", datatype="FP64", shape=[1, 2])
    values.contents.fp64_contents.extend([3, 5])
    with grpc.insecure_channel(edge.address) as channel:
        response = call(channel, "/inference.GRPCInferenceService/ModelInfer", infer)
        assert inference_pb2.ModelInferResponse.FromString(response).model_version == "1"
        health = call(channel, "/grpc.health.v1.Health/Check", HealthCheckRequest())
        assert HealthCheckResponse.FromString(health).status == HealthCheckResponse.SERVING
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert "forwardpass.v1.PredictionService" in services


def test_no_client_takes_the_drain_of_one_server_for_that_of_the_edge(edge: Edge) -> None:
    with grpc.insecure_channel(edge.address) as channel:
        health: Any = HealthStub(channel)
        watch = health.Watch(HealthCheckRequest(), timeout=60)
        with pytest.raises(grpc.RpcError) as error:
            next(watch)
    assert error.value.code() is Code.UNIMPLEMENTED


def test_tls_ends_at_the_edge(fleet: Fleet, start_before: Callable[..., Edge], tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    text = without_comment(CONFIGURATION.read_text(), "transport_socket:").replace("/etc/envoy/tls", str(tmp_path))
    edge = start_before(fleet, yaml.safe_load(text))
    trusting = ssl.create_default_context(cafile=str(certificate))
    response = ask(edge.address, "/v1/networks/article-linear", tls=trusting)
    assert response.json["network"]["name"] == "article-linear"
    with Client(edge.address, tls=certificate) as client:
        assert client.predict("article-linear", [2, 3]).outputs == 9
    with grpc.insecure_channel(edge.address) as channel, pytest.raises(grpc.RpcError):
        call(channel, f"{NETWORKS}ListNetworks", b"")
    with pytest.raises(OSError, match="certificate verify failed"):
        ask(edge.address, "/v1/networks", tls=ssl.create_default_context())
