"""The transport of hot calls on pygrpc-native: HTTP/2 and gRPC in Rust, and a thread here that takes the waiting calls.

Calls that came since the last time are batched. The rules are those of the interceptors: authorization, admission,
deadline, and the error table. Methods that are not hot go on to a grpc.aio server behind a private Unix socket.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import grpc
from forwardpass.errors import ForwardpassError

from forwardpass_server.cores import usable_cores
from forwardpass_server.memory import COUNTED_BYTES, Claim, MemoryWatch, Unsent
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.caller_counts import ANONYMOUS
from forwardpass_server.rpc.context import read_metadata
from forwardpass_server.rpc.error_mapping import ErrorMapper, PreparedError, trailers_of
from forwardpass_server.rpc.interceptors import InFlight, too_large
from forwardpass_server.rpc.listening import UNIX
from forwardpass_server.rpc.polling import Poller
from forwardpass_server.rpc.receiving import address_of
from forwardpass_server.rpc.shedding import LoadShedder
from forwardpass_server.serving import NO_CLAIMS, BatchingPolicy, Dispatcher, Method, RawRequest, RawResponse

if TYPE_CHECKING:
    from pygrpc_native import NativeGrpcFront

_PROBE: Final = "/forwardpass.v1.Nothing/RelayAll"
"""A method that there is not; every call of it goes through the front to the grpc.aio server and back."""
_OWN_PROBE: Final = "/forwardpass.v1.Nothing/Process{}"
"""A method that a process responds to which shares its port: a call of it tells which process a connection is to."""
_MAX_CONNECTIONS: Final = 16
"""Connections that are tried for each process that shares the port, until one is to this process."""
_PROBES: Final = 3
"""Calls that `relay_all` makes one after the other: the front's tasks may overtake one another by one turn each."""
_PROBE_SECONDS: Final = 1.0
"""Seconds that such a call may take; a front that takes longer than that is not waited for."""
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}  # noqa: S104 - to connect, not to listen
"""The addresses that reach a server which listens on all addresses of a machine."""

_REJECTING_SECONDS: Final = 0.02
"""How long after a rejection the server counts as overloaded."""
_GATHERING_SECONDS: Final = 0.004
"""How long an overloaded server lets calls gather before it takes them."""
_SAME_DEADLINE_SECONDS: Final = 0.01
"""By how much later a deadline may be than that of a call which was just rejected, and is judged like it."""

Details = tuple[tuple[tuple[str, str | bytes], ...], str, float | None]
"""The front's details of a call: metadata, peer, and the seconds until the caller's deadline."""


