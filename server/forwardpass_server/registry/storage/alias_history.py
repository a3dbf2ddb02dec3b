"""The history of aliases: every move is recorded, and each move records the move that a rollback returns to.

An ordinary move rolls back to the move just before it. A rollback repeats an older move and inherits that move's
`rollback_to`, so the next rollback goes further back instead of forward again.
"""

from collections.abc import Container, Iterator, Sequence
from typing import Final

from forwardpass.errors import NoEarlierVersionError
from sqlalchemy import Connection, delete, insert, select

from forwardpass_server.registry.storage.rows import current_microseconds, utc_time, valid_count
from forwardpass_server.registry.storage.store import AliasMoveRow
from forwardpass_server.registry.storage.tables import alias_moves

MAX_MOVES: Final = 100
"""The number of moves that are kept for each alias."""


def read_moves(connection: Connection, name: str, alias: str) -> tuple[AliasMoveRow, ...]:
    """Read the moves of an alias, newest first; damaged rows are left out."""
    query = select(alias_moves.c.move, alias_moves.c.number, alias_moves.c.set_us, alias_moves.c.rollback_to)
    query = query.where(alias_moves.c.name == name, alias_moves.c.alias == alias)
    moves = [
        AliasMoveRow(
            move=valid_count(row.move, default=0),
            number=valid_count(row.number, default=0),
            time=utc_time(row.set_us) if valid_count(row.set_us, default=0) else None,
            rollback_to=valid_count(row.rollback_to, default=0),
        )
        for row in connection.execute(query)
    ]
    return tuple(sorted((each for each in moves if each.move and each.number), key=lambda each: -each.move))


def record_move(connection: Connection, name: str, alias: str, number: int, *, rollback_to: int | None = None) -> None:
    """Record that an alias names a version from now on, and delete the oldest move beyond `MAX_MOVES`.

    Args:
        connection: A transaction that writes.
        name: The network's name.
        alias: The alias.
        number: The version's number.
        rollback_to: The move that a rollback returns to; by default the newest move.
    """
    last = max((each.move for each in read_moves(connection, name, alias)), default=0)
    connection.execute(
        insert(alias_moves).values(
            name=name,
            alias=alias,
            move=last + 1,
            number=number,
            set_us=current_microseconds(),
            rollback_to=last if rollback_to is None else rollback_to,
        )
    )
    is_old = alias_moves.c.move <= last + 1 - MAX_MOVES
    connection.execute(delete(alias_moves).where(alias_moves.c.name == name, alias_moves.c.alias == alias, is_old))


def delete_moves(connection: Connection, name: str, alias: str | None = None) -> None:
    """Delete the history of an alias, or of all aliases of a network."""
    query = delete(alias_moves).where(alias_moves.c.name == name)
    connection.execute(query if alias is None else query.where(alias_moves.c.alias == alias))


def find_rollback_target(
    name: str, alias: str, moves: Sequence[AliasMoveRow], *, current: int, existing: Container[int]
) -> AliasMoveRow:
    """Return the move that a rollback repeats: the newest earlier one to another version that still exists.

    Args:
        name: The network's name.
        alias: The alias.
        moves: The moves of the alias, newest first.
        current: The version that the alias names now.
        existing: The numbers of the network's versions.

    Raises:
        NoEarlierVersionError: There is no such move.
    """
    deleted_numbers = []
    for each in _earlier_moves(moves):
        if each.number == current:
            continue
        if each.number in existing:
            return each
        deleted_numbers.append(each.number)
    deleted = ", ".join(str(number) for number in dict.fromkeys(deleted_numbers))
    reason = f"the versions that it named before ({deleted}) were deleted" if deleted else "it never named another one"
    raise NoEarlierVersionError(
        f"alias {alias!r} of network {name!r} names version {current} and cannot be moved back: {reason}; "
        "name a version with SetAlias",
        network=name,
        alias=alias,
        version=current,
        deleted=deleted,
    )


def _earlier_moves(moves: Sequence[AliasMoveRow]) -> Iterator[AliasMoveRow]:
    """Follow `rollback_to` from the newest move. The numbers decrease, so this ends even if rows are damaged."""
    by_number = {each.move: each for each in moves}
    move = moves[0] if moves else None
    while move is not None:
        earlier = by_number.get(move.rollback_to) if move.rollback_to < move.move else None
        if earlier is not None:
            yield earlier
        move = earlier
