"""The registry's state as frozen values, which every call may share."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final
from zlib import crc32

from forwardpass_server.registry.shadow_statistics import ShadowStatistics
from forwardpass_server.registry.statistics import EMPTY_STATISTICS, CollectedStatistics, Statistics
from forwardpass_server.registry.storage.store import LATEST, ProfileRow, ShadowRow
from forwardpass_server.registry.summary import Summary

_CREATION_LOCK = threading.Lock()
"""Held while a part of a runtime is created: if two threads created statistics, the counts of one would be lost."""

NO_PROFILES: Final[Mapping[int, ProfileRow]] = MappingProxyType({})
"""The profiles of a network without any: one mapping for the thousands of them."""


class VersionRuntime:
    """Runtime state of a version in this process: lock, statistics, damage and pin.

    It lives as long as its version does, so nothing is left of deleted versions. Equal only to itself.

    Attributes:
        damaged: Whether the stored content was found to be damaged.
        pinned: Whether the version stays in memory once it is loaded; set by `PlanCache.pin`.
    """

    __slots__ = ("_loading", "_shadow_statistics", "_statistics", "damaged", "pinned")

    def __init__(self) -> None:
        self.damaged = False
        self.pinned = False
        self._loading: threading.Lock | None = None
        self._statistics: Statistics | None = None
        self._shadow_statistics: dict[str, tuple[object, ShadowStatistics]] | None = None

    @property
    def loading(self) -> threading.Lock:
        """Held by the thread that compiles the version; created at the first use, as the statistics are."""
        if self._loading is None:
            with _CREATION_LOCK:
                self._loading = self._loading or threading.Lock()  # type: ignore[redundant-expr]
        return self._loading

    @property
    def statistics(self) -> Statistics:
        """The statistics of the version's calls; created at the first use, since most versions are never called."""
        if self._statistics is None:
            with _CREATION_LOCK:
                # mypy does not know about other threads.
                self._statistics = self._statistics or Statistics()  # type: ignore[redundant-expr]
        return self._statistics

    @property
    def has_statistics(self) -> bool:
        """Whether the version has been called."""
        return self._statistics is not None

    def collect_statistics(self) -> CollectedStatistics:
        """Return the version's statistics as they are now."""
        return EMPTY_STATISTICS if self._statistics is None else self._statistics.collect()

    def shadow_statistics(self, of: str, key: object, create: Callable[[], ShadowStatistics]) -> ShadowStatistics:
        """Return the statistics of the version as the shadow of another; created anew if the key has changed."""
        with _CREATION_LOCK:
            if self._shadow_statistics is None:
                self._shadow_statistics = {}
            known = self._shadow_statistics.get(of)
            if known is None or known[0] != key:
                known = self._shadow_statistics[of] = (key, create())
            return known[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionState:
    """One immutable version.

    Attributes:
        network: The network's name.
        number: 1, 2, 3 and so on; 0 for content that was only validated.
        digest: SHA-256 of the content, hexadecimal.
        create_time: When it was registered, UTC.
        size_bytes: The size of the content.
        in_service: Whether it may be called.
        runtime: What this process knows about the version besides.
    """

    network: str
    number: int
    digest: str
    create_time: datetime
    size_bytes: int
    in_service: bool = True
    runtime: VersionRuntime = field(default_factory=VersionRuntime, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadowing:
    """A shadow and the two versions that it compares now.

    Attributes:
        row: The shadow as it was set.
        live: The version that serves calls.
        version: The version that is computed as the shadow.
        statistics: Counts the comparisons. They start anew when the shadow is set again or its alias moves; rows of
            before count where they belong, however late they are compared.
    """

    row: ShadowRow
    live: VersionState
    version: VersionState
    statistics: ShadowStatistics = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the statistics, or create them."""
        row = self.row
        key = (row.set_time, row.share, row.tolerance, self.live.number)
        seed = crc32(f"{self.live.network}/{row.of}/{self.version.number}".encode())
        statistics = self.version.runtime.shadow_statistics(row.of, key, lambda: ShadowStatistics(row.share, seed))
        object.__setattr__(self, "statistics", statistics)


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkState:
    """A named network.

    Attributes:
        name: The name.
        versions: Every version by number, ascending.
        aliases: The version number that each alias names, `latest` included.
        create_time: When the first version was registered, UTC.
        update_time: When the network last changed, UTC.
        revision: The registry's revision after that change.
        shadows: The network's shadows, sorted by `of`.
        profiles: The profile of each version that has one, by number.
        shadowings: Every shadow with the versions that it compares now.
    """

    name: str
    versions: Mapping[int, VersionState]
    aliases: Mapping[str, int]
    create_time: datetime
    update_time: datetime
    revision: int = 0
    shadows: tuple[ShadowRow, ...] = ()
    profiles: Mapping[int, ProfileRow] = field(default_factory=lambda: NO_PROFILES)
    shadowings: tuple[Shadowing, ...] = field(init=False, repr=False, compare=False)
    _references: Mapping[str, VersionState] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the versions that shadows compare."""
        shadowings = tuple(
            Shadowing(row=row, live=self.references[row.of], version=self.versions[row.number])
            for row in self.shadows
            if row.of in self.references and row.number in self.versions
        )
        object.__setattr__(self, "shadowings", shadowings)

    @property
    def references(self) -> Mapping[str, VersionState]:
        """The version for every reference: a number in digits, an alias, or the empty string for `latest`.

        Indexed at the first use, since most of many networks are seldom called.
        """
        return self._references or self._index()

    def _index(self) -> Mapping[str, VersionState]:
        references = {str(number): version for number, version in self.versions.items()}
        references |= {alias: self.versions[number] for alias, number in self.aliases.items()}
        references[""] = references[LATEST]
        object.__setattr__(self, "_references", references)
        return references


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkChange:
    """A change of a network: the network after it, or None if it was deleted, and the revision of the change."""

    name: str
    network: NetworkState | None
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """The result of a registration.

    Attributes:
        version: The version.
        summary: Its summary.
        created: Whether the registration created it.
        revision: The registry's revision.
    """

    version: VersionState
    summary: Summary
    created: bool
    revision: int
