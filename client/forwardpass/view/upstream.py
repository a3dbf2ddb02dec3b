"""The server whose networks are shown: one gRPC channel for all who look at the page."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc import StatusCode

from forwardpass._transport.addresses import is_local
from forwardpass._transport.endpoint import Endpoint
from forwardpass._transport.methods import methods
from forwardpass.view.caller import AUTHORIZATION, REQUEST_ID, Caller
from forwardpass.view.errors import GatewayError, from_rpc_error

MAX_RESPONSE_BYTES: Final = 64 * 2**20
"""Bytes of the largest response that is received; as JSON it is a third larger."""

_MAX_RECEIVED: Final = "grpc.max_receive_message_length"


class Upstream:
    """Makes calls with the tokens of their senders, in one event loop."""

    def __init__(self, endpoint: Endpoint, *, name: str) -> None:
        """Make an upstream, which connects at its first call.

        Args:
            endpoint: The address and how to connect. Its token is used by requests that have none.
            name: The address as the page and errors say it.
        """
        options = [option for option in endpoint.options if option[0] != _MAX_RECEIVED]
        self._endpoint = replace(endpoint, options=(*options, (_MAX_RECEIVED, MAX_RESPONSE_BYTES)))
        self._name = name
        self._channel: Any = None
        self._methods: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The address as the page says it."""
        return self._name

    @property
    def has_token(self) -> bool:
        """Whether requests without a token are sent with one."""
        return bool(self._endpoint.headers)

    async def call(self, method: str, request: Message, caller: Caller) -> Message:
        """Call a method that has one response.

        Raises:
            GatewayError: The call failed, or its token would be sent unencrypted over a network.
        """
        limits = [seconds for seconds in (caller.timeout, self._endpoint.timeout) if seconds is not None]
        timeout = min(limits, default=None)
        metadata = self._metadata(caller)
        try:
            response: Message = await self._method(method)(request, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            raise self._error(error, timeout) from None
        return response

    async def stream(self, method: str, request: Message, caller: Caller) -> AsyncGenerator[Message]:
        """Call a method that has a stream of responses; yield them.

        Raises:
            GatewayError: As `call` raises it.
        """
        responses = self._method(method)(request, metadata=self._metadata(caller), timeout=caller.timeout)
        try:
            async for response in responses:
                yield response
        except grpc.RpcError as error:
            raise self._error(error, caller.timeout) from None
        finally:
            responses.cancel()

    async def close(self) -> None:
        """Close the channel; calls in flight fail."""
        channel, self._channel, self._methods = self._channel, None, {}
        if channel is not None:
            await channel.close()

    def _method(self, name: str) -> Any:
        if self._channel is None:
            self._channel = self._endpoint.open_channel(grpc.aio)
            self._methods = methods(self._channel)
        return self._methods[name]

    def _metadata(self, caller: Caller) -> tuple[tuple[str, str], ...]:
        request_id = ((REQUEST_ID, caller.request_id),)
        if caller.authorization is None:
            return (*self._endpoint.headers, *request_id)
        if self._endpoint.credentials is None and not is_local(self._endpoint.address):
            raise GatewayError(
                StatusCode.FAILED_PRECONDITION,
                f"the token would be sent to {self._name} unencrypted; the page must be served with --tls",
            )
        return ((AUTHORIZATION, caller.authorization), *request_id)

    def _error(self, error: Any, timeout: float | None) -> GatewayError:
        target = self._name or "the server"
        return from_rpc_error(error, target=target, timeout=timeout, max_response_bytes=MAX_RESPONSE_BYTES)
