"""The registry: names, versions and aliases, in memory for reading and in a store for good.

Reads look into a snapshot that is never changed, only replaced, so they take no lock and
never wait for a disk. Writes go through one lock: to the store first, and when that has
them safe, into a new snapshot.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from forwardpass.errors import (
    Fault,
    InvalidFieldError,
    NetworkCorruptError,
    QuotaExceededError,
    StoreUnavailableError,
)
from forwardpass.numerics import Numerics
from forwardpass.spec import DEFAULT_LIMITS, Limits, NetworkSpec, check_name, to_safetensors

from forwardpass_server.registry.builtin import builtin_networks
from forwardpass_server.registry.compile import check_examples, compile_plan
from forwardpass_server.registry.content import compiled, digest_of, network_state, parse
from forwardpass_server.registry.snapshot import Snapshot
from forwardpass_server.registry.state import (
    LATEST,
    NetworkChange,
    NetworkState,
    Registered,
    Served,
    VersionState,
)
from forwardpass_server.registry.store import Store, StoreOpenError, VersionRow, Written

log = logging.getLogger(__name__)


class Registry:
    """Every network of one server. All methods may be called in any thread."""

    def __init__(
        self, store: Store, snapshot: Snapshot, *, max_networks: int, max_versions: int, numerics: Numerics
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._max_networks = max_networks
        self._max_versions = max_versions
        self._numerics = numerics
        self._write_lock = threading.Lock()
        self._in_doubt = False
        self._subscribers_lock = threading.Lock()
        self._subscribers: tuple[Callable[[NetworkChange], None], ...] = ()

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        limits: Limits = DEFAULT_LIMITS,  # noqa: ARG003 - what is stored was judged when it came
        max_networks: int = 100_000,
        max_versions: int = 1_000,
        numerics: Numerics = "exact",
    ) -> "Registry":
        """Read a store and make everything in it ready; add the built-in networks that it never had.

        What does not say how it is to be computed is computed as `numerics` says.

        Raises:
            StoreOpenError: The store cannot be read.
        """
        try:
            loaded = store.load()
            networks = {row.name: network_state(store, row, {}, numerics) for row in loaded.networks}
        except StoreUnavailableError as error:
            raise StoreOpenError(str(error)) from error
        snapshot = Snapshot.of(networks, loaded.revision)
        registry = cls(store, snapshot, max_networks=max_networks, max_versions=max_versions, numerics=numerics)
        for name, spec in builtin_networks().items():
            if name not in networks and name not in loaded.deleted:
                try:
                    registry.register(name, spec)
                except (StoreUnavailableError, QuotaExceededError) as error:
                    log.warning("the built-in network %s is not added: %s", name, error)
        return registry

    @property
    def revision(self) -> int:
        """How many changes there were."""
        return self._snapshot.revision

    def networks(self, *, after: str = "", limit: int | None = None) -> tuple[NetworkState, ...]:
        """Return networks by name: all, or at most `limit` of those after a name."""
        return self._snapshot.listed(after=after, limit=limit)

    def network(self, name: str) -> NetworkState:
        """Return a network.

        Raises:
            NetworkNotFoundError: There is none of this name.
        """
        return self._snapshot.network(name)

    def version(self, name: str, reference: str) -> VersionState:
        """Return a version by number or alias; an empty reference is `latest`.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: It has no version of this number.
            AliasNotFoundError: It has no alias of this name.
        """
        return self._snapshot.version(name, reference)

    def served(self, name: str, reference: str) -> Served:
        """Return what computes a version; raises as `version` does.

        Raises:
            NetworkCorruptError: The stored content is damaged.
        """
        try:  # each call of Predict passes here
            served = self._snapshot.networks[name].references[reference].served
        except KeyError:
            served = None
        if served is None:
            version = self._snapshot.version(name, reference)
            served = version.served
            if served is None:
                raise _corrupt(version)
        return served

    def spec(self, name: str, reference: str) -> NetworkSpec:
        """Read a version's spec from the store; raises as `served` does.

        Raises:
            StoreUnavailableError: The store cannot be read now.
        """
        version = self.version(name, reference)
        content = self._store.content(name, version.number)
        if content is None:
            # It was deleted meanwhile, or its row is damaged; the snapshot knows which, once no write is under way.
            with self._writing():
                current = self._snapshot.numbered(name, version.number)
            raise _corrupt(current)
        spec = parse(name, version.number, version.digest, content)
        if spec is None:
            raise _corrupt(version)
        return spec

    def register(
        self, name: str, spec: NetworkSpec, *, validate_only: bool = False, keep_latest: bool = False
    ) -> Registered:
        """Register a spec, or find the version that has its content.

        Finding changes nothing: `latest` does not move back to an older version, so a retry
        that comes late is harmless. If the found version is damaged, it is mended.

        Args:
            name: The network's name.
            spec: The content.
            validate_only: Check everything and write nothing; a new version's number is then 0.
            keep_latest: Leave `latest` where it is; a network's first version takes it anyway.

        Raises:
            InvalidFieldError: The name is not of the right form.
            UnsupportedGraphError: The layers are not a plain chain.
            ExampleFailedError: An example does not hold.
            QuotaExceededError: There are as many networks or versions as allowed.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        check_name(name)
        content = to_safetensors(spec)
        digest = digest_of(content)
        known = self._find(name, digest)
        if known is not None and known.served is not None:
            return Registered(version=known, created=False, revision=self.revision)
        plan = compile_plan(spec, self._numerics)
        check_examples(spec, plan)
        if validate_only:
            if known is None:
                self._check_room(name)
            number = known.number if known else 0
            row = VersionRow(number=number, digest=digest, create_time=datetime.now(UTC), size_bytes=len(content))
            return Registered(version=compiled(name, row, spec, plan), created=False, revision=self.revision)
        with self._writing():
            known = self._find(name, digest)
            if known is None:
                self._check_room(name)
            elif known.served is not None:  # another thread was quicker
                return Registered(version=known, created=False, revision=self.revision)
            written = self._store.register(name, digest, content, keep_latest=keep_latest)
            row = next(row for row in written.network.versions if row.number == written.number)
            state = compiled(name, row, spec, plan)
            self._follow(written, state)
        return Registered(version=state, created=written.created, revision=written.revision)

    def delete_network(self, name: str) -> int:
        """Delete a network with its versions and aliases; return the revision.

        Raises:
            NetworkNotFoundError: There is none.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        with self._writing():
            self.network(name)
            revision = self._store.delete_network(name)
            self._publish(name, None, revision)
        return revision

    def delete_version(self, name: str, number: int) -> NetworkState:
        """Delete a version; where `latest` named it, that moves to the highest one left.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: It has no version of this number.
            VersionInUseError: Another alias names it, or it is the only one.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        with self._writing():
            self._snapshot.numbered(name, number)
            return self._follow(self._store.delete_version(name, number))

    def set_alias(self, name: str, alias: str, reference: str) -> NetworkState:
        """Let an alias name a version, given by number or by an alias that names it now.

        Raises:
            InvalidFieldError: The alias is not of the right form, or the reference is empty.
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: It has no version of this number.
            AliasNotFoundError: It has no alias of the reference's name.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        check_name(alias, "alias")
        if not reference:
            message = "is empty; give the version's number, or an alias that names it"
            raise InvalidFieldError(
                f"version: {message}", faults=[Fault(path="version", message=message)], field="version"
            )
        with self._writing():
            number = self.version(name, reference).number
            return self._follow(self._store.set_alias(name, alias, number))

    def delete_alias(self, name: str, alias: str) -> NetworkState:
        """Delete an alias.

        Raises:
            InvalidFieldError: It is `latest`, which stays.
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: It has no such alias.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        with self._writing():
            self._snapshot.aliased(name, alias)
            if alias == LATEST:
                message = "is `latest`, which every network has; move it with SetAlias"
                raise InvalidFieldError(
                    f"alias: {message}", faults=[Fault(path="alias", message=message)], field="alias"
                )
            return self._follow(self._store.delete_alias(name, alias))

    def subscribe(self, callback: Callable[[NetworkChange], None]) -> Callable[[], None]:
        """Call back after each change, in the thread that made it; return what ends that.

        Changes arrive in the order of their revisions. A callback may read the registry and
        must not write to it.
        """
        with self._subscribers_lock:
            self._subscribers = (*self._subscribers, callback)

        def unsubscribe() -> None:
            with self._subscribers_lock:
                self._subscribers = tuple(other for other in self._subscribers if other is not callback)

        return unsubscribe

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Let one thread write at a time, from a snapshot that is what the store has."""
        with self._write_lock:
            try:
                if self._in_doubt:
                    self._catch_up()
                yield
            except StoreUnavailableError:
                # The store may have made the change and failed to say so.
                self._in_doubt = True
                raise

    def _catch_up(self) -> None:
        """Read again what may have changed without our knowing."""
        loaded = self._store.load()
        rows = {row.name: row for row in loaded.networks}
        before = self._snapshot.networks
        for name in before.keys() - rows.keys():
            self._publish(name, None, loaded.revision)
        for name, row in rows.items():
            known = before.get(name)
            network = network_state(self._store, row, known.versions if known else {}, self._numerics)
            if network != known:
                self._publish(name, network, loaded.revision)
        self._snapshot = replace(self._snapshot, revision=loaded.revision)
        self._in_doubt = False

    def _find(self, name: str, digest: str) -> VersionState | None:
        """Return the network's version that has this content, if there is one."""
        network = self._snapshot.networks.get(name)
        versions = network.versions.values() if network else ()
        return next((version for version in versions if version.digest == digest), None)

    def _check_room(self, name: str) -> None:
        """Refuse a version more than allowed."""
        snapshot = self._snapshot
        network = snapshot.networks.get(name)
        if network is None:
            count, limit, what, setting = (
                len(snapshot.networks),
                self._max_networks,
                "networks",
                "max_networks",
            )
        else:
            count, limit = len(network.versions), self._max_versions
            what, setting = f"versions of network {name!r}", "max_versions"
        if count >= limit:
            raise QuotaExceededError(
                f"there are {count:,} {what}, as many as the server keeps (setting `{setting}`); "
                "delete one that is not used",
                quotaValue=count,
                quotaLimit=limit,
                setting=setting,
                subject=what,
            )

    def _follow(self, written: Written, version: VersionState | None = None) -> NetworkState:
        """Take what the store now has into the snapshot, with the version that is new or mended."""
        name = written.network.name
        before = self._snapshot.networks.get(name)
        if before is not None and version is None and written.revision == self._snapshot.revision:
            return before
        known = dict(before.versions) if before else {}
        if version is not None:
            known[version.number] = version
        network = network_state(self._store, written.network, known, self._numerics)
        self._publish(name, network, written.revision)
        return network

    def _publish(self, name: str, network: NetworkState | None, revision: int) -> None:
        self._snapshot = self._snapshot.changed(name, network, revision)
        change = NetworkChange(name=name, network=network, revision=revision)
        for callback in self._subscribers:
            try:
                callback(change)
            except Exception:  # the change is made; whoever made it must hear so
                log.exception("a subscriber failed at the change of network %s", name)


def _corrupt(version: VersionState) -> NetworkCorruptError:
    return NetworkCorruptError(
        f"the stored content of network {version.network!r} version {version.number} is damaged; "
        "register it again or restore the database",
        resourceType="version",
        resourceName=f"{version.network}/{version.number}",
    )
