"""What aliases named before: every move is noted, and each knows the move that a rollback goes back to.

A usual move can be taken back to the one before it, so its `back` is that one's number. A rollback repeats an
older move, and takes that one's `back` too: so the next rollback goes further back, and not forth again.
"""

from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from forwardpass.errors import NoEarlierVersionError
from sqlalchemy import Connection, delete, insert, select

from forwardpass_server.registry.rows import count, microseconds, moment
from forwardpass_server.registry.store import MoveRow
from forwardpass_server.registry.tables import alias_moves

MAX_MOVES: Final = 100
"""So many moves of each alias are kept."""


def read_moves(connection: Connection, name: str, alias: str) -> tuple[MoveRow, ...]:
    """Read the moves of an alias, newest first; those whose rows are damaged are left out."""
    query = select(alias_moves.c.move, alias_moves.c.number, alias_moves.c.set_us, alias_moves.c.back)
    query = query.where(alias_moves.c.name == name, alias_moves.c.alias == alias)
    rows = [
        MoveRow(
            move=count(row.move, otherwise=0),
            number=count(row.number, otherwise=0),
            time=moment(row.set_us) if count(row.set_us, otherwise=0) else None,
            back=count(row.back, otherwise=0),
        )
        for row in connection.execute(query)
    ]
    return tuple(sorted((row for row in rows if row.move and row.number), key=lambda row: -row.move))


def note_move(connection: Connection, name: str, alias: str, number: int, *, back: int | None = None) -> None:
    """Note that an alias names a version from now on, and let go of the oldest move.

    Args:
        connection: To the database.
        name: The network's name.
        alias: The alias.
        number: The version's number.
        back: The move that a rollback goes back to; the newest one when left out.
    """
    last = max((row.move for row in read_moves(connection, name, alias)), default=0)
    connection.execute(
        insert(alias_moves).values(
            name=name,
            alias=alias,
            move=last + 1,
            number=number,
            set_us=microseconds(datetime.now(UTC)),
            back=last if back is None else back,
        )
    )
    old = alias_moves.c.move <= last + 1 - MAX_MOVES
    connection.execute(delete(alias_moves).where(alias_moves.c.name == name, alias_moves.c.alias == alias, old))


def forget_moves(connection: Connection, name: str, alias: str | None = None) -> None:
    """Forget the moves of an alias, or of all aliases of a network."""
    query = delete(alias_moves).where(alias_moves.c.name == name)
    connection.execute(query if alias is None else query.where(alias_moves.c.alias == alias))


def earlier_move(name: str, alias: str, moves: Sequence[MoveRow], *, now: int, kept: Container[int]) -> MoveRow:
    """Return the move that a rollback repeats: the first on the way back whose version is another, and still there.

    Args:
        name: The network's name.
        alias: One of its aliases.
        moves: Those of the alias, newest first.
        now: The number that it names.
        kept: The numbers of the network's versions.

    Raises:
        NoEarlierVersionError: There is none.
    """
    gone = []
    for row in _way_back(moves):
        if row.number == now:
            continue
        if row.number in kept:
            return row
        gone.append(row.number)
    deleted = ", ".join(str(number) for number in dict.fromkeys(gone))
    before = f"the versions that it named before ({deleted}) were deleted" if gone else "it never named another one"
    raise NoEarlierVersionError(
        f"alias {alias!r} of network {name!r} names version {now} and cannot be moved back: {before}; "
        "name a version with SetAlias",
        network=name,
        alias=alias,
        version=now,
        deleted=deleted,
    )


def _way_back(moves: Sequence[MoveRow]) -> Iterator[MoveRow]:
    """Go from move to move as rollbacks would; each goes to a smaller number, so there is an end."""
    by_number = {row.move: row for row in moves}
    row = moves[0] if moves else None
    while row is not None:
        earlier = by_number.get(row.back) if row.back < row.move else None
        if earlier is not None:
            yield earlier
        row = earlier
