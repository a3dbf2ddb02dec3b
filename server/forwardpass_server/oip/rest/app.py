"""The ASGI application: each HTTP request becomes a call with the interceptors of gRPC calls around it."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from forwardpass.http_server import CLIENT_CERTIFICATE
from forwardpass.http_server.connected import while_connected
from google.protobuf.message_factory import GetMessageClass
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from forwardpass_server.memory import Arrivals
from forwardpass_server.oip.rest import encodings
from forwardpass_server.oip.rest.endpoints import ENDPOINTS, Endpoint, of_model
from forwardpass_server.oip.rest.json_fields import read_object
from forwardpass_server.oip.rest.requests import (
    HEADER_LENGTH,
    OutputForm,
    decode_raw_request,
    decode_request,
    expires,
    header_length,
)
from forwardpass_server.oip.rest.responses import ResponseBody, encode_response
from forwardpass_server.oip.rest.sending import PacedResponse
from forwardpass_server.oip.rest.statuses import error_response, sentence
from forwardpass_server.oip.v2.inference_pb2 import ModelInferResponse, ModelMetadataRequest
from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.context import RpcContext, certificate_identities, read_metadata
from forwardpass_server.rpc.interceptors import Interceptor, around_all, too_large
from forwardpass_server.rpc.methods import Service
from forwardpass_server.serving import lower_priority

T = TypeVar("T")
Work = Callable[[RpcContext, bytes], Coroutine[Any, Any, Response]]


class RestApp:
    """The protocol's endpoints as an ASGI application. Made inside the event loop."""

    def __init__(
        self,
        service: Service,
        transport: AsyncioTransport,
        *,
        outside: Sequence[Interceptor],
        inside: Sequence[Interceptor],
        max_request_bytes: int,
        inline_body_bytes: int,
        arrivals: Arrivals,
        serving: Callable[[], bool],
    ) -> None:
        """Make an application.

        Args:
            service: The gRPC service.
            transport: Takes the requests of `infer`.
            outside: The interceptors around a call and the reading of its body.
            inside: The interceptors around a call whose body was read, unless it is about health.
            max_request_bytes: The largest body in bytes, compressed and decompressed.
            inline_body_bytes: The largest body in bytes that the event loop decodes or encodes, not a thread.
            arrivals: The requests that are arriving.
            serving: Returns whether the server serves; if not, each response closes its connection.
        """
        self._service = service
        self._transport = transport
        self._outside = outside
        self._inside = inside
        self._max_request_bytes = max_request_bytes
        self._inline_body_bytes = inline_body_bytes
        self._arrivals = arrivals
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
        """Wait until the threads are idle, and end them."""
        self._threads.shutdown(wait=True)

    async def _infer(self, request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params.get("version", "")

        async def work(call: RpcContext, body: bytes) -> Response:
            given = request.headers.get(HEADER_LENGTH)
            length = header_length(given, len(body))
            if given is not None and not length:
                metadata_request = ModelMetadataRequest(name=name, version=version)
                metadata = await self._call("ModelMetadata", metadata_request, call)
                message, form = decode_raw_request(body, name, version, metadata)
            else:
                message, form = await self._in_thread(length, decode_request, body, length, name, version)
            counted = await self._transport.call(
                self._service.hot["ModelInfer"],
                message.SerializeToString(),
                request_id=call.request_id,
                credential=call.credential,
                peer=call.peer,
                expires=expires(message),
            )
            try:
                response = await self._encode(request, counted.response, form)
            except BaseException:
                counted.forget()
                raise
            return response.count(counted, self._transport.unsent, self._transport.caller(call))

        return await self._around(request, "ModelInfer", self._inside, work)

    async def _encode(self, request: Request, message: bytes, form: OutputForm) -> PacedResponse:
        """Encode a serialized response."""
        encoded = await self._in_thread(len(message), _encode, message, form)
        if encoded.header_length is None:
            response = PacedResponse(encoded.content, media_type="application/json")
        else:
            headers = {HEADER_LENGTH: str(encoded.header_length)}
            response = PacedResponse(encoded.content, headers=headers, media_type="application/octet-stream")
        # Only here: `tritonclient.http.aio` always accepts gzip, and decompresses no other response.
        await self._compress(request, response)
        return response

    async def _endpoint(self, endpoint: Endpoint, request: Request) -> Response:
        async def work(call: RpcContext, body: bytes) -> Response:
            message = GetMessageClass(self._service.descriptor.methods_by_name[endpoint.method].input_type)(
                **request.path_params
            )
            endpoint.read(message, await self._in_thread(len(body), read_object, body) if body else {})
            status, document = endpoint.write(message, await self._call(endpoint.method, message, call))
            if document is None:
                return Response(status_code=status)
            content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
            return Response(content, status, media_type="application/json")

        return await self._around(request, endpoint.method, [] if endpoint.is_health else self._inside, work)

    async def _call(self, method: str, message: Any, call: RpcContext) -> Any:
        """Call a method of the servicer."""
        return await self._service.behaviour(method)(message, call)

    async def _around(self, request: Request, method: str, inside: Sequence[Interceptor], work: Work) -> Response:
        """Respond to a request by doing some work inside the interceptors; an error becomes the response."""
        request_id, token = read_metadata(request.headers.items())
        credential = token or certificate_identities(request.scope.get(CLIENT_CERTIFICATE, {}))
        call = RpcContext(
            method=f"/{self._service.descriptor.full_name}/{method}",
            request_id=request_id,
            credential=credential,
            peer=_peer(request),
        )
        try:
            async with around_all(self._outside, call):
                body = await self._body(request)
                async with around_all(inside, call):
                    response = await while_connected(request, work(call, body))
        except ClientDisconnect:
            response = Response()  # the client has disconnected
        except HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the response
            mapped = self._transport.error_mapper.map(error, request_id, credential)
            response = error_response(error, mapped, request_id)
        if not self._serving():
            response.headers["connection"] = "close"
        return response

    async def _body(self, request: Request) -> bytes:
        """Receive the body and decompress it."""
        limit = self._max_request_bytes
        declared = request.headers.get("content-length", "0")
        if int(declared) > limit:
            raise too_large(int(declared), limit)
        body = await self._arrive(request, limit)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding in {"identity", ""}:
            return body
        if encoding not in encodings.ENCODINGS:
            known = ", ".join(encodings.ENCODINGS)
            raise HTTPException(
                415, f"content-encoding is {encoding!r:.40}; the server reads {known}", {"accept-encoding": known}
            )
        return await self._in_thread(len(body), encodings.decompress, body, encoding, limit)

    async def _arrive(self, request: Request, limit: int) -> bytes:
        """Receive the body."""
        chunks: list[bytes] = []
        errors: list[Exception] = []
        size = 0

        def give_up(error: Exception) -> None:
            errors.append(error)
            now.reschedule(0)

        try:
            async with asyncio.timeout(None) as now:
                arrival = self._arrivals.begin(_peer(request).rpartition(":")[0], give_up)
                try:
                    async for chunk in request.stream():
                        chunks.append(chunk)
                        size += len(chunk)
                        if size > limit:
                            raise too_large(size, limit)
                        self._arrivals.grow(arrival, len(chunk))
                finally:
                    self._arrivals.end(arrival)
        except TimeoutError:
            # The error holds this frame, and must not be held by it: such a cycle would keep the chunks for long.
            chunks.clear()
            raise errors.pop() from None
        return b"".join(chunks)

    async def _compress(self, request: Request, response: Response) -> None:
        """Compress a response that is large enough, if the client accepts it."""
        response.headers["vary"] = "accept-encoding"
        encoding = encodings.choose(request.headers.get("accept-encoding", ""))
        if encoding is None or len(response.body) < encodings.MIN_COMPRESSED_BYTES:
            return
        response.body = await self._in_thread(len(response.body), encodings.compress, bytes(response.body), encoding)
        response.headers["content-encoding"] = encoding
        response.headers["content-length"] = str(len(response.body))

    async def _http_error(self, request: Request, error: Exception) -> Response:
        """Return the error of a request that no endpoint takes."""
        assert isinstance(error, HTTPException)  # noqa: S101 - the handler of these
        allowed = (error.headers or {}).get("Allow")
        sentences = {404: "there is no such endpoint", 405: f"the endpoint takes {allowed}"}
        place = f"{request.method} {request.url.path:.80}"
        return sentence(error.status_code, f"{place}: {sentences.get(error.status_code, error.detail)}", error.headers)

    async def _in_thread(self, size: int, work: Callable[..., T], *arguments: Any) -> T:
        """Do some work on a body of a size in bytes: in the event loop if it is small, else in a thread."""
        if size <= self._inline_body_bytes:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments))


def _encode(response: bytes, form: OutputForm) -> ResponseBody:
    return encode_response(ModelInferResponse.FromString(response), form)


def _peer(request: Request) -> str:
    """Return where a request came from, as gRPC writes it."""
    if request.client is None:
        return ""
    host, port = request.client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
