"""Responses to a client that does not read them are not computed until there is room, and others are served."""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from forwardpass import Client
from forwardpass.v1.prediction_service_pb2 import TraceRequest
from forwardpass.v1.tensor_pb2 import Tensor

from tests.support.raw_grpc import PREDICTIONS, decode
from tests.support.server_process import ServerProcess

CALLS = 6
MIB = 2**20
OPTIONS = [("grpc.http2.lookahead_bytes", 1024), ("grpc.max_receive_message_length", -1)]


def test_responses_beyond_the_bound_wait_until_there_is_room(start_server: Callable[..., ServerProcess]) -> None:
    # Responses may hold 6 MiB, those of one caller 3 MiB; a trace has 2 MiB.
    server = start_server(f"--max-memory={32 * 2**20}", "--send-timeout=60")
    request = _trace_request()
    with Client(server.address, timeout=60) as client:
        client.register("wide", _wide())
        with grpc.insecure_channel(server.address, options=OPTIONS) as channel:
            open_: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{PREDICTIONS}Trace")
            # A stream of responses is not read before the caller asks for the next one.
            calls = [open_(iter([request.SerializeToString()]), timeout=60) for _ in range(CALLS)]
            client.predict("wide", [1, 2])
            with ThreadPoolExecutor(CALLS) as threads:
                codes = [*threads.map(_outcome, calls)]
    # A slow machine may read them too late.
    assert set(codes) <= {"OK", "UNAVAILABLE"}
    assert codes.count("OK") >= 1


@pytest.mark.prove
def test_a_client_that_reads_nothing_is_closed_when_others_have_no_room(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    unread, other = ("one", "two"), "other"
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    lines = [f"{hashlib.sha256(token.encode()).hexdigest()} predict,read,write,trace\n" for token in (*unread, other)]
    tokens.write_text("".join(lines))
    server = start_server(f"--max-memory={32 * 2**20}", "--send-timeout=60", f"--tokens-file={tokens}")
    request = _trace_request()
    with Client(server.address, timeout=60, token=other) as client, ExitStack() as stack:
        client.register("wide", _wide())
        # Two traces leave no room for a third.
        calls = [
            _open(stack, server.address, token)(iter([request.SerializeToString()]), timeout=60) for token in unread
        ]
        for call in calls:
            call.initial_metadata()
        begun = time.monotonic()
        response = next(_open(stack, server.address, other)(iter([request.SerializeToString()]), timeout=60))
        print(f"another caller had its trace after {time.monotonic() - begun:.1f} s")
        assert len(response) > MIB
        codes = [_outcome(call) for call in calls]
    assert "UNAVAILABLE" in codes, "its connection was closed"


def _open(stack: ExitStack, address: str, token: str) -> Callable[..., Any]:
    """Connect, and return the method Trace; a stream of responses is read as far as the caller takes it."""
    options = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    channel = stack.enter_context(grpc.insecure_channel(address, options=options))
    trace: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{PREDICTIONS}Trace")
    return partial(trace, metadata=(("authorization", f"Bearer {token}"),))


def _wide() -> dict[str, Any]:
    """A network whose trace, with contributions, has 2 MiB."""
    layers = [np.ones((512, 2)), np.ones((512, 512)), np.ones((1, 512))]
    return {"format": "forwardpass.network/1", "inputs": 2, "layers": [{"weights": w.tolist()} for w in layers]}


def _trace_request() -> TraceRequest:
    return TraceRequest(network="wide", contributions=True, tensor=Tensor(shape=[1, 2], values=[1.0, 2.0]))


def _outcome(call: Any) -> str:
    try:
        assert len([*call]) == 1
    except grpc.RpcError as error:
        if error.trailing_metadata():
            assert decode(error).facts["setting"] == "max_memory"
        return str(error.code().name)
    return "OK"
