"""The registry of one server: its life cycle and its writes.

Writes go through one lock: to the store first, and into a new snapshot once the store has committed them.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from forwardpass.errors import ForwardpassError, StoreUnavailableError
from forwardpass.numerics import Numerics
from forwardpass.spec import NetworkSpec, check_name, to_safetensors

from forwardpass_server.registry.builtin import seed_builtin_networks
from forwardpass_server.registry.catalog import Catalog
from forwardpass_server.registry.compile import check_examples, compile_plan
from forwardpass_server.registry.contents import Contents
from forwardpass_server.registry.follower import Follower, OnRefreshed
from forwardpass_server.registry.loaded_version import LoadedVersion
from forwardpass_server.registry.profiles import Profiles
from forwardpass_server.registry.reader import RegistryReader
from forwardpass_server.registry.rollout import Rollout
from forwardpass_server.registry.snapshot import Snapshot, network_state, version_state
from forwardpass_server.registry.state import NetworkState, Registered
from forwardpass_server.registry.storage.store import LATEST, Store, StoreOpenError, VersionRow, digest_of
from forwardpass_server.registry.summary import summarize

log = logging.getLogger(__name__)


class Registry(RegistryReader):
    """All networks of one server: reads, writes and, as attributes, aliases, shadows and profiles. Thread-safe.

    Attributes:
        rollout: Aliases, their history, and shadows.
        profiles: The profiles of versions.
    """

    def __init__(
        self, catalog: Catalog, *, max_networks: int, max_versions: int, max_example_gflop: float, numerics: Numerics
    ) -> None:
        super().__init__(catalog)
        self._store = catalog.store
        self._max_networks = max_networks
        self._max_versions = max_versions
        self._max_example_gflop = max_example_gflop
        self._numerics = numerics
        self._follower: Follower | None = None
        self.rollout = Rollout(catalog, self)
        self.profiles = Profiles(catalog, self)

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        max_networks: int = 100_000,
        max_versions: int = 1_000,
        max_example_gflop: float = 1_000.0,
        plan_cache_bytes: int = 2**30,
        preload: Iterable[tuple[str, str]] = (),
        numerics: Numerics = "exact",
    ) -> "Registry":
        """Read a store without its contents, and add the built-in networks that it never had.

        Args:
            store: The store.
            max_networks: The highest number of networks.
            max_versions: The highest number of versions of one network.
            max_example_gflop: The most arithmetic that the examples of a spec may need, in 1e9 operations.
            plan_cache_bytes: The memory for loaded versions; the least recently used ones are evicted.
            preload: Names and references; an empty reference means `latest`. The versions that they name, now and
                later, are loaded before they are called, and stay in memory.
            numerics: How versions are computed whose spec does not say.

        Raises:
            StoreOpenError: The store cannot be read.
        """
        try:
            stored = store.read_state()
        except StoreUnavailableError as error:
            raise StoreOpenError(str(error)) from error
        rows, revision, deleted = [*reversed(stored.networks)], stored.revision, stored.deleted
        del stored
        networks: dict[str, NetworkState] = {}
        while rows:  # each makes room for the next one's state
            row = rows.pop()
            networks[row.name] = network_state(row, {})
        catalog = Catalog(
            store,
            Snapshot.of(networks, revision),
            Contents(store, plan_cache_bytes=plan_cache_bytes, numerics=numerics),
            frozenset((name, reference or LATEST) for name, reference in preload),
        )
        seed_builtin_networks(catalog, known=networks.keys() | deleted, max_networks=max_networks)
        registry = cls(
            catalog,
            max_networks=max_networks,
            max_versions=max_versions,
            max_example_gflop=max_example_gflop,
            numerics=numerics,
        )
        registry._preload()
        return registry

    def follow(self, *, poll_seconds: float) -> None:
        """Follow the changes of other processes until `close`, if the store is shared.

        Args:
            poll_seconds: The longest time between two reads of changes.
        """
        if self._store.shared:
            self._follower = Follower(
                self._catalog.refresh,
                self._store.notifications(),
                poll_seconds=poll_seconds,
                on_reachability_change=lambda: self._catalog.announce(""),
            )

    def close(self) -> None:
        """Stop following; the store stays open."""
        if self._follower is not None:
            self._follower.close()

    @property
    def shared(self) -> bool:
        """Whether other processes may have committed changes that are not in the snapshot yet."""
        return self._store.shared

    @property
    def database_reachable(self) -> bool:
        """Whether the last use of the store succeeded."""
        return not self._catalog.may_be_stale and (self._follower is None or self._follower.is_reachable)

    def refresh(self, on_refreshed: OnRefreshed) -> None:
        """Apply all changes that were committed before this call, then call back with the error or None.

        The callback may be called in this thread or another. It must not raise and must return soon.
        """
        if self._follower is not None:
            self._follower.refresh(on_refreshed)
            return
        error = None
        if self._store.shared:
            try:
                self._catalog.refresh()
            except StoreUnavailableError as unavailable:
                error = unavailable
        on_refreshed(error)

    def register(
        self,
        name: str,
        spec: NetworkSpec,
        *,
        validate_only: bool = False,
        keep_latest: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Registered:
        """Register a spec, or find the version that has its content.

        If the version exists, nothing changes: `latest` does not move back to an older version, so a late retry is
        harmless. If that version is damaged, it is repaired.

        Args:
            name: The network's name.
            spec: The content.
            validate_only: Check everything and write nothing; the number of a new version is 0 then.
            keep_latest: Do not move `latest`; the first version of a network becomes the latest in any case.
            is_wanted: Returns whether the caller still waits; called while examples are computed.

        Raises:
            InvalidFieldError: The name has a wrong form.
            DeadlineExceededError: The caller has stopped waiting.
            ExampleFailedError: An example of the spec does not hold.
            QuotaExceededError: The number of networks or versions has reached its limit.
            StoreUnavailableError: The store cannot be written now; the snapshot stays as it is.
        """
        check_name(name)
        content = to_safetensors(spec)
        digest = digest_of(content)
        snapshot = self.snapshot
        known = snapshot.find_by_digest(name, digest)
        if known is not None and not validate_only:
            # Another process may have deleted it, or not have read it yet.
            snapshot = self._catalog.refresh() if self._store.shared else self._catalog.published()
            known = snapshot.find_by_digest(name, digest)
        summary = summarize(spec, self._numerics)
        if known is not None and self._contents.is_intact(known):
            return Registered(version=known, summary=summary, created=False, revision=snapshot.revision)
        plan = compile_plan(spec, self._numerics)
        check_examples(spec, plan, max_gflop=self._max_example_gflop, is_wanted=is_wanted)
        if validate_only:
            if known is None:
                self._check_quota(name)
            number = known.number if known else 0
            row = VersionRow(number=number, digest=digest, create_time=datetime.now(UTC), size_bytes=len(content))
            state = version_state(name, row)
            return Registered(version=state, summary=summary, created=False, revision=self.revision)
        with self._catalog.writing():
            known = self.snapshot.find_by_digest(name, digest)
            if known is None:
                self._check_quota(name)
            result = self._store.register(name, digest, content, keep_latest=keep_latest)
            row = next(row for row in result.network.versions if row.number == result.number)
            # Another thread may have repaired it first.
            intact = known is not None and not known.runtime.damaged and result.revision == self.revision
            state = known if known is not None and intact else version_state(name, row)
            # Before the version becomes visible, so that its first call finds it loaded.
            self._contents.put(state, LoadedVersion.of(name, row.number, digest, spec, plan), summary)
            if not intact:
                self._catalog.apply(result, state)
        return Registered(version=state, summary=summary, created=result.created, revision=result.revision)

    def note_damage(self, name: str, number: int, digest: str, revision: int) -> None:
        """Record that another process has found a version damaged, so that registering it again repairs it.

        This takes no lock and notifies nobody; `announce` does.

        Args:
            name: The network's name.
            number: The version's number.
            digest: Its digest.
            revision: The registry's revision there; if the network has changed since, the version may be repaired.
        """
        network = self.snapshot.networks.get(name)
        if network is None or network.revision > revision:
            return
        version = network.versions.get(number)
        if version and version.digest == digest and not version.runtime.damaged:
            version.runtime.damaged = True
            self._plans.delete(version.runtime)

    def announce(self, name: str) -> None:
        """Notify subscribers of the current state of a network, after all changes before it."""
        self._catalog.announce(name)

    def delete_network(self, name: str) -> int:
        """Delete a network with its versions and aliases; return the revision.

        Raises:
            NetworkNotFoundError: There is no such network.
            StoreUnavailableError: The store cannot be written now; the snapshot stays as it is.
        """
        with self._catalog.writing():
            self.network(name)
            revision = self._store.delete_network(name)
            self._catalog.apply_deletion(name, revision)
        return revision

    def delete_version(self, name: str, number: int) -> NetworkState:
        """Delete a version; if `latest` names it, `latest` moves to the highest version left.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no version of this number.
            VersionInUseError: Another alias names it, or it is the only version.
            StoreUnavailableError: The store cannot be written now; the snapshot stays as it is.
        """
        with self._catalog.writing():
            self.snapshot.version_by_number(name, number)
            return self._catalog.apply(self._store.delete_version(name, number))

    def set_in_service(self, name: str, *, in_service: bool) -> NetworkState:
        """Put all versions of a network into service, or take them out of it.

        A version out of service keeps its aliases, takes no memory, and cannot be called.

        Raises:
            NetworkNotFoundError: There is no such network.
            StoreUnavailableError: The store cannot be written now; the snapshot stays as it is.
        """
        with self._catalog.writing():
            self.network(name)
            return self._catalog.apply(self._store.set_in_service(name, in_service=in_service))

    def _check_quota(self, name: str) -> None:
        self.snapshot.check_quota(name, max_networks=self._max_networks, max_versions=self._max_versions)

    def _preload(self) -> None:
        for name, reference in sorted(self._catalog.preload):
            try:
                version = self.version(name, reference)
                self._plans.pin(version.runtime, pinned=True)
                self.load(version)
            except ForwardpassError as error:
                log.warning("%s/%s cannot be preloaded: %s", name, reference, error)
