"""Finds and deletes old versions that nobody names."""

from forwardpass_server.registry.sql import SqlStore
from forwardpass_server.registry.store import NetworkRow


def prune(store: SqlStore, keep: int, *, dry_run: bool) -> list[str]:
    """Delete versions that no alias names and no shadow has, but for the newest of each network.

    Args:
        store: The store.
        keep: How many of the newest versions of each network stay in any case, at least 1.
        dry_run: Whether to delete nothing.

    Returns:
        What was deleted, or would be, each as `NAME/NUMBER`.

    Raises:
        StoreUnavailableError: The store cannot; what was deleted until then is gone.
    """
    old = [(row.name, number) for row in store.load().networks for number in _unnamed(row, keep)]
    if not dry_run:
        for name, number in old:
            store.delete_version(name, number)
        store.backend.compact()
    return [f"{name}/{number}" for name, number in old]


def _unnamed(network: NetworkRow, keep: int) -> list[int]:
    named = {*network.aliases.values(), *(shadow.number for shadow in network.shadows)}
    named |= {int(shadow.of) for shadow in network.shadows if shadow.of.isdecimal()}
    return [version.number for version in network.versions[:-keep] if version.number not in named]
