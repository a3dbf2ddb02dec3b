"""A stream whose responses need all the room of its caller: those that wait for their turn keep none from others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import numpy as np
from forwardpass.spec import Limits
from forwardpass_server.memory import Sockets, Unsent
from forwardpass_server.oip.service import InferenceService
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc import AsyncioTransport, ErrorMapper, Guard
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.serving import BatchingPolicy

from tests.support.sample_networks import chain
from tests.support.serving import make_dispatcher

OUTPUTS = 64
POLICY = BatchingPolicy(inline_request_bytes=4_000)
"""A request of 1,000 rows is decoded by the workers, and so asks for room after those of fewer rows that follow it."""
MAX_BYTES = 600_000
"""Of which the caller has half: enough for any of the responses, and not for the large one with any of the others."""


def infer(number: int, rows: int) -> v2.ModelInferRequest:
    data = np.full((rows, 1), number, "<f4").tobytes()
    tensor = v2.ModelInferRequest.InferInputTensor(name="inputs", datatype="FP32", shape=[rows, 1])
    return v2.ModelInferRequest(model_name="wide", id=f"{number}", inputs=[tensor], raw_input_contents=[data])


async def test_a_response_that_waits_for_its_turn_makes_room_for_those_before_it() -> None:
    with ExitStack() as stack:
        store = SqlStore("sqlite://")
        stack.callback(store.close)
        registry = Registry.open(store)
        stack.callback(registry.close)
        registry.register("wide", chain([1, OUTPUTS], dtype="float32"))
        unsent = Unsent(Sockets(), max_bytes=MAX_BYTES, seconds=30.0)
        dispatcher = make_dispatcher(registry, POLICY, unsent=unsent)
        stack.callback(dispatcher.close)
        guard = Guard(None)
        transport = AsyncioTransport(dispatcher, guard, ErrorMapper(guard), POLICY, unsent)
        service = InferenceService(
            registry,
            transport,
            lambda: True,
            guard,
            max_rows=10_000,
            limits=Limits(),
            extensions=(),
            collect_counts=lambda: None,
        )
        rows = [1_000, 300, 300, 1_000, 300, 1_000]

        async def requests() -> AsyncIterator[v2.ModelInferRequest]:
            for number, count in enumerate(rows):
                yield infer(number, count)

        call = RpcContext(method="", request_id="one", credential=None, peer="ipv4:192.0.2.1:5000")
        async with asyncio.timeout(60.0):
            responses = [each async for each in service.model_stream_infer(requests(), call)]
        assert [each.error_message for each in responses] == [""] * len(rows)
        assert [each.infer_response.id for each in responses] == [f"{number}" for number in range(len(rows))]
        sizes = [len(each.infer_response.raw_output_contents[0]) for each in responses]
        assert sizes == [4 * OUTPUTS * count for count in rows]
        assert unsent.held == 0
