"""The listener for administration: what it serves, and that the callers of the others cannot use it up."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from forwardpass.v1 import network_service_pb2 as networks
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, network_spec, predict_request, refused, register
from tests.support.server_process import ServerProcess

HEALTH = "/grpc.health.v1.Health/Check"
TOKEN = {"metadata": [("authorization", "Bearer admin")]}


def test_it_serves_health_networks_and_reflection(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    path = tmp_path / "admin"
    server = start_server(f"--admin-listen=unix:{path}")
    assert server.admin == f"unix:{path}"
    with grpc.insecure_channel(server.admin) as admin, grpc.insecure_channel(server.address) as channel:
        assert call(admin, HEALTH, b"") == b"\x08\x01"
        register(admin, "administered", network_spec([[1.0, 2.0]]))
        call(channel, f"{PREDICTIONS}Predict", predict_request("administered", [1, 2]))
        listed = networks.ListNetworksResponse.FromString(call(admin, f"{NETWORKS}ListNetworks", b""))
        assert "administered" in [network.name for network in listed.networks]
        error = refused(admin, f"{PREDICTIONS}Predict", predict_request("administered", [1, 2]))
        assert error.code == grpc.StatusCode.UNIMPLEMENTED
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        reflect = admin.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        (response,) = reflect(iter([request]), timeout=60)
        services = [service.name for service in response.list_services_response.service]
        assert [name for name in services if "reflection" not in name] == [
            "forwardpass.v1.NetworkService",
            "grpc.health.v1.Health",
        ]
    assert server.stop() == 0


def test_its_calls_need_tokens_as_others_do(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{hashlib.sha256(b'admin').hexdigest()} read networks=article-lin*\n")
    tokens.chmod(0o600)
    server = start_server(f"--tokens-file={tokens}", "--admin-listen=127.0.0.1:0")
    with grpc.insecure_channel(server.admin) as admin:
        assert refused(admin, f"{NETWORKS}ListNetworks", b"").reason == "UNAUTHENTICATED"
        listed = networks.ListNetworksResponse.FromString(call(admin, f"{NETWORKS}ListNetworks", b"", **TOKEN))
        assert [network.name for network in listed.networks] == ["article-linear"]
        assert call(admin, HEALTH, b"") == b"\x08\x01"
    assert server.stop() == 0


@contextmanager
def flood(address: str, count: int) -> Iterator[None]:
    """Open connections that send nothing."""
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
        yield


@pytest.mark.parametrize("engine", ["grpcio"], scope="session")
def test_it_responds_while_the_main_listener_has_no_room(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--admin-listen=127.0.0.1:0", "--max-connections=3")
    with flood(server.address, 40), grpc.insecure_channel(server.admin) as admin:
        assert call(admin, HEALTH, b"", timeout=60) == b"\x08\x01"
        call(admin, f"{NETWORKS}ListNetworks", b"", timeout=60)
    assert server.stop() == 0


def test_an_address_in_use_ends_the_start(server: ServerProcess, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"cannot listen on {server.address}"):
        ServerProcess(tmp_path, f"--admin-listen={server.address}")
