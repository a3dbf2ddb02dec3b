"""The servicer of `inference.GRPCInferenceService`, over the registry and the transport of our own services."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Final

from forwardpass.errors import ForwardpassError, MethodNotFoundError, NotFoundError, VersionOutOfServiceError
from forwardpass.spec import Limits

from forwardpass_server.oip import repository
from forwardpass_server.oip.infer import INFER, all_of, find
from forwardpass_server.oip.model_metadata import PLATFORM, configuration, max_batch_size, metadata
from forwardpass_server.oip.statistics import statistics
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.registry import LoadedVersion, Registry, Snapshot, VersionState
from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.methods import Service
from forwardpass_server.rpc.read_at_revision import read_at_revision
from forwardpass_server.rpc.sending import Counted, nothing, peer_of_call, timed
from forwardpass_server.rpc.streams import respond_to_each

SERVICE: Final = v2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
INFERENCE: Final = SERVICE.full_name
EXTENSIONS: Final = (
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "statistics",
)
"""The extensions of the protocol that the server offers over gRPC; a test proves each."""

_LOOK_SECONDS: Final = 0.02
"""How often a response that waits for its turn looks whether its caller has no room for another."""
_FINAL: Final = v2.ModelInferResponse(
    parameters={"triton_final_response": v2.InferParameter(bool_param=True)}
).SerializeToString()
"""Added to each response in a stream, since it is the only one of its request."""


class InferenceService:
    """The methods other than ModelInfer. A version that is not in memory is loaded in a thread."""

    def __init__(
        self,
        registry: Registry,
        transport: AsyncioTransport,
        is_serving: Callable[[], bool],
        guard: Guard,
        *,
        max_rows: int,
        limits: Limits,
        extensions: Sequence[str],
        collect_counts: Callable[[], None],
    ) -> None:
        self._extensions = sorted({*EXTENSIONS, *extensions})
        self._limits = limits
        self._registry = registry
        self._transport = transport
        self._is_serving = is_serving
        self._guard = guard
        self._max_rows = max_rows
        self._collect_counts = collect_counts

    async def server_live(self, _: v2.ServerLiveRequest, __: RpcContext) -> v2.ServerLiveResponse:
        """Return that the server runs."""
        return v2.ServerLiveResponse(live=True)

    async def server_ready(self, _: v2.ServerReadyRequest, __: RpcContext) -> v2.ServerReadyResponse:
        """Return whether the server serves, which it does not while it drains."""
        return v2.ServerReadyResponse(ready=self._is_serving())

    async def server_metadata(self, _: v2.ServerMetadataRequest, __: RpcContext) -> v2.ServerMetadataResponse:
        """Return the name, version and extensions of the server."""
        return v2.ServerMetadataResponse(name=PLATFORM, version=_own_version(), extensions=self._extensions)

    async def model_ready(self, request: v2.ModelReadyRequest, __: RpcContext) -> v2.ModelReadyResponse:
        """Return whether a version serves; one that does not exist does not."""
        try:
            _, found = await self._found(request.name, request.version)
        except (NotFoundError, VersionOutOfServiceError):
            return v2.ModelReadyResponse(ready=False)
        return v2.ModelReadyResponse(ready=self._is_serving() and not self._registry.is_damaged(found))

    async def model_metadata(self, request: v2.ModelMetadataRequest, _: RpcContext) -> v2.ModelMetadataResponse:
        """Return the inputs and outputs of a version."""
        loaded = await self._loaded(request.name, request.version)
        return metadata(loaded, all_of(self._registry.snapshot, request.name))

    async def model_config(self, request: v2.ModelConfigRequest, _: RpcContext) -> v2.ModelConfigResponse:
        """Return the configuration of a version."""
        loaded = await self._loaded(request.name, request.version)
        versions = all_of(self._registry.snapshot, request.name)
        return v2.ModelConfigResponse(config=configuration(loaded, versions, self._max_rows))

    def model_stream_infer(
        self, requests: AsyncIterator[v2.ModelInferRequest], call: RpcContext
    ) -> AsyncIterator[v2.ModelStreamInferResponse]:
        """Respond to each request in turn; an error is a response, and the stream goes on."""
        return respond_to_each(
            requests,
            lambda request, turn: self._respond(request, call, turn),
            max_requests=self._transport.max_stream_requests,
            in_order=True,
        )

    async def model_statistics(
        self, request: v2.ModelStatisticsRequest, call: RpcContext
    ) -> v2.ModelStatisticsResponse:
        """Return the statistics of one version, of all versions of a network, or of all."""
        wanted = self._guard.network_filter(call.credential)
        return await asyncio.to_thread(self._statistics, request.name, request.version, wanted)

    async def repository_index(
        self, request: v2.RepositoryIndexRequest, call: RpcContext
    ) -> v2.RepositoryIndexResponse:
        """List all versions, or only those that are ready."""
        repository.check_repository(request.repository_name)
        wanted = self._guard.network_filter(call.credential)
        return await asyncio.to_thread(repository.index, self._registry, ready=request.ready, wanted=wanted)

    async def repository_model_load(
        self, request: v2.RepositoryModelLoadRequest, _: RpcContext
    ) -> v2.RepositoryModelLoadResponse:
        """Load a network, or register the file of the request."""
        repository.check_repository(request.repository_name)
        await asyncio.to_thread(
            repository.load,
            self._registry,
            request.model_name,
            request.parameters,
            self._limits,
            max_batch_size(self._max_rows),
        )
        return v2.RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, request: v2.RepositoryModelUnloadRequest, _: RpcContext
    ) -> v2.RepositoryModelUnloadResponse:
        """Unload a network."""
        repository.check_repository(request.repository_name)
        await asyncio.to_thread(repository.unload, self._registry, request.model_name, request.parameters)
        return v2.RepositoryModelUnloadResponse()

    async def trace_setting(self, _: v2.TraceSettingRequest, __: RpcContext) -> v2.TraceSettingResponse:
        """Raise an error: Triton's traces are times in files, which this server does not write."""
        raise _not_offered(
            "TraceSetting", "ask for the outputs LAYER.pre_activation and LAYER.activation to see what a model computes"
        )

    async def log_settings(self, _: v2.LogSettingsRequest, __: RpcContext) -> v2.LogSettingsResponse:
        """Raise an error: the log level is a setting, read when the server starts."""
        raise _not_offered("LogSettings", "the log level is the setting `log_level`, read when the server starts")

    def _statistics(
        self, name: str, reference: str, wanted: Callable[[str], bool] | None
    ) -> v2.ModelStatisticsResponse:
        self._collect_counts()
        snapshot = self._registry.snapshot
        if reference:
            versions: Iterable[VersionState] = [find(snapshot, name, reference)]
        elif name:
            versions = all_of(snapshot, name)
        else:
            versions = snapshot.versions(wanted)
        return v2.ModelStatisticsResponse(model_stats=map(statistics, versions))

    async def _found(self, name: str, reference: str) -> tuple[Snapshot, VersionState]:
        return await read_at_revision(self._registry, lambda snapshot: find(snapshot, name, reference))

    async def _loaded(self, name: str, reference: str) -> LoadedVersion:
        _, found = await self._found(name, reference)
        resident = self._registry.get_loaded(found)
        if resident is not None:
            return resident
        return await asyncio.to_thread(self._registry.load, found)

    async def _respond(
        self, request: v2.ModelInferRequest, call: RpcContext, turn: asyncio.Event
    ) -> Counted[v2.ModelStreamInferResponse]:
        try:
            counted = await self._infer(request, call, counts_as_call=True)
            if counted.size and not turn.is_set() and not await self._kept(counted, call, turn):
                counted.forget()
                del counted
                await turn.wait()
                counted = await self._infer(request, call, counts_as_call=False)
        except Exception as error:  # noqa: BLE001 - becomes the response to this request
            text = self._transport.error_mapper.map(error, call.request_id, call.credential).status.message
            failed = v2.ModelStreamInferResponse(
                error_message=text, infer_response=v2.ModelInferResponse(id=request.id)
            )
            return Counted(failed, 0, nothing)
        inferred = v2.ModelInferResponse.FromString(counted.response + _FINAL)
        message = v2.ModelStreamInferResponse(infer_response=inferred)
        response = Counted(message, counted.size, counted.forget, counted.claim)
        return timed(self._transport.unsent, peer_of_call(call), response)

    async def _infer(self, request: v2.ModelInferRequest, call: RpcContext, *, counts_as_call: bool) -> Counted[bytes]:
        return await self._transport.call(
            INFER,
            request.SerializeToString(),
            request_id=call.request_id,
            credential=call.credential,
            peer=call.peer,
            expires=call.expires,
            counts_as_call=counts_as_call,
        )

    async def _kept(self, counted: Counted[bytes], call: RpcContext, turn: asyncio.Event) -> bool:
        """Keep a response until its turn; return False if its caller has no room for another one before that.

        The other one may be of an earlier request of the stream, and wait for the room that this one takes, which
        waits for it in turn. So this one is given up and computed again.
        """
        try:
            while not turn.is_set():
                if self._transport.unsent.waits(self._transport.caller(call)):
                    return False
                with suppress(TimeoutError):
                    await asyncio.wait_for(turn.wait(), _LOOK_SECONDS)
        except asyncio.CancelledError:
            counted.forget()
            raise
        return True


