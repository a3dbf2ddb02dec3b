"""From a service's descriptor and a servicer to gRPC method handlers on raw bytes.

Every method of the descriptor must be a coroutine function of the servicer (an asynchronous
generator where the response is a stream), named in snake_case. Requests are parsed here,
so that bytes which are no message are refused by our own rule and not by gRPC's.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from typing import Any

import grpc
from forwardpass.errors import MalformedRequestError, MethodNotFoundError
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.interceptors import Interceptor, around_all, refuse


def handlers(
    service: ServiceDescriptor,
    servicer: object,
    interceptors: Sequence[Interceptor],
    *,
    skip: Collection[str] = (),
) -> grpc.GenericRpcHandler:
    """Make the handler of a service; a missing method is an AttributeError here, not later."""
    return grpc.method_handlers_generic_handler(
        service.full_name,
        {
            method.name: _handler(method, servicer, interceptors)
            for method in service.methods
            if method.name not in skip
        },
    )


def _handler(method: MethodDescriptor, servicer: object, interceptors: Sequence[Interceptor]) -> Any:
    path = f"/{method.containing_service.full_name}/{method.name}"
    behaviour = getattr(servicer, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
    streaming = bool(method.server_streaming)

    def read(data: bytes) -> Message:
        try:
            return GetMessageClass(method.input_type).FromString(data)
        except DecodeError:
            raise MalformedRequestError(f"the request is not a valid {method.input_type.name}", method=path) from None

    async def read_each(requests: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for data in requests:
            yield read(data)

    async def unary(received: Any, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        call = RpcContext.of(path, context, streaming=False)
        async with around_all(interceptors, call):
            request = read_each(received) if method.client_streaming else read(received)
            response: Message = await behaviour(request, call)
            return response.SerializeToString()
        raise AssertionError("an interceptor swallowed an exception")

    async def stream(received: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        call = RpcContext.of(path, context, streaming=True)
        async with around_all(interceptors, call):
            request = read_each(received) if method.client_streaming else read(received)
            async with aclosing(behaviour(request, call)) as responses:
                async for response in responses:
                    await context.write(response.SerializeToString())

    # The kind is chosen by name: grpc has one constructor for each of the four.
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if streaming else 'unary'}"
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(stream if streaming else unary)


class UnknownMethods(grpc.GenericRpcHandler):
    """Answers every call that no other handler takes; so it is added last."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return a handler that refuses the call, whatever its kind."""
        path = handler_call_details.method

        async def unknown(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            call = RpcContext.of(path, context, streaming=True)
            error = MethodNotFoundError(f"there is no method {path}", resourceType="method", resourceName=path)
            await refuse(context, error, call.request_id)

        return grpc.stream_stream_rpc_method_handler(unknown)
