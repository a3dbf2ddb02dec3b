"""The registry: names, versions and aliases, in memory for reading and in a store for good.

Reads look into a snapshot that is never changed, only replaced, so they take no lock and
never wait for a disk. Writes go through one lock: to the store first, and when that has
them safe, into a new snapshot.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches

from forwardpass.errors import (
    AliasNotFoundError,
    Fault,
    ForwardpassError,
    InvalidFieldError,
    NetworkCorruptError,
    NetworkNotFoundError,
    NotFoundError,
    VersionNotFoundError,
)
from forwardpass.spec import DEFAULT_LIMITS, Limits, NetworkSpec, check_name, from_safetensors, to_safetensors

from forwardpass_server.registry.builtin import builtin_networks
from forwardpass_server.registry.compile import check_examples, compile_plan, serve, summarize
from forwardpass_server.registry.state import (
    LATEST,
    NetworkChange,
    NetworkState,
    Registered,
    Served,
    VersionState,
)
from forwardpass_server.registry.store import NetworkRow, Store, VersionRow, Written

log = logging.getLogger(__name__)


class Registry:
    """Every network of one server. All methods may be called in any thread."""

    def __init__(
        self,
        store: Store,
        networks: Mapping[str, NetworkState],
        revision: int,
        *,
        max_networks: int,
        max_versions: int,
    ) -> None:
        self._store = store
        self._networks = networks
        self._revision = revision
        self._max_networks = max_networks
        self._max_versions = max_versions
        self._write = threading.Lock()
        self._subscribers: tuple[Callable[[NetworkChange], None], ...] = ()

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        limits: Limits = DEFAULT_LIMITS,  # noqa: ARG003 - what is stored was judged when it came
        max_networks: int = 100_000,
        max_versions: int = 1_000,
    ) -> "Registry":
        """Read a store and make everything in it ready; add the built-in networks that it never had."""
        loaded = store.load()
        networks = {row.name: _state(store, row, {}) for row in loaded.networks}
        registry = cls(store, networks, loaded.revision, max_networks=max_networks, max_versions=max_versions)
        for name, spec in builtin_networks().items():
            if name not in networks and name not in loaded.deleted:
                registry.register(name, spec)
        return registry

    @property
    def revision(self) -> int:
        """How many changes there were."""
        return self._revision

    def networks(self) -> tuple[NetworkState, ...]:
        """Return every network, by name."""
        networks = self._networks
        return tuple(networks[name] for name in sorted(networks))

    def network(self, name: str) -> NetworkState:
        """Return a network.

        Raises:
            NetworkNotFoundError: There is none of this name.
        """
        network = self._networks.get(name)
        if network is None:
            raise _missing(NetworkNotFoundError, "network", name, "there is", sorted(self._networks))
        return network

    def version(self, name: str, reference: str) -> VersionState:
        """Return a version by number or alias; an empty reference is `latest`.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: It has no version of this number.
            AliasNotFoundError: It has no alias of this name.
        """
        network = self.network(name)
        if reference.isascii() and reference.isdecimal() and len(reference) < 20:
            number = int(reference)
        else:
            alias = reference or LATEST
            found = network.aliases.get(alias)
            if found is None:
                raise _missing(AliasNotFoundError, "alias", alias, f"network {name!r} has", sorted(network.aliases))
            number = found
        version = network.versions.get(number)
        if version is None:
            raise _missing(
                VersionNotFoundError, "version", str(number), f"network {name!r} has", [*map(str, network.versions)]
            )
        return version

    def served(self, name: str, reference: str) -> Served:
        """Return what computes a version; raises as `version` does.

        Raises:
            NetworkCorruptError: The stored content is damaged.
        """
        version = self.version(name, reference)
        if version.served is None:
            raise _corrupt(name, version.number)
        return version.served

    def spec(self, name: str, reference: str) -> NetworkSpec:
        """Read a version's spec from the store; raises as `served` does."""
        version = self.version(name, reference)
        content = self._store.content(name, version.number)
        if content is None:  # deleted meanwhile
            raise VersionNotFoundError(f"network {name!r} has no version {version.number}")
        spec = _read(name, version, content)
        if spec is None:
            raise _corrupt(name, version.number)
        return spec

    def register(
        self, name: str, spec: NetworkSpec, *, validate_only: bool = False, keep_latest: bool = False
    ) -> Registered:
        """Register a spec, or find the version that has its content.

        Args:
            name: The network's name.
            spec: The content.
            validate_only: Check everything and write nothing; a new version's number is then 0.
            keep_latest: Leave `latest` where it is.

        Raises:
            InvalidFieldError: The name is not of the right form.
            UnsupportedGraphError: The layers are not a plain chain.
            ExampleFailedError: An example does not hold.
            QuotaExceededError: There are as many networks or versions as allowed.
            StoreUnavailableError: The store cannot write now; nothing was changed.
        """
        check_name(name)
        content = to_safetensors(spec)
        digest = hashlib.sha256(content).hexdigest()
        known = self._networks.get(name)
        if known is not None:
            for version in known.versions.values():
                if version.digest == digest and version.served is not None:
                    return Registered(version=version, created=False, revision=self._revision)
        plan = compile_plan(spec)
        check_examples(spec, plan)

        def version_state(number: int, create_time: datetime) -> VersionState:
            return VersionState(
                network=name,
                number=number,
                digest=digest,
                create_time=create_time,
                size_bytes=len(content),
                summary=summarize(spec),
                served=serve(name, number, digest, spec, plan),
            )

        if validate_only:
            state = version_state(0, datetime.now(UTC))
            return Registered(version=state, created=False, revision=self._revision)
        with self._write:
            written = self._store.register(
                name,
                digest,
                content,
                keep_latest=keep_latest,
                max_networks=self._max_networks,
                max_versions=self._max_versions,
            )
            row = next(row for row in written.network.versions if row.number == written.number)
            network = self._follow(written, {row.number: version_state(row.number, row.create_time)})
        version = network.versions[written.number]
        return Registered(version=version, created=written.created, revision=written.revision)

    def delete_network(self, name: str) -> int:
        """Delete a network with its versions and aliases; return the revision.

        Raises:
            NetworkNotFoundError: There is none.
            StoreUnavailableError: The store cannot write now; nothing was changed.
        """
        self.network(name)
        with self._write:
            revision = self._store.delete_network(name)
            self._publish(name, None, revision)
        return revision

    def delete_version(self, name: str, number: int) -> NetworkState:
        """Delete a version; raises as `Store.delete_version` does."""
        self.version(name, str(number))
        with self._write:
            return self._follow(self._store.delete_version(name, number))

    def set_alias(self, name: str, alias: str, reference: str) -> NetworkState:
        """Let an alias name a version, given by number or by an alias that names it now."""
        check_name(alias, "alias")
        if not reference:
            message = "is empty; give the version's number, or an alias that names it"
            raise InvalidFieldError(f"version: {message}", faults=[Fault(path="version", message=message)])
        number = self.version(name, reference).number
        with self._write:
            return self._follow(self._store.set_alias(name, alias, number))

    def delete_alias(self, name: str, alias: str) -> NetworkState:
        """Delete an alias; `latest` stays."""
        network = self.network(name)
        if alias == LATEST:
            message = "is `latest`, which every network has; move it with SetAlias"
            raise InvalidFieldError(f"alias: {message}", faults=[Fault(path="alias", message=message)])
        if alias not in network.aliases:
            raise _missing(AliasNotFoundError, "alias", alias, f"network {name!r} has", sorted(network.aliases))
        with self._write:
            return self._follow(self._store.delete_alias(name, alias))

    def subscribe(self, callback: Callable[[NetworkChange], None]) -> Callable[[], None]:
        """Call back after each change, in the thread that made it; return what ends that."""
        with self._write:
            self._subscribers = (*self._subscribers, callback)

        def unsubscribe() -> None:
            with self._write:
                self._subscribers = tuple(other for other in self._subscribers if other is not callback)

        return unsubscribe

    def _follow(self, written: Written, new: Mapping[int, VersionState] | None = None) -> NetworkState:
        """Take what the store now has into the snapshot."""
        name = written.network.name
        before = self._networks.get(name)
        known = {**(before.versions if before else {}), **(new or {})}
        network = _state(self._store, written.network, known)
        self._publish(name, network, written.revision)
        return network

    def _publish(self, name: str, network: NetworkState | None, revision: int) -> None:
        networks = dict(self._networks)
        if network is None:
            networks.pop(name, None)
        else:
            networks[name] = network
        self._networks, self._revision = networks, revision
        change = NetworkChange(name=name, network=network, revision=revision)
        for callback in self._subscribers:
            callback(change)


