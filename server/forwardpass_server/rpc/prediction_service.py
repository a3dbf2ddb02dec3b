"""`forwardpass.v1.PredictionService`: which of its methods are hot, and the stream."""

from collections.abc import AsyncIterator
from typing import Final

from forwardpass.v1.prediction_service_pb2 import (
    DESCRIPTOR,
    PredictResponse,
    PredictStreamRequest,
    PredictStreamResponse,
)

from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.methods import Service
from forwardpass_server.rpc.streams import answered
from forwardpass_server.serving import PREDICT, PREDICT_MANY, TRACE

SERVICE: Final = DESCRIPTOR.services_by_name["PredictionService"]


class PredictionService:
    """Lets each request of a stream go to the door as if it were a call."""

    def __init__(self, transport: AsyncioTransport) -> None:
        self._transport = transport

    def predict_stream(
        self, requests: AsyncIterator[PredictStreamRequest], call: RpcContext
    ) -> AsyncIterator[PredictStreamResponse]:
        """RawResponse each request as it is ready; an error answers its own id and the stream goes on."""
        return answered(requests, lambda request: self._answer_in_stream(request, call), in_order=False)

    async def _answer_in_stream(self, request: PredictStreamRequest, call: RpcContext) -> PredictStreamResponse:
        try:
            answer = await self._transport.call(
                PREDICT,
                request.request.SerializeToString(),
                request_id=call.request_id,
                token=call.token,
                expires=call.expires,
            )
        except Exception as error:  # noqa: BLE001 - becomes this request's answer
            return PredictStreamResponse(
                id=request.id, error=self._transport.error_mapper.map(error, call.request_id).status
            )
        return PredictStreamResponse(id=request.id, response=PredictResponse.FromString(answer))


def prediction_service(transport: AsyncioTransport) -> Service:
    """Make the service; its unary methods are hot."""
    hot = (PREDICT, TRACE, PREDICT_MANY)
    return Service(SERVICE, PredictionService(transport), {method.name: method for method in hot})
