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
from forwardpass_server.rpc.sending import Counted, nothing, peer_of_call, timed
from forwardpass_server.rpc.streams import respond_to_each
from forwardpass_server.serving import EXPLAIN, PREDICT, PREDICT_MANY, TRACE

SERVICE: Final = DESCRIPTOR.services_by_name["PredictionService"]
HOT: Final = {method.name: method for method in (PREDICT, TRACE, EXPLAIN, PREDICT_MANY)}
"""The unary methods of the service by name; all are hot."""


class PredictionService:
    """Hands each request of a stream to the transport as if it were a call."""

    def __init__(self, transport: AsyncioTransport) -> None:
        self._transport = transport

    def predict_stream(
        self, requests: AsyncIterator[PredictStreamRequest], call: RpcContext
    ) -> AsyncIterator[PredictStreamResponse]:
        """Respond to each request as it is ready; an error is the response to its own id, and the stream goes on."""
        return respond_to_each(
            requests,
            lambda request, _: self._respond(request, call),
            max_requests=self._transport.max_stream_requests,
            in_order=False,
        )

    async def _respond(self, request: PredictStreamRequest, call: RpcContext) -> Counted[PredictStreamResponse]:
        try:
            counted = await self._transport.call(
                PREDICT,
                request.request.SerializeToString(),
                request_id=call.request_id,
                credential=call.credential,
                peer=call.peer,
                expires=call.expires,
                counts_as_call=True,
            )
        except Exception as error:  # noqa: BLE001 - becomes the response to this request
            mapped = self._transport.error_mapper.map(error, call.request_id, call.credential)
            return Counted(PredictStreamResponse(id=request.id, error=mapped.status), 0, nothing)
        message = PredictStreamResponse(id=request.id, response=PredictResponse.FromString(counted.response))
        response = Counted(message, counted.size, counted.forget, counted.claim)
        return timed(self._transport.unsent, peer_of_call(call), response)


def prediction_service(transport: AsyncioTransport) -> Service:
    """Make the service; its unary methods are hot."""
    return Service(SERVICE, PredictionService(transport), HOT)
