"""The snapshot: everything that is registered at one revision. It is never changed, only replaced."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from typing import Final, TypeVar

from forwardpass.errors import (
    AliasNotFoundError,
    NetworkNotFoundError,
    NotFoundError,
    QuotaExceededError,
    RevisionAheadError,
    VersionNotFoundError,
    VersionOutOfServiceError,
)

from forwardpass_server.registry.state import NO_PROFILES, NetworkState, Shadowing, VersionState
from forwardpass_server.registry.storage.store import NetworkRow, VersionRow

_MAX_COMPARED: Final = 100
"""The number of names that an unknown name is compared with: a caller's typing error must stay cheap."""

NotFound = TypeVar("NotFound", bound=NotFoundError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The state of the registry at a revision.

    Attributes:
        revision: The number of changes so far.
        networks: Every network by name.
        names: Their names, sorted.
        shadowed: The shadows of each version that has some, by network name and version number.
    """

    revision: int
    networks: Mapping[str, NetworkState]
    names: tuple[str, ...]
    shadowed: Mapping[tuple[str, int], tuple[Shadowing, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, networks: Mapping[str, NetworkState], revision: int) -> "Snapshot":
        """Create a snapshot of networks by name."""
        shadowed = {key: found for network in networks.values() for key, found in _shadowed(network).items()}
        return cls(revision=revision, networks=networks, names=tuple(sorted(networks)), shadowed=shadowed)

    def with_changes(self, changes: Mapping[str, NetworkState | None], revision: int) -> "Snapshot":
        """Return the snapshot after changes of networks by name; None deletes a network."""
        networks = dict(self.networks)
        names = [*self.names]
        for name, network in changes.items():
            if network is None:
                if networks.pop(name, None) is not None:
                    del names[bisect_left(names, name)]
                continue
            if name not in networks:
                insort(names, name)
            networks[name] = network
        shadowed = {key: found for key, found in self.shadowed.items() if key[0] not in changes}
        for network in changes.values():
            shadowed |= {} if network is None else _shadowed(network)
        return Snapshot(revision=revision, networks=networks, names=tuple(names), shadowed=shadowed)

    def network(self, name: str) -> NetworkState:
        """Return a network.

        Raises:
            NetworkNotFoundError: There is no network of this name.
        """
        network = self.networks.get(name)
        if network is None:
            raise _missing(NetworkNotFoundError, "network", name, "there is", self.names)
        return network

    def list_networks(
        self, *, after: str = "", limit: int | None = None, wanted: Callable[[str], bool] | None = None
    ) -> tuple[NetworkState, ...]:
        """Return networks sorted by name.

        Args:
            after: The name after which they begin.
            limit: How many there are at most; None for all.
            wanted: Returns whether a network of a name is among them; None if each is.
        """
        start = bisect_right(self.names, after)
        if wanted is not None:
            names = islice(self.names, start, None)
            return tuple(map(self.networks.__getitem__, islice(filter(wanted, names), limit)))
        end = None if limit is None else start + limit
        return tuple(map(self.networks.__getitem__, self.names[start:end]))

    def versions(self, wanted: Callable[[str], bool] | None = None) -> Iterator[VersionState]:
        """Iterate over the versions of every network, or of those with a wanted name, by name and number."""
        names = self.names if wanted is None else filter(wanted, self.names)
        return (version for name in names for version in self.networks[name].versions.values())

    def version(self, name: str, reference: str) -> VersionState:
        """Return a version by number or alias; an empty reference means `latest`.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no version of this number.
            AliasNotFoundError: The network has no alias of this name.
        """
        network = self.network(name)
        version = network.references.get(reference)
        if version is not None:
            return version
        if is_number(reference):
            return self.version_by_number(name, int(reference[:20]))
        return self.version_of_alias(name, reference)

    def resolve(self, name: str, reference: str) -> VersionState:
        """Return the version that serves a call of a reference; raises as `version` does.

        Raises:
            VersionOutOfServiceError: The version is out of service.
        """
        version = self.version(name, reference)
        if not version.in_service:
            raise VersionOutOfServiceError(
                f"network {name!r} version {version.number} is out of service; take it into service "
                "(RepositoryModelLoad), or ask for another version",
                network=name,
                version=version.number,
            )
        return version

    def version_of_alias(self, name: str, alias: str) -> VersionState:
        """Return the version that an alias names; raises as `version` does."""
        network = self.network(name)
        number = network.aliases.get(alias)
        if number is None:
            where = f"network {name!r} has"
            raise _missing(AliasNotFoundError, "alias", alias, where, sorted(network.aliases))
        return network.versions[number]

    def version_by_number(self, name: str, number: int) -> VersionState:
        """Return a version by number; raises as `version` does."""
        network = self.network(name)
        version = network.versions.get(number)
        if version is None:
            near = sorted(network.versions, key=lambda other: (abs(other - number), other))[:3]
            nearest = f"the nearest {'is' if len(near) == 1 else 'are'} {', '.join(map(str, near))}"
            raise _not_found(
                VersionNotFoundError,
                "version",
                f"{name}/{number}",
                f"network {name!r} has no version {number}; {nearest}",
                [*map(str, near)],
            )
        return version

    def find_by_digest(self, name: str, digest: str) -> VersionState | None:
        """Return the network's version with this digest, or None."""
        network = self.networks.get(name)
        versions = network.versions.values() if network else ()
        return next((version for version in versions if version.digest == digest), None)

    def check_quota(self, name: str, *, max_networks: int, max_versions: int) -> None:
        """Check that one more version of a network is allowed.

        Raises:
            QuotaExceededError: The number of networks, or of this network's versions, has reached its limit.
        """
        network = self.networks.get(name)
        if network is None:
            count, limit, what, setting = len(self.networks), max_networks, "networks", "max_networks"
        else:
            count, limit = len(network.versions), max_versions
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


def network_state(row: NetworkRow, known: Mapping[int, VersionState]) -> NetworkState:
    """Create a network's state from its row. Known versions of the same content are reused, with their runtime."""
    versions = {}
    for version in row.versions:
        state = known.get(version.number)
        if state is None or state.digest != version.digest:
            state = version_state(row.name, version)
        if state.in_service != version.in_service:
            state = replace(state, in_service=version.in_service)
        versions[version.number] = state
    return NetworkState(
        name=row.name,
        versions=versions,
        aliases=row.aliases,
        create_time=row.create_time,
        update_time=row.update_time,
        shadows=row.shadows,
        revision=row.revision,
        profiles={profile.number: profile for profile in row.profiles} or NO_PROFILES,
    )


def _shadowed(network: NetworkState) -> dict[tuple[str, int], tuple[Shadowing, ...]]:
    """Return the shadows of each version by network name and number; a version is not its own shadow."""
    found: dict[tuple[str, int], tuple[Shadowing, ...]] = {}
    for shadowing in network.shadowings:
        if shadowing.live is not shadowing.version:
            key = (network.name, shadowing.live.number)
            found[key] = (*found.get(key, ()), shadowing)
    return found


def version_state(name: str, row: VersionRow) -> VersionState:
    """Create a version's state from its row."""
    return VersionState(
        network=name,
        number=row.number,
        digest=row.digest,
        create_time=row.create_time,
        size_bytes=row.size_bytes,
        in_service=row.in_service,
    )


def revision_ahead(requested: int, actual: int) -> RevisionAheadError:
    """Return the error for a caller that requests a revision which the store does not have yet."""
    return RevisionAheadError(
        f"revision {requested} was requested, and the registry's database is at {actual}: the revision is another "
        "registry's, or the database was restored from a backup; send the request without `min_revision`",
        minRevision=requested,
        revision=actual,
    )


def is_number(reference: str) -> bool:
    """Return whether a reference is a version number rather than an alias."""
    return reference.isascii() and reference.isdecimal()


def _missing(error: type[NotFound], what: str, requested: str, where: str, names: Sequence[str]) -> NotFound:
    """Return the error for an unknown name, with the most similar of the sorted `names`."""
    shown = requested[:_MAX_COMPARED]
    place = bisect_left(names, shown)
    # In a long sorted list, names with the same beginning are neighbours.
    some = names[max(0, place - _MAX_COMPARED // 2) : place + _MAX_COMPARED // 2]
    near = get_close_matches(shown, some, n=3)
    hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
    return _not_found(error, what, shown, f"{where} no {what} {shown!r}{hint}", near)


def _not_found(error: type[NotFound], what: str, resource: str, message: str, near: list[str]) -> NotFound:
    return error(message, resourceType=what, resourceName=resource, nearest=", ".join(near))
