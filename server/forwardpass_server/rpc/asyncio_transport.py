"""The transport of hot calls on grpc.aio: calls that arrive in one turn of the event loop are batched."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import grpc
from forwardpass.errors import ForwardpassError

from forwardpass_server.memory import COUNTED_BYTES, Claim, Unsent
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.context import Credential, RpcContext, identities_of, read_metadata
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.rpc.sending import Counted, count, nothing
from forwardpass_server.rpc.shedding import LoadShedder
from forwardpass_server.serving import NO_CLAIMS, BatchingPolicy, Dispatcher, Method, RawRequest, RawResponse


@dataclass(slots=True, eq=False)
class _Call:
    """A call whose response is awaited; with it comes the room that was reserved for the response."""

    response: "asyncio.Future[RawResponse]"
    request_id: str
    credential: Credential
    peer: str
    claim: Claim | None = None


class AsyncioTransport:
    """Gathers the calls of one event loop; made inside it.

    Attributes:
        error_mapper: Maps errors to statuses.
        inline_flops: The floating-point operations up to which a batch is computed in the event loop.
        max_stream_requests: Requests of one stream that may be computed at once.
        shedder: Rejects calls before their requests are received.
        unsent: The responses that are not yet sent.
    """

    def __init__(
        self, dispatcher: Dispatcher, guard: Guard, error_mapper: ErrorMapper, policy: BatchingPolicy, unsent: Unsent
    ) -> None:
        self.error_mapper = error_mapper
        self.inline_flops = min(policy.event_loop_flops, policy.step_flops)
        self.max_stream_requests = policy.max_stream_requests
        self.shedder = LoadShedder(dispatcher, guard, error_mapper)
        self.unsent = unsent
        self._dispatcher = dispatcher
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._gathered: list[RawRequest] = []

    async def shed(self, path: str, method: Method, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """End a call before its request is received, if it would be rejected then; called while `shedder` is active.

        Raises:
            AbortError: It has ended.
        """
        request_id, token = read_metadata(context.invocation_metadata() or ())
        credential: Credential = token
        if token is None and self._guard.knows_certificates:
            credential = identities_of(context.auth_context())
        remaining: float | None = context.time_remaining()  # the stubs do not say that it may be None
        expires = inf if remaining is None else time.monotonic() + remaining
        error = self.shedder.judge(method, credential=credential, peer=context.peer(), expires=expires)
        if error is None:
            return
        try:
            self._guard.check(path, credential)
        except ForwardpassError as not_allowed:
            await self.error_mapper.abort(context, not_allowed, request_id, credential)
        self.error_mapper.count(error, credential)
        await context.abort(error.code, error.message, error.trailers(request_id))

    async def call(
        self,
        method: Method,
        data: bytes,
        *,
        request_id: str,
        credential: Credential,
        peer: str,
        expires: float = inf,
        counts_as_call: bool = False,
    ) -> Counted[bytes]:
        """Make a call, whose caller was found to be allowed its method, and wait for the response.

        Args:
            method: The method.
            data: The serialized request.
            request_id: The id of the call.
            credential: What says who the caller is.
            peer: Where the call came from.
            expires: When the caller stops waiting, in seconds of `time.monotonic()`.
            counts_as_call: Whether it counts as a call of its caller, as each request of a stream does.

        Returns:
            The response, which is counted until it is sent.

        Raises:
            OverloadedError: There is no room for the response.
            Exception: The error that the response is.
        """
        if counts_as_call:
            self._guard.count_request(credential)
        call = _Call(self._loop.create_future(), request_id, credential, peer)
        if not self._gathered:
            self._loop.call_soon(self._flush)
        method = self._guard.method_for(method, credential)
        self._gathered.append(RawRequest(method, data, expires, call, arrived=time.monotonic()))
        try:
            response = await call.response
        except asyncio.CancelledError:
            self._dispatcher.cancel(call)
            if call.claim is not None:
                self.unsent.release(call.claim)
            raise
        if isinstance(response, bytes):
            if call.claim is None and len(response) < COUNTED_BYTES:
                return Counted(response, 0, nothing)
            counted = count(self.unsent, self._guard.caller(credential, peer), response, call.claim)
            if counted is not None:
                return counted
            response = self.unsent.no_room()
        elif call.claim is not None:
            self.unsent.release(call.claim)
        try:
            raise self._guard.without_names(response, credential)
        finally:
            del response, call, data  # which the error would keep, and it them, until garbage is collected

    def count(self, response: bytes, call: RpcContext) -> Counted[bytes] | None:
        """Count the response to a call of a method that is not hot; return None if there is no room for it."""
        return count(self.unsent, self.caller(call), response)

    def caller(self, call: RpcContext) -> str:
        """Return who makes a call: a token, else an address."""
        return self._guard.caller(call.credential, call.peer)

    def send(
        self,
        requests: Sequence[RawRequest],
        responses: Sequence[RawResponse],
        claims: Mapping[_Call, Claim] = NO_CLAIMS,
    ) -> None:
        """Send responses, from any thread."""
        if threading.get_ident() == self._thread:
            self._resolve(requests, responses, claims)
        else:
            self._loop.call_soon_threadsafe(self._resolve, requests, responses, claims)

    def encode_status(self, request: RawRequest, error: Exception) -> bytes:
        """Serialize the error of one of the requests in a request."""
        shown = self._guard.without_names(error, request.key.credential)
        mapped = self.error_mapper.map(shown, request.key.request_id, request.key.credential)
        status: bytes = mapped.status.SerializeToString()
        return status

    def caller_of(self, request: RawRequest) -> str:
        """Return who sent a request: a token, else an address."""
        return self._guard.caller(request.key.credential, request.key.peer)

    def _flush(self) -> None:
        # A caller who no longer waits has cancelled its future; its rows are not computed.
        requests = [request for request in self._gathered if not request.key.response.done()]
        self._gathered.clear()
        self._dispatcher.take(requests, self)

    def _resolve(
        self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], claims: Mapping[_Call, Claim]
    ) -> None:
        for request, response in zip(requests, responses, strict=True):
            call: _Call = request.key
            if not call.response.done():
                call.claim = claims.get(call)
                call.response.set_result(response)
            elif call in claims:
                self.unsent.release(claims[call])
