"""Conversion of table rows to values, with defaults for damaged columns.

SQLite stores any type in any column, so a damaged row can contain anything. A row that cannot be used is left out and
logged; all other rows are served.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Final

from forwardpass.errors import InvalidFieldError
from forwardpass.spec import check_name
from sqlalchemy import Connection, select

from forwardpass_server.registry.storage.store import LATEST, NetworkRow, ProfileRow, ShadowRow, VersionRow
from forwardpass_server.registry.storage.tables import aliases, networks, profiles, shadows, versions, withdrawn

log = logging.getLogger(__name__)

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
    ).order_by(versions.c.number)
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
    versions_of: dict[object, dict[int, VersionRow]] = defaultdict(dict)
    for version in connection.execute(select_versions):
        if valid_count(version.number, default=0):
            in_service = (version.name, version.number) not in out_of_service
            versions_of[version.name][version.number] = _version_row(version, in_service=in_service)
        else:
            log.error("a version of network %r has a damaged number and is left out", version.name)
    aliases_of: dict[object, dict[str, int]] = defaultdict(dict)
    for alias in connection.execute(select_aliases):
        if isinstance(alias.alias, str) and alias.number in versions_of[alias.name]:
            aliases_of[alias.name][alias.alias] = alias.number
        else:
            log.error("alias %r of network %r names no version and is left out", alias.alias, alias.name)
    shadows_of: dict[object, list[ShadowRow]] = defaultdict(list)
    for shadow in connection.execute(select_shadows):
        row = _shadow_row(shadow)
        references = {*map(str, versions_of[shadow.name]), LATEST, *aliases_of[shadow.name]}
        if row is not None and row.number in versions_of[shadow.name] and row.of in references:
            shadows_of[shadow.name].append(row)
        else:
            log.error("a shadow of network %r is damaged and is left out", shadow.name)
    profiles_of: dict[object, list[ProfileRow]] = defaultdict(list)
    for profile in connection.execute(select_profiles):
        if profile.number in versions_of[profile.name]:
            profiles_of[profile.name].append(_profile_row(profile))
    return {
        row.name: _network_row(
            row,
            versions_of[row.name],
            aliases_of[row.name],
            tuple(shadows_of[row.name]),
            tuple(profiles_of[row.name]),
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
    versions: Mapping[int, VersionRow],
    aliases: Mapping[str, int],
    shadows: tuple[ShadowRow, ...],
    profiles: tuple[ProfileRow, ...],
) -> NetworkRow:
    newest = max(versions, default=0)
    return NetworkRow(
        name=row.name,
        # A number that was given must not be given again, even if this column is damaged.
        next_version=max(valid_count(row.next_version, default=1), newest + 1),
        create_time=utc_time(row.create_us),
        update_time=utc_time(row.update_us),
        revision=valid_count(row.revision, default=0),
        versions=tuple(versions.values()),
        aliases={LATEST: newest, **aliases} if versions else {},
        shadows=shadows,
        profiles=profiles,
    )


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
