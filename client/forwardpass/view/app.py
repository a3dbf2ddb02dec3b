"""The ASGI application: the page, and the API, each request of which becomes one call of the server."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from grpc import StatusCode
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from forwardpass._version import __version__
from forwardpass.http_server.connected import while_connected
from forwardpass.view.bindings import Binding, bindings
from forwardpass.view.browser_rules import check_host, check_origin
from forwardpass.view.caller import REQUEST_ID, caller_of, request_id_of
from forwardpass.view.capacity import Capacity, Share
from forwardpass.view.errors import GatewayError, error_response
from forwardpass.view.limits import ViewLimits
from forwardpass.view.responses import NO_STORE, JsonResponse, LinesResponse
from forwardpass.view.static_files import INDEX, load_static_files
from forwardpass.view.transcoding import estimated_bytes, read_request, to_json
from forwardpass.view.upstream import Upstream
from forwardpass.view.watch import WATCH, first_of, lines

log = logging.getLogger(__name__)

RESPONSE_COST: Final = 3
"""Bytes that a request holds for each byte of the response's message, the message and its JSON."""
INLINE_BYTES: Final = 16 * 1024
"""Bytes of the largest message that the event loop converts; threads convert larger ones."""

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


class ViewApp:
    """The page and its API as an ASGI application. Made inside the event loop."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        listen_host: str | None,
        limits: ViewLimits,
        start_thread: Callable[[], None],
    ) -> None:
        """Make an application.

        Args:
            upstream: The server whose networks are shown.
            listen_host: The host at which the application is served, if only this machine can reach it, else None.
            limits: What requests may hold.
            start_thread: Called by each thread that converts messages, when it starts.
        """
        self._upstream = upstream
        self._listen_host = listen_host
        self._limits = limits
        self._bytes = Capacity(limits.max_bytes, of="bytes")
        self._requests = Capacity(limits.max_requests, of="requests")
        self._watches = Capacity(limits.max_watches, of="watches")
        self._ending = asyncio.Event()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="view", initializer=start_thread)
        self._files = load_static_files()
        self._bindings = (WATCH, *bindings())
        self.asgi = Starlette(
            routes=[
                *(self._route(binding) for binding in self._bindings),
                Route("/config.json", self._guarded(self._config), methods=["GET"]),
                Route("/{path:path}", self._guarded(self._static, is_api=False), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _http_error},
        )
        self.asgi.router.redirect_slashes = False

    def end_watches(self) -> None:
        """End the watches, which have no end of their own."""
        self._ending.set()

    def close(self) -> None:
        """Wait until the threads are idle, and end them."""
        self._threads.shutdown(wait=True)

    def _route(self, binding: Binding) -> Route:
        handler: Handler
        if binding is WATCH:
            handler = self._watch
        else:
            handler = partial(self._call if binding.only_reads else self._reject_write, binding)
        return Route(binding.path, self._guarded(handler), methods=[binding.verb])

    def _guarded(self, handler: Handler, *, is_api: bool = True) -> Handler:
        """Return a handler that rejects what pages of other sites send, and whose errors are responses."""

        async def handle(request: Request) -> Response:
            request_id = request.state.request_id = request_id_of(request.headers)
            try:
                if self._listen_host is not None:
                    check_host(request.headers, self._listen_host)
                if is_api:
                    check_origin(request.headers)
                response = await handler(request)
            except GatewayError as error:
                response = error_response(error)
            except ClientDisconnect:
                response = Response()  # nobody receives it
            except Exception:
                log.exception("request %s to the page failed", request_id)
                sentence = "the page's server failed; its log has the reason under the request id"
                response = error_response(GatewayError(StatusCode.INTERNAL, sentence))
            if is_api:
                response.headers[REQUEST_ID] = request_id
            return response

        return handle

    async def _call(self, binding: Binding, request: Request) -> Response:
        """Call a method that has one response."""
        caller = caller_of(request.headers, request.state.request_id)
        query = request.query_params.multi_items()
        sending = self._bytes.share()
        with self._bytes.share() as share:
            body = await self._body(request, share) if binding.has_body else b""
            with self._requests.share(1):
                self._take_for_conversion(share, body)
                message = await self._in_thread(
                    len(body), lambda: read_request(binding, request.path_params, query, body)
                )
                response = await while_connected(request, self._upstream.call(binding.method, message, caller))
                size = response.ByteSize()
                sending.take(RESPONSE_COST * size)
                try:
                    return JsonResponse(await self._in_thread(size, lambda: to_json(response)), sending)
                except BaseException:
                    sending.give_back()
                    raise

    async def _watch(self, request: Request) -> Response:
        """Send every network, then every change, as lines of JSON."""
        caller = caller_of(request.headers, request.state.request_id)
        message = read_request(WATCH, {}, request.query_params.multi_items(), b"")
        changes = self._upstream.stream(WATCH.method, message, caller)
        share = self._watches.share(1)
        try:
            # So that an error is the response, and not a line.
            first = await while_connected(request, first_of(changes))
        except BaseException:
            share.give_back()
            raise
        if request.method == "HEAD":
            await changes.aclose()
            first = None
        return LinesResponse(lines(first, changes, self._ending, self._limits.heartbeat_seconds), share)

    async def _reject_write(self, binding: Binding, _: Request) -> Response:
        """Reject a method that changes something."""
        allowed = [other.verb for other in self._bindings if other.path == binding.path and other.only_reads]
        raise GatewayError(
            StatusCode.UNIMPLEMENTED,
            f"the page changes nothing; call {binding.method} over gRPC, or as JSON through Envoy",
            http_status=405,
            headers={"allow": ", ".join(sorted(allowed))},
        )

    async def _config(self, _: Request) -> Response:
        """Say what is shown here."""
        document = {
            "version": __version__,
            "target": self._upstream.name,
            "hasToken": self._upstream.has_token,
        }
        return Response(json.dumps(document), headers=NO_STORE, media_type="application/json")

    async def _static(self, request: Request) -> Response:
        """Send a file of the page."""
        file = self._files.get(request.path_params["path"] or INDEX)
        if file is None:
            raise GatewayError(StatusCode.NOT_FOUND, f"there is nothing at {request.url.path!r:.80}")
        return file.response(request)

    async def _body(self, request: Request, share: Share) -> bytes:
        """Receive a body; the share takes its bytes as they come."""
        limit, seconds = self._limits.max_request_bytes, self._limits.body_seconds
        if int(request.headers.get("content-length", "0")) > limit:
            raise _too_large(f"has more than {limit:,} bytes, the most that is")
        body = bytearray()
        try:
            async with asyncio.timeout(seconds):
                async for chunk in request.stream():
                    share.take(len(chunk))
                    body += chunk
                    if len(body) > limit:
                        raise _too_large(f"has more than {limit:,} bytes, the most that is")
        except TimeoutError:
            raise GatewayError(
                StatusCode.DEADLINE_EXCEEDED,
                f"the body did not come within {seconds:g} s",
                headers={"connection": "close"},
            ) from None
        return bytes(body)

    def _take_for_conversion(self, share: Share, body: bytes) -> None:
        """Take what a body needs while it is converted."""
        size = estimated_bytes(body)
        if size > self._limits.max_bytes // 2:
            raise _too_large("has more values than are")
        share.take(size)

    async def _in_thread(self, size: int, work: Callable[[], T]) -> T:
        """Convert a message of a size in bytes: in the event loop if it is small, else in a thread."""
        if size <= INLINE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _too_large(excess: str) -> GatewayError:
    return GatewayError(
        StatusCode.RESOURCE_EXHAUSTED,
        f"the body {excess} accepted here; send fewer rows in each request, or `data` instead of `values`",
        http_status=413,
        headers={"connection": "close"},
    )


async def _http_error(request: Request, error: Exception) -> Response:
    """Return the error of a request whose path has no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler of these
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    message = f"{request.method} {request.url.path!r:.80}: the path takes {allowed}"
    headers = {"allow": allowed}
    return error_response(
        GatewayError(StatusCode.UNIMPLEMENTED, message, http_status=error.status_code, headers=headers)
    )
