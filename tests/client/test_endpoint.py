"""Settings of a client, and the settings of gRPC that follow."""

from typing import Any

import grpc
import pytest
from forwardpass._transport.addresses import is_local
from forwardpass._transport.endpoint import endpoint
from forwardpass._transport.methods import repeatability_of
from forwardpass.errors import InvalidFieldError
from forwardpass.v1 import network_service_pb2, prediction_service_pb2
from google.protobuf.descriptor_pb2 import MethodOptions

from tests.support.client_factory import ClientFactory

DEFAULTS: dict[str, Any] = {
    "timeout": 10.0,
    "token": None,
    "tls": False,
    "allow_insecure_token": False,
}
METHODS = [
    method
    for file, service in (
        (network_service_pb2, "NetworkService"),
        (prediction_service_pb2, "PredictionService"),
    )
    for method in file.DESCRIPTOR.services_by_name[service].methods
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_retries_read_the_idempotency_of_the_method(method: Any) -> None:
    rule = repeatability_of(method)
    names = {
        MethodOptions.NO_SIDE_EFFECTS: {"UNAVAILABLE", "CANCELLED"},
        MethodOptions.IDEMPOTENT: {"UNAVAILABLE"},
        MethodOptions.IDEMPOTENCY_UNKNOWN: set(),
    }[method.GetOptions().idempotency_level]
    assert {code.name for code in rule.codes} == names
    assert rule.after_interruption is bool(names)
    assert rule.after_reset is (len(names) == 2)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("localhost:50051", True),
        ("LOCALHOST:50051", True),
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("unix:/run/forwardpass.sock", True),
        ("unix:///run/forwardpass.sock", True),
        ("dns:localhost:1", True),
        ("dns:///localhost:1", True),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", True),
        ("ipv6:[::1]:1", True),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("dns://localhost/example.org:1", False),
        ("10.0.0.1:1", False),
        ("example.org:1", False),
        ("localhost.example.org:1", False),
        ("127.0.0.1.example.org:1", False),
        ("[2001:db8::1]:1", False),
    ],
)
def test_only_this_machine_is_local(address: str, local: bool) -> None:
    assert is_local(address) is local


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"address": "localhost"}, "HOST:PORT", id="no port"),
        pytest.param({"address": ""}, "HOST:PORT", id="empty"),
        pytest.param({"address": None}, "HOST:PORT", id="none"),
        pytest.param({"address": ":50051"}, "HOST:PORT", id="no host"),
        pytest.param({"address": "localhost:http"}, "HOST:PORT", id="named port"),
        pytest.param({"address": "localhost:65536"}, "HOST:PORT", id="port too high"),
        pytest.param({"address": "::1:50051"}, "HOST:PORT", id="IPv6 without brackets"),
        pytest.param({"address": "local host:1"}, "HOST:PORT", id="space"),
        pytest.param({"address": "http://localhost:50051/"}, "scheme, 'localhost:50051'", id="URL"),
        pytest.param({"timeout": 0}, "seconds above 0", id="timeout 0"),
        pytest.param({"timeout": -1.0}, "seconds above 0", id="negative timeout"),
        pytest.param({"timeout": float("nan")}, "seconds above 0", id="NaN timeout"),
        pytest.param({"timeout": float("inf")}, "None for no limit", id="infinite timeout"),
        pytest.param({"timeout": "10"}, "seconds above 0", id="timeout as text"),
        pytest.param({"timeout": True}, "seconds above 0", id="bool as timeout"),
        pytest.param({"token": ""}, "cannot be sent", id="empty token"),
        pytest.param({"token": "sécret"}, "cannot be sent", id="token beyond ASCII"),
        pytest.param({"token": "secret\n"}, "cannot be sent", id="token with a line break"),
        pytest.param({"token": b"secret"}, "cannot be sent", id="bytes as token"),
        pytest.param({"token": "secret", "address": "example.org:1"}, "tls=True", id="token in the clear"),
    ],
)
def test_settings_that_are_not_valid_are_rejected(connect: ClientFactory, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidFieldError, match=says) as caught:
        connect(**{"address": "localhost:50051", **options})
    assert "ecret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"address": "example.org:1", "tls": True}, id="TLS"),
        pytest.param({"address": "example.org:1", "allow_insecure_token": True}, id="allowed"),
        pytest.param({"address": "localhost:1"}, id="this machine"),
        pytest.param({"address": "unix:/run/forwardpass.sock"}, id="Unix socket"),
    ],
)
def test_a_token_is_sent_where_it_is_safe_or_allowed(options: dict[str, Any]) -> None:
    made = endpoint(**{**DEFAULTS, "token": "secret", **options})
    assert made.headers == (("authorization", "Bearer secret"),)
    assert "secret" not in repr(made)


def test_a_missing_file_of_certificates_raises(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        endpoint(**{**DEFAULTS, "address": "localhost:1", "tls": tmp_path / "none.pem"})


def test_credentials_of_grpc_are_taken_as_they_are() -> None:
    credentials = grpc.ssl_channel_credentials()
    made = endpoint(**{**DEFAULTS, "address": "localhost:1", "tls": credentials})
    assert made.credentials is credentials


def test_no_proxy_is_used_for_this_machine() -> None:
    local = endpoint(**{**DEFAULTS, "address": "localhost:1"})
    remote = endpoint(**{**DEFAULTS, "address": "example.org:1"})
    assert ("grpc.enable_http_proxy", 0) in local.options
    assert ("grpc.enable_http_proxy", 0) not in remote.options
