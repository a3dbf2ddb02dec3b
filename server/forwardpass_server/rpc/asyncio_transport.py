"""The door for hot calls on grpc.aio: what arrives in one turn of the event loop is one batch."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.serving import Dispatcher, Method, RawRequest, RawResponse


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """Who waits for an answer."""

    answer: "asyncio.Future[RawResponse]"
    request_id: str


class AsyncioTransport:
    """Gathers the calls of one event loop; made inside it.

    Attributes:
        refusals: What makes errors into answers.
    """

    def __init__(self, dispatcher: Dispatcher, guard: Guard, refusals: ErrorMapper) -> None:
        self.refusals = refusals
        self._dispatcher = dispatcher
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._calls: list[RawRequest] = []

    async def answer(
        self, kind: Method, request: bytes, *, request_id: str, token: str | None, expires: float = inf
    ) -> bytes:
        """Wait for the answer to one call, whose token was found to allow its method.

        Raises:
            Exception: The answer, where it is one.
        """
        waiter = _Waiter(self._loop.create_future(), request_id)
        if not self._calls:
            self._loop.call_soon(self._flush)
        kind = self._guard.kind_for(kind, token)
        self._calls.append(RawRequest(kind, request, expires, waiter, arrived=time.monotonic()))
        try:
            answer = await waiter.answer
        except asyncio.CancelledError:
            self._dispatcher.cancel(waiter)
            raise
        if isinstance(answer, bytes):
            return answer
        raise answer

    def send(self, calls: Sequence[RawRequest], answers: Sequence[RawResponse]) -> None:
        """Hand over answers, from any thread."""
        if threading.get_ident() == self._thread:
            self._settle(calls, answers)
        else:
            self._loop.call_soon_threadsafe(self._settle, calls, answers)

    def status(self, call: RawRequest, error: Exception) -> bytes:
        """Serialize the error of one of a call's several requests."""
        status: bytes = self.refusals.of(error, call.key.request_id).status.SerializeToString()
        return status

    def _flush(self) -> None:
        # A caller who has gone has cancelled its future; its rows are not computed.
        calls = [call for call in self._calls if not call.key.answer.done()]
        self._calls.clear()
        self._dispatcher.take(calls, self)

    def _settle(self, calls: Sequence[RawRequest], answers: Sequence[RawResponse]) -> None:
        for call, answer in zip(calls, answers, strict=True):
            if not call.key.answer.done():
                call.key.answer.set_result(answer)