def inference_service(
    registry: Registry,
    transport: AsyncioTransport,
    is_serving: Callable[[], bool],
    guard: Guard,
    *,
    max_rows: int,
    limits: Limits,
    extensions: Sequence[str] = (),
    collect_counts: Callable[[], None] = lambda: None,
) -> Service:
    """Make the service.

    Args:
        registry: The networks.
        transport: Takes the calls of ModelInfer and ModelStreamInfer.
        is_serving: Returns whether the server takes calls.
        guard: Who may call which networks.
        max_rows: Rows of one call.
        limits: How large a spec may be.
        extensions: Extensions of the protocol that the server has beside those of gRPC.
        collect_counts: Adds what other processes have counted to the statistics; may wait for them.
    """
    servicer = InferenceService(
        registry,
        transport,
        is_serving,
        guard,
        max_rows=max_rows,
        limits=limits,
        extensions=extensions,
        collect_counts=collect_counts,
    )
    return Service(SERVICE, servicer, {INFER.name: INFER}, guard)


@cache
def _own_version() -> str:
    """Return the version of this program, which is read from a file."""
    return version("forwardpass")


def _not_offered(method: str, instead: str) -> ForwardpassError:
    path = f"/{SERVICE.full_name}/{method}"
    return MethodNotFoundError(f"{method} is not offered: {instead}", resourceType="method", resourceName=path)