def open_front(address: str, *, sharing: int = 0) -> "NativeGrpcFront":
    """Bind a front to `HOST:PORT` or `unix:PATH`. Needs the package.

    Args:
        address: The address.
        sharing: The processes that share the port and the cores; 0 if the port is of this process alone.

    Raises:
        OSError: The address is in use or not of this machine.
    """
    from pygrpc_native import NativeGrpcFront  # noqa: PLC0415 - an optional dependency

    return NativeGrpcFront(
        address,
        [],
        io_threads=max(1, min(2, cores() // max(sharing, 1) - 1)),
        call_details=True,
        keepalive_time_ms=60_000,
        keepalive_timeout_ms=10_000,
        keepalive_permit_without_calls=True,
        max_concurrent_streams=100,
        max_metadata_size=16 * 1024,
        reuse_port=sharing > 0,
    )


def cores() -> int:
    """Return how many cores this process may use; on systems that do not say it, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class NativeTransport:
    """Takes hot calls from a front and responds to them.

    Attributes:
        inline_flops: The floating-point operations up to which a batch is computed in its thread.
    """

    def __init__(
        self,
        front: "NativeGrpcFront",
        dispatcher: Dispatcher,
        *,
        hot: Mapping[str, Method],
        direct: Mapping[str, Callable[[bytes, str | None], bytes]],
        guard: Guard,
        error_mapper: ErrorMapper,
        in_flight: InFlight,
        policy: BatchingPolicy,
        watch: MemoryWatch,
        unsent: Unsent,
        max_request_bytes: int,
        call_timeout: float,
        sharing: int = 0,
    ) -> None:
        """Make a transport; `start` lets it take calls.

        Args:
            front: Bound, not started.
            dispatcher: Responds to the calls of `hot`.
            hot: The methods whose calls go to the dispatcher, by their paths.
            direct: What responds to calls that need no batch and no admission, by their paths, from request and token.
            guard: Who may call what.
            error_mapper: Maps errors to statuses.
            in_flight: Counts calls.
            policy: How many calls are taken at once.
            watch: Counts the requests that were received, while memory is high.
            unsent: The responses that are not yet sent.
            max_request_bytes: The largest request.
            call_timeout: Seconds that a call may take at most.
            sharing: The processes that share the port; 0 if it is of this process alone.
        """
        self._sharing = sharing
        self._front = front
        self._dispatcher = dispatcher
        self._guard = guard
        self._error_mapper = error_mapper
        self._shedder = LoadShedder(dispatcher, guard, error_mapper)
        self._in_flight = in_flight
        self._watch = watch
        self.inline_flops = policy.step_flops
        self._unsent = unsent
        self._max_gathered = policy.max_gathered_requests
        self._max_request_bytes = max_request_bytes
        self._call_timeout = call_timeout
        self._methods: dict[int, tuple[str, Method | None, Callable[[bytes, str | None], bytes] | None]] = {}
        for path, number in zip(hot, front.add_methods([(path, False) for path in hot]), strict=True):
            # For callers with a token, `_check` finds out which.
            self._methods[number] = (path, hot[path] if guard.closed else guard.method_for(hot[path], None), None)
        if sharing:
            direct = {**direct, _own_probe(): lambda _, __: b""}
        for path, number in zip(direct, front.add_methods([(path, False) for path in direct]), strict=True):
            self._methods[number] = (path, None, direct[path])
        self._thread = threading.Thread(target=self._serve, name="front", daemon=True)

    def start(self) -> None:
        """Accept calls from now on."""
        self._front.start()
        self._thread.start()

    async def relay_all(self, address: str) -> None:
        """Wait until the front has passed on all that the grpc.aio server behind it has sent.

        `NativeGrpcFront.close` breaks off streams whose end the front has not yet passed on to the client. The front
        does not say when it is done, but works in order: when calls that are made now have passed it and come
        back, so has what was there before them.

        Args:
            address: Where the front listens, its port the real one.
        """
        host, _, port = address.rpartition(":")
        target = address if address.startswith(UNIX) else f"{_LOOPBACK.get(host, host)}:{port}"
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        for _ in range(max(1, self._sharing * _MAX_CONNECTIONS)):
            async with grpc.aio.insecure_channel(target, options=options) as channel:
                # Of a port that is shared, most connections are to other processes, which pass this on.
                if self._sharing and await _probe(channel, _own_probe()) is grpc.StatusCode.UNIMPLEMENTED:
                    continue
                for _ in range(_PROBES):
                    if await _probe(channel, _PROBE) is not grpc.StatusCode.UNIMPLEMENTED:
                        return
                return

    def close(self) -> None:
        """End every connection and the thread."""
        self._front.close()
        self._thread.join()

    def send(
        self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], claims: Mapping[int, Claim] = NO_CLAIMS
    ) -> None:
        """Send responses, from any thread."""
        respond = self._front.respond
        for request, response in zip(requests, responses, strict=True):
            if type(response) is bytes:
                if len(response) >= COUNTED_BYTES:
                    self._send_large(request, response, claims.get(request.key))
                else:
                    respond(request.key, response)
            else:
                self._reject(request.key, request.details, response)  # type: ignore[arg-type] # the rest are exceptions
        if claims:
            self._release_unused(requests, responses, claims)
        self._in_flight.leave(len(requests))

    def _release_unused(
        self, requests: Sequence[RawRequest], responses: Sequence[RawResponse], claims: Mapping[int, Claim]
    ) -> None:
        """Release the room that was reserved for responses which are errors or small."""
        for request, response in zip(requests, responses, strict=True):
            if request.key in claims and not (isinstance(response, bytes) and len(response) >= COUNTED_BYTES):
                self._unsent.release(claims[request.key])

    def _send_large(self, request: RawRequest, response: bytes, claim: Claim | None) -> None:
        """Send a response for which room was reserved, or else if there is; the front keeps it until it was read."""
        unsent, size = self._unsent, len(response)
        if claim is not None:
            unsent.resize(claim, size)
        elif (claim := unsent.take(self.caller_of(request), size)) is None:
            self._reject(request.key, request.details, unsent.no_room())
            return
        peer = address_of(request.details[1])
        received = unsent.received(peer)
        if self._front.respond(request.key, response):
            unsent.watch(claim, peer, received)
        else:
            unsent.release(claim)

    def encode_status(self, request: RawRequest, error: Exception) -> bytes:
        """Serialize the error of one of the requests in a request."""
        request_id, token = read_metadata(request.details[0])
        shown = self._guard.without_names(error, token)
        status: bytes = self._error_mapper.map(shown, request_id, token).status.SerializeToString()
        return status

    def caller_of(self, request: RawRequest) -> str:
        """Return who sent a request: a token, else an address."""
        metadata, peer, _ = request.details
        return self._guard.caller(read_metadata(metadata)[1] if self._guard.closed else None, peer)

    def _serve(self) -> None:
        poller = Poller(self._front.recv_batch_details, self._max_gathered, self._has_spare_core)
        take, admission = poller.take, self._dispatcher.admission
        while (events := take()) is not None:
            try:
                self._take(events)
            except Exception as error:  # noqa: BLE001 - every call gets a response, and the thread goes on
                for _, number, _, _, _, details in events:
                    if details is not None:
                        self._reject(number, details, error)
            if time.monotonic() - admission.rejected < _REJECTING_SECONDS:
                # Calls that are rejected together take less of the time that the workers need.
                time.sleep(_GATHERING_SECONDS)

    def _has_spare_core(self) -> bool:
        """Return whether this process has all of a core beside the one of its transport."""
        return usable_cores() / max(self._sharing, 1) >= 2

    def _take(self, events: Sequence[Any]) -> None:
        if self._watch.armed:
            for _, _, _, request, _, details in events:
                if details is not None:
                    self._watch.note_given(address_of(details[1]), len(request))
        calls: list[RawRequest] = []
        now = time.monotonic()
        longest = now + self._call_timeout
        methods, limit, closed = self._methods, self._max_request_bytes, self._guard.closed
        for is_cancel, number, method, request, _, details in events:
            if is_cancel:
                calls = self._cancel(number, calls)
                continue
            path, hot, direct = methods[method]
            try:
                if closed or len(request) > limit:
                    hot = self._check(path, hot, request, details)
                if direct is not None:
                    self._front.respond(number, direct(request, read_metadata(details[0])[1] if closed else None))
                    continue
            except Exception as error:  # noqa: BLE001 - becomes the response
                self._reject(number, details, error)
                continue
            remaining = details[2]
            expires = longest if remaining is None else min(longest, now + remaining)
            calls.append(RawRequest(hot, request, expires, number, details, now))  # type: ignore[arg-type] # no direct ones left
        if calls:
            self._dispatcher.take(self._admitted(calls), self)

    def _check(self, path: str, hot: Method | None, request: bytes, details: Details) -> Method | None:
        """Reject a call that may not be made, or whose request is too large; return the method for its caller."""
        if self._guard.closed:
            _, token = read_metadata(details[0])
            if hot is None:
                self._guard.check(path, token)
            else:
                hot = self._guard.admit(path, hot, token)
        if len(request) > self._max_request_bytes:
            raise too_large(len(request), self._max_request_bytes)
        return hot

    def _shed(self, calls: Sequence[RawRequest]) -> list[RawRequest]:
        """Reject those of some calls that would be rejected once their requests are read; return the others."""
        shedder, fail, closed = self._shedder, self._front.fail, self._guard.closed
        others: list[RawRequest] = []
        # By caller and method: up to which deadline calls are rejected, and with what; whose they are, and how many.
        rejected: dict[tuple[str | None, Method], tuple[float, PreparedError]] = {}
        counts: Counter[tuple[PreparedError, str | None]] = Counter()
        for call in calls:
            metadata, peer, _ = call.details
            request_id, token = read_metadata(metadata)
            key = token if closed else peer.rpartition(":")[0], call.method
            found = rejected.get(key)
            if found is not None and call.expires <= found[0]:
                error = found[1]
            else:
                judged = shedder.judge(call.method, credential=token, peer=peer, expires=call.expires)
                if judged is None:
                    others.append(call)
                    continue
                error = judged
                rejected[key] = call.expires + _SAME_DEADLINE_SECONDS, error
            counts[error, token if closed else None] += 1
            fail(call.key, error.code.value[0], error.message, error.trailers(request_id))
        for (error, token), number in counts.items():
            self._error_mapper.count(error, token, number)
        return others

    def _admitted(self, calls: list[RawRequest]) -> list[RawRequest]:
        """Count calls in; reject those for which there is no room."""
        if not self._guard.closed:
            self._guard.counts.count_calls(ANONYMOUS, len(calls))
        if self._shedder.active:
            calls = self._shed(calls)
        try:
            room = self._in_flight.enter(len(calls))
        except ForwardpassError as error:
            for call in calls:
                self._reject(call.key, call.details, error)
            return []
        if room < len(calls):
            overloaded = self._in_flight.overloaded()
            for call in calls[room:]:
                self._reject(call.key, call.details, overloaded)
        return calls[:room]

    def _cancel(self, number: int, calls: list[RawRequest]) -> list[RawRequest]:
        """Forget a call whose caller no longer waits."""
        if self._dispatcher.cancel(number):
            self._in_flight.leave(1)
            return calls
        return [call for call in calls if call.key != number]

    def _reject(self, number: int, details: Details, error: Exception) -> None:
        request_id, token = read_metadata(details[0])
        mapped = self._error_mapper.map(self._guard.without_names(error, token), request_id, token)
        self._front.fail(number, mapped.code.value[0], mapped.status.message, [*trailers_of(mapped, request_id)])


def _own_probe() -> str:
    return _OWN_PROBE.format(os.getpid())


async def _probe(channel: grpc.aio.Channel, path: str) -> grpc.StatusCode:
    """Call a method without a request; return the status."""
    probe: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    try:
        await probe(b"", timeout=_PROBE_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
