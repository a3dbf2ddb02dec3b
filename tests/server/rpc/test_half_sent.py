"""A request that does not arrive is given up, and a caller without a token need not send one to be rejected."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from forwardpass.v1.network_service_pb2 import UploadHeader, UploadNetworkRequest

from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, decode, predict_request
from tests.support.server_process import ServerProcess, wait_until


def half_sent(channel: grpc.Channel, method: str, **options: object) -> grpc.Call:
    """Call a method without sending the request, and wait for the end."""

    def never() -> Iterator[bytes]:
        threading.Event().wait(60)
        yield b""

    open_: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(method)
    with pytest.raises(grpc.RpcError) as caught:
        open_(never(), timeout=50, **options)  # type: ignore[arg-type] # metadata
    return caught.value  # type: ignore[return-value] # it is both


def is_served(channel: grpc.Channel) -> bool:
    try:
        return bool(call(channel, f"{PREDICTIONS}Predict", predict_request("article-linear", [2, 3])))
    except grpc.RpcError as error:
        assert "receive_timeout" in decode(error).message
        return False


def test_a_request_that_does_not_arrive_is_given_up(start_server: Callable[..., ServerProcess], engine: str) -> None:
    server = start_server("--receive-timeout=0.5")
    methods = [f"{NETWORKS}ListNetworks"] + [f"{PREDICTIONS}Predict"] * (engine == "grpcio")
    with grpc.insecure_channel(server.address) as channel:
        for method in methods:
            error = decode(half_sent(channel, method))
            assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "receive_timeout" in error.message
        # On a busy machine a request may take longer than that.
        wait_until(lambda: is_served(channel))


def test_a_caller_without_a_token_is_rejected_before_its_request(
    start_server: Callable[..., ServerProcess], engine: str, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{hashlib.sha256(b'secret').hexdigest()} predict,read\n")
    tokens.chmod(0o600)
    server = start_server(f"--tokens-file={tokens}")
    methods = [f"{NETWORKS}ListNetworks"] + [f"{PREDICTIONS}Predict"] * (engine == "grpcio")
    with grpc.insecure_channel(server.address) as channel:
        for method in methods:
            assert decode(half_sent(channel, method)).code is grpc.StatusCode.UNAUTHENTICATED


def test_an_upload_that_does_not_go_on_is_given_up(start_server: Callable[..., ServerProcess]) -> None:
    header = UploadNetworkRequest(header=UploadHeader(network="slow", size_bytes=1_000))
    first = [header, UploadNetworkRequest(chunk=bytes(10))]

    def parts() -> Iterator[bytes]:
        yield from (part.SerializeToString() for part in first)
        threading.Event().wait(60)

    server = start_server("--receive-timeout=0.5")
    with grpc.insecure_channel(server.address) as channel:
        open_: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(f"{NETWORKS}UploadNetwork")
        with pytest.raises(grpc.RpcError) as caught:
            open_(parts(), timeout=50)
    error = decode(caught.value)
    assert (error.code, "receive_timeout" in error.message) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)


def test_an_upload_beyond_its_share_of_memory_is_refused_at_once(start_server: Callable[..., ServerProcess]) -> None:
    header = UploadNetworkRequest(header=UploadHeader(network="large", size_bytes=20_000_000))
    server = start_server(f"--max-memory={32 * 2**20}")
    with grpc.insecure_channel(server.address) as channel:
        open_: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(f"{NETWORKS}UploadNetwork")
        with pytest.raises(grpc.RpcError) as caught:
            open_(iter([header.SerializeToString()]), timeout=50)
    assert decode(caught.value).facts["setting"] == "max_memory"
