"""The registry: names, versions and aliases, in memory for reading and in a store for good.

Reads look into a snapshot that is never changed, only replaced, so they take no lock and
never wait for a disk. Writes go through one lock: to the store first, and when that has
them safe, into a new snapshot. What versions contain is read when it is first needed.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from forwardpass.differences import TOLERANCE, checked_tolerance
from forwardpass.errors import (
    Fault,
    ForwardpassError,
    InvalidFieldError,
    NetworkCorruptError,
    StoreUnavailableError,
)
from forwardpass.numerics import Numerics
from forwardpass.spec import NetworkSpec, check_name, to_safetensors

from forwardpass_server.registry.builtin import builtin_networks
from forwardpass_server.registry.compile import check_examples, compile_plan, serve, summarize
from forwardpass_server.registry.content import ContentGoneError, Contents, corrupt, digest_of
from forwardpass_server.registry.current import Current
from forwardpass_server.registry.following import Follower, Then
from forwardpass_server.registry.moves import earlier_move
from forwardpass_server.registry.shadows import check_comparable, check_share
from forwardpass_server.registry.snapshot import Snapshot, is_number, network_state, version_state
from forwardpass_server.registry.state import (
    LATEST,
    LoadedVersion,
    NetworkChange,
    NetworkState,
    Registered,
    Summary,
    VersionState,
)
from forwardpass_server.registry.store import MoveRow, Seed, Store, StoreOpenError, VersionRow

log = logging.getLogger(__name__)


class Registry:
    """Every network of one server. All methods may be called in any thread."""

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        *,
        max_networks: int,
        max_versions: int,
        plan_cache_bytes: int,
        preload: Iterable[tuple[str, str]],
        numerics: Numerics,
    ) -> None:
        self._store = store
        self._contents = Contents(store, plan_cache_bytes=plan_cache_bytes, numerics=numerics)
        self._numerics = numerics
        self._max_networks = max_networks
        self._max_versions = max_versions
        self._preload = frozenset((name, reference or LATEST) for name, reference in preload)
        self._current = Current(store, snapshot, self._contents, self._preload)
        self._write_lock = threading.Lock()
        self._follower: Follower | None = None

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        max_networks: int = 100_000,
        max_versions: int = 1_000,
        plan_cache_bytes: int = 2**30,
        preload: Iterable[tuple[str, str]] = (),
        numerics: Numerics = "exact",
    ) -> "Registry":
        """Read what there is in a store, but no contents; add the built-in networks that it never had.

        Args:
            store: The store.
            max_networks: How many networks may be registered.
            max_versions: How many versions of one network.
            plan_cache_bytes: How much memory compiled versions may take; those used last stay.
            preload: Names with references (empty means `latest`): what they name, now and later, is
                compiled before it is called, and stays.
            numerics: How versions are computed whose spec does not say.

        Raises:
            StoreOpenError: The store cannot be read.
        """
        try:
            stored = store.load()
        except StoreUnavailableError as error:
            raise StoreOpenError(str(error)) from error
        networks = {row.name: network_state(row, {}) for row in stored.networks}
        snapshot = Snapshot.of(networks, stored.revision)
        registry = cls(
            store,
            snapshot,
            max_networks=max_networks,
            max_versions=max_versions,
            plan_cache_bytes=plan_cache_bytes,
            preload=preload,
            numerics=numerics,
        )
        registry._seed(networks.keys() | stored.deleted)
        for name, reference in sorted(registry._preload):
            try:
                version = registry.version(name, reference)
                version.runtime.pinned = True
                registry.load(version)
            except ForwardpassError as error:
                log.warning("%s/%s cannot be preloaded: %s", name, reference, error)
        return registry

    def follow(self, *, poll_seconds: float) -> None:
        """Keep up with other processes until `close`, if the store is shared.

        Args:
            poll_seconds: Changes are looked for at least as often.
        """
        if self._store.shared:
            self._follower = Follower(
                self._catch_up, self._store.hints(), poll_seconds=poll_seconds, turned=self._turned
            )

    @property
    def shared(self) -> bool:
        """Whether others may have written what is not in the snapshot yet."""
        return self._store.shared

    @property
    def database_works(self) -> bool:
        """Whether the store answered when it was last asked."""
        return not self._current.in_doubt and (self._follower is None or self._follower.works)

    def look(self, then: Then) -> None:
        """Take in all that was committed before this call, then call back: with None, or with why that failed.

        It may call back in this thread or another; the callback must not raise, and not take long.
        """
        if self._follower is not None:
            self._follower.look(then)
            return
        problem = None
        if self._store.shared:
            try:
                self._catch_up()
            except StoreUnavailableError as error:
                problem = error
        then(problem)

    def close(self) -> None:
        """Stop following; the store stays open."""
        if self._follower is not None:
            self._follower.close()

    @property
    def snapshot(self) -> Snapshot:
        """Everything that is registered; another object after each change."""
        return self._current.snapshot

    @property
    def revision(self) -> int:
        """How many changes there were."""
        return self.snapshot.revision

    @property
    def compiled(self) -> tuple[int, int]:
        """How many compiled versions are in memory, and how many bytes they take."""
        return self._contents.plans.size

    def networks(self, *, after: str = "", limit: int | None = None) -> tuple[NetworkState, ...]:
        """Return networks by name: all, or at most `limit` of those after a name."""
        return self.snapshot.listed(after=after, limit=limit)

    def network(self, name: str) -> NetworkState:
        """Return a network.

        Raises:
            NetworkNotFoundError: There is none of this name.
        """
        return self.snapshot.network(name)

    def version(self, name: str, reference: str) -> VersionState:
        """Return a version by number or alias; an empty reference is `latest`.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: It has no version of this number.
            AliasNotFoundError: It has no alias of this name.
        """
        return self.snapshot.version(name, reference)

    def resident(self, version: VersionState) -> LoadedVersion | None:
        """Return what computes a version if it is in memory, where it then stays longer; each call passes here."""
        return self._contents.plans.get(version.runtime)

    def load(self, version: VersionState) -> LoadedVersion:
        """Return what computes a version, compiling it if it is not in memory. This waits for the store.

        Raises:
            NetworkCorruptError: The stored content is damaged.
            StoreUnavailableError: The store cannot be read now.
            NetworkNotFoundError: It was deleted meanwhile.
            VersionNotFoundError: It was deleted meanwhile.
        """
        with self._reading(version):
            loaded = self._contents.load(version)
        if not self._current.has(version):
            self._contents.forget(version)
        return loaded

    def load_reference(self, name: str, reference: str) -> LoadedVersion:
        """Return what computes a version; raises as `version` and `load` do."""
        version = self.snapshot.version(name, reference)
        return self._contents.plans.get(version.runtime) or self.load(version)

    def summary(self, version: VersionState) -> Summary | None:
        """Return what a version says besides numbers, or None when it is damaged. This may wait for the store.

        Raises:
            StoreUnavailableError: The store cannot be read now.
            NetworkNotFoundError: It was deleted meanwhile.
            VersionNotFoundError: It was deleted meanwhile.
        """
        try:
            with self._reading(version):
                return self._contents.summary(version)
        except NetworkCorruptError:
            return None

    def description(self, version: VersionState) -> str:
        """Return a version's description, empty when it is damaged; raises as `summary` does."""
        try:
            with self._reading(version):
                return self._contents.description(version)
        except NetworkCorruptError:
            return ""

    def spec(self, name: str, reference: str) -> NetworkSpec:
        """Read a version's spec from the store; raises as `load_reference` does."""
        version = self.version(name, reference)
        with self._reading(version):
            return self._contents.spec(version)

    def is_damaged(self, version: VersionState) -> bool:
        """Say whether a version is known to be damaged and cannot be computed. Nothing is read for this."""
        return version.runtime.damaged and self._contents.plans.get(version.runtime) is None

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
            ExampleFailedError: An example does not hold.
            QuotaExceededError: There are as many networks or versions as allowed.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        check_name(name)
        content = to_safetensors(spec)
        digest = digest_of(content)
        snapshot = self.snapshot
        known = snapshot.find(name, digest)
        if known is not None and self._store.shared and not validate_only:
            snapshot = self._catch_up()  # it may be deleted by now
            known = snapshot.find(name, digest)
        summary = summarize(spec, self._numerics)
        if known is not None and self._contents.is_whole(known):
            return Registered(version=known, summary=summary, created=False, revision=snapshot.revision)
        plan = compile_plan(spec, self._numerics)
        check_examples(spec, plan)
        if validate_only:
            if known is None:
                self._check_room(name)
            number = known.number if known else 0
            row = VersionRow(number=number, digest=digest, create_time=datetime.now(UTC), size_bytes=len(content))
            state = version_state(name, row)
            return Registered(version=state, summary=summary, created=False, revision=self.revision)
        with self._writing():
            known = self.snapshot.find(name, digest)
            if known is None:
                self._check_room(name)
            written = self._store.register(name, digest, content, keep_latest=keep_latest)
            row = next(row for row in written.network.versions if row.number == written.number)
            # It may be whole all the same: another thread was quicker.
            whole = known is not None and not known.runtime.damaged and written.revision == self.revision
            state = known if known is not None and whole else version_state(name, row)
            # Before anyone can ask for it.
            self._contents.keep(state, serve(name, row.number, digest, spec, plan), summary)
            if not whole:
                self._current.follow(written, state)
        return Registered(version=state, summary=summary, created=written.created, revision=written.revision)

    def delete_network(self, name: str) -> int:
        """Delete a network with its versions and aliases; return the revision.

        Raises:
            NetworkNotFoundError: There is none.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        with self._writing():
            self.network(name)
            revision = self._store.delete_network(name)
            self._current.removed(name, revision)
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
            self.snapshot.numbered(name, number)
            return self._current.follow(self._store.delete_version(name, number))

    def set_in_service(self, name: str, *, in_service: bool) -> NetworkState:
        """Take all versions of a network out of service, or into it; what was so already changes nothing.

        A version out of service is kept with its aliases, takes no memory, and answers no calls.

        Raises:
            NetworkNotFoundError: There is no such network.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        with self._writing():
            self.network(name)
            return self._current.follow(self._store.set_in_service(name, in_service=in_service))

    def set_alias(self, name: str, alias: str, reference: str, *, expected: int | None = None) -> NetworkState:
        """Let an alias name a version, given by number or by an alias that names it now.

        Where it names that already, nothing changes, whatever is expected: so a retry is safe.

        Args:
            name: The network's name.
            alias: The alias.
            reference: The version.
            expected: The number that the alias must name until now, 0 for nothing; None means anything.

        Raises:
            InvalidFieldError: The alias is not of the right form, or the reference is empty.
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: It has no version of this number.
            AliasNotFoundError: It has no alias of the reference's name.
            AliasMovedError: The alias names another version than expected.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        check_name(alias, "alias")
        if not reference:
            message = "is empty; give the version's number, or an alias that names it"
            raise InvalidFieldError(
                f"version: {message}", faults=[Fault(path="version", message=message)], field="version"
            )
        if (name, alias) in self._preload:
            with suppress(ForwardpassError):  # whatever is wrong will be said below, or at the first call
                self.load_reference(name, reference)
        with self._writing():
            number = self.version(name, reference).number
            return self._current.follow(self._store.set_alias(name, alias, number, expected=expected))

    def rollback_alias(self, name: str, alias: str, *, expected: int | None = None) -> tuple[NetworkState, int]:
        """Let an alias name again what it named before; return the network, and what it named until now.

        Each rollback goes one move further back. Versions that were deleted since are passed over.

        Args:
            name: The network's name.
            alias: The alias.
            expected: The number that the alias must name until now; None means any.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: It has no such alias.
            AliasMovedError: The alias names another version than expected.
            NoEarlierVersionError: There is no version to go back to.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        if (name, alias) in self._preload:
            with suppress(ForwardpassError):  # as in `set_alias`
                now, kept = self.version(name, alias).number, self.network(name).versions
                earlier = earlier_move(name, alias, self._store.moves(name, alias), now=now, kept=kept)
                self.load_reference(name, str(earlier.number))
        with self._writing():
            before = self.snapshot.aliased(name, alias).number
            return self._current.follow(self._store.rollback_alias(name, alias, expected=expected)), before

    def moves(self, name: str, alias: str) -> tuple[MoveRow, ...]:
        """Return the last moves of an alias, newest first. This waits for the store.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: It has no such alias.
            StoreUnavailableError: The store cannot be read now.
        """
        self.snapshot.aliased(name, alias)
        return self._store.moves(name, alias)

    def delete_alias(self, name: str, alias: str) -> NetworkState:
        """Delete an alias, and forget its moves.

        Raises:
            InvalidFieldError: It is `latest`, which stays.
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: It has no such alias.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        with self._writing():
            self.snapshot.aliased(name, alias)
            if alias == LATEST:
                message = "is `latest`, which every network has; move it with SetAlias"
                raise InvalidFieldError(
                    f"alias: {message}", faults=[Fault(path="alias", message=message)], field="alias"
                )
            return self._current.follow(self._store.delete_alias(name, alias))

    def set_shadow(
        self, name: str, of: str, reference: str, *, share: float, tolerance: float | None = None
    ) -> NetworkState:
        """Let a version be computed beside another one, on a share of what that answers.

        Args:
            name: The network's name.
            of: Whose rows: a version's number, or an alias, which means whatever it names at the time.
            reference: The version that is computed beside it.
            share: Which share of the rows, above 0 and up to 1.
            tolerance: A difference is accepted up to this much times `max(1, |answered number|)`; None means 1e-9,
                or 1e-4 where one of the two is float32.

        Raises:
            InvalidFieldError: The share or tolerance cannot be, the two versions are one, or their inputs or outputs
                have other names.
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: It has no version of one of the numbers.
            AliasNotFoundError: It has no alias of one of the names.
            NetworkCorruptError: One of the two is damaged.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        check_share(share)
        live, version = self.version(name, of), self.version(name, reference)
        with self._reading(live):
            ours = self._contents.summary(live)
        with self._reading(version):
            theirs = self._contents.summary(version)
        check_comparable(ours, theirs, version.number)
        coarser = "float32" if "float32" in {ours.dtype, theirs.dtype} else "float64"
        tolerance = checked_tolerance(tolerance, TOLERANCE[coarser])
        of = str(live.number) if is_number(of) else of or LATEST
        if live.number == version.number:
            message = f"is version {version.number} itself; name another one to compare it with"
            raise InvalidFieldError(f"of: {message}", faults=[Fault(path="of", message=message)], field="of")
        with self._writing():
            written = self._store.set_shadow(name, of, version.number, share=share, tolerance=tolerance)
            return self._current.follow(written)

    def clear_shadow(self, name: str, of: str) -> NetworkState:
        """End what `set_shadow` began; where there is nothing, nothing changes.

        Raises:
            NetworkNotFoundError: There is no such network.
            StoreUnavailableError: The store cannot write now; the snapshot stays as it is.
        """
        with self._writing():
            self.network(name)
            return self._current.follow(self._store.clear_shadow(name, of or LATEST))

    def subscribe(self, callback: Callable[[NetworkChange], None]) -> Callable[[], None]:
        """Call back after each change, in the thread that made it; return what ends that.

        Changes arrive in the order of their revisions; when damage is found, the network is told
        again without a new one. The empty name tells that the
        database is away, or back. A callback may look names up, and must neither write nor read contents.
        """
        return self._current.subscribers.add(callback)

    def _turned(self) -> None:
        """Tell that the database is away, or back: a change of no network."""
        with self._write_lock:
            self._current.tell("")

    def _catch_up(self) -> Snapshot:
        """Take in what others wrote; return what there is then."""
        with self._writing():
            return self.snapshot

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Let one thread write at a time, from a snapshot that is what the store has."""
        with self._write_lock:
            try:
                if self._current.in_doubt or self._store.shared:
                    self._current.catch_up()
                yield
            except StoreUnavailableError:
                # The store may have made the change and failed to say so.
                self._current.in_doubt = True
                raise

    @contextmanager
    def _reading(self, version: VersionState) -> Iterator[None]:
        """Turn what can be found at reading a version's content into what callers should hear."""
        known = version.runtime.damaged
        try:
            yield
        except ContentGoneError:
            # It was deleted, or its row is damaged; the snapshot knows which, once no write is under way.
            with self._writing():
                current = self.snapshot.numbered(version.network, version.number)
            raise corrupt(current) from None
        except NetworkCorruptError:
            if not known:
                with self._write_lock:
                    if self._current.has(version):
                        self._current.tell(version.network)
            raise

    def _seed(self, known: AbstractSet[str]) -> None:
        """Add the built-in networks that the store never had; another process may do so at the same time."""
        specs = {name: spec for name, spec in builtin_networks().items() if name not in known}
        room = max(self._max_networks - len(self.snapshot.networks), 0)
        for name in [*specs][room:]:
            log.warning("the built-in network %s is not added: there is no room (setting `max_networks`)", name)
            del specs[name]
        contents = {name: to_safetensors(spec) for name, spec in specs.items()}
        seeds = [Seed(name=name, digest=digest_of(content), content=content) for name, content in contents.items()]
        if not seeds:
            return
        try:
            self._store.seed(seeds)
            with self._write_lock:
                self._current.catch_up()
        except StoreUnavailableError as error:
            log.warning("the built-in networks %s are not added: %s", ", ".join(specs), error)

    def _check_room(self, name: str) -> None:
        self.snapshot.check_room(name, max_networks=self._max_networks, max_versions=self._max_versions)
