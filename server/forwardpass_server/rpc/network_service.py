"""`forwardpass.v1.NetworkService`: convert, call the registry in a thread, convert."""

import asyncio
import base64
import binascii
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from forwardpass import spec
from forwardpass.errors import (
    Fault,
    InvalidFieldError,
    NetworkNotFoundError,
    NotFoundError,
    QuotaExceededError,
    StoreUnavailableError,
)
from forwardpass.profiles import to_message
from forwardpass.v1 import network_service_pb2 as v1
from forwardpass.v1.network_pb2 import Network, NetworkVersion

from forwardpass_server.memory import Arrivals
from forwardpass_server.registry import LATEST, NetworkState, Registered, Registry, VersionState
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.broadcast import Broadcast
from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.convert import move_message, network_message, shadow_report, timestamp, version_message
from forwardpass_server.rpc.read_at_revision import read_at_revision, snapshot_at_revision
from forwardpass_server.rpc.receiving import host_of, peer_of
from forwardpass_server.serving import lower_priority

SERVICE: Final = v1.DESCRIPTOR.services_by_name["NetworkService"]
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 1_000
MAX_CHANGES: Final = 256
"""Changes of which the event is kept for watchers that were not sent it yet."""

T = TypeVar("T")


class NetworkService:
    """The registry over gRPC. The event loop never waits for the disk: that is done in threads."""

    def __init__(
        self,
        registry: Registry,
        broadcast: Broadcast,
        limits: spec.Limits,
        uploads: Arrivals,
        guard: Guard,
        collect_counts: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry = registry
        self._broadcast = broadcast
        self._limits = limits
        self._uploads = uploads
        self._guard = guard
        self._collect_counts = collect_counts
        # The event of a network's last change, and the registry's revision at which it was made.
        self._changes: dict[str, tuple[int, asyncio.Future[bytes]]] = {}
        # Threads of their own, so that calls waiting for a slow disk leave other threads free; and two kinds, so that
        # registrations, which may compute for long, keep no other call waiting. Those compute at low priority. The
        # others are short, and wait for no core that another process or a registration has: a list took half a second.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="registry")
        self._registrations = ThreadPoolExecutor(
            max_workers=4, thread_name_prefix="registration", initializer=lower_priority
        )

    def close(self) -> None:
        """Wait for what the threads have begun."""
        self._threads.shutdown(wait=True)
        self._registrations.shutdown(wait=True)

    async def register_network(self, request: v1.RegisterNetworkRequest, _: RpcContext) -> v1.RegisterNetworkResponse:
        """Register a spec that came as a message."""

        def register(is_wanted: Callable[[], bool]) -> Registered:
            spec.check_name(request.network)
            if not request.HasField("spec"):
                raise _invalid("spec", "is not set; send the network's spec")
            return self._registry.register(
                request.network,
                spec.from_message(request.spec, limits=self._limits),
                validate_only=request.validate_only,
                keep_latest=request.keep_latest,
                is_wanted=is_wanted,
            )

        return v1.RegisterNetworkResponse(**self._registered(await self._register(register)))

    async def upload_network(
        self, requests: AsyncIterator[v1.UploadNetworkRequest], call: RpcContext
    ) -> v1.UploadNetworkResponse:
        """Register a spec that came as the chunks of a safetensors file."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "header":
            raise _invalid("header", "is missing; the first message of an upload has the header")
        header = first.header
        self._guard.check_network(call.method, header.network, call.credential)
        spec.check_name(header.network)
        if not 0 < header.size_bytes <= self._limits.max_network_bytes:
            raise QuotaExceededError(
                f"header.size_bytes is {header.size_bytes:,}; the server accepts "
                f"1 to {self._limits.max_network_bytes:,} (setting `max_network_bytes`)",
                quotaValue=header.size_bytes,
                quotaLimit=self._limits.max_network_bytes,
                setting="max_network_bytes",
            )
        if header.size_bytes > self._uploads.max_bytes:
            raise QuotaExceededError(
                f"header.size_bytes is {header.size_bytes:,}; uploads may hold {self._uploads.max_bytes:,} bytes here "
                "(9 of 32 parts of the setting `max_memory`)",
                quotaValue=header.size_bytes,
                quotaLimit=self._uploads.max_bytes,
                setting="max_memory",
            )
        chunks = await self._receive_chunks(requests, header.size_bytes, call)
        size = sum(map(len, chunks))
        if size != header.size_bytes:
            raise _invalid("chunk", f"the file has {size} bytes so far; the header says {header.size_bytes}")

        def register(is_wanted: Callable[[], bool]) -> Registered:
            return self._registry.register(
                header.network,
                spec.from_safetensors(b"".join(chunks), limits=self._limits),
                validate_only=header.validate_only,
                keep_latest=header.keep_latest,
                is_wanted=is_wanted,
            )

        return v1.UploadNetworkResponse(**self._registered(await self._register(register)))

    async def _receive_chunks(
        self, requests: AsyncIterator[v1.UploadNetworkRequest], size: int, call: RpcContext
    ) -> list[bytes]:
        """Receive the chunks of an upload, until they have more bytes than they should have together.

        Raises:
            OverloadedError: Uploads hold too many bytes, and this one has to go.
            DeadlineExceededError: The next chunk does not arrive in time.
        """
        chunks: list[bytes] = []
        errors: list[Exception] = []

        def give_up(error: Exception) -> None:
            errors.append(error)
            limit.reschedule(0)

        caller = "" if call.servicer is None else host_of(peer_of(call.servicer))
        try:
            async with asyncio.timeout(None) as limit:
                upload = self._uploads.begin(caller, give_up)
                try:
                    async for request in requests:
                        if request.WhichOneof("part") != "chunk":
                            raise _invalid("chunk", "is missing; every message after the first has a chunk")
                        chunks.append(request.chunk)
                        self._uploads.grow(upload, len(request.chunk))
                        self._uploads.restart(upload)
                        size -= len(request.chunk)
                        if size < 0:
                            break
                finally:
                    self._uploads.end(upload)
        except TimeoutError:
            if not errors:
                raise
            chunks.clear()  # the error holds this frame
            raise errors.pop() from None
        return chunks

    async def get_network(self, request: v1.GetNetworkRequest, _: RpcContext) -> v1.GetNetworkResponse:
        """Get a network, one of its versions, and on request the spec."""
        snapshot, version = await read_at_revision(
            self._registry,
            lambda snapshot: snapshot.version(request.network, request.version),
            min_revision=request.min_revision,
        )
        network = snapshot.network(request.network)

        def read() -> v1.GetNetworkResponse:
            full = request.view == v1.NETWORK_VIEW_FULL
            return v1.GetNetworkResponse(
                network=self._network(network),
                version=version_message(version, self._registry.read_summary(version), network),
                spec=spec.to_message(self._registry.read_spec(network.name, str(version.number))) if full else None,
                revision=snapshot.revision,
            )

        return await self._in_thread(read)

    async def list_networks(self, request: v1.ListNetworksRequest, call: RpcContext) -> v1.ListNetworksResponse:
        """List networks by name, a page at a time; a page begins after the last name of the one before."""
        after = _read_token(request.page_token)
        size = _page_size(request.page_size)
        snapshot = await snapshot_at_revision(self._registry, request.min_revision)
        wanted = self._guard.network_filter(call.credential)

        def read() -> v1.ListNetworksResponse:
            networks = snapshot.list_networks(after=after, limit=size + 1, wanted=wanted)
            return v1.ListNetworksResponse(
                networks=self._networks(networks[:size]),
                next_page_token=_token(networks[size - 1].name) if len(networks) > size else "",
                revision=snapshot.revision,
            )

        return await self._in_thread(read)

    async def list_versions(self, request: v1.ListVersionsRequest, _: RpcContext) -> v1.ListVersionsResponse:
        """List a network's versions, newest first, a page at a time."""
        snapshot, network = await read_at_revision(
            self._registry,
            lambda snapshot: snapshot.network(request.network),
            min_revision=request.min_revision,
        )
        before = _read_token(request.page_token)
        if before and not before.isdecimal():
            raise _invalid("page_token", "is not one that this server gave")
        versions = [
            version
            for number, version in sorted(network.versions.items(), reverse=True)
            if not before or number < int(before)
        ]
        size = _page_size(request.page_size)
        return v1.ListVersionsResponse(
            versions=await self._in_thread(functools.partial(self._versions, network, versions[:size])),
            next_page_token=_token(str(versions[size - 1].number)) if len(versions) > size else "",
            revision=snapshot.revision,
        )

    async def delete_network(self, request: v1.DeleteNetworkRequest, _: RpcContext) -> v1.DeleteNetworkResponse:
        """Delete a network."""
        revision = await self._in_thread(functools.partial(self._registry.delete_network, request.network))
        return v1.DeleteNetworkResponse(revision=revision)

    async def delete_version(self, request: v1.DeleteVersionRequest, _: RpcContext) -> v1.DeleteVersionResponse:
        """Delete one version."""
        work = functools.partial(self._registry.delete_version, request.network, request.version)
        network, revision = await self._in_thread(functools.partial(self._written, work))
        return v1.DeleteVersionResponse(network=network, revision=revision)

    async def set_alias(self, request: v1.SetAliasRequest, _: RpcContext) -> v1.SetAliasResponse:
        """Make an alias name a version."""
        expected = request.expected_version if request.HasField("expected_version") else None
        work = functools.partial(
            self._registry.rollout.set_alias, request.network, request.alias, request.version, expected=expected
        )
        network, revision = await self._in_thread(functools.partial(self._written, work))
        return v1.SetAliasResponse(network=network, revision=revision)

    async def rollback_alias(self, request: v1.RollbackAliasRequest, _: RpcContext) -> v1.RollbackAliasResponse:
        """Move an alias back to the version that it named before."""
        expected = request.expected_version if request.HasField("expected_version") else None

        def roll_back() -> v1.RollbackAliasResponse:
            network, before = self._registry.rollout.rollback_alias(request.network, request.alias, expected=expected)
            message, revision = self._written(lambda: network)
            return v1.RollbackAliasResponse(
                network=message,
                from_version=before,
                to_version=network.aliases[request.alias],
                revision=revision,
            )

        return await self._in_thread(roll_back)

    async def list_alias_moves(self, request: v1.ListAliasMovesRequest, __: RpcContext) -> v1.ListAliasMovesResponse:
        """List what an alias named, newest first."""
        snapshot, _ = await read_at_revision(
            self._registry,
            lambda snapshot: snapshot.version_of_alias(request.network, request.alias),
            min_revision=request.min_revision,
        )
        kept = snapshot.network(request.network).versions
        moves = await self._in_thread(
            functools.partial(self._registry.rollout.list_alias_moves, request.network, request.alias)
        )
        return v1.ListAliasMovesResponse(
            moves=[move_message(move, deleted=move.number not in kept) for move in moves],
            revision=snapshot.revision,
        )

    async def delete_alias(self, request: v1.DeleteAliasRequest, _: RpcContext) -> v1.DeleteAliasResponse:
        """Delete an alias."""
        work = functools.partial(self._registry.rollout.delete_alias, request.network, request.alias)
        network, revision = await self._in_thread(functools.partial(self._written, work))
        return v1.DeleteAliasResponse(network=network, revision=revision)

    async def set_shadow(self, request: v1.SetShadowRequest, _: RpcContext) -> v1.SetShadowResponse:
        """Set a shadow: compute a version beside another one."""
        work = functools.partial(
            self._registry.rollout.set_shadow,
            request.network,
            request.of,
            request.version,
            share=request.share,
            tolerance=request.tolerance if request.HasField("tolerance") else None,
        )
        network, revision = await self._in_thread(functools.partial(self._written, work))
        return v1.SetShadowResponse(network=network, revision=revision)

    async def clear_shadow(self, request: v1.ClearShadowRequest, _: RpcContext) -> v1.ClearShadowResponse:
        """End a shadow."""
        work = functools.partial(self._registry.rollout.clear_shadow, request.network, request.of)
        network, revision = await self._in_thread(functools.partial(self._written, work))
        return v1.ClearShadowResponse(network=network, revision=revision)

    async def list_shadows(self, request: v1.ListShadowsRequest, _: RpcContext) -> v1.ListShadowsResponse:
        """List a network's shadows, and what was counted of each."""
        snapshot, network = await read_at_revision(
            self._registry,
            lambda snapshot: snapshot.network(request.network),
            min_revision=request.min_revision,
        )
        await self._in_thread(self._collect_counts)
        reports = map(shadow_report, network.shadowings)
        return v1.ListShadowsResponse(reports=reports, revision=snapshot.revision)

    async def set_profile(self, request: v1.SetProfileRequest, _: RpcContext) -> v1.SetProfileResponse:
        """Keep the profile of a version."""

        def set_profile() -> v1.SetProfileResponse:
            if not request.HasField("profile"):
                raise _invalid("profile", "is not set; send the version's profile")
            network, number = self._registry.profiles.set(request.network, request.version, request.profile)
            return v1.SetProfileResponse(
                version=number,
                set_time=timestamp(network.profiles[number].set_time),
                revision=max(network.revision, self._registry.revision),
            )

        return await self._in_thread(set_profile)

    async def get_profile(self, request: v1.GetProfileRequest, _: RpcContext) -> v1.GetProfileResponse:
        """Get the profile of a version."""
        snapshot, version = await read_at_revision(
            self._registry,
            lambda snapshot: snapshot.version(request.network, request.version),
            min_revision=request.min_revision,
        )

        def read() -> v1.GetProfileResponse:
            profile = self._registry.profiles.read(version)
            return v1.GetProfileResponse(
                profile=to_message(profile),
                network=version.network,
                version=version.number,
                digest=version.digest,
                set_time=timestamp(profile.set_time) if profile.set_time else None,
                revision=snapshot.revision,
            )

        return await self._in_thread(read)

    async def delete_profile(self, request: v1.DeleteProfileRequest, _: RpcContext) -> v1.DeleteProfileResponse:
        """Delete the profile of a version."""
        work = functools.partial(self._registry.profiles.delete, request.network, request.version)
        network, number = await self._in_thread(work)
        return v1.DeleteProfileResponse(version=number, revision=max(network.revision, self._registry.revision))

    async def watch_networks(
        self, request: v1.WatchNetworksRequest, call: RpcContext
    ) -> AsyncIterator[v1.WatchNetworksResponse | bytes]:
        """Send every network, then each that changes; a slow watcher gets the latest states only.

        Raises:
            OverloadedError: The watcher fell too far behind.
        """
        allows = self._guard.network_filter(call.credential)

        def wanted(name: str) -> bool:
            # The empty name stands for the server's own health.
            return bool(name) and name.startswith(request.name_prefix) and (allows is None or allows(name))

        with self._broadcast.listen(wanted) as listener:
            snapshot = await snapshot_at_revision(self._registry, request.min_revision)
            networks = await self._in_thread(functools.partial(snapshot.list_networks, wanted=wanted))
            for start in range(0, len(networks), DEFAULT_PAGE):
                work = functools.partial(self._networks, networks[start : start + DEFAULT_PAGE])
                for message in await self._in_thread(work):
                    yield _event(v1.NETWORK_EVENT_CURRENT, message, snapshot.revision)
            yield _event(v1.NETWORK_EVENT_SYNCED, None, snapshot.revision)
            while (names := await listener.changed()) is not None:
                for name in sorted(names):
                    yield await self._encoded_change(name)

    async def _encoded_change(self, name: str) -> bytes:
        """Return the event of a changed network, encoded once for all watchers."""
        revision = self._registry.revision
        if name not in self._changes or self._changes[name][0] != revision:
            if len(self._changes) >= MAX_CHANGES:
                self._changes.clear()
            work = functools.partial(self._change, name)
            self._changes[name] = revision, asyncio.ensure_future(self._in_thread(work))
        # The first watcher may leave before the others have it.
        return await asyncio.shield(self._changes[name][1])

    def _network(self, network: NetworkState) -> Network:
        """Return a network as a message; this may wait for the store."""
        try:
            description = self._registry.read_description(network.versions[network.aliases[LATEST]])
        except NotFoundError:  # deleted meanwhile
            description = ""
        return network_message(network, description)

    def _networks(self, networks: Sequence[NetworkState]) -> list[Network]:
        self._registry.cache_descriptions(network.versions[network.aliases[LATEST]] for network in networks)
        return [*map(self._network, networks)]

    def _written(self, write: Callable[[], NetworkState]) -> tuple[Network, int]:
        """Change a network; return it as a message, and a revision that has the change."""
        network = write()
        revision = max(network.revision, self._registry.revision)
        try:
            return self._network(network), revision
        except StoreUnavailableError:  # the change is made, so this is no error
            return network_message(network, ""), revision

    def _versions(self, network: NetworkState, versions: Sequence[VersionState]) -> list[NetworkVersion]:
        """Return versions as messages, without those that were deleted meanwhile; this may wait for the store."""
        messages = []
        for version in versions:
            with contextlib.suppress(NotFoundError):
                messages.append(version_message(version, self._registry.read_summary(version), network))
        return messages

    def _change(self, name: str) -> bytes:
        snapshot = self._registry.snapshot
        try:
            network = self._network(snapshot.network(name))
        except NetworkNotFoundError:
            return _event(v1.NETWORK_EVENT_DELETED, Network(name=name), snapshot.revision).SerializeToString()
        return _event(v1.NETWORK_EVENT_CHANGED, network, snapshot.revision).SerializeToString()

    def _registered(self, done: Registered) -> dict[str, Any]:
        """Return the fields that the responses of both ways to register have in common."""
        network = None
        with contextlib.suppress(NetworkNotFoundError):  # validated only, or deleted meanwhile
            network = self._registry.network(done.version.network)
        version = version_message(done.version, done.summary, network)
        return {"version": version, "created": done.created, "revision": done.revision}

    async def _register(self, register: Callable[[Callable[[], bool]], Registered]) -> Registered:
        """Register in a thread; it ends soon after the caller stops waiting, if examples are computed."""
        waiting = True
        work = functools.partial(register, lambda: waiting)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._registrations, work)
        finally:
            waiting = False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _event(event: v1.NetworkEvent, network: Network | None, revision: int) -> v1.WatchNetworksResponse:
    return v1.WatchNetworksResponse(event=event, network=network, revision=revision)


def _page_size(size: int) -> int:
    if size < 0:
        raise _invalid("page_size", f"is {size}; it cannot be negative")
    return min(size or DEFAULT_PAGE, MAX_PAGE)


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _invalid("page_token", "is not one that this server gave") from None


def _invalid(field: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{field}: {message}", faults=[Fault(path=field, message=message)], field=field)
