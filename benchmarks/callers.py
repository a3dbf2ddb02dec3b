"""The rows of the Python client: callers in this process, on the load's core."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import grpc
import numpy as np
from forwardpass import AsyncClient, Client
from forwardpass.tensors import to_tensor
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub

from benchmarks import networks, timing
from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.needs import CORES
from benchmarks.server import Server
from benchmarks.table import Finding, Goal, Row, ratio

CALLERS: Final = 64
NAME: Final = f"net-{networks.label(networks.MIDDLE)}"


def coalescing(lab: Lab) -> Mapping[str, Finding]:
    """Compare a client that coalesces waiting calls with one that sends each call by itself."""
    with Server(lab, networks.MIDDLE) as server, on_core(LOAD_CORE):
        single, coalesced = (
            asyncio.run(_calls_per_second(lab, server.address, coalesce=coalesce)) for coalesce in (False, True)
        )
    return {"": ratio(coalesced, single, calls_per_s=coalesced, single_calls_per_s=single)}


async def _calls_per_second(lab: Lab, address: str, *, coalesce: bool) -> float:
    row = networks.rows(networks.MIDDLE, 1)[0]
    async with AsyncClient(address, coalesce=coalesce) as client:

        async def caller(end: float) -> int:
            count = 0
            while time.perf_counter() < end:
                await client.predict(NAME, row)
                count += 1
            return count

        async def together(seconds: float) -> int:
            end = time.perf_counter() + seconds
            return sum(await asyncio.gather(*(caller(end) for _ in range(CALLERS))))

        await together(0.5)
        begun = time.perf_counter()
        return await together(lab.seconds) / (time.perf_counter() - begun)


def one_caller(lab: Lab) -> Mapping[str, Finding]:
    """Compare the time of `Client.predict` with that of gRPC's stub, from an array of inputs to one of outputs."""
    row = networks.rows(networks.MIDDLE, 1)
    with (
        Server(lab, networks.MIDDLE) as server,
        on_core(LOAD_CORE),
        Client(server.address) as client,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = PredictionServiceStub(channel)

        def by_stub() -> object:
            response = stub.Predict(PredictRequest(network=NAME, tensor=to_tensor(row)), timeout=10)
            return np.frombuffer(response.outputs.data, np.float32).reshape(response.outputs.shape)

        ours, bare = timing.best([lambda: client.predict(NAME, row).outputs, by_stub], min_seconds=lab.seconds / 20)
    return {"": ratio(ours, bare, client_us=ours * 1e6, stub_us=bare * 1e6)}


ROWS: Final = (
    Row(
        number=10,
        goals={"": Goal(title="AsyncClient, 64 callers: coalesce on / off", wanted=8)},
        measure=coalescing,
        needs=(CORES,),
    ),
    Row(
        number=21,
        goals={"": Goal(title="Client.predict, one caller / gRPC's stub, time", wanted=1.5, at_most=True)},
        measure=one_caller,
        needs=(CORES,),
    ),
)
