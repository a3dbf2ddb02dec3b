"""`forwardpass.v1.PredictionService`: which of its methods are hot, and the stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from forwardpass.v1.prediction_service_pb2 import (
    DESCRIPTOR,
    PredictResponse,
    PredictStreamRequest,
    PredictStreamResponse,
)

from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.door import LoopDoor
from forwardpass_server.rpc.interceptors import logged_refusal
from forwardpass_server.rpc.methods import Service
from forwardpass_server.serving import PREDICT, PREDICT_MANY, TRACE

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
                PREDICT,
                request.request.SerializeToString(),
                request_id=call.request_id,
                token=call.token,
                expires=call.expires,
            )
        except Exception as error:  # noqa: BLE001 - becomes this request's answer
            return PredictStreamResponse(id=request.id, error=logged_refusal(error, call.request_id).status)
        return PredictStreamResponse(id=request.id, response=PredictResponse.FromString(answer))


def prediction_service(door: LoopDoor) -> Service:
    """Make the service; its unary methods are hot."""
    kinds = (PREDICT, TRACE, PREDICT_MANY)
    return Service(SERVICE, PredictionService(door), {kind.name: kind for kind in kinds})
