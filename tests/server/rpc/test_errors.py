"""Every row of the error table, provoked over the wire with raw calls."""

import base64
import contextlib
import hashlib
import math
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from forwardpass import errors, spec
from forwardpass.reasons import REASONS
from forwardpass.v1 import error_reason_pb2, network_pb2
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1 import prediction_service_pb2 as predictions
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Rows, Tensor
from forwardpass_server.rpc.status import CODES, UNKNOWN_ERROR, map_error
from google.protobuf.struct_pb2 import Struct
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.plain_http import Http
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, decode, network_spec, predict_request, refused, register
from tests.support.server_process import ServerProcess, wait_until

SENT_AS_IT_IS = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""The characters of a status message that gRPC does not percent-encode."""

Code = grpc.StatusCode
PREDICT = f"{PREDICTIONS}Predict"
REGISTER = f"{NETWORKS}RegisterNetwork"


def row(**features: object) -> Rows:
    struct = Struct()
    struct.update(features)  # type: ignore[arg-type] # numbers and texts
    return Rows(rows=[struct])


def tensor(**fields: object) -> predictions.PredictRequest:
    return predictions.PredictRequest(network="article-linear", tensor=Tensor(**fields))  # type: ignore[arg-type]


def registration(**fields: object) -> networks.RegisterNetworkRequest:
    return networks.RegisterNetworkRequest(network="refused", **fields)  # type: ignore[arg-type]


def wrong_spec() -> network_pb2.NetworkSpec:
    spec = network_spec([[1.0, math.nan], [3.0, 4.0]])
    spec.layers[0].activation.name = "rleu"
    spec.layers.append(network_spec([[1.0, 2.0, 3.0]]).layers[0])
    return spec


def failing_example() -> network_pb2.NetworkSpec:
    return network_spec([[1.0, 2.0]], examples=[network_pb2.Example(inputs=[1, 1], outputs=[4])])


def graph() -> network_pb2.NetworkSpec:
    """The first layer reads the second, and the second nothing that there is."""
    spec = network_spec([[1.0, 2.0], [3.0, 4.0]])
    spec.layers.append(network_spec([[1.0, 2.0]]).layers[0])
    getattr(spec.layers[0], "from").append("layer_1")
    getattr(spec.layers[1], "from").extend(["inputs", "layer_9"])
    spec.layers[1].merge = network_pb2.MERGE_MEAN
    return spec


CASES = {
    "not protobuf": (PREDICT, b"\xff\xff", Code.INVALID_ARGUMENT, "MALFORMED_REQUEST", []),
    "not protobuf, managing": (REGISTER, b"\xff", Code.INVALID_ARGUMENT, "MALFORMED_REQUEST", []),
    "empty": (PREDICT, b"", Code.INVALID_ARGUMENT, "INVALID_FIELD", ["network"]),
    "no inputs": (
        PREDICT,
        predictions.PredictRequest(network="article-linear"),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        ["inputs"],
    ),
    "too wide": (
        PREDICT,
        predict_request("article-linear", [1, 2, 3]),
        Code.INVALID_ARGUMENT,
        "SHAPE_MISMATCH",
        ["tensor.shape"],
    ),
    "three axes": (
        PREDICT,
        tensor(shape=[1, 1, 2], values=[1, 2]),
        Code.INVALID_ARGUMENT,
        "SHAPE_MISMATCH",
        ["tensor.shape"],
    ),
    "no rows": (
        PREDICT,
        tensor(shape=[0, 2], dtype=DATA_TYPE_FLOAT64),
        Code.INVALID_ARGUMENT,
        "SHAPE_MISMATCH",
        ["tensor.shape"],
    ),
    "no named rows": (
        PREDICT,
        predictions.PredictRequest(network="article-linear", rows=Rows()),
        Code.INVALID_ARGUMENT,
        "SHAPE_MISMATCH",
        ["rows"],
    ),
    "no dtype": (
        PREDICT,
        tensor(shape=[1, 2], data=bytes(16)),
        Code.INVALID_ARGUMENT,
        "DTYPE_MISMATCH",
        ["tensor.dtype"],
    ),
    "strange dtype": (
        PREDICT,
        b"\n\x0earticle-linear\x1a\x06\x08\x63\x12\x02\x01\x02",
        Code.INVALID_ARGUMENT,
        "DTYPE_MISMATCH",
        ["tensor.dtype"],
    ),
    "too few bytes": (
        PREDICT,
        tensor(shape=[1, 2], data=bytes(15), dtype=DATA_TYPE_FLOAT64),
        Code.INVALID_ARGUMENT,
        "INVALID_TENSOR",
        ["tensor"],
    ),
    "overflowing shape": (
        PREDICT,
        tensor(shape=[2**62, 2**62], data=bytes(16), dtype=DATA_TYPE_FLOAT64),
        Code.INVALID_ARGUMENT,
        "INVALID_TENSOR",
        ["tensor"],
    ),
    "negative shape": (
        PREDICT,
        tensor(shape=[-1, -2], data=bytes(16), dtype=DATA_TYPE_FLOAT64),
        Code.INVALID_ARGUMENT,
        "INVALID_TENSOR",
        ["tensor.shape"],
    ),
    "data and values": (
        PREDICT,
        tensor(shape=[1, 2], data=bytes(16), values=[1, 2], dtype=DATA_TYPE_FLOAT64),
        Code.INVALID_ARGUMENT,
        "INVALID_TENSOR",
        ["tensor"],
    ),
    "unknown feature": (
        PREDICT,
        predictions.PredictRequest(network="article-linear", rows=row(childen=2, accounts=3)),
        Code.INVALID_ARGUMENT,
        "FEATURE_MISMATCH",
        ["rows[0].childen", "rows[0].children"],
    ),
    "text for a number": (
        PREDICT,
        predictions.PredictRequest(network="article-linear", rows=row(children="two", accounts=3)),
        Code.INVALID_ARGUMENT,
        "FEATURE_MISMATCH",
        ["rows[0].children"],
    ),
    "nan": (
        PREDICT,
        predict_request("article-linear", [1, math.nan]),
        Code.INVALID_ARGUMENT,
        "MISSING_VALUE",
        ["tensor[0][1]"],
    ),
    "infinity": (
        PREDICT,
        predict_request("article-linear", [1, math.inf]),
        Code.INVALID_ARGUMENT,
        "NON_FINITE_INPUT",
        ["tensor[0][1]"],
    ),
    "no such network": (
        PREDICT,
        predict_request("article-linaer", [1, 2]),
        Code.NOT_FOUND,
        "NETWORK_NOT_FOUND",
        None,
    ),
    "no such version": (
        PREDICT,
        predict_request("article-linear", [1, 2], "7"),
        Code.NOT_FOUND,
        "VERSION_NOT_FOUND",
        None,
    ),
    "no such alias": (
        PREDICT,
        predict_request("article-linear", [1, 2], "last"),
        Code.NOT_FOUND,
        "ALIAS_NOT_FOUND",
        None,
    ),
    "no such layer": (
        f"{PREDICTIONS}Trace",
        predictions.TraceRequest(network="article-linear", tensor=Tensor(values=[1, 2]), layers=["hiden"]),
        Code.NOT_FOUND,
        "LAYER_NOT_FOUND",
        None,
    ),
    "no such method": (f"{PREDICTIONS}Guess", b"", Code.UNIMPLEMENTED, "METHOD_NOT_FOUND", None),
    "spec not valid": (
        REGISTER,
        registration(spec=wrong_spec()),
        Code.INVALID_ARGUMENT,
        "INVALID_NETWORK",
        ["spec.layers[0].activation.name", "spec.layers[0].weights[0][1]", "spec.layers[1].weights"],
    ),
    "spec missing": (REGISTER, registration(), Code.INVALID_ARGUMENT, "INVALID_FIELD", ["spec"]),
    "name not valid": (
        REGISTER,
        networks.RegisterNetworkRequest(network="../etc", spec=network_spec([[1.0]])),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        ["network"],
    ),
    "graph": (
        REGISTER,
        registration(spec=graph()),
        Code.INVALID_ARGUMENT,
        "INVALID_NETWORK",
        ["spec.layers[0].from[0]", "spec.layers[1].from[1]"],
    ),
    "example fails": (
        REGISTER,
        registration(spec=failing_example()),
        Code.FAILED_PRECONDITION,
        "EXAMPLE_FAILED",
        None,
    ),
    "only version": (
        f"{NETWORKS}DeleteVersion",
        networks.DeleteVersionRequest(network="article-linear", version=1),
        Code.FAILED_PRECONDITION,
        "VERSION_IN_USE",
        None,
    ),
    "latest cannot be deleted": (
        f"{NETWORKS}DeleteAlias",
        networks.DeleteAliasRequest(network="article-linear", alias="latest"),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        ["alias"],
    ),
    "page token": (
        f"{NETWORKS}ListNetworks",
        networks.ListNetworksRequest(page_token="?"),  # noqa: S106 - no secret
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        ["page_token"],
    ),
}


@pytest.mark.parametrize(("method", "request_", "code", "reason", "paths"), CASES.values(), ids=CASES)
def test_error(
    channel: grpc.Channel,
    method: str,
    request_: object,
    code: grpc.StatusCode,
    reason: str,
    paths: list[str] | None,
) -> None:
    error = refused(channel, method, request_)  # type: ignore[arg-type]
    assert (error.code, error.reason) == (code, reason), error
    if paths is not None:
        found = error.paths if paths else []
        assert found == paths, error


def test_facts_travel_as_data(channel: grpc.Channel) -> None:
    error = refused(channel, PREDICT, predict_request("article-linear", [1, 2, 3]))
    assert error.facts["expectedShape"] == "[rows, 2]"
    assert error.facts["actualShape"] == "[1, 3]"
    assert "[rows, 2]" in error.message


def test_nearest_names_are_listed(channel: grpc.Channel) -> None:
    error = refused(channel, PREDICT, predict_request("article-linaer", [1, 2]))
    assert "article-linear" in error.facts["nearest"]
    assert error.details["ResourceInfo"].resource_type == "forwardpass.v1.network"
    assert error.details["ResourceInfo"].resource_name == "article-linaer"


def test_failed_example_says_expected_and_actual(channel: grpc.Channel) -> None:
    error = refused(channel, REGISTER, registration(spec=failing_example()))
    assert (error.facts["expected"], error.facts["actual"], error.facts["example"]) == ("4", "3", "0")
    (violation,) = error.details["PreconditionFailure"].violations
    assert violation.subject == "spec.examples[0].outputs[0]"


def test_the_callers_request_id_comes_back(channel: grpc.Channel) -> None:
    error = refused(channel, PREDICT, b"", metadata=[("x-request-id", "mine-7")])
    assert error.details["RequestInfo"].request_id == "mine-7"


def test_many_faults_fit_into_the_trailers(channel: grpc.Channel) -> None:
    spec = network_spec([[math.nan] * 500])
    error = refused(channel, REGISTER, registration(spec=spec))
    assert error.reason == "INVALID_NETWORK"
    assert 1 <= len(error.paths) < 500


@pytest.mark.parametrize("text", ["x" * 5_000, "é" * 5_000, "\N{GRINNING FACE}" * 5_000], ids=["1", "2", "4"])
def test_long_texts_of_any_characters_fit_into_the_trailers(text: str) -> None:
    facts: dict[str, Any] = {"resourceType": "network", "resourceName": text, "setting": "max_rows", "nearest": text}
    for kind in CODES:
        error = kind(text, faults=[errors.Fault(path=text, message=text)] * 3, **facts)
        refused_ = map_error(error, "id")
        assert refused_.status.ByteSize() <= 5_000, kind
        assert 0 < len(refused_.status.message.encode()) <= 1_000
        assert refused_.status.message[:9] == text[:9]


@pytest.mark.parametrize(
    ("flag", "request_", "setting"),
    [
        ("--max-rows=2", predict_request("article-linear", [[1, 2]] * 3), "max_rows"),
        ("--max-gflop-per-call=1e-9", predict_request("article-linear", [1, 2]), "max_gflop_per_call"),
        ("--max-response-bytes=8", predict_request("article-linear", [[1, 2]] * 2), "max_response_bytes"),
    ],
    ids=["rows", "flops", "bytes"],
)
def test_quota(
    start_server: Callable[..., ServerProcess], flag: str, request_: predictions.PredictRequest, setting: str
) -> None:
    with grpc.insecure_channel(start_server(flag).address) as channel:
        error = refused(channel, PREDICT, request_)
    assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert error.facts["setting"] == setting
    assert error.details["QuotaFailure"].violations[0].subject == f"setting:{setting}"


def test_registry_quotas(start_server: Callable[..., ServerProcess]) -> None:
    with grpc.insecure_channel(start_server("--max-networks=4", "--max-versions=1").address) as channel:
        register(channel, "fourth", network_spec([[1.0]]))
        for name, weights, setting in (
            ("fifth", [[1.0]], "max_networks"),
            ("fourth", [[2.0]], "max_versions"),
        ):
            request = networks.RegisterNetworkRequest(network=name, spec=network_spec(weights))
            error = refused(channel, REGISTER, request)
            assert (error.reason, error.facts["setting"]) == ("QUOTA_EXCEEDED", setting)


def test_tokens(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()} {name}" for name in ("predict", "read,write")]
    tokens.write_text("# tokens\n" + "\n".join(lines))
    with grpc.insecure_channel(start_server(f"--tokens-file={tokens}").address) as channel:
        request = predict_request("no-such-network", [1, 2])
        error = refused(channel, PREDICT, request)
        assert (error.code, error.reason) == (Code.UNAUTHENTICATED, "UNAUTHENTICATED")
        error = refused(channel, PREDICT, request, metadata=[("authorization", "Bearer wrong")])
        assert error.reason == "UNAUTHENTICATED"
        error = refused(channel, PREDICT, request, metadata=[("authorization", "Bearer read,write")])
        assert (error.code, error.reason) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
        error = refused(channel, PREDICT, request, metadata=[("authorization", "Bearer predict")])
        assert error.reason == "NETWORK_NOT_FOUND"
        assert call(channel, "/grpc.health.v1.Health/Check", b"") == b"\x08\x01"


def test_damaged_network_is_data_loss_for_itself_alone(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    assert server.stop() == 0
    with sqlite3.connect(server.database) as database:
        database.execute("UPDATE versions SET content = zeroblob(500) WHERE name = 'article-linear'")
    database.close()
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        health_stub: Any = health_pb2_grpc.HealthStub(channel)
        service = "forwardpass.v1.network/article-linear"
        health = health_stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=60)
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING, "as far as is known"
        error = refused(channel, PREDICT, predict_request("article-linear", [2, 3]))
        assert (error.code, error.reason) == (Code.DATA_LOSS, "NETWORK_CORRUPT")
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        health.cancel()
        call(channel, PREDICT, predict_request("article-1-hidden", [2, 3]))
        stub = NetworkServiceStub(channel)
        for name, corrupt in (("article-linear", True), ("article-1-hidden", False)):
            got = stub.GetNetwork(networks.GetNetworkRequest(network=name))
            assert (got.version.corrupt, got.network.description == "") == (corrupt, corrupt)
            [listed] = stub.ListVersions(networks.ListVersionsRequest(network=name)).versions
            assert listed == got.version
            assert got.network in stub.ListNetworks(networks.ListNetworksRequest()).networks
    assert server.stop() == 0


def test_locked_database_is_unavailable_and_predictions_go_on(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    lock = sqlite3.connect(server.database, isolation_level=None)
    with grpc.insecure_channel(server.address) as channel:
        call(channel, PREDICT, predict_request("article-1-hidden", [2, 3]))
        lock.execute("BEGIN EXCLUSIVE")
        responses = []
        registration_ = networks.RegisterNetworkRequest(network="waiting", spec=network_spec([[1.0]]))
        waiting = threading.Thread(target=lambda: responses.append(refused(channel, REGISTER, registration_)))
        waiting.start()
        call(channel, PREDICT, predict_request("article-1-hidden", [2, 3]))
        waiting.join()
        (error,) = responses
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert error.details["RetryInfo"].retry_delay.seconds == 1
        lock.execute("ROLLBACK")
        lock.close()
        assert register(channel, "waiting", network_spec([[1.0]])).created


ONE_CALL = ("--max-in-flight=1", "--receive-timeout=600", "--metrics-listen=127.0.0.1:0")
"""Flags of a server for `call_in_flight`."""


@contextlib.contextmanager
def call_in_flight(server: ServerProcess, channel: grpc.Channel) -> Iterator[Callable[[], Any]]:
    """Hold a call in flight, an upload whose content does not come, until the function is called for its response."""
    content = spec.to_safetensors(spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[5.0]]}]}))
    may_end = threading.Event()

    def parts() -> Iterator[networks.UploadNetworkRequest]:
        yield networks.UploadNetworkRequest(header=networks.UploadHeader(network="held", size_bytes=len(content)))
        may_end.wait()
        yield networks.UploadNetworkRequest(chunk=content)

    upload: Any = NetworkServiceStub(channel).UploadNetwork.future(parts(), timeout=300)

    def end() -> Any:
        may_end.set()
        return upload.result()

    with contextlib.closing(Http(server.metrics.removesuffix("/metrics"))) as http:
        wait_until(lambda: b"\nforwardpass_calls_in_flight 1.0\n" in http.get("/metrics").body)
    try:
        yield end
    finally:
        may_end.set()


def reason_of_a_call(channel: grpc.Channel) -> str:
    """Why a call is rejected, or that it is not."""
    try:
        call(channel, PREDICT, predict_request("article-linear", [2, 3]))
    except grpc.RpcError as error:
        assert error.code() is Code.UNAVAILABLE
        details = decode(error).details
        assert "RetryInfo" in details
        return str(details["ErrorInfo"].reason)
    return "OK"


def test_draining(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(*ONE_CALL, "--drain-timeout=600")
    with grpc.insecure_channel(server.address) as channel, call_in_flight(server, channel) as end:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: reason_of_a_call(channel) == "DRAINING")
        error = refused(channel, PREDICT, predict_request("article-linear", [2, 3]))
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "DRAINING")
        assert error.details["RetryInfo"].retry_delay.seconds == 1
        assert end().created, "the call in flight has its response"
    assert server.wait() == 0


def test_overloaded(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(*ONE_CALL)
    with grpc.insecure_channel(server.address) as channel, call_in_flight(server, channel) as end:
        assert reason_of_a_call(channel) == "OVERLOADED"
        assert end().created
        wait_until(lambda: reason_of_a_call(channel) == "OK")


def test_the_table_is_complete() -> None:
    values = error_reason_pb2.ErrorReason.keys()
    reasons = {name.removeprefix("ERROR_REASON_") for name in values} - {"UNSPECIFIED"}
    assert set(REASONS) == reasons
    assert set(CODES) == set(REASONS.values())
    subclasses = set(CODES)
    abstract = {errors.ForwardpassError}
    while abstract:
        parent = abstract.pop()
        # Those of importers never travel.
        children = {child for child in parent.__subclasses__() if child.__module__ == errors.__name__}
        assert children or parent in subclasses, f"{parent} has no row"
        abstract |= children


@pytest.mark.parametrize("text", ["x", "é", "%", "\x1b", "😀", 'a"é'], ids=ascii)
def test_trailers_stay_below_the_soft_limit_of_grpc(text: str) -> None:
    long = text * 1_000
    faults = [errors.Fault(path=f"{long}[{place}]", message=long) for place in range(9)]
    error = errors.InvalidFieldError(long, faults=faults, field=long)
    status = map_error(error, "x" * 128).status
    message = quote(status.message, safe=SENT_AS_IT_IS)
    wire = len(message) + len(base64.b64encode(status.SerializeToString()))
    assert wire + 500 <= 8_192, "500 for all other trailers"
    assert status.message
    assert status.details


def test_an_unknown_exception_leaves_as_a_constant_sentence() -> None:
    refused_ = map_error(RuntimeError("postgresql://user:secret@host"), "id-1")
    assert refused_.code is Code.INTERNAL
    assert refused_.status.message == UNKNOWN_ERROR
    assert b"secret" not in refused_.status.SerializeToString()


def test_internal_and_deadline_have_rows() -> None:
    for error, code in (
        (errors.InternalError("x"), Code.INTERNAL),
        (errors.DeadlineExceededError("x"), Code.DEADLINE_EXCEEDED),
    ):
        assert map_error(error, "id").code is code


def test_deadline_of_the_server(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--call-timeout=0.000001")
    with grpc.insecure_channel(server.address) as channel:
        register_request = networks.RegisterNetworkRequest(network="slow", spec=network_spec([[1.0] * 300] * 300))
        error = refused(channel, REGISTER, register_request)
        assert (error.code, error.reason) == (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
