"""grpc.aio loses memory with a call that is cancelled while it waits for its request; our handlers do not."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from tests.support import heap_server as heap
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, decode, predict_request
from tests.support.server_process import ServerProcess

CALLS = 100
ROUNDS = 40
OF_GRPC = 50.0
"""Bytes. It loses 80 for each request that it waits for, of which the allocator makes 96; some calls come through."""

measured = pytest.mark.skipif(not heap.can_be_measured(), reason="needs mallinfo2, of glibc 2.33")


@pytest.fixture
def port() -> Iterator[int]:
    """Where a server listens that says how much of its heap is in use."""
    with subprocess.Popen([sys.executable, "-m", "tests.support.heap_server"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


async def growth(port: int, method: str) -> float:
    """Cancel calls as soon as they are made; return by how many bytes each of them made the heap grow."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        in_use: Any = channel.unary_unary(heap.IN_USE)
        streaming = method == f"{PREDICTIONS}PredictStream"
        open_: Any = channel.stream_stream(method) if streaming else channel.unary_unary(method)
        sizes = []
        for _ in range(2 * ROUNDS):
            for _ in range(CALLS):
                cancelled: Any = open_() if streaming else open_(b"")
                await asyncio.sleep(0)
                cancelled.cancel()
            sizes.append(int(await in_use(b"")))
        # While the first half went, pools filled.
        return (sizes[-1] - sizes[ROUNDS - 1]) / (ROUNDS * CALLS)


@pytest.mark.prove
@measured
async def test_grpc_leaks(port: int) -> None:
    lost = await growth(port, heap.PLAIN)
    assert lost > OF_GRPC, f"{lost:.1f} bytes a call: grpc {grpc.__version__} has mended it, rpc/receiving.py can go"


@pytest.mark.prove
@measured
@pytest.mark.parametrize("method", [f"{PREDICTIONS}Predict", f"{PREDICTIONS}PredictStream", f"{NETWORKS}GetNetwork"])
async def test_our_handlers_do_not(port: int, method: str) -> None:
    assert await growth(port, method) < OF_GRPC / 2


@pytest.mark.parametrize("method", [f"{PREDICTIONS}Predict", f"{NETWORKS}ListNetworks"])
def test_a_call_without_a_request_is_rejected(
    start_server: Callable[..., ServerProcess], engine: str, method: str
) -> None:
    with grpc.insecure_channel(start_server().address) as channel:
        empty: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(method)
        with pytest.raises(grpc.RpcError) as refused:
            empty(iter([]), timeout=60)
        if engine == "native" and method.startswith(PREDICTIONS):
            assert refused.value.code() is grpc.StatusCode.INTERNAL
        else:
            assert decode(refused.value).reason == "MALFORMED_REQUEST"
        call(channel, f"{PREDICTIONS}Predict", predict_request("article-linear", [1, 2]))
