"""The snapshot of now, and what must happen when another takes its place."""

import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from forwardpass.errors import StoreUnavailableError

from forwardpass_server.registry.content import Contents
from forwardpass_server.registry.snapshot import Snapshot, network_state
from forwardpass_server.registry.state import NetworkChange, NetworkState, VersionState
from forwardpass_server.registry.store import NetworkRow, Store, Written
from forwardpass_server.registry.subscribers import Subscribers

log = logging.getLogger(__name__)

_NONE: Final[Mapping[int, VersionState]] = {}


class Current:
    """What the store had when it was last looked at. Whoever changes it must be alone; reading needs no lock.

    Attributes:
        snapshot: Everything that is registered; another object after each change.
        in_doubt: Whether the store may have changes that are not in the snapshot, and could not be asked.
        subscribers: Who is told of changes.
    """

    def __init__(
        self, store: Store, snapshot: Snapshot, contents: Contents, preload: frozenset[tuple[str, str]]
    ) -> None:
        self.snapshot = snapshot
        self.in_doubt = False
        self.subscribers = Subscribers()
        self._store = store
        self._contents = contents
        self._preload = preload

    def has(self, version: VersionState) -> bool:
        """Say whether a version is still there."""
        network = self.snapshot.networks.get(version.network)
        return network is not None and network.versions.get(version.number) is version

    def catch_up(self, ours: VersionState | None = None) -> None:
        """Take in what changed in the store since the snapshot.

        Args:
            ours: A version of which there is more in memory than what the store would tell.

        Raises:
            StoreUnavailableError: The store cannot be read now; the snapshot stays as it is.
        """
        before = self.snapshot
        stored = self._store.load(since=before.revision)
        gone: AbstractSet[str] = stored.deleted & before.networks.keys()
        if stored.revision < before.revision:
            log.warning(
                "the database went back from revision %d to %d, as after a restore", before.revision, stored.revision
            )
            stored = self._store.load()
            gone = before.networks.keys() - {row.name for row in stored.networks}
        changes: dict[str, NetworkState | None] = dict.fromkeys(gone)
        changes |= {row.name: network_state(row, self._known(row, ours)) for row in stored.networks}
        if stored.revision != before.revision:
            self._replace(changes, stored.revision)
        self.in_doubt = False

    def follow(self, written: Written, version: VersionState | None = None) -> NetworkState:
        """Take in what a write of ours came to, with the version that is new or mended; return the network then."""
        row = written.network
        before = self.snapshot.networks.get(row.name)
        if before is not None and version is None and written.revision == self.snapshot.revision:
            return before
        known = dict(before.versions) if before else {}
        if version is not None:
            known[version.number] = version
        network = network_state(row, known)
        alone = written.revision in {row.revision, self.snapshot.revision}
        self._advance(row.name, network, written.revision, ours=version, alone=alone)
        return network

    def removed(self, name: str, revision: int) -> None:
        """Take in that we deleted a network."""
        self._advance(name, None, revision)

    def tell(self, name: str) -> None:
        """Tell subscribers what a network is now."""
        snapshot = self.snapshot
        self.subscribers.tell(NetworkChange(name=name, network=snapshot.networks.get(name), revision=snapshot.revision))

    def _advance(
        self,
        name: str,
        network: NetworkState | None,
        revision: int,
        *,
        ours: VersionState | None = None,
        alone: bool = True,
    ) -> None:
        """Take in a change of ours; where others were made before it, `alone` or not, take in all of them."""
        if alone and revision <= self.snapshot.revision + 1:
            self._replace({name: network}, revision)
            return
        try:
            self.catch_up(ours)
        except StoreUnavailableError:  # the change is made; whoever made it must hear so
            self.in_doubt = True

    def _known(self, row: NetworkRow, ours: VersionState | None) -> Mapping[int, VersionState]:
        """Return the versions of a network that stay what they are; what was found damaged may have been mended."""
        before = self.snapshot.networks.get(row.name)
        versions = before.versions if before else _NONE
        known = {number: version for number, version in versions.items() if not version.runtime.damaged}
        if ours is not None and ours.network == row.name:
            known[ours.number] = ours
        return known

    def _replace(self, changes: Mapping[str, NetworkState | None], revision: int) -> None:
        """Replace the snapshot by one with all of these changes; none is seen without the others."""
        before = self.snapshot
        for network in changes.values():
            if network is not None:
                self._pin(network)
        self.snapshot = before.changed(changes, revision)
        for name in changes:
            network = before.networks.get(name)
            for version in network.versions.values() if network else ():
                if not self.has(version):
                    self._contents.forget(version)
            self.tell(name)

    def _pin(self, network: NetworkState) -> None:
        """Let what the preloaded references name now stay in memory."""
        references = [reference for name, reference in self._preload if name == network.name]
        if references:
            pinned = [version.runtime for version in map(network.references.get, references) if version]
            for version in network.versions.values():
                version.runtime.pinned = version.runtime in pinned
