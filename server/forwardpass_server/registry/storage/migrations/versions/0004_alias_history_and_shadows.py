"""Aliases have a history, and versions have shadows."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables. The history of each alias starts with the version that it names now, at an unknown time."""
    op.create_table(
        "shadows",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("of", sa.String(63), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("tolerance", sa.Double, nullable=False),
        sa.Column("set_us", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["name", "number"], ["versions.name", "versions.number"]),
    )
    moves = op.create_table(
        "alias_moves",
        sa.Column("name", sa.String(63), sa.ForeignKey("networks.name"), primary_key=True),
        sa.Column("alias", sa.String(63), primary_key=True),
        sa.Column("move", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("set_us", sa.BigInteger, nullable=False),
        sa.Column("rollback_to", sa.BigInteger, nullable=False),
    )
    aliases = sa.table("aliases", sa.column("name"), sa.column("alias"), sa.column("number"))
    now = sa.select(aliases.c.name, aliases.c.alias, sa.literal(1), aliases.c.number, sa.literal(0), sa.literal(0))
    op.execute(sa.insert(moves).from_select(["name", "alias", "move", "number", "set_us", "rollback_to"], now))
