"""Answers from a snapshot that is new enough: what a caller knows of must not be missing in its answer."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from forwardpass.errors import NotFoundError

from forwardpass_server.registry import Registry, Snapshot, revision_ahead

T = TypeVar("T")


async def look(registry: Registry) -> None:
    """Wait until all that was committed before is in the registry's snapshot.

    Raises:
        StoreUnavailableError: The database cannot be asked now.
    """
    loop = asyncio.get_running_loop()
    looked: asyncio.Future[None] = loop.create_future()

    def settle(problem: Exception | None) -> None:
        if looked.done():  # whoever waited has gone
            return
        if problem is None:
            looked.set_result(None)
        else:
            looked.set_exception(problem)

    def then(problem: Exception | None) -> None:
        loop.call_soon_threadsafe(settle, problem)

    registry.look(then)
    await looked


async def snapshot_at(registry: Registry, min_revision: int) -> Snapshot:
    """Return a snapshot of a revision or a later one.

    Raises:
        StoreUnavailableError: There is none in memory, and the database cannot be asked now.
        RevisionAheadError: The database has no such revision.
    """
    if registry.revision < min_revision:
        await look(registry)
        if registry.revision < min_revision:
            raise revision_ahead(min_revision, registry.revision)
    return registry.snapshot


async def found(registry: Registry, find: Callable[[Snapshot], T], *, min_revision: int = 0) -> tuple[Snapshot, T]:
    """Find something in a snapshot; return both. What is not there is not there in the database either.

    Raises:
        NotFoundError: As `find` does.
        StoreUnavailableError: As `snapshot_at` does, and where only the database could tell.
        RevisionAheadError: As `snapshot_at` does.
    """
    snapshot = await snapshot_at(registry, min_revision)
    try:
        return snapshot, find(snapshot)
    except NotFoundError:
        if not registry.shared:
            raise
    await look(registry)
    snapshot = registry.snapshot
    return snapshot, find(snapshot)
