"""The catalog: the current snapshot, its writers' lock, and its synchronization with the store."""

import logging
import threading
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Final

from forwardpass.errors import StoreUnavailableError

from forwardpass_server.registry.contents import Contents
from forwardpass_server.registry.snapshot import Snapshot, network_state
from forwardpass_server.registry.state import NetworkChange, NetworkState, VersionState
from forwardpass_server.registry.storage.store import NetworkRow, Store, WriteResult
from forwardpass_server.registry.subscribers import Subscribers

log = logging.getLogger(__name__)

_NO_VERSIONS: Final[Mapping[int, VersionState]] = {}


class Catalog:
    """Holder of the current snapshot. Reading it needs no lock; every change happens within `writing`.

    Attributes:
        store: The store.
        contents: The contents of versions.
        preload: The names and references whose versions stay in memory.
        snapshot: Everything that is registered; another object after each change.
        may_be_stale: Whether the store may have changes that are not in the snapshot and could not be read.
        subscribers: The callbacks for changes.
    """

    def __init__(
        self, store: Store, snapshot: Snapshot, contents: Contents, preload: frozenset[tuple[str, str]]
    ) -> None:
        self.store = store
        self.contents = contents
        self.preload = preload
        self.snapshot = snapshot
        self.may_be_stale = False
        self.subscribers = Subscribers()
        self._write_lock = threading.Lock()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Exclude other writers of this process, and start from a snapshot that matches the store.

        Raises:
            StoreUnavailableError: The store cannot be used now. The change may have been committed all the same.
        """
        with self._write_lock:
            try:
                if self.may_be_stale or self.store.shared:
                    self._refresh()
                yield
            except StoreUnavailableError:
                self.may_be_stale = True
                raise

    def refresh(self) -> Snapshot:
        """Apply the changes that other processes committed; return the snapshot then.

        Raises:
            StoreUnavailableError: The store cannot be read now; the snapshot stays as it is.
        """
        with self.writing():
            return self.snapshot

    def published(self) -> Snapshot:
        """Return the snapshot when all subscribers have been notified of it: then all worker processes have it too."""
        with self._write_lock:
            return self.snapshot

    def reload(self) -> None:
        """Read the changes since the snapshot, also from a store that is not shared; raises as `refresh` does."""
        with self._write_lock:
            self._refresh()

    def contains(self, version: VersionState) -> bool:
        """Return whether the snapshot contains exactly this version object."""
        network = self.snapshot.networks.get(version.network)
        return network is not None and network.versions.get(version.number) is version

    def apply(self, result: WriteResult, version: VersionState | None = None) -> NetworkState:
        """Apply a write of this process, with the version that is new or repaired; return the network then."""
        row = result.network
        before = self.snapshot.networks.get(row.name)
        if before is not None and version is None and result.revision == self.snapshot.revision:
            return before
        known = dict(before.versions) if before else {}
        if version is not None:
            known[version.number] = version
        network = network_state(row, known)
        is_only_change = result.revision in {row.revision, self.snapshot.revision}
        self._advance(row.name, network, result.revision, own_version=version, is_only_change=is_only_change)
        return network

    def apply_deletion(self, name: str, revision: int) -> None:
        """Apply the deletion of a network by this process."""
        self._advance(name, None, revision)

    def announce(self, name: str) -> None:
        """Notify subscribers of the current state of a network, outside `writing`."""
        with self._write_lock:
            self._notify(name)

    def announce_damage(self, version: VersionState) -> None:
        """Notify subscribers that a version was found to be damaged, if it still exists."""
        with self._write_lock:
            if self.contains(version):
                self._notify(version.network)

    def _notify(self, name: str) -> None:
        snapshot = self.snapshot
        change = NetworkChange(name=name, network=snapshot.networks.get(name), revision=snapshot.revision)
        self.subscribers.notify(change)

    def _advance(
        self,
        name: str,
        network: NetworkState | None,
        revision: int,
        *,
        own_version: VersionState | None = None,
        is_only_change: bool = True,
    ) -> None:
        """Apply a change of this process; if others committed changes before it, read and apply all of them."""
        if is_only_change and revision <= self.snapshot.revision + 1:
            self._replace({name: network}, revision)
            return
        try:
            self._refresh(own_version)
        except StoreUnavailableError:  # the change is committed, so the caller must not get an error
            self.may_be_stale = True

    def _refresh(self, own_version: VersionState | None = None) -> None:
        """Read and apply the changes since the snapshot.

        Args:
            own_version: A version of which this process has more in memory than the store returns.
        """
        before = self.snapshot
        stored = self.store.read_state(since=before.revision)
        deleted: AbstractSet[str] = stored.deleted & before.networks.keys()
        if stored.revision < before.revision:
            log.warning(
                "the database went back from revision %d to %d, as after a restore", before.revision, stored.revision
            )
            stored = self.store.read_state()
            deleted = before.networks.keys() - {row.name for row in stored.networks}
        changes: dict[str, NetworkState | None] = dict.fromkeys(deleted)
        changes |= {row.name: network_state(row, self._unchanged(row, own_version)) for row in stored.networks}
        if stored.revision != before.revision:
            self._replace(changes, stored.revision)
        self.may_be_stale = False

    def _unchanged(self, row: NetworkRow, own_version: VersionState | None) -> Mapping[int, VersionState]:
        """Return the versions of a network that stay; not damaged ones, which may have been repaired."""
        before = self.snapshot.networks.get(row.name)
        versions = before.versions if before else _NO_VERSIONS
        known = {number: version for number, version in versions.items() if not version.runtime.damaged}
        if own_version is not None and own_version.network == row.name:
            known[own_version.number] = own_version
        return known

    def _replace(self, changes: Mapping[str, NetworkState | None], revision: int) -> None:
        """Replace the snapshot by one with all of these changes; readers see all of them or none."""
        before = self.snapshot
        for network in changes.values():
            if network is not None:
                self._pin(network)
        self.snapshot = before.with_changes(changes, revision)
        for name in changes:
            network = before.networks.get(name)
            for version in network.versions.values() if network else ():
                if not self.contains(version):
                    self.contents.delete(version)
            self._notify(name)

    def _pin(self, network: NetworkState) -> None:
        """Pin the versions that the preloaded references name now, and no others."""
        references = [reference for name, reference in self.preload if name == network.name]
        if references:
            pinned = [version.runtime for version in map(network.references.get, references) if version]
            for version in network.versions.values():
                self.contents.plans.pin(version.runtime, pinned=version.runtime in pinned)
