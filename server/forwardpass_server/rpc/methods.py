"""gRPC method handlers on raw bytes, made of a service's descriptor and a servicer.

Every method of the descriptor that is not hot must be a coroutine function of the servicer (an asynchronous
generator where the response is a stream), named in snake_case. Requests are parsed here, so that bytes which are no
message are rejected with our own error and not with gRPC's. Requests of hot methods go to the transport as they are.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from forwardpass.errors import MalformedRequestError, MethodNotFoundError
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from forwardpass_server.memory import check_field_count, nesting_of
from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.rpc.interceptors import Interceptor, around_all
from forwardpass_server.rpc.receiving import Receiver, no_request
from forwardpass_server.rpc.sending import forget_when_sent
from forwardpass_server.serving import Method

NETWORK_FIELDS: Final = ("network", "model_name", "name")
"""The fields of requests that name a network, in our own protocol and in the Open Inference Protocol."""

INLINE_BYTES: Final = 256 * 1024
"""Bytes up to which a request is parsed in the event loop."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the server.

    Attributes:
        descriptor: Its methods.
        servicer: Has a function for each method that is not hot.
        hot: The methods whose calls go to the dispatcher as bytes, by their names.
        guard: Who may call which networks; None where no request names one.
    """

    descriptor: ServiceDescriptor
    servicer: object
    hot: Mapping[str, Method] = field(default_factory=dict)
    guard: Guard | None = None

    @property
    def hot_paths(self) -> dict[str, Method]:
        """The hot methods by their paths."""
        return {f"/{self.descriptor.full_name}/{name}": method for name, method in self.hot.items()}

    def behaviour(self, method: str) -> Any:
        """Return the servicer's function for a method that is not hot; it has the method's name in snake_case.

        Where a request names a network, it is called if the caller's token allows that network.
        """
        function = getattr(self.servicer, re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower())
        guard, network_field = self.guard, network_field_of(self.descriptor.methods_by_name[method])
        if guard is None or network_field is None:
            return function

        def checked(request: Message, call: RpcContext) -> Any:
            guard.check_network(call.method, getattr(request, network_field), call.credential)
            return function(request, call)

        return checked


def network_field_of(method: MethodDescriptor) -> str | None:
    """Return the field of a method's one request that names a network; None if there is none."""
    if method.client_streaming:
        return None
    return next((name for name in NETWORK_FIELDS if name in method.input_type.fields_by_name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """What every call goes through.

    Attributes:
        receiver: Receives the request.
        outside: The interceptors around receiving the request.
        inside: The interceptors around a call whose request has arrived.
    """

    receiver: Receiver
    outside: Sequence[Interceptor]
    inside: Sequence[Interceptor] = ()


def handlers(service: Service, transport: AsyncioTransport, around: Around) -> grpc.GenericRpcHandler:
    """Make the handler of a service; a missing method is an AttributeError here, not later."""

    def handler(method: MethodDescriptor) -> Any:
        path = f"/{service.descriptor.full_name}/{method.name}"
        if method.name in service.hot:
            return _hot(path, service.hot[method.name], transport, around)
        return _handler(path, method, service.behaviour(method.name), transport, around)

    methods = service.descriptor.methods
    return grpc.method_handlers_generic_handler(
        service.descriptor.full_name, {method.name: handler(method) for method in methods}
    )


def _hot(path: str, method: Method, transport: AsyncioTransport, around: Around) -> Any:
    shedder = transport.shedder

    async def behaviour(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        if shedder.active:
            await transport.shed(path, method, context)
        call = RpcContext.of(path, context, streaming=False)
        async with around_all(around.outside, call):
            request = await around.receiver.one(context)
            async with around_all(around.inside, call):
                if request is None:
                    raise no_request(path)
                try:
                    counted = await transport.call(
                        method,
                        request,
                        request_id=call.request_id,
                        credential=call.credential,
                        peer=call.peer,
                        expires=call.expires,
                    )
                finally:
                    del request  # which gRPC would keep with an error, until garbage is collected
                forget_when_sent(transport.unsent, context, counted)
                return counted.response
        raise AssertionError("an interceptor swallowed an exception")

    return grpc.stream_unary_rpc_method_handler(behaviour)


def _reader(path: str, method: MethodDescriptor) -> Callable[[bytes | None], Awaitable[Message]]:
    """Return what parses the requests of a method."""
    nesting = nesting_of(method.input_type)

    def parse(data: bytes) -> Message:
        check_field_count(data, nesting)
        try:
            return GetMessageClass(method.input_type).FromString(data)
        except DecodeError:
            raise MalformedRequestError(f"the request is not a valid {method.input_type.name}", method=path) from None

    async def read(data: bytes | None) -> Message:
        if data is None:
            raise no_request(path)
        # A large one would hold the event loop up, and all calls in it.
        return parse(data) if len(data) <= INLINE_BYTES else await asyncio.to_thread(parse, data)

    return read


def _handler(path: str, method: MethodDescriptor, behaviour: Any, transport: AsyncioTransport, around: Around) -> Any:
    receiver, streaming = around.receiver, bool(method.server_streaming)
    read = _reader(path, method)

    async def read_each(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Message]:
        while (data := await receiver.each(context)) is not None:
            yield await read(data)

    async def unary(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        call = RpcContext.of(path, context, streaming=False)
        async with around_all(around.outside, call):
            received = None if method.client_streaming else await receiver.one(context)
            async with around_all(around.inside, call):
                request: Any = None
                try:
                    request = read_each(context) if method.client_streaming else await read(received)
                    response: Message = await behaviour(request, call)
                finally:
                    received = request = None  # which gRPC would keep with an error, until garbage is collected
                counted = transport.count(response.SerializeToString(), call)
                if counted is None:
                    del response  # which the error would keep
                    raise transport.unsent.no_room()
                forget_when_sent(transport.unsent, context, counted)
                return counted.response
        raise AssertionError("an interceptor swallowed an exception")

    async def stream(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        call = RpcContext.of(path, context, streaming=True)
        async with around_all(around.outside, call):
            received = None if method.client_streaming else await receiver.one(context)
            async with around_all(around.inside, call):
                request = read_each(context) if method.client_streaming else await read(received)
                received = None  # a stream may stay open for hours
                async with aclosing(behaviour(request, call)) as responses:
                    async for response in responses:
                        # Watchers share events that are encoded already.
                        await context.write(response if type(response) is bytes else response.SerializeToString())

    return grpc.stream_stream_rpc_method_handler(stream) if streaming else grpc.stream_unary_rpc_method_handler(unary)


class UnknownMethods(grpc.GenericRpcHandler):
    """Rejects every call that no other handler takes; so it is added last."""

    def __init__(self, error_mapper: ErrorMapper) -> None:
        self._error_mapper = error_mapper

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return a handler that rejects the call, unary or stream."""
        path = handler_call_details.method

        async def unknown(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            call = RpcContext.of(path, context, streaming=True)
            error = MethodNotFoundError(f"there is no method {path}", resourceType="method", resourceName=path)
            await self._error_mapper.abort(context, error, call.request_id, call.credential)

        return grpc.stream_stream_rpc_method_handler(unknown)
