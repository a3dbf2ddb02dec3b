"""`forwardpass.v1.PredictionService`: the hot methods on raw bytes, and the stream."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
from forwardpass.v1.prediction_service_pb2 import (
    DESCRIPTOR,
    PredictResponse,
    PredictStreamRequest,
    PredictStreamResponse,
)

from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.door import LoopDoor
from forwardpass_server.rpc.interceptors import Interceptor, around_all, logged_refusal
from forwardpass_server.rpc.methods import handlers
from forwardpass_server.serving import Kind

SERVICE: Final = DESCRIPTOR.services_by_name["PredictionService"]
MOST_UNANSWERED: Final = 64
"""How many requests of one stream are computed at once; further ones wait in the connection."""


class PredictionService:
    """Lets each request of a stream go to the door as if it were a call."""

    def __init__(self, door: LoopDoor) -> None:
        self._door = door

    async def predict_stream(
        self, requests: AsyncIterator[PredictStreamRequest], call: RpcContext
    ) -> AsyncIterator[PredictStreamResponse]:
        """Answer each request as it is ready; an error answers its own id and the stream goes on."""
        answers: asyncio.Queue[PredictStreamResponse | None] = asyncio.Queue()
        room = asyncio.Semaphore(MOST_UNANSWERED)
        computing: set[asyncio.Task[None]] = set()

        async def one(request: PredictStreamRequest) -> None:
            answers.put_nowait(await self._answer_in_stream(request, call))

        async def read() -> None:
            try:
                async for request in requests:
                    await room.acquire()
                    task = asyncio.create_task(one(request))
                    computing.add(task)
                    task.add_done_callback(computing.discard)
                await asyncio.gather(*computing)
            finally:
                answers.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (answer := await answers.get()) is not None:
                yield answer
                # Room is made only once the client has taken an answer: that is the backpressure.
                room.release()
            await reader  # raises what ended the reading early
        finally:
            for task in (reader, *computing):
                task.cancel()

    async def _answer_in_stream(self, request: PredictStreamRequest, call: RpcContext) -> PredictStreamResponse:
        try:
            answer = await self._door.answer(
                Kind.PREDICT,
                request.request.SerializeToString(),
                request_id=call.request_id,
                expires=call.expires,
            )
        except Exception as error:  # noqa: BLE001 - becomes this request's answer
            return PredictStreamResponse(id=request.id, error=logged_refusal(error, call.request_id).status)
        return PredictStreamResponse(id=request.id, response=PredictResponse.FromString(answer))


HOT: Final = {f"/{SERVICE.full_name}/{kind.value}": kind for kind in Kind}
"""The kind of each hot method, by its path."""


def prediction_handlers(door: LoopDoor, interceptors: Sequence[Interceptor]) -> list[grpc.GenericRpcHandler]:
    """Make the handlers of the service: the hot methods', then the rest's."""

    def hot(path: str, kind: Kind) -> Any:
        async def behaviour(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            call = RpcContext.of(path, context, streaming=False)
            async with around_all(interceptors, call):
                return await door.answer(kind, request, request_id=call.request_id, expires=call.expires)
            raise AssertionError("an interceptor swallowed an exception")

        return grpc.unary_unary_rpc_method_handler(behaviour)

    return [
        grpc.method_handlers_generic_handler(
            SERVICE.full_name, {kind.value: hot(path, kind) for path, kind in HOT.items()}
        ),
        handlers(SERVICE, PredictionService(door), interceptors, skip=[kind.value for kind in Kind]),
    ]
