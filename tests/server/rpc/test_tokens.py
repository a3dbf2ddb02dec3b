"""The tokens file: lines with names, networks, quotas and weights, and what a limited token can call and see."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import grpc
import pytest
from forwardpass.method_options import path_of
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1 import prediction_service_pb2 as predictions
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass_server.oip import INFERENCE_SERVICE
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.rpc import (
    HEALTH_CHECK,
    NETWORK_SERVICE,
    PREDICTION_SERVICE,
    Guard,
    TokensFileError,
    declared_scopes,
)
from forwardpass_server.rpc.call_quota import CallQuota
from forwardpass_server.rpc.methods import network_field_of
from forwardpass_server.rpc.tokens_file import SCOPES, read_tokens
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plain_http import Http, HttpResponse
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, CallError, call, network_spec, predict_request, refused
from tests.support.server_process import ServerProcess

SERVICES: Final = (PREDICTION_SERVICE, INFERENCE_SERVICE, NETWORK_SERVICE)
"""Those whose calls delete networks come last."""
METHODS: Final = {path_of(method): method for service in SERVICES for method in service.methods}
OIP: Final = "/inference.GRPCInferenceService/"
ALLOWED: Final = "article-linear"
TOKENS: Final = {
    f"{name}-{limit}": (scopes, options)
    for name, scopes in {**{scope: {scope} for scope in SCOPES}, "all": {*SCOPES}}.items()
    for limit, options in {
        "everywhere": [],
        "linear": ["networks=article-lin*,churn"],
        "elsewhere": ["networks=churn-*"],
    }.items()
}
"""The scopes and options of each token of the matrix, which is called as its line is."""
FEW_TOKENS: Final = (
    *("", "unknown", "predict-linear", "all-everywhere", "all-linear", "all-elsewhere"),
    *(f"{scope}-everywhere" for scope in SCOPES),
)
NAMELESS: Final = {
    *("ListNetworks", "WatchNetworks", "RepositoryIndex"),
    *("ServerLive", "ServerReady", "ServerMetadata", "LogSettings"),
}
"""The methods whose requests name no network; the lists among them show those that the token allows."""
STREAMS: Final[dict[str, Callable[[str], Message]]] = {
    "UploadNetwork": lambda name: networks.UploadNetworkRequest(
        header=networks.UploadHeader(network=name, size_bytes=1)
    ),
    "PredictStream": lambda name: predictions.PredictStreamRequest(request=predict_request(name, [1, 2])),
    "ModelStreamInfer": lambda name: v2.ModelInferRequest(model_name=name),
}
"""The methods with a stream of requests, and a request that names a network."""


def line(token: str, scopes: str, *options: str) -> str:
    return " ".join((hashlib.sha256(token.encode()).hexdigest(), scopes, *options))


def written(folder: Path, *lines: str) -> Path:
    path = folder / "tokens"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return path


def bearer(token: str) -> dict[str, Any]:
    return {"metadata": [("authorization", f"Bearer {token}")] if token else [], "timeout": 60}


# The file


def test_a_line_names_and_limits_its_token(tmp_path: Path) -> None:
    plain, named = read_tokens(
        written(
            tmp_path,
            "# the dashboard",
            line("a", "read"),
            "",
            line("b", "predict,trace", "name=reporting", "networks=fraud-*,churn", "calls_per_second=2.5", "weight=2"),
        )
    )
    assert (plain.name, plain.networks, plain.quota, plain.weight) == (
        hashlib.sha256(b"a").hexdigest()[:16],
        None,
        None,
        1.0,
    )
    assert plain.allows("anything")
    assert (named.name, sorted(named.scopes), named.weight) == ("reporting", ["predict", "trace"], 2.0)
    assert named.quota is not None
    assert named.quota.calls_per_second == 2.5
    allowed = ["fraud-", "fraud-eu", "churn"]
    assert [
        name for name in [*allowed, "fraud", "churn-2", "xchurn", "", "fraud-" + "a" * 60] if named.allows(name)
    ] == allowed
    guard = Guard((plain, named))
    assert guard.caller("b", "ipv4:192.0.2.1:1") == "token:reporting"
    assert guard.weights == {f"token:{plain.name}": 1.0, "token:reporting": 2.0}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("predict", "must be the SHA-256 of a token"),
        (f"{'0' * 63} predict", "must be the SHA-256 of a token"),
        (f"{'0' * 64}", "its scopes"),
        (f"{'0' * 64} predict,see", "unknown scope 'see'; known are predict, trace, read, write, separated by commas"),
        (f"{'0' * 64} predict, trace", "unknown scope ''; known are"),
        (f"{'0' * 64} predict trace", "unknown option 'trace'; known are name=, networks=, calls_per_second=, weight="),
        (f"{'0' * 64} read rate=3", "unknown option 'rate=3'"),
        (f"{'0' * 64} read weight", "unknown option 'weight'"),
        (f"{'0' * 64} read weight=1 weight=2", "weight is set twice"),
        (f"{'0' * 64} read weight=0", "weight is '0'; must be a number from 0.01 to 100"),
        (f"{'0' * 64} read weight=nan", "weight is 'nan'"),
        (f"{'0' * 64} read calls_per_second=-1", "must be a number from 0.001 to 1,000,000"),
        (f"{'0' * 64} read calls_per_second=many", "calls_per_second is 'many'"),
        (f"{'0' * 64} read networks=", "has the pattern ''"),
        (f"{'0' * 64} read networks=a,,b", "has the pattern ''"),
        (f"{'0' * 64} read networks=Fraud", "has the pattern 'Fraud'"),
        (f"{'0' * 64} read networks=fraud-[a-z]", "in which * stands for any characters"),
        (f"{'0' * 64} read name=", "name is ''"),
        (f"{'0' * 64} read name=a/b", "name is 'a/b'"),
        (line("first", "predict"), "the token is that of line 1"),
        (f"{'0' * 64} read name=first", "the name first is that of line 1"),
    ],
)
def test_a_wrong_line_is_refused(wrong: str, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path, line("first", "read", "name=first"), wrong)
    with pytest.raises(TokensFileError) as caught:
        read_tokens(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert sentence in str(caught.value)


def test_no_pattern_matches_a_name_that_is_too_long(tmp_path: Path) -> None:
    (token,) = read_tokens(written(tmp_path, line("some", "read", "networks=*")))
    assert token.allows("a" * 63)
    assert not token.allows("a" * 64)


def test_a_private_file_may_be_in_a_folder_of_all_users() -> None:
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        assert len(read_tokens(written(Path(folder), line("some", "read")))) == 1


def test_a_file_in_a_private_folder_need_not_be_private(tmp_path: Path) -> None:
    path = written(tmp_path, line("some", "read"))
    path.chmod(0o644)
    tmp_path.chmod(0o700)
    assert len(read_tokens(path)) == 1


@settings(max_examples=30)
@given(st.floats(0.001, 1e4), st.lists(st.floats(0, 10) | st.floats(0, 0.01), max_size=50))
def test_a_quota_lets_no_more_through_than_its_rate(rate: float, pauses: list[float]) -> None:
    now = 100.0
    quota = CallQuota(rate, lambda: now)
    counted = 0
    for pause in pauses:
        now += pause
        seconds = quota.take()
        counted += not seconds
        assert counted <= max(1.0, rate) + rate * (now - 100.0) + 1e-6
        if seconds:
            now += seconds * (1 + 1e-9) + 1e-9
            assert quota.take() == 0.0, "there is room when it said so"
            counted += 1


@pytest.mark.parametrize(("rate", "at_once"), [(4.0, 4), (0.5, 1)])
def test_a_quota_is_filled_at_its_rate(rate: float, at_once: int) -> None:
    now = 100.0
    quota = CallQuota(rate, lambda: now)
    assert [quota.take() for _ in range(at_once)] == [0.0] * at_once
    assert quota.take() == 1 / rate
    now += 0.25 / rate
    assert quota.take() == 0.75 / rate
    now += 0.75 / rate
    assert quota.take() == 0.0
    assert quota.take() == 1 / rate


# The matrix


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[ServerProcess]:
    """A server with the tokens of the matrix."""
    folder = tmp_path_factory.mktemp("guarded")
    lines = [line(name, ",".join(scopes), f"name={name}", *options) for name, (scopes, options) in TOKENS.items()]
    flags = ("--engine", engine, "--rest-listen=127.0.0.1:0", f"--tokens-file={written(folder, *lines)}")
    with ServerProcess(folder, *flags) as server:
        yield server
        assert server.stop() == 0


def code_of(channel: grpc.Channel, method: MethodDescriptor, network: str, token: str) -> grpc.StatusCode:
    """Call a method for a network; return the code of the response, or of the error of its only part."""
    request: Any = GetMessageClass(method.input_type)()
    field = network_field_of(method)
    if method.name in STREAMS:
        request = STREAMS[method.name](network)
    elif method.name == "PredictMany":
        request.requests.add().CopyFrom(predict_request(network, [1, 2]))
    elif field is not None:
        setattr(request, field, network)
    # A unary call is a stream of one message on the wire.
    stream: Any = channel.stream_stream(path_of(method))(iter([request.SerializeToString()]), **bearer(token))
    try:
        response: Any = GetMessageClass(method.output_type).FromString(next(stream))
    except grpc.RpcError as error:
        ended: Any = error
        return ended.code()  # type: ignore[no-any-return]
    stream.cancel()
    if method.name == "PredictMany":
        return code_named(response.results[0].error.code)
    if method.name == "PredictStream":
        return code_named(response.error.code)
    if method.name == "ModelStreamInfer" and "does not allow the network" in response.error_message:
        return grpc.StatusCode.PERMISSION_DENIED
    return grpc.StatusCode.OK


def code_named(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)


def expected_code(path: str, token: str, network: str) -> grpc.StatusCode | None:
    """The code that a token gets, or None where it is let through."""
    scope = declared_scopes(SERVICES)[path]
    if scope == "open":
        return None
    if token not in TOKENS:
        return grpc.StatusCode.UNAUTHENTICATED
    limit = token.partition("-")[2]
    is_allowed = limit == "everywhere" or not network or (limit == "linear" and network == ALLOWED)
    return None if scope in TOKENS[token][0] and is_allowed else grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "tokens", [FEW_TOKENS, pytest.param(("", "unknown", *TOKENS), marks=pytest.mark.prove)], ids=["few", "all"]
)
def test_every_method_of_every_token_and_network(guarded: ServerProcess, tokens: tuple[str, ...]) -> None:
    rejections = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    cells, wrong = 0, []
    with grpc.insecure_channel(guarded.address) as channel:
        for path, method in METHODS.items():
            for token in tokens:
                for network in ("",) if method.name in NAMELESS else (ALLOWED, "nowhere"):
                    code, expected = code_of(channel, method, network, token), expected_code(path, token, network)
                    cells += 1
                    if (code if code in rejections else None) != expected or code.name in {"INTERNAL", "UNKNOWN"}:
                        wrong.append((method.name, token, network, code, expected))
    print(f"{cells} cells of methods x tokens x networks, {len(wrong)} wrong")
    assert not wrong


def test_every_method_tells_its_network_or_is_known_to_have_none() -> None:
    for path, method in METHODS.items():
        names_one = network_field_of(method) is not None or method.name in {*STREAMS, "PredictMany"}
        assert names_one == (method.name not in NAMELESS), f"{path}: keep limited tokens from other networks, see docs"


# What a limited token sees


class Caller:
    """A caller with a token."""

    def __init__(self, channel: grpc.Channel, http: Http, token: str) -> None:
        self.networks: Any = NetworkServiceStub(channel)
        self.channel = channel
        self.options = bearer(token)
        self.header = {"authorization": f"Bearer {token}"}
        self.http = http

    def call(self, path: str, request: Message, response: type[Message]) -> Any:
        return response.FromString(call(self.channel, path, request, **self.options))

    def refused(self, path: str, request: Message) -> CallError:
        return refused(self.channel, path, request, **self.options)

    def register(self, *names: str) -> None:
        for name in names:
            request = networks.RegisterNetworkRequest(network=name, spec=network_spec([[1.0, 2.0]]))
            self.networks.RegisterNetwork(request, **self.options)

    def watch(self) -> Iterator[networks.WatchNetworksResponse]:
        events: Iterator[networks.WatchNetworksResponse] = self.networks.WatchNetworks(
            networks.WatchNetworksRequest(), **self.options
        )
        return events

    def get(self, path: str) -> HttpResponse:
        return self.http("GET", path, None, self.header)


@pytest.fixture(scope="module")
def callers(guarded: ServerProcess) -> Iterator[dict[str, Caller]]:
    """A caller with each token of the matrix."""
    with grpc.insecure_channel(guarded.address) as channel, closing(Http(guarded.rest)) as http:
        yield {token: Caller(channel, http, token) for token in TOKENS}


def test_lists_show_the_networks_that_a_token_allows(callers: dict[str, Caller]) -> None:
    callers["all-everywhere"].register("article-lin-1", "article-lin-2", "listed-1", "listed-2")
    seen: dict[str, list[str]] = {}
    for token in ("all-everywhere", "all-linear", "all-elsewhere"):
        caller, events = callers[token], callers[token].watch()
        seen[token] = []
        while (event := next(events)).event != networks.NETWORK_EVENT_SYNCED:
            seen[token].append(event.network.name)
        paged, page_token = [], ""
        while True:
            request = networks.ListNetworksRequest(page_size=1, page_token=page_token)
            page = caller.networks.ListNetworks(request, **caller.options)
            paged += [network.name for network in page.networks]
            if not (page_token := page.next_page_token):
                break
        index = caller.call(f"{OIP}RepositoryIndex", v2.RepositoryIndexRequest(), v2.RepositoryIndexResponse)
        statistics = caller.call(f"{OIP}ModelStatistics", v2.ModelStatisticsRequest(), v2.ModelStatisticsResponse)
        over_http = caller.http("POST", "/v2/repository/index", b"{}", caller.header).document
        assert paged == seen[token]
        for names in (
            [model.name for model in index.models],
            [model.name for model in statistics.model_stats],
            [model["name"] for model in over_http],
            [model["name"] for model in caller.get("/v2/models/stats").document["model_stats"]],
        ):
            assert [*dict.fromkeys(names)] == seen[token]
    assert {"article-lin-1", "article-lin-2", "listed-1", "listed-2"} <= {*seen["all-everywhere"]}
    assert seen["all-linear"] == [name for name in seen["all-everywhere"] if name.startswith("article-lin")]
    assert seen["all-elsewhere"] == []


def test_watchers_learn_of_the_networks_that_their_token_allows(callers: dict[str, Caller]) -> None:
    events = callers["all-linear"].watch()
    while next(events).event != networks.NETWORK_EVENT_SYNCED:
        pass
    everything = callers["all-everywhere"]
    everything.register("watched", "article-lin-watched")
    for name in ("watched", "article-lin-watched"):
        everything.networks.DeleteNetwork(networks.DeleteNetworkRequest(network=name), **everything.options)
    while (event := next(events)).event != networks.NETWORK_EVENT_DELETED:
        assert event.network.name.startswith("article-lin")
    assert event.network.name == "article-lin-watched"


def test_requests_that_are_prepared_are_checked_too(callers: dict[str, Caller]) -> None:
    callers["all-everywhere"].register("prepared")
    predict = predict_request("prepared", [1, 2])
    many = predictions.PredictManyRequest(requests=[predict, predict_request("article-lin-9", [1, 2])])
    for _ in range(3):
        callers["predict-everywhere"].call(f"{PREDICTIONS}Predict", predict, predictions.PredictResponse)
        error = callers["predict-linear"].refused(f"{PREDICTIONS}Predict", predict)
        assert (error.reason, error.facts["token"]) == ("PERMISSION_DENIED", "predict-linear")
        assert (error.facts["network"], error.facts["method"]) == ("prepared", "Predict")
        response = callers["predict-linear"].call(f"{PREDICTIONS}PredictMany", many, predictions.PredictManyResponse)
        assert [code_named(result.error.code).name for result in response.results] == ["PERMISSION_DENIED", "NOT_FOUND"]


def test_health_is_that_of_networks_which_a_token_allows(callers: dict[str, Caller]) -> None:
    callers["all-everywhere"].register("healthy", "article-lin-healthy")
    for name, is_allowed in (("healthy", False), ("article-lin-healthy", True), ("nowhere", False)):
        request = health_pb2.HealthCheckRequest(service=f"forwardpass.v1.network/{name}")
        caller = callers["all-linear"]
        if is_allowed:
            response = caller.call(HEALTH_CHECK, request, health_pb2.HealthCheckResponse)
            assert response.status == health_pb2.HealthCheckResponse.SERVING
        else:
            assert caller.refused(HEALTH_CHECK, request).reason == "PERMISSION_DENIED"
        assert caller.get(f"/v2/models/{name}/ready").status == (200 if is_allowed else 403)
        assert caller.get(f"/v2/models/{name}").status == (200 if is_allowed else 403)


def test_similar_names_are_those_that_a_token_allows(callers: dict[str, Caller]) -> None:
    callers["all-everywhere"].register("article-lin-similar")
    request = networks.GetNetworkRequest(network="article-lin-simila")
    error = callers["all-linear"].refused(f"{NETWORKS}GetNetwork", request)
    assert error.facts["nearest"].startswith("article-lin-similar")
    callers["all-everywhere"].register("xarticle-lin-simila")
    error = callers["all-linear"].refused(f"{NETWORKS}GetNetwork", request)
    assert (error.reason, error.facts["nearest"]) == ("NETWORK_NOT_FOUND", "")
    assert "did you mean" not in error.message
    error = callers["all-everywhere"].refused(f"{NETWORKS}GetNetwork", request)
    assert "xarticle-lin-simila" in error.message


# Quotas


def test_a_token_that_has_used_its_quota_is_told_when_to_come_back(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    # A thousand seconds pass between two calls.
    lines = [line(name, "predict,read", f"name={name}", "calls_per_second=0.001") for name in ("a", "b", "c", "d")]
    tokens = written(tmp_path, *lines, line("free", "predict,read"))
    server = start_server(f"--tokens-file={tokens}", "--rest-listen=127.0.0.1:0")
    predict, listing = predict_request(ALLOWED, [1, 2]), networks.ListNetworksRequest()
    with grpc.insecure_channel(server.address) as channel, closing(Http(server.rest)) as http:
        a, b, c, d, free = (Caller(channel, http, token) for token in ("a", "b", "c", "d", "free"))
        a.call(f"{PREDICTIONS}Predict", predict, predictions.PredictResponse)
        for method, request in ((f"{PREDICTIONS}Predict", predict), (f"{NETWORKS}ListNetworks", listing)):
            error = a.refused(method, request)
            assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
            assert 0 < error.details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() <= 1_000
            assert (error.facts["token"], error.facts["quotaLimit"]) == ("a", "0.001")
        a.call(HEALTH_CHECK, health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse)

        b.networks.ListNetworks(listing, **b.options)
        assert b.refused(f"{PREDICTIONS}Predict", predict).reason == "QUOTA_EXCEEDED"

        assert c.get(f"/v2/models/{ALLOWED}/ready").status == 200
        response = c.get(f"/v2/models/{ALLOWED}/ready")
        assert response.status == 429
        assert 0 < int(response.headers["retry-after"]) <= 1_000

        assert code_of(channel, METHODS[f"{PREDICTIONS}PredictStream"], ALLOWED, "d").name == "RESOURCE_EXHAUSTED"
        assert d.refused(f"{PREDICTIONS}Predict", predict).reason == "QUOTA_EXCEEDED"
        for _ in range(3):
            free.call(f"{PREDICTIONS}Predict", predict, predictions.PredictResponse)
    assert server.stop() == 0
