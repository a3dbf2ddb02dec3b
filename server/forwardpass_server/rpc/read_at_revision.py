"""Reads from a snapshot of a revision or later: a response must not miss what its caller knows already."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from forwardpass.errors import NotFoundError

from forwardpass_server.registry import Registry, Snapshot, revision_ahead

T = TypeVar("T")


async def refresh(registry: Registry) -> None:
    """Wait until the registry's snapshot has everything that was committed before this call.

    Raises:
        StoreUnavailableError: The database cannot be read now.
    """
    loop = asyncio.get_running_loop()
    refreshed: asyncio.Future[None] = loop.create_future()

    def complete(error: Exception | None) -> None:
        if refreshed.done():  # the caller was cancelled
            return
        if error is None:
            refreshed.set_result(None)
        else:
            refreshed.set_exception(error)

    def on_refreshed(error: Exception | None) -> None:
        loop.call_soon_threadsafe(complete, error)

    registry.refresh(on_refreshed)
    await refreshed


async def snapshot_at_revision(registry: Registry, min_revision: int) -> Snapshot:
    """Return a snapshot of a revision or a later one.

    Raises:
        StoreUnavailableError: The snapshot in memory is older, and the database cannot be read now.
        RevisionAheadError: The database has no such revision.
    """
    if registry.revision < min_revision:
        await refresh(registry)
        if registry.revision < min_revision:
            raise revision_ahead(min_revision, registry.revision)
    return registry.snapshot


async def read_at_revision(
    registry: Registry, find: Callable[[Snapshot], T], *, min_revision: int = 0
) -> tuple[Snapshot, T]:
    """Find something in a snapshot; return both. If it is not found, it is not in the database either.

    Raises:
        NotFoundError: As `find` does.
        StoreUnavailableError: As `snapshot_at_revision` does, and if only the database could tell.
        RevisionAheadError: As `snapshot_at_revision` does.
    """
    snapshot = await snapshot_at_revision(registry, min_revision)
    try:
        return snapshot, find(snapshot)
    except NotFoundError:
        if not registry.shared:
            raise
    await refresh(registry)
    snapshot = registry.snapshot
    return snapshot, find(snapshot)
