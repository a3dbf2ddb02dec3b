"""Conversion of table rows to values, with defaults for damaged columns.

SQLite stores any type in any column, so a damaged row can contain anything. A row that cannot be used is left out and
logged; all other rows are served.
"""

import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import Any, Final

from forwardpass.errors import InvalidFieldError
from forwardpass.spec import check_name
from sqlalchemy import Connection, select

from forwardpass_server.registry.storage.store import LATEST, NetworkRow, ProfileRow, ShadowRow, VersionRow
from forwardpass_server.registry.storage.tables import aliases, networks, profiles, shadows, versions, withdrawn

log = logging.getLogger(__name__)

_NUMBER: Final = attrgetter("number")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_networks(
    connection: Connection, name: str | None = None, *, since: int | None = None
) -> dict[str, NetworkRow]:
    """Read networks without contents, deleted ones included: all, one by name, or those changed after a revision."""
    select_networks = select(
        networks.c.name,
        networks.c.next_version,
        networks.c.create_us,
        networks.c.update_us,
        networks.c.revision,
    ).order_by(networks.c.name)
    select_versions = select(
        versions.c.name,
        versions.c.number,
        versions.c.digest,
        versions.c.create_us,
        versions.c.size_bytes,
    ).order_by(versions.c.name, versions.c.number)
    select_withdrawn = select(withdrawn.c.name, withdrawn.c.number)
    select_shadows = select(shadows).order_by(shadows.c.of)
    select_profiles = select(
        profiles.c.name, profiles.c.number, profiles.c.digest, profiles.c.rows, profiles.c.set_us
    ).order_by(profiles.c.number)
    select_aliases = select(aliases.c.name, aliases.c.alias, aliases.c.number)
    if name is not None or since is not None:
        changed = networks.c.name == name if name is not None else networks.c.revision > since
        names = select(networks.c.name).where(changed)
        select_networks = select_networks.where(changed)
        select_versions = select_versions.where(versions.c.name.in_(names))
        select_withdrawn = select_withdrawn.where(withdrawn.c.name.in_(names))
        select_aliases = select_aliases.where(aliases.c.name.in_(names))
        select_shadows = select_shadows.where(shadows.c.name.in_(names))
        select_profiles = select_profiles.where(profiles.c.name.in_(names))
    out_of_service = {(row.name, row.number) for row in connection.execute(select_withdrawn)}
    # A database may have a hundred thousand networks with one version each: what is here for each of them is small.
    versions_of = {
        name: tuple(_version_rows(rows, out_of_service))
        for name, rows in groupby(connection.execute(select_versions), key=attrgetter("name"))
    }
    latest_of: dict[object, int] = {}
    aliases_of: dict[object, dict[str, int]] = defaultdict(dict)
    for alias in connection.execute(select_aliases):
        if not isinstance(alias.alias, str) or not _has(versions_of.get(alias.name, ()), alias.number):
            log.error("alias %r of network %r names no version and is left out", alias.alias, alias.name)
        elif alias.alias == LATEST:
            latest_of[alias.name] = alias.number
        else:
            aliases_of[alias.name][alias.alias] = alias.number
    shadows_of: dict[object, list[ShadowRow]] = defaultdict(list)
    for shadow in connection.execute(select_shadows):
        row = _shadow_row(shadow)
        numbered = versions_of.get(shadow.name, ())
        references = {LATEST, *(str(version.number) for version in numbered), *aliases_of.get(shadow.name, ())}
        if row is not None and _has(numbered, row.number) and row.of in references:
            shadows_of[shadow.name].append(row)
        else:
            log.error("a shadow of network %r is damaged and is left out", shadow.name)
    profiles_of: dict[object, list[ProfileRow]] = defaultdict(list)
    for profile in connection.execute(select_profiles):
        if _has(versions_of.get(profile.name, ()), profile.number):
            profiles_of[profile.name].append(_profile_row(profile))
    return {
        row.name: _network_row(
            row,
            versions_of.pop(row.name, ()),
            latest_of.get(row.name),
            aliases_of.get(row.name, {}),
            tuple(shadows_of.get(row.name, ())),
            tuple(profiles_of.get(row.name, ())),
        )
        for row in connection.execute(select_networks)
        if _is_valid_name(row.name)
    }


