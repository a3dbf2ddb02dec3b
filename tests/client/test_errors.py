"""Errors on the wire come out as the exceptions that they were, or as the nearest ones."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import grpc
import pytest
from forwardpass import Client, errors
from forwardpass._errors import NEAREST, error_from, error_of_status, is_stream_reset
from forwardpass._requests.networks import health
from forwardpass._transport.proxies import proxy_of
from forwardpass._transport.retries import Retries
from forwardpass.errors import Fault, ForwardpassError
from forwardpass.reasons import DOMAIN, REASONS
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import FakeServer

Code = grpc.StatusCode


def _status(code: grpc.StatusCode, *details: Message) -> Status:
    status = Status(code=code.value[0], message="the sentence")
    for detail in details:
        packed = Packed()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _info(reason: str, metadata: Mapping[str, str] | None = None, domain: str = DOMAIN) -> ErrorInfo:
    return ErrorInfo(reason=reason, domain=domain, metadata=dict(metadata or {}))


# A code after which no call is repeated, so that each call has one attempt.
CODE = Code.FAILED_PRECONDITION


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_becomes_its_class(client: Any, fake: FakeServer, reason: str) -> None:
    fake.fail(CODE, status=_status(CODE, _info(reason, {"expectedShape": "[rows, 2]", "message": "odd"})))
    with pytest.raises(REASONS[reason]) as caught:
        client.predict("article-linear", [2, 3])
    assert type(caught.value) is REASONS[reason]
    assert caught.value.message == "the sentence"
    assert caught.value.facts == {"expectedShape": "[rows, 2]", "message": "odd"}
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_every_detail_arrives(client: Any, fake: FakeServer) -> None:
    delay = Duration()
    delay.FromMilliseconds(1500)
    violation = BadRequest.FieldViolation(field="spec.layers[1]", description="is odd")
    failure = PreconditionFailure.Violation(type="EXAMPLE", subject="examples[0]", description="is 3, not 4")
    details: list[Message] = [
        _info("INVALID_NETWORK"),
        RequestInfo(request_id="4711"),
        BadRequest(field_violations=[violation]),
        PreconditionFailure(violations=[failure]),
        RetryInfo(retry_delay=delay),
    ]
    fake.fail(CODE, status=_status(CODE, *details))
    with pytest.raises(errors.InvalidNetworkError) as caught:
        client.predict("article-linear", [2, 3])
    assert caught.value.request_id == "4711"
    assert caught.value.retry_after == 1.5
    assert caught.value.faults == (
        Fault(path="spec.layers[1]", message="is odd"),
        Fault(path="examples[0]", message="is 3, not 4"),
    )


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK], ids=lambda code: code.name)
def test_a_bare_code_becomes_the_nearest_class(connect: ClientFactory, fake: FakeServer, code: grpc.StatusCode) -> None:
    fake.fail(code)
    with pytest.raises(ForwardpassError) as caught:
        connect(fake.address, retries=False).predict("article-linear", [2, 3])
    assert type(caught.value) is NEAREST.get(code, ForwardpassError)
    assert caught.value.facts["code"] == code.name
    assert fake.address in str(caught.value)
    assert isinstance(caught.value.__cause__, grpc.RpcError)


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        pytest.param(_info("NEWER_THAN_WE"), errors.NotFoundError, id="our unknown reason"),
        pytest.param(_info("OVERLOADED", domain="example.org"), errors.NotFoundError, id="another domain"),
        pytest.param(None, errors.NotFoundError, id="no reason"),
    ],
)
def test_an_unknown_reason_falls_back_to_the_code(info: ErrorInfo | None, kind: type[Exception]) -> None:
    error = error_of_status(_status(Code.NOT_FOUND, *([] if info is None else [info])))
    assert type(error) is kind
    assert error.message == "the sentence"
    if info is not None:
        assert error.facts["reason"] == f"{info.domain}/{info.reason}"


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b""], ids=["garbage", "empty"])
def test_broken_details_do_not_hide_the_code(client: Any, fake: FakeServer, content: bytes) -> None:
    def abort(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", content),))
        context.abort(Code.NOT_FOUND, "plain")

    fake.script.append(abort)
    with pytest.raises(errors.NotFoundError, match="plain"):
        client.predict("article-linear", [2, 3])


def test_a_broken_detail_does_not_hide_the_others() -> None:
    status = _status(Code.NOT_FOUND, _info("NETWORK_NOT_FOUND"))
    status.details.add(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff")
    status.details.add(type_url="type.googleapis.com/unknown.Message", value=b"\xff")
    assert type(error_of_status(status)) is errors.NetworkNotFoundError


@pytest.mark.parametrize("method", ["predict", "trace"])
def test_a_refused_connection_names_the_target(connect: ClientFactory, method: str) -> None:
    with pytest.raises(errors.UnavailableError, match=r"127\.0\.0\.1:1 cannot be reached; check") as caught:
        getattr(connect("127.0.0.1:1", timeout=1), method)("article-linear", [2, 3])
    assert caught.value.facts["target"] == "127.0.0.1:1"
    assert isinstance(caught.value, ConnectionError)


def test_a_server_that_does_not_serve_has_its_own_sentence(connect: ClientFactory, fake: FakeServer) -> None:
    fake.serve(False)
    with pytest.raises(errors.UnavailableError, match="does not serve now"):
        connect(fake.address, retries=False).predict("article-linear", [2, 3])


def test_a_method_that_the_server_lacks_raises(client: Any, fake: FakeServer) -> None:
    fake.fail(Code.UNIMPLEMENTED)
    with pytest.raises(errors.MethodNotFoundError, match="older server, or another service"):
        client.predict("article-linear", [2, 3])


def _breaks_off(context: grpc.ServicerContext, seconds: float = 0.2) -> None:
    context.send_initial_metadata((("x-begun", "1"),))
    # Were both to come together, gRPC itself would try again.
    time.sleep(seconds)
    context.abort(Code.UNAVAILABLE, "Socket closed")


class TestBrokenOff:
    """A response that has begun and does not end, after which gRPC itself never repeats a call."""

    def test_a_read_is_repeated(self, client: Any, fake: FakeServer) -> None:
        fake.script.append(_breaks_off)
        assert client.predict("article-linear", [2, 3]).outputs == 9
        assert fake.methods() == ["Predict", "Predict"]

    def test_within_the_timeout(self, client: Any, fake: FakeServer) -> None:
        # gRPC sends deadlines rounded up, these to half a second.
        fake.script.append(partial(_breaks_off, seconds=1.2))
        client.predict("article-linear", [2, 3], timeout=9)
        first, second = (call.seconds_left for call in fake.calls)
        assert first is not None
        assert second is not None
        assert second < first - 0.4 < 9

    def test_as_often_as_it_takes(self, client: Any, fake: FakeServer) -> None:
        fake.script.extend([_breaks_off] * 3)
        assert client.predict("article-linear", [2, 3]).outputs == 9
        assert fake.methods() == ["Predict"] * 4

    def test_a_write_is_not(self, client: Any, fake: FakeServer) -> None:
        fake.script.append(_breaks_off)
        with pytest.raises(errors.UnavailableError):
            client.delete_network("article-linear")
        assert fake.methods() == ["DeleteNetwork"]

    def test_nothing_is_without_retries(self, connect: ClientFactory, fake: FakeServer) -> None:
        fake.script.append(_breaks_off)
        with pytest.raises(errors.UnavailableError):
            connect(fake.address, retries=False).predict("article-linear", [2, 3])
        assert fake.methods() == ["Predict"]

    @pytest.mark.parametrize(
        ("code", "details", "expected"),
        [
            (Code.INTERNAL, "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))", True),
            (Code.INTERNAL, "Internal error from Core", True),
            (Code.INTERNAL, "the server met an unexpected error", False),
            (Code.UNAVAILABLE, "failed to connect to all addresses", False),
        ],
    )
    def test_what_that_looks_like(self, code: grpc.StatusCode, details: str, *, expected: bool) -> None:
        empty = grpc.aio.Metadata()
        error = grpc.aio.AioRpcError(code, empty, empty, details=details)
        assert is_stream_reset(error) is expected
        is_internal = type(error_from(error, target="here:1")) is errors.InternalError
        assert is_internal is (code is Code.INTERNAL and not expected)

    @pytest.mark.parametrize(
        ("seconds_ago", "expected"), [(0.0, errors.UnavailableError), (2.0, errors.DeadlineExceededError)]
    )
    def test_a_lost_status_is_that_of_a_deadline_which_is_over(self, seconds_ago: float, expected: type) -> None:
        empty = grpc.aio.Metadata()
        error = grpc.aio.AioRpcError(Code.INTERNAL, empty, empty, details="Internal error from Core")
        begun = time.monotonic() - seconds_ago
        retries = Retries("PredictStream", 2.0, None, begun=begun, budget=None)
        client = Client("127.0.0.1:1")
        assert type(client._end_of_stream(error, retries)) is expected
        with pytest.raises(expected):
            client._pause_before_retry(health(), error, retries)


class TestProxies:
    """A proxy of the environment that is in the way is named."""

    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

    def test_by_its_variable_and_without_its_password(
        self, connect: ClientFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
        with pytest.raises(errors.UnavailableError) as caught:
            connect("192.0.2.1:50051", timeout=5, retries=False).predict("article-linear", [2, 3])
        assert "through the proxy http://...@127.0.0.1:1 of the environment variable http_proxy" in str(caught.value)
        assert "add 192.0.2.1 to no_proxy" in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_the_remedy_works(self, fake: FakeServer, connect: ClientFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        # An address of this machine that the client does not take for one, so that gRPC uses the proxy.
        address = fake.address.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 - only called
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with pytest.raises(errors.UnavailableError, match=r"add 0\.0\.0\.0 to no_proxy"):
            connect(address, timeout=5, retries=False).predict("article-linear", [2, 3])
        monkeypatch.setenv("no_proxy", "0.0.0.0")  # noqa: S104 - only called
        assert connect(address).predict("article-linear", [2, 3]).outputs == 9

    @pytest.mark.parametrize(
        ("address", "variables", "named"),
        [
            ("example.org:1", {}, None),
            ("example.org:1", {"http_proxy": "http://p:1"}, "http_proxy"),
            ("example.org:1", {"http_proxy": "http://p:1", "grpc_proxy": "http://q:1"}, "grpc_proxy"),
            ("dns:///example.org:1", {"https_proxy": "http://p:1"}, "https_proxy"),
            ("example.org:1", {"http_proxy": "http://p:1", "no_proxy": "localhost, .org"}, None),
            ("example.org:1", {"http_proxy": "http://p:1", "no_grpc_proxy": "x.net", "no_proxy": ".org"}, "http_proxy"),
            ("127.0.0.1:1", {"http_proxy": "http://p:1"}, None),
            ("unix:/run/forwardpass.sock", {"http_proxy": "http://p:1"}, None),
        ],
    )
    def test_where_there_is_one(
        self, monkeypatch: pytest.MonkeyPatch, address: str, variables: Mapping[str, str], named: str | None
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        found = proxy_of(address)
        assert (found[0] if found else None) == named


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ("SERVER: Received message larger than max (9 vs. 4)", r"the request is larger than .* max_request_bytes"),
        ("Sent message larger than max (9 vs. 4)", r"the response is larger than .* max_response_bytes"),
    ],
)
def test_a_message_that_is_too_large_names_the_setting(
    connect: ClientFactory, fake: FakeServer, details: str, says: str
) -> None:
    fake.script.append(lambda context: context.abort(Code.RESOURCE_EXHAUSTED, details))
    with pytest.raises(errors.QuotaExceededError, match=says):
        connect(fake.address).predict("article-linear", [2, 3])
