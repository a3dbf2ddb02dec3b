"""The read side of the registry: the snapshot, and the contents of versions."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from forwardpass.errors import NetworkCorruptError
from forwardpass.spec import NetworkSpec

from forwardpass_server.registry.catalog import Catalog
from forwardpass_server.registry.contents import ContentMissingError, corrupt_error
from forwardpass_server.registry.loaded_version import LoadedVersion
from forwardpass_server.registry.snapshot import Snapshot
from forwardpass_server.registry.state import NetworkChange, NetworkState, VersionState
from forwardpass_server.registry.storage.store import ProfileRow
from forwardpass_server.registry.summary import Summary


class RegistryReader:
    """Reads networks. All methods may be called in any thread.

    Lookups read the snapshot, which is never changed but replaced: they take no lock and never wait for a disk. Only
    the methods `load...` and `read_...` may wait for the store.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._contents = catalog.contents
        self._plans = catalog.contents.plans

    @property
    def snapshot(self) -> Snapshot:
        """Everything that is registered; another object after each change."""
        return self._catalog.snapshot

    @property
    def revision(self) -> int:
        """The number of changes so far."""
        return self.snapshot.revision

    @property
    def plan_cache_size(self) -> tuple[int, int]:
        """The number of loaded versions, and the bytes they take."""
        return self._plans.size

    def networks(self, *, after: str = "", limit: int | None = None) -> tuple[NetworkState, ...]:
        """Return networks sorted by name: all, or at most `limit` of those after a name."""
        return self.snapshot.list_networks(after=after, limit=limit)

    def network(self, name: str) -> NetworkState:
        """Return a network.

        Raises:
            NetworkNotFoundError: There is no network of this name.
        """
        return self.snapshot.network(name)

    def version(self, name: str, reference: str) -> VersionState:
        """Return a version by number or alias; an empty reference means `latest`.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no version of this number.
            AliasNotFoundError: The network has no alias of this name.
        """
        return self.snapshot.version(name, reference)

    def get_loaded(self, version: VersionState) -> LoadedVersion | None:
        """Return a version if it is in memory, and mark it as used. Every call of a version comes here."""
        return self._plans.get(version.runtime)

    def load(self, version: VersionState) -> LoadedVersion:
        """Return a version; if it is not in memory, read it from the store and compile it.

        Raises:
            NetworkCorruptError: The stored content is damaged.
            StoreUnavailableError: The store cannot be read now.
            NetworkNotFoundError: The network was deleted meanwhile.
            VersionNotFoundError: The version was deleted meanwhile.
        """
        with self._translated_errors(version):
            loaded = self._contents.load(version)
        if not self._catalog.contains(version):
            self._contents.delete(version)
        return loaded

    def get_profiled(self, version: VersionState) -> LoadedVersion | None:
        """Return a version with its profile, if it has one, if both are in memory; and mark them as used."""
        loaded = self._plans.get(version.runtime)
        row = self._profile_row(version)
        if loaded is None or row is None:
            return loaded
        profile = self._contents.get_profile(version, row)
        return None if profile is None else replace(loaded, profile=profile)

    def load_profiled(self, version: VersionState) -> LoadedVersion:
        """Return a version with its profile, if it has one; raises as `load` does, and if the profile is damaged."""
        loaded = self._plans.get(version.runtime) or self.load(version)
        row = self._profile_row(version)
        return loaded if row is None else replace(loaded, profile=self._contents.read_profile(version, row))

    def _profile_row(self, version: VersionState) -> ProfileRow | None:
        network = self.snapshot.networks.get(version.network)
        return None if network is None else network.profiles.get(version.number)

    def load_reference(self, name: str, reference: str) -> LoadedVersion:
        """Return a version by number or alias, loaded; raises as `version` and `load` do."""
        version = self.snapshot.version(name, reference)
        return self._plans.get(version.runtime) or self.load(version)

    def read_summary(self, version: VersionState) -> Summary | None:
        """Return a version's summary, or None if it is damaged. This may wait for the store.

        Raises:
            StoreUnavailableError: The store cannot be read now.
            NetworkNotFoundError: The network was deleted meanwhile.
            VersionNotFoundError: The version was deleted meanwhile.
        """
        try:
            with self._translated_errors(version):
                return self._contents.read_summary(version)
        except NetworkCorruptError:
            return None

    def read_intact_summary(self, version: VersionState) -> Summary:
        """Return a version's summary; raises as `load` does."""
        with self._translated_errors(version):
            return self._contents.read_summary(version)

    def read_description(self, version: VersionState) -> str:
        """Return a version's description, empty if it is damaged; raises as `read_summary` does."""
        try:
            with self._translated_errors(version):
                return self._contents.read_description(version)
        except NetworkCorruptError:
            return ""

    def cache_descriptions(self, versions: Iterable[VersionState]) -> None:
        """Read the descriptions of many versions, for which `read_description` would take longer.

        Raises:
            StoreUnavailableError: The store cannot be read now.
        """
        self._contents.cache_descriptions(versions)

    def read_spec(self, name: str, reference: str) -> NetworkSpec:
        """Read a version's spec from the store; raises as `load_reference` does."""
        version = self.version(name, reference)
        with self._translated_errors(version):
            return self._contents.read_spec(version)

    def is_damaged(self, version: VersionState) -> bool:
        """Return whether a version is known to be damaged and cannot be computed. This reads nothing."""
        return version.runtime.damaged and self._plans.get(version.runtime) is None

    def subscribe(self, callback: Callable[[NetworkChange], None]) -> Callable[[], None]:
        """Call back after each change, in the thread that made it; return a function that ends this.

        Changes arrive in the order of their revisions. When damage is found, the network is announced again with the
        same revision. The empty name announces that the database has become unreachable, or reachable again. A callback
        may look up names; it must not write and must not read contents.
        """
        return self._catalog.subscribers.add(callback)

    @contextmanager
    def _translated_errors(self, version: VersionState) -> Iterator[None]:
        """Translate the errors of reading a content, and announce damage when it is first found."""
        known = version.runtime.damaged
        try:
            yield
        except ContentMissingError:
            # The version was deleted, or its row is damaged; the snapshot knows once no write is under way.
            with self._catalog.writing():
                current = self.snapshot.version_by_number(version.network, version.number)
            raise corrupt_error(current) from None
        except NetworkCorruptError:
            if not known:
                self._catalog.announce_damage(version)
            raise
