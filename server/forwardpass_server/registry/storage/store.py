"""The port to the storage of networks. Each method is one transaction, and durable when it returns.

Rules that must hold whichever process writes (a version number is given once, an alias names an existing version) are
checked inside the transaction. All methods may be called in any thread.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from forwardpass.errors import ProfileNotFoundError

LATEST: Final = "latest"
"""The alias that an empty version reference means; every network has it."""


class StoreOpenError(Exception):
    """The store cannot be opened; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionRow:
    """A stored version without its content.

    Attributes:
        number: 1, 2, 3 and so on.
        digest: SHA-256 of the content, hexadecimal.
        create_time: When it was registered, UTC.
        size_bytes: The size of the content.
        in_service: Whether it may be called.
    """

    number: int
    digest: str
    create_time: datetime
    size_bytes: int
    in_service: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowRow:
    """A stored shadow: a version that is computed beside another one and compared with it.

    Attributes:
        of: The version it is compared with: a version number in digits, or an alias.
        number: The number of the version that is computed as the shadow.
        share: The share of rows that the shadow computes, above 0 and up to 1.
        tolerance: Differences up to this much times `max(1, |loaded number|)` are accepted.
        set_time: When the shadow was set, UTC.
    """

    of: str
    number: int
    share: float
    tolerance: float
    set_time: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRow:
    """A stored profile without its content.

    Attributes:
        number: The number of the version that it is of.
        digest: SHA-256 of its content, hexadecimal.
        rows: The number of rows that it was made of.
        set_time: When it was set, UTC.
    """

    number: int
    digest: str
    rows: int
    set_time: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRow:
    """A stored network.

    Attributes:
        name: The name.
        next_version: The number of the next version. It only grows, also after the network is deleted.
        create_time: When the first version was registered, UTC.
        update_time: When the network last changed, UTC.
        versions: By number, ascending; empty when the network is deleted.
        aliases: The version number that each alias names, `latest` included; empty when the network is deleted.
        revision: The registry's revision after the network's last change.
        shadows: The network's shadows, sorted by `of`.
        profiles: The profiles of its versions, sorted by number.
    """

    name: str
    next_version: int
    create_time: datetime
    update_time: datetime
    versions: tuple[VersionRow, ...]
    aliases: Mapping[str, int]
    revision: int
    shadows: tuple[ShadowRow, ...] = ()
    profiles: tuple[ProfileRow, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasMoveRow:
    """A stored move of an alias from one version to another.

    Attributes:
        move: 1, 2, 3 and so on.
        number: The version that the alias names after the move.
        time: When the alias moved, UTC; None if it was not recorded.
        rollback_to: The move that a rollback returns to from here; 0 if there is none.
    """

    move: int
    number: int
    time: datetime | None
    rollback_to: int

    @property
    def is_rollback(self) -> bool:
        """Whether a rollback made this move. Every other move rolls back to the move just before it."""
        return self.rollback_to < self.move - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteResult:
    """The result of a write.

    Attributes:
        network: The network after the write.
        number: The version that the write was about.
        created: Whether the write created that version.
        revision: The registry's revision after the write; unchanged if there was nothing to change.
    """

    network: NetworkRow
    number: int
    created: bool
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredState:
    """Everything in a store except the contents, or the part of it that has changed.

    Attributes:
        revision: The number of changes so far.
        networks: The networks.
        deleted: Names that were registered once and are deleted now.
    """

    revision: int
    networks: tuple[NetworkRow, ...]
    deleted: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """A network that every new registry starts with: its name, and the digest and content of its first version."""

    name: str
    digest: str
    content: bytes


class Notifications(Protocol):
    """Wakes a follower when other processes have changed the store. Notifications may be lost or be false alarms."""

    def wait(self, seconds: float, *, listen: bool) -> None:
        """Wait until another process announces a change, `wake` is called, or the time is over.

        Args:
            seconds: The longest time to wait.
            listen: Whether to try to connect if there is no connection.
        """

    def wake(self) -> None:
        """End the current wait, or the next one. May be called in any thread."""

    def close(self) -> None:
        """Close the connection; no thread may be waiting."""


class Store(Protocol):
    """The storage of networks.

    Every method raises `StoreUnavailableError` when the store cannot do it now. Nothing has changed then, with one rare
    exception: the change was committed and its confirmation was lost. Writers therefore read again before they go on.

    Attributes:
        shared: Whether other processes may write too, so that what was read may be outdated.
    """

    shared: bool

    def read_state(self, since: int = -1) -> StoredState:
        """Read everything except the contents: all networks, or those that changed after a revision."""

    def notifications(self) -> Notifications:
        """Return the notifications of other processes' changes. Only for a store that is shared."""

    def seed(self, seeds: Sequence[Seed]) -> None:
        """Add networks whose names were never registered, not even by a network that is deleted now."""

    def read_content(self, name: str, number: int) -> bytes | None:
        """Read a version's content; None if there is no such version.

        A damaged content is returned as far as it can be read; it may be empty.
        """

    def read_contents(self, versions: Sequence[tuple[str, int]]) -> list[bytes | None]:
        """Read the contents of versions by their names and numbers, each as `read_content` does."""

    def register(self, name: str, digest: str, content: bytes, *, keep_latest: bool) -> WriteResult:
        """Add a version, or find the version that has this digest and repair it if its content is damaged.

        `latest` moves to a new version unless `keep_latest` is set, and never to a version that was found: so a retry
        changes nothing. The first version of a network is always the latest.
        """

    def delete_network(self, name: str) -> int:
        """Delete a network and return the revision. Its version numbers are not given again.

        Raises:
            NetworkNotFoundError: There is no such network.
        """

    def delete_version(self, name: str, number: int) -> WriteResult:
        """Delete a version and its shadows. If `latest` names it, `latest` moves to the highest version left.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no such version.
            VersionInUseError: Another alias names it, or it is the only version.
        """

    def set_in_service(self, name: str, *, in_service: bool) -> WriteResult:
        """Put all versions of a network into service, or take them out of it.

        Raises:
            NetworkNotFoundError: There is no such network.
        """

    def set_alias(self, name: str, alias: str, number: int, *, expected: int | None = None) -> WriteResult:
        """Point an alias at a version and record the move.

        If the alias names that version already, nothing changes, whatever `expected` is: so a retry is safe.

        Args:
            name: The network's name.
            alias: The alias.
            number: The version's number.
            expected: The version that the alias must name before; 0 if it must not exist, None for any.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no such version.
            AliasMovedError: The alias names another version than expected.
        """

    def rollback_alias(self, name: str, alias: str, *, expected: int | None = None) -> WriteResult:
        """Point an alias at the version that it named before, and record the move.

        Each rollback goes one move further back. Deleted versions are skipped.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: The network has no such alias.
            AliasMovedError: The alias names another version than expected.
            NoEarlierVersionError: There is no version to return to.
        """

    def list_alias_moves(self, name: str, alias: str) -> tuple[AliasMoveRow, ...]:
        """Read the last moves of an alias, newest first; empty if there is no such alias."""

    def set_shadow(self, name: str, of: str, number: int, *, share: float, tolerance: float) -> WriteResult:
        """Set the shadow of a version or alias; it replaces the shadow of the same `of`.

        Setting the same shadow again changes nothing, not even `set_time`.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no such version.
        """

    def clear_shadow(self, name: str, of: str) -> WriteResult:
        """Remove a shadow; if there is none, nothing changes.

        Raises:
            NetworkNotFoundError: There is no such network.
        """

    def set_profile(self, name: str, number: int, content: bytes, *, rows: int) -> WriteResult:
        """Set the profile of a version; it replaces the version's earlier one.

        Setting the same profile again changes nothing, not even `set_time`, so a retry is safe.

        Args:
            name: The network's name.
            number: The version's number.
            content: The serialized profile.
            rows: The number of rows that it was made of.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no such version.
        """

    def read_profile(self, name: str, number: int) -> bytes | None:
        """Read the content of a version's profile as far as it can be read; None if the version has none."""

    def delete_profile(self, name: str, number: int) -> WriteResult:
        """Delete the profile of a version.

        Raises:
            NetworkNotFoundError: There is no such network.
            ProfileNotFoundError: The version has none.
        """

    def delete_alias(self, name: str, alias: str) -> WriteResult:
        """Delete an alias with its shadow and its history.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: The network has no such alias.
        """

    def close(self) -> None:
        """Close files and connections."""


def profile_not_found(name: str, number: int) -> ProfileNotFoundError:
    """Make the error of a version that has no profile."""
    return ProfileNotFoundError(
        f"network {name!r} version {number} has no profile; compute one with `forwardpass profile`",
        resourceType="profile",
        resourceName=f"{name}/{number}",
    )


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a version's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()
