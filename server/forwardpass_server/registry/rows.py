"""From the tables' rows to values, and the nearest sense of rows that are damaged.

SQLite keeps any type in any column, so a damaged row can hold anything. One that makes no
sense is left out and logged; the rest serve.
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

from forwardpass_server.registry.state import LATEST
from forwardpass_server.registry.store import NetworkRow, ShadowRow, VersionRow
from forwardpass_server.registry.tables import aliases, networks, shadows, versions, withdrawn

log = logging.getLogger(__name__)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_networks(
    connection: Connection, name: str | None = None, *, since: int | None = None
) -> dict[str, NetworkRow]:
    """Read networks without contents, deleted ones too: all by name, or one, or those changed after a revision."""
    of_networks = select(
        networks.c.name,
        networks.c.next_version,
        networks.c.create_us,
        networks.c.update_us,
        networks.c.revision,
    ).order_by(networks.c.name)
    of_versions = select(
        versions.c.name,
        versions.c.number,
        versions.c.digest,
        versions.c.create_us,
        versions.c.size_bytes,
    ).order_by(versions.c.number)
    of_withdrawn = select(withdrawn.c.name, withdrawn.c.number)
    of_shadows = select(shadows).order_by(shadows.c.of)
    of_aliases = select(aliases.c.name, aliases.c.alias, aliases.c.number)
    if name is not None or since is not None:
        changed = networks.c.name == name if name is not None else networks.c.revision > since
        names = select(networks.c.name).where(changed)
        of_networks = of_networks.where(changed)
        of_versions = of_versions.where(versions.c.name.in_(names))
        of_withdrawn = of_withdrawn.where(withdrawn.c.name.in_(names))
        of_aliases = of_aliases.where(aliases.c.name.in_(names))
        of_shadows = of_shadows.where(shadows.c.name.in_(names))
    out_of_service = {(row.name, row.number) for row in connection.execute(of_withdrawn)}
    numbered: dict[object, dict[int, VersionRow]] = defaultdict(dict)
    for version in connection.execute(of_versions):
        if count(version.number, otherwise=0):
            in_service = (version.name, version.number) not in out_of_service
            numbered[version.name][version.number] = _version(version, in_service=in_service)
        else:
            log.error("a version of network %r has a damaged number and is left out", version.name)
    named: dict[object, dict[str, int]] = defaultdict(dict)
    for alias in connection.execute(of_aliases):
        if isinstance(alias.alias, str) and alias.number in numbered[alias.name]:
            named[alias.name][alias.alias] = alias.number
        else:
            log.error("alias %r of network %r names no version and is left out", alias.alias, alias.name)
    beside: dict[object, list[ShadowRow]] = defaultdict(list)
    for shadow in connection.execute(of_shadows):
        row = _shadow(shadow)
        known = {*map(str, numbered[shadow.name]), LATEST, *named[shadow.name]}
        if row is not None and row.number in numbered[shadow.name] and row.of in known:
            beside[shadow.name].append(row)
        else:
            log.error("a shadow of network %r is damaged and is left out", shadow.name)
    return {
        row.name: _network(row, numbered[row.name], named[row.name], tuple(beside[row.name]))
        for row in connection.execute(of_networks)
        if _is_name(row.name)
    }


def count(value: object, *, otherwise: int) -> int:
    """Return a number that the registry counts with, or if it is damaged, another.

    A number near the end of a 64-bit integer's range is damaged too: nothing could be counted on from it.
    """
    return value if isinstance(value, int) and 0 <= value < 2**62 else otherwise


def microseconds(time: datetime) -> int:
    """Return a time in microseconds since 1970, UTC."""
    return (time - EPOCH) // timedelta(microseconds=1)


def _network(
    row: Any, numbered: Mapping[int, VersionRow], named: Mapping[str, int], beside: tuple[ShadowRow, ...]
) -> NetworkRow:
    newest = max(numbered, default=0)
    return NetworkRow(
        name=row.name,
        # A number that was given must not be given again, whatever the damage.
        next_version=max(count(row.next_version, otherwise=1), newest + 1),
        create_time=moment(row.create_us),
        update_time=moment(row.update_us),
        revision=count(row.revision, otherwise=0),
        versions=tuple(numbered.values()),
        aliases={LATEST: newest, **named} if numbered else {},
        shadows=beside,
    )


def _shadow(row: Any) -> ShadowRow | None:
    """Return a shadow, or None where its row makes no sense."""
    try:
        share, tolerance = float(row.share), float(row.tolerance)
    except (TypeError, ValueError):
        return None
    if not (0 < share <= 1 and 0 <= tolerance < inf and isinstance(row.of, str)):
        return None
    number = count(row.number, otherwise=0)
    return ShadowRow(of=row.of, number=number, share=share, tolerance=tolerance, set_time=moment(row.set_us))


def _version(row: Any, *, in_service: bool) -> VersionRow:
    return VersionRow(
        number=row.number,
        digest=row.digest if isinstance(row.digest, str) else "",
        create_time=moment(row.create_us),
        size_bytes=count(row.size_bytes, otherwise=0),
        in_service=in_service,
    )


def moment(since_epoch: object) -> datetime:
    """Return a time that is kept in microseconds since 1970, UTC; of damaged ones that year's beginning."""
    try:
        return EPOCH + timedelta(microseconds=count(since_epoch, otherwise=0))
    except OverflowError:
        return EPOCH


def _is_name(name: object) -> bool:
    try:
        check_name(name)  # type: ignore[arg-type] # tried, not trusted
    except InvalidFieldError:
        log.error("a network's name is damaged (%r) and it is left out", name)  # noqa: TRY400
        return False
    return True