def _state(store: Store, row: NetworkRow, known: Mapping[int, VersionState]) -> NetworkState:
    """Make a network's state; versions that are not known yet are read from the store."""
    versions = {}
    for version in row.versions:
        state = known.get(version.number)
        if state is None or state.digest != version.digest:
            state = _load(store, row.name, version)
        versions[version.number] = state
    return NetworkState(
        name=row.name,
        versions=versions,
        aliases=row.aliases,
        create_time=row.create_time,
        update_time=row.update_time,
    )


def _load(store: Store, name: str, row: VersionRow) -> VersionState:
    """Read and compile one version; a damaged one becomes a state that says so."""
    state = VersionState(
        network=name,
        number=row.number,
        digest=row.digest,
        create_time=row.create_time,
        size_bytes=row.size_bytes,
        summary=None,
        served=None,
    )
    spec = _read(name, state, store.content(name, row.number) or b"")
    if spec is None:
        return state
    return VersionState(
        network=name,
        number=row.number,
        digest=row.digest,
        create_time=row.create_time,
        size_bytes=row.size_bytes,
        summary=summarize(spec),
        served=serve(name, row.number, row.digest, spec, compile_plan(spec)),
    )


def _read(name: str, version: VersionState, content: bytes) -> NetworkSpec | None:
    """Parse a version's content, or return None where it is damaged; the log says how."""
    actual = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else "not bytes"
    if actual != version.digest:
        log.error("network %s version %d is damaged: SHA-256 is %s", name, version.number, actual)
        return None
    try:
        return from_safetensors(content)
    except ForwardpassError as error:
        log.error("network %s version %d cannot be read: %s", name, version.number, error)  # noqa: TRY400
        return None


def _corrupt(name: str, number: int) -> NetworkCorruptError:
    return NetworkCorruptError(
        f"the stored content of network {name!r} version {number} is damaged; register it again or restore the database",
        resourceType="version",
        resourceName=f"{name}/{number}",
    )


def _missing(
    error: type[NotFoundError], what: str, wanted: str, where: str, names: "list[str]"
) -> NotFoundError:
    near = get_close_matches(wanted, names, n=3)
    hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
    return error(
        f"{where} no {what} {wanted!r}{hint}", resourceType=what, resourceName=wanted, nearest=", ".join(near)
    )
