"""Responses to a client that does not read them are not computed until there is room, and others are served."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from forwardpass import Client
from forwardpass.v1.prediction_service_pb2 import TraceRequest
from forwardpass.v1.tensor_pb2 import Tensor

from tests.support.raw_grpc import PREDICTIONS, decode
from tests.support.server_process import ServerProcess

CALLS = 6


def test_responses_beyond_the_bound_wait_until_there_is_room(start_server: Callable[..., ServerProcess]) -> None:
    # Responses may hold 6 MiB, those of one caller 3 MiB; a trace has 2 MiB.
    server = start_server(f"--max-memory={32 * 2**20}", "--send-timeout=60")
    layers = [np.ones((512, 2)), np.ones((512, 512)), np.ones((1, 512))]
    spec = {"format": "forwardpass.network/1", "inputs": 2, "layers": [{"weights": w.tolist()} for w in layers]}
    request = TraceRequest(network="wide", contributions=True, tensor=Tensor(shape=[1, 2], values=[1.0, 2.0]))
    with Client(server.address, timeout=60) as client:
        client.register("wide", spec)
        options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(server.address, options=options) as channel:
            open_: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{PREDICTIONS}Trace")
            # A stream of responses is not read before the caller asks for the next one.
            calls = [open_(iter([request.SerializeToString()]), timeout=60) for _ in range(CALLS)]
            client.predict("wide", [1, 2])
            with ThreadPoolExecutor(CALLS) as threads:
                codes = [*threads.map(_outcome, calls)]
    # A slow machine may read them too late.
    assert set(codes) <= {"OK", "UNAVAILABLE"}
    assert codes.count("OK") >= 1


def _outcome(call: Any) -> str:
    try:
        assert len([*call]) == 1
    except grpc.RpcError as error:
        assert decode(error).facts["setting"] == "max_memory"
        return str(error.code().name)
    return "OK"