def valid_count(value: object, *, default: int) -> int:
    """Return a non-negative number that can be counted on from, or the default if it is damaged.

    A number near the end of a 64-bit integer's range counts as damaged, since counting on would overflow.
    """
    return value if isinstance(value, int) and 0 <= value < 2**62 else default


def current_microseconds() -> int:
    """Return the current time in microseconds since 1970, UTC."""
    return (datetime.now(UTC) - EPOCH) // timedelta(microseconds=1)


def utc_time(microseconds: object) -> datetime:
    """Convert microseconds since 1970 to a time, UTC; a damaged value gives 1970."""
    try:
        return EPOCH + timedelta(microseconds=valid_count(microseconds, default=0))
    except OverflowError:
        return EPOCH


def _network_row(
    row: Any,
    versions: tuple[VersionRow, ...],
    latest: int | None,
    aliases: Mapping[str, int],
    shadows: tuple[ShadowRow, ...],
    profiles: tuple[ProfileRow, ...],
) -> NetworkRow:
    newest = versions[-1].number if versions else 0
    named = _only_latest(newest if latest is None else latest)
    create_time = utc_time(row.create_us)
    return NetworkRow(
        name=row.name,
        # A number that was given must not be given again, even if this column is damaged.
        next_version=max(valid_count(row.next_version, default=1), newest + 1),
        # One object for the network and its first version, if it is still there.
        create_time=versions[0].create_time if versions and versions[0].create_time == create_time else create_time,
        update_time=utc_time(row.update_us),
        revision=valid_count(row.revision, default=0),
        versions=versions,
        aliases=({**named, **aliases} if aliases else named) if versions else {},
        shadows=shadows,
        profiles=profiles,
    )


@lru_cache
def _only_latest(number: int) -> Mapping[str, int]:
    """Return the aliases of a network without others than `latest`: one object for all such networks."""
    return {LATEST: number}


def _version_rows(rows: Iterable[Any], out_of_service: AbstractSet[tuple[object, object]]) -> Iterator[VersionRow]:
    for row in rows:
        if valid_count(row.number, default=0):
            yield _version_row(row, in_service=(row.name, row.number) not in out_of_service)
        else:
            log.error("a version of network %r has a damaged number and is left out", row.name)


def _has(versions: Sequence[VersionRow], number: object) -> bool:
    """Return whether a version with this number is among versions in ascending order."""
    if not isinstance(number, int):
        return False
    place = bisect_left(versions, number, key=_NUMBER)
    return place < len(versions) and versions[place].number == number


def _version_row(row: Any, *, in_service: bool) -> VersionRow:
    return VersionRow(
        number=row.number,
        digest=row.digest if isinstance(row.digest, str) else "",
        create_time=utc_time(row.create_us),
        size_bytes=valid_count(row.size_bytes, default=0),
        in_service=in_service,
    )


def _shadow_row(row: Any) -> ShadowRow | None:
    """Convert a shadow; None if its row is damaged."""
    try:
        share, tolerance = float(row.share), float(row.tolerance)
    except (TypeError, ValueError):
        return None
    if not (0 < share <= 1 and 0 <= tolerance < inf and isinstance(row.of, str)):
        return None
    number = valid_count(row.number, default=0)
    return ShadowRow(of=row.of, number=number, share=share, tolerance=tolerance, set_time=utc_time(row.set_us))


def _profile_row(row: Any) -> ProfileRow:
    return ProfileRow(
        number=row.number,
        digest=row.digest if isinstance(row.digest, str) else "",
        rows=valid_count(row.rows, default=0),
        set_time=utc_time(row.set_us),
    )


def _is_valid_name(name: object) -> bool:
    try:
        check_name(name)  # type: ignore[arg-type] # a damaged name may have any type
    except InvalidFieldError:
        log.error("a network's name is damaged (%r) and it is left out", name)  # noqa: TRY400
        return False
    return True
