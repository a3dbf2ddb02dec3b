"""Garbage collection: deletion of old versions that no alias and no shadow names."""

from forwardpass_server.registry.storage.sql_store import SqlStore
from forwardpass_server.registry.storage.store import NetworkRow


def collect_garbage(store: SqlStore, keep: int, *, dry_run: bool) -> list[str]:
    """Delete versions that no alias and no shadow names, except the newest of each network.

    Args:
        store: The store.
        keep: The number of newest versions of each network that stay in any case, at least 1.
        dry_run: Only return what would be deleted.

    Returns:
        The deleted versions as `NAME/NUMBER`, or those that would be deleted.

    Raises:
        StoreUnavailableError: The store cannot be used; versions deleted before stay deleted.
    """
    old = [(row.name, number) for row in store.read_state().networks for number in _unused_numbers(row, keep)]
    if not dry_run:
        for name, number in old:
            store.delete_version(name, number)
        store.database.compact()
    return [f"{name}/{number}" for name, number in old]


def _unused_numbers(network: NetworkRow, keep: int) -> list[int]:
    named = {*network.aliases.values(), *(shadow.number for shadow in network.shadows)}
    named |= {int(shadow.of) for shadow in network.shadows if shadow.of.isdecimal()}
    return [version.number for version in network.versions[:-keep] if version.number not in named]
