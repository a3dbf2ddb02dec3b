"""The port to where networks are kept. Each method is one transaction, durable when it returns.

Rules that must hold whoever else writes (numbers given once, what an alias may name) are
kept inside the transaction. All methods may be called in any thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class StoreOpenError(Exception):
    """The store cannot be used at all; the sentence says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionRow:
    """A version as it is kept, without its content."""

    number: int
    digest: str
    create_time: datetime
    size_bytes: int
    in_service: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowRow:
    """A version that is computed beside another one.

    Attributes:
        of: Whose rows: a version's number in digits, or an alias.
        number: The number of the version that is computed beside it.
        share: Which share of the rows, above 0 and up to 1.
        tolerance: A difference is accepted up to this much times `max(1, |answered number|)`.
        set_time: Since when, UTC.
    """

    of: str
    number: int
    share: float
    tolerance: float
    set_time: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRow:
    """A network as it is kept.

    Attributes:
        name: The name.
        next_version: The number for the next version; grows for ever, also beyond a deletion.
        create_time: When the first version was registered, UTC.
        update_time: When the network last changed, UTC.
        versions: By number, ascending; empty when the network is deleted.
        aliases: The number that each alias names, `latest` among them; empty when it is deleted.
        revision: The registry's revision after the network's last change.
        shadows: The versions that are computed beside others, by `of`.
    """

    name: str
    next_version: int
    create_time: datetime
    update_time: datetime
    versions: tuple[VersionRow, ...]
    aliases: Mapping[str, int]
    revision: int
    shadows: tuple[ShadowRow, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveRow:
    """A move of an alias as it is kept.

    Attributes:
        move: 1, 2, 3 and so on.
        number: The version that the alias named from then on.
        time: When it was, UTC; None where that was not noted.
        back: The move that a rollback goes back to from here; 0 for none.
    """

    move: int
    number: int
    time: datetime | None
    back: int

    @property
    def rollback(self) -> bool:
        """Whether a rollback made it: any other move can be taken back to the one just before."""
        return self.back < self.move - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a write came to.

    Attributes:
        network: The network after it.
        number: The version that it was about.
        created: Whether it made that version.
        revision: The revision after it; the same as before when there was nothing to change.
    """

    network: NetworkRow
    number: int
    created: bool
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """Everything but the contents, or what of it has changed.

    Attributes:
        revision: How many changes there were.
        networks: The networks.
        deleted: Names that were registered once and are no more.
    """

    revision: int
    networks: tuple[NetworkRow, ...]
    deleted: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """A network that every registry has from the start: its name, and its first version's content and digest."""

    name: str
    digest: str
    content: bytes


class Notifications(Protocol):
    """Tells a follower when it is worth looking for changes. A hint may be missing; none may be trusted."""

    def wait(self, seconds: float, *, listen: bool) -> None:
        """Wait until others announced a change, or `wake` is called, or so many seconds have passed.

        Args:
            seconds: How long.
            listen: Whether it makes sense to connect where there is no connection.
        """

    def wake(self) -> None:
        """End a wait, or the next one; may be called in any thread."""

    def close(self) -> None:
        """Let go of connections; nobody waits any more."""


class Store(Protocol):
    """Keeps networks.

    Attributes:
        shared: Whether other processes may write too, so that what was read may be old.

    Every method raises `StoreUnavailableError` when it cannot do its work now. Then nothing was
    changed, but for one rare case: the change was made and its confirmation got lost. So whoever
    wrote reads again before it goes on.
    """

    shared: bool

    def load(self, since: int = -1) -> Loaded:
        """Read everything but the contents: all networks, or those changed after a revision."""

    def hints(self) -> Notifications:
        """Return what tells of other processes' changes, where the store is shared."""

    def seed(self, seeds: Sequence[Seed]) -> None:
        """Add networks whose names were never registered, not even by a network that is deleted now."""

    def content(self, name: str, number: int) -> bytes | None:
        """Read a version's content, or None when there is no such version.

        Where the content is damaged, whatever can be read of it, perhaps nothing.
        """

    def register(self, name: str, digest: str, content: bytes, *, keep_latest: bool) -> Written:
        """Add a version, unless the network has one of this digest; if that is damaged, mend it.

        `latest` moves to a new version unless `keep_latest`; to an old one it never moves, so
        that a retry changes nothing. A network's first version is always the latest.
        """

    def delete_network(self, name: str) -> int:
        """Delete a network; return the revision. Its numbers stay used.

        Raises:
            NetworkNotFoundError: There is none.
        """

    def delete_version(self, name: str, number: int) -> Written:
        """Delete a version with its shadows; where `latest` named it, move that to the highest one left.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: There is no such version.
            VersionInUseError: Another alias names it, or it is the only one.
        """

    def set_in_service(self, name: str, *, in_service: bool) -> Written:
        """Take all versions of a network out of service, or into it.

        Raises:
            NetworkNotFoundError: There is none.
        """

    def set_alias(self, name: str, alias: str, number: int, *, expected: int | None = None) -> Written:
        """Let an alias name a version, and note the move.

        Where it names that already, nothing changes, whatever is expected: so a retry is safe.

        Args:
            name: The network's name.
            alias: The alias.
            number: The version's number.
            expected: What the alias must name until now, 0 for nothing; None means anything.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: There is no such version.
            AliasMovedError: The alias names another version than expected.
        """

    def rollback_alias(self, name: str, alias: str, *, expected: int | None = None) -> Written:
        """Let an alias name again what it named before, and note the move; `number` is that version's.

        Each rollback goes one move further back. Versions that were deleted since are passed over.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: There is no such alias.
            AliasMovedError: The alias names another version than expected.
            NoEarlierVersionError: There is no version to go back to.
        """

    def moves(self, name: str, alias: str) -> tuple[MoveRow, ...]:
        """Read the last moves of an alias, newest first; none where there is no such alias."""

    def set_shadow(self, name: str, of: str, number: int, *, share: float, tolerance: float) -> Written:
        """Let a version be computed beside another one; what was there for the same `of` is replaced.

        What is so already stays as it is, with the time since when.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: There is no such version.
        """

    def clear_shadow(self, name: str, of: str) -> Written:
        """End what `set_shadow` began; what is not there changes nothing.

        Raises:
            NetworkNotFoundError: There is no such network.
        """

    def delete_alias(self, name: str, alias: str) -> Written:
        """Delete an alias and its shadow, and forget its moves.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: There is no such alias.
        """

    def close(self) -> None:
        """Let go of files and connections."""
