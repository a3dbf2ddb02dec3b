"""The ASGI application: from a request to a call and back, by the rules that go around every call."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from forwardpass.errors import DeadlineExceededError
from google.protobuf.message_factory import GetMessageClass
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from forwardpass_server.oip.rest import encodings
from forwardpass_server.oip.rest.endpoints import ENDPOINTS, Endpoint, of_model
from forwardpass_server.oip.rest.members import read_object
from forwardpass_server.oip.rest.replies import write_response
from forwardpass_server.oip.rest.requests import HEADER_LENGTH, expires, header_length, read_raw_request, read_request
from forwardpass_server.oip.rest.statuses import error_response, sentence
from forwardpass_server.oip.v2.inference_pb2 import ModelInferResponse, ModelMetadataRequest
from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.context import RpcContext, read_metadata
from forwardpass_server.rpc.interceptors import Interceptor, around_all, too_large
from forwardpass_server.rpc.methods import Service
from forwardpass_server.serving import lower_priority

LIGHT_BYTES: Final = 16 * 1024
"""A body up to this size is read or written in the event loop: some milliseconds at most."""

T = TypeVar("T")
Work = Callable[[RpcContext, bytes], Coroutine[Any, Any, Response]]


class RestApp:
    """The endpoints of the protocol as an ASGI application; made inside the event loop."""

    def __init__(
        self,
        service: Service,
        transport: AsyncioTransport,
        *,
        outside: Sequence[Interceptor],
        inside: Sequence[Interceptor],
        max_request_bytes: int,
        body_timeout: float,
        serving: Callable[[], bool],
    ) -> None:
        """Make an application.

        Args:
            service: The gRPC service.
            transport: Where hot calls go in.
            outside: What happens around a call before its body is read.
            inside: What happens around it when that is in, unless it is about health.
            max_request_bytes: The largest body, compressed or not.
            body_timeout: Seconds that a body may take to come in.
            serving: Whether the server still wants calls; connections end with their next answer when not.
        """
        self._service = service
        self._transport = transport
        self._outside = outside
        self._inside = inside
        self._max_request_bytes = max_request_bytes
        self._body_timeout = body_timeout
        self._serving = serving
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="rest", initializer=lower_priority)
        infer = [Route(path, self._infer, methods=["POST"]) for path in of_model("/infer")]
        others = [
            Route(path, partial(self._endpoint, endpoint), methods=endpoint.verbs)
            for endpoint in ENDPOINTS
            for path in endpoint.paths
        ]
        self.asgi = Starlette(routes=[*infer, *others], exception_handlers={HTTPException: self._http_error})
        self.asgi.router.redirect_slashes = False

    def close(self) -> None:
        """Wait for what the threads have begun."""
        self._threads.shutdown(wait=True)

    async def _infer(self, request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params.get("version", "")

        async def work(call: RpcContext, body: bytes) -> Response:
            given = request.headers.get(HEADER_LENGTH)
            length = header_length(given, len(body))
            if given is not None and not length:
                asked = ModelMetadataRequest(name=name, version=version)
                message, form = read_raw_request(body, name, version, await self._ask("ModelMetadata", asked, call))
            else:
                message, form = await self._in_thread(length, read_request, body, length, name, version)
            answer = await self._transport.call(
                self._service.hot["ModelInfer"],
                message.SerializeToString(),
                request_id=call.request_id,
                token=call.token,
                expires=expires(message),
            )
            written = await self._in_thread(
                len(answer), lambda: write_response(ModelInferResponse.FromString(answer), form)
            )
            if written.header_length is None:
                response = Response(written.content, media_type="application/json")
            else:
                headers = {HEADER_LENGTH: str(written.header_length)}
                response = Response(written.content, headers=headers, media_type="application/octet-stream")
            # Of this method only: `tritonclient.http.aio` asks for gzip always, and decompresses no other response.
            await self._compress(request, response)
            return response

        return await self._around(request, "ModelInfer", self._inside, work)

    async def _endpoint(self, endpoint: Endpoint, request: Request) -> Response:
        async def work(call: RpcContext, body: bytes) -> Response:
            message = GetMessageClass(self._service.descriptor.methods_by_name[endpoint.method].input_type)(
                **request.path_params
            )
            endpoint.read(message, await self._in_thread(len(body), read_object, body) if body else {})
            status, document = endpoint.write(message, await self._ask(endpoint.method, message, call))
            if document is None:
                return Response(status_code=status)
            content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
            return Response(content, status, media_type="application/json")

        return await self._around(request, endpoint.method, [] if endpoint.is_health else self._inside, work)

    async def _ask(self, method: str, message: Any, call: RpcContext) -> Any:
        """Call a method of the servicer."""
        return await self._service.behaviour(method)(message, call)

    async def _around(self, request: Request, method: str, inside: Sequence[Interceptor], work: Work) -> Response:
        """RawResponse a request by some work, with all that goes around a call; an error becomes the answer."""
        request_id, token = read_metadata(request.headers.items())
        call = RpcContext(method=f"/{self._service.descriptor.full_name}/{method}", request_id=request_id, token=token)
        try:
            async with around_all(self._outside, call):
                body = await self._body(request)
                async with around_all(inside, call):
                    response = await _while_connected(request, work(call, body))
        except ClientDisconnect:
            response = Response()  # nobody reads it
        except HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the answer
            response = error_response(error, self._transport.error_mapper.map(error, request_id), request_id)
        if not self._serving():
            response.headers["connection"] = "close"
        return response

    async def _body(self, request: Request) -> bytes:
        """Take the body in, not compressed any more."""
        limit = self._max_request_bytes
        declared = request.headers.get("content-length", "0")
        if int(declared) > limit:
            raise too_large(int(declared), limit)
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self._body_timeout):
                async for chunk in request.stream():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > limit:
                        raise too_large(size, limit)
        except TimeoutError:
            raise DeadlineExceededError(
                f"the body did not come in within {self._body_timeout:g} s (setting `call_timeout`)",
                seconds=self._body_timeout,
            ) from None
        body = b"".join(chunks)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding in {"identity", ""}:
            return body
        if encoding not in encodings.ENCODINGS:
            known = ", ".join(encodings.ENCODINGS)
            raise HTTPException(
                415, f"content-encoding is {encoding!r:.40}; the server reads {known}", {"accept-encoding": known}
            )
        return await self._in_thread(len(body), encodings.decompress, body, encoding, limit)

    async def _compress(self, request: Request, response: Response) -> None:
        """Compress an answer that is worth it, where the caller can read that."""
        response.headers["vary"] = "accept-encoding"
        encoding = encodings.choose(request.headers.get("accept-encoding", ""))
        if encoding is None or len(response.body) < encodings.WORTH:
            return
        response.body = await self._in_thread(len(response.body), encodings.compress, bytes(response.body), encoding)
        response.headers["content-encoding"] = encoding
        response.headers["content-length"] = str(len(response.body))

    async def _http_error(self, request: Request, error: Exception) -> Response:
        """Say what is wrong with a request that is for no endpoint."""
        assert isinstance(error, HTTPException)  # noqa: S101 - the handler of these
        taken = (error.headers or {}).get("Allow")
        said = {404: "there is no such endpoint", 405: f"the endpoint takes {taken}"}
        place = f"{request.method} {request.url.path:.80}"
        return sentence(error.status_code, f"{place}: {said.get(error.status_code, error.detail)}", error.headers)

    async def _in_thread(self, size: int, work: Callable[..., T], *arguments: Any) -> T:
        """Do some work on so many bytes: in a thread, unless they are few."""
        if size <= LIGHT_BYTES:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments))


async def _while_connected(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Do some work, or give it up when the client goes.

    Raises:
        ClientDisconnect: It went.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    """Wait until the client has gone; its request is in already."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
