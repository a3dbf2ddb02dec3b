"""The stage `resolve`: from the name in a request to a version that is loaded.

Nearly every request names a version of the registry's snapshot whose plan is in memory: `resolve_now`. Whatever has to
wait waits here: for the registry to catch up with what other servers wrote, and for a plan to be compiled (`resolve`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from forwardpass.errors import ForwardpassError, NotFoundError

from forwardpass_server.registry import revision_ahead
from forwardpass_server.serving.tasks import next_turn, until

if TYPE_CHECKING:
    from forwardpass_server.registry import LoadedVersion, Registry, Snapshot, VersionState
    from forwardpass_server.serving.requests import InferenceRequest, RawRequest


class ResolvedRequest(NamedTuple):
    """A decoded request and the version that computes it.

    Attributes:
        request: The raw request.
        inference: The decoded request.
        version: The version.
        loaded: The same version with its plan.
        snapshot: The registry's snapshot in which the version was found.
    """

    request: "RawRequest"
    inference: "InferenceRequest"
    version: "VersionState"
    loaded: "LoadedVersion"
    snapshot: "Snapshot"


class UnresolvedRequest(NamedTuple):
    """A decoded request that has to wait.

    Attributes:
        request: The raw request.
        inference: The decoded request.
        version: The version, which has to be loaded; None if the registry has to be refreshed to find one.
        snapshot: The snapshot that was searched.
    """

    request: "RawRequest"
    inference: "InferenceRequest"
    version: "VersionState | None"
    snapshot: "Snapshot"


class RejectedRequest(NamedTuple):
    """A request and the error that is the response to it."""

    request: "RawRequest"
    error: Exception

    @classmethod
    def of(cls, request: "RawRequest", error: Exception) -> "RejectedRequest":
        """Reject a request with an error that was raised.

        One of ours loses its traceback: the frames in it keep the request, and what they keep leads back to the error,
        so that requests of megabytes would stay until garbage is collected. An unexpected one is logged with it.
        """
        if isinstance(error, ForwardpassError):
            error.__traceback__ = error.__context__ = None
        return cls(request, error)


def resolve_now(
    request: "RawRequest", inference: "InferenceRequest", registry: "Registry", snapshot: "Snapshot"
) -> ResolvedRequest | UnresolvedRequest:
    """Find the version that a request names, without waiting.

    Raises:
        NotFoundError: There is no such version, and no other server could have registered it.
        VersionOutOfServiceError: The version computes nothing.
    """
    if inference.min_revision > snapshot.revision:
        return UnresolvedRequest(request, inference, None, snapshot)
    try:
        version = inference.find(snapshot)
    except NotFoundError:
        if not registry.shared:
            raise
        return UnresolvedRequest(request, inference, None, snapshot)
    loaded = find_loaded(inference, version, registry)
    if loaded is None:
        return UnresolvedRequest(request, inference, version, snapshot)
    return ResolvedRequest(request, inference, version, loaded, snapshot)


def find_loaded(inference: "InferenceRequest", version: "VersionState", registry: "Registry") -> "LoadedVersion | None":
    """Return a version if it is in memory with everything that the request needs."""
    return registry.get_profiled(version) if inference.wants_profile else registry.get_loaded(version)


async def resolve(
    unresolved: Sequence[UnresolvedRequest], registry: "Registry"
) -> list[ResolvedRequest | RejectedRequest]:
    """Wait until the versions of requests are found and loaded; return each request resolved or rejected."""
    found: list[ResolvedRequest | UnresolvedRequest | RejectedRequest] = [*unresolved]
    if any(request.version is None for request in unresolved):
        await next_turn()  # the transport's thread has other requests to take
        error: Exception | None = await until(registry.refresh)
        found = [
            request if request.version is not None else _find_again(request, registry, error) for request in unresolved
        ]
    resolved: list[ResolvedRequest | RejectedRequest] = []
    for request in found:
        if isinstance(request, UnresolvedRequest):
            await next_turn()
            request = _load(request, registry)  # noqa: PLW2901 - the same request, one step further
        resolved.append(request)
    return resolved


def _find_again(
    unresolved: UnresolvedRequest, registry: "Registry", error: Exception | None
) -> ResolvedRequest | UnresolvedRequest | RejectedRequest:
    """Find a version after the registry was refreshed, or was not because of an error."""
    request, inference, _, _ = unresolved
    if error is not None:
        return RejectedRequest.of(request, error)
    snapshot = registry.snapshot
    if inference.min_revision > snapshot.revision:
        return RejectedRequest(request, revision_ahead(inference.min_revision, snapshot.revision))
    try:
        version = inference.find(snapshot)
        loaded = find_loaded(inference, version, registry)
    except Exception as rejection:  # noqa: BLE001 - becomes the response
        return RejectedRequest.of(request, rejection)
    if loaded is None:
        return UnresolvedRequest(request, inference, version, snapshot)
    return ResolvedRequest(request, inference, version, loaded, snapshot)


def _load(unresolved: UnresolvedRequest, registry: "Registry") -> ResolvedRequest | RejectedRequest:
    """Compile the plan of a version that was found, and read its profile if the request needs it."""
    request, inference, version, snapshot = unresolved
    assert version is not None  # noqa: S101 - `resolve` finds it first
    try:
        load = registry.load_profiled if inference.wants_profile else registry.load
        return ResolvedRequest(request, inference, version, load(version), snapshot)
    except Exception as error:  # noqa: BLE001 - becomes the response
        return RejectedRequest.of(request, error)
