"""Large responses that nobody reads."""

import json
import socket
import time
from contextlib import ExitStack, suppress
from typing import Final

import grpc
import numpy as np
from forwardpass.v1.network_service_pb2 import GetNetworkRequest
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictStreamRequest, TraceRequest
from forwardpass.v1.tensor_pb2 import Tensor

from tests.hostile.attacks.target import ATTACK_SECONDS, UNREAD, Target, rounds
from tests.support.raw_grpc import NETWORKS, PREDICTIONS

_SMALL: Final = {"format": "forwardpass.network/1", "inputs": 1, "layers": [{"weights": [[1.0]]}]}
_FAN_NODES: Final = 20_000
_FAN_ROWS: Final = 100


def _register_wide(target: Target) -> None:
    """Register a network with 15 MB of weights."""
    layers = [np.ones((1_380, 2)), np.ones((1_380, 1_380)), np.ones((1, 1_380))]
    document = {"format": "forwardpass.network/1", "inputs": 2, "layers": [{"weights": each} for each in layers]}
    target.client.register("wide", document, timeout=120)


def _ask_unread(target: Target, method: str, request: bytes) -> None:
    """Call a method forty times on one connection, and read nothing."""
    with grpc.insecure_channel(target.address, options=UNREAD) as channel:
        ask: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
        calls = [ask(iter([request]), timeout=60) for _ in range(40)]
        time.sleep(ATTACK_SECONDS)
        for call in calls:
            call.cancel()


def unread_traces(target: Target) -> None:
    """Ask for forty traces of 15 MB, and read nothing."""
    _register_wide(target)
    request = TraceRequest(network="wide", contributions=True, tensor=Tensor(shape=[1, 2], values=[1.0, 2.0]))
    _ask_unread(target, f"{PREDICTIONS}Trace", request.SerializeToString())


def unread_networks(target: Target) -> None:
    """Ask forty times for a network of 15 MB, and read nothing."""
    _register_wide(target)
    _ask_unread(target, f"{NETWORKS}GetNetwork", GetNetworkRequest(network="wide").SerializeToString())


def _register_fan(target: Target) -> None:
    """Register a network whose responses have 16 MB for 100 rows."""
    layers = [{"weights": np.ones((_FAN_NODES, 1))}]
    document = {"format": "forwardpass.network/1", "inputs": 1, "layers": layers}
    target.client.register("fan", document, timeout=120)


def unread_streams(target: Target) -> None:
    """Send 64 requests on each of three streams, each for a response of 16 MB, and read nothing."""
    _register_fan(target)
    tensor = Tensor(shape=[_FAN_ROWS, 1], values=[1.0] * _FAN_ROWS)
    request = PredictStreamRequest(id="1", request=PredictRequest(network="fan", tensor=tensor)).SerializeToString()
    with grpc.insecure_channel(target.address, options=UNREAD) as channel:
        stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{PREDICTIONS}PredictStream")
        calls = [stream(iter([request] * 64), timeout=60) for _ in range(3)]
        time.sleep(ATTACK_SECONDS)
        for call in calls:
            call.cancel()


def unread_bodies(target: Target) -> None:
    """Ask for thirty responses of 16 MB over HTTP, and read nothing."""
    _register_fan(target)
    numbers = [1.0] * _FAN_ROWS
    if target.predict_path.endswith(":predict"):
        document: dict[str, object] = {"tensor": {"shape": [_FAN_ROWS, 1], "values": numbers}}
    else:
        tensor = {"name": "inputs", "datatype": "FP64", "shape": [_FAN_ROWS, 1], "data": numbers}
        document = {"parameters": {"binary_data_output": True}, "inputs": [tensor]}
    body, path = json.dumps(document).encode(), target.predict_path.replace("article-linear", "fan")
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(30):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.settimeout(10)
            with suppress(OSError):
                connection.connect(target.http)
                connection.sendall(head.encode() + body)
        time.sleep(ATTACK_SECONDS)


def watchers(target: Target) -> None:
    """Open 300 watches on three connections, change networks, and read nothing."""
    channels = [grpc.insecure_channel(target.address, options=UNREAD) for _ in range(3)]
    watches = []
    for channel in channels:
        watch: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"{NETWORKS}WatchNetworks")
        watches += [watch(b"", timeout=60) for _ in range(100)]
    for _ in rounds(0.5):
        target.client.register("changed", {**_SMALL, "description": str(time.monotonic())}, timeout=60)
    for opened in watches:
        opened.cancel()
    for channel in channels:
        channel.close()
