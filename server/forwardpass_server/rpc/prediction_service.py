"""`forwardpass.v1.PredictionService`: the hot methods on raw bytes, and the stream."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
from forwardpass.errors import Fault, ForwardpassError, InvalidFieldError
from forwardpass.v1.prediction_service_pb2 import (
    DESCRIPTOR,
    PredictManyRequest,
    PredictManyResponse,
    PredictRequest,
    PredictResponse,
    PredictResult,
    PredictStreamRequest,
    PredictStreamResponse,
)

from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.door import Door
from forwardpass_server.rpc.interceptors import Interceptor, around_all, logged_refusal
from forwardpass_server.rpc.methods import handlers
from forwardpass_server.serving import Call, Kind

SERVICE: Final = DESCRIPTOR.services_by_name["PredictionService"]
MOST_UNANSWERED: Final = 64
"""How many requests of one stream are computed at once; further ones wait in the connection."""


class PredictionService:
    """Takes Predict and Trace as bytes to the door, and lets a stream take the same way."""

    def __init__(self, door: Door) -> None:
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

    async def predict_many(self, request: PredictManyRequest, call: RpcContext) -> PredictManyResponse:
        """Answer each request; an error answers its own."""
        if not request.requests:
            message = "is empty; send at least one request"
            raise InvalidFieldError(f"requests: {message}", faults=[Fault(path="requests", message=message)])
        results = await asyncio.gather(*(self._result(one, call) for one in request.requests))
        return PredictManyResponse(results=[PredictResult(**result) for result in results])

    async def _answer_in_stream(self, request: PredictStreamRequest, call: RpcContext) -> PredictStreamResponse:
        return PredictStreamResponse(id=request.id, **await self._result(request.request, call))

    async def _result(self, request: PredictRequest, call: RpcContext) -> dict[str, Any]:
        """Return what answers one of several requests: its response or its error."""
        answer: bytes | Exception
        try:
            answer = await self._door.answer(
                Call(kind=Kind.PREDICT, request=request.SerializeToString(), expires=call.expires)
            )
        except Exception as error:  # noqa: BLE001 - becomes this request's answer
            answer = error
        if isinstance(answer, Exception):
            return {"error": logged_refusal(answer, call.request_id).status}
        return {"response": PredictResponse.FromString(answer)}


def prediction_handlers(door: Door, interceptors: Sequence[Interceptor]) -> list[grpc.GenericRpcHandler]:
    """Make the handlers of the service: the hot methods', then the rest's."""

    def hot(kind: Kind) -> Any:
        path = f"/{SERVICE.full_name}/{kind.value}"

        async def behaviour(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            call = RpcContext.of(path, context, streaming=False)
            async with around_all(interceptors, call):
                answer = await door.answer(Call(kind=kind, request=request, expires=call.expires))
                if isinstance(answer, ForwardpassError):
                    raise answer
                return answer
            raise AssertionError("an interceptor swallowed an exception")

        return grpc.unary_unary_rpc_method_handler(behaviour)

    return [
        grpc.method_handlers_generic_handler(SERVICE.full_name, {kind.value: hot(kind) for kind in Kind}),
        handlers(SERVICE, PredictionService(door), interceptors, skip=[kind.value for kind in Kind]),
    ]
