"""The tables. A change here needs a migration; a test compares the tables with what the migrations create."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata: Final = MetaData()

# One row. The revision grows by one with each change.
registry: Final = Table(
    "registry",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

# A network without versions is deleted. Its row stays, so that its version numbers are not given again and followers
# find the deletion. `revision` is the registry's revision after the network's last change.
networks: Final = Table(
    "networks",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("next_version", BigInteger, nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("update_us", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Index("networks_by_revision", "revision"),
)

# `content` is the canonical safetensors file, `digest` its SHA-256; times are microseconds since 1970, UTC.
versions: Final = Table(
    "versions",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    ForeignKeyConstraint(["name"], ["networks.name"]),
    UniqueConstraint("name", "digest"),
)

# Versions out of service. They have a table of their own, since SQLite would read past the content of each version to
# reach a column added to `versions`.
withdrawn: Final = Table(
    "withdrawn",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    ForeignKeyConstraint(["name", "number"], ["versions.name", "versions.number"]),
)

# The history of each alias. `rollback_to` is the move that a rollback returns to, 0 if there is none. The versions may
# have been deleted since. `set_us` is 0 if the time is unknown.
alias_moves: Final = Table(
    "alias_moves",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("move", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("set_us", BigInteger, nullable=False),
    Column("rollback_to", BigInteger, nullable=False),
    ForeignKeyConstraint(["name"], ["networks.name"]),
)

# Versions that are computed and compared with another one, `of`, which is a version number or an alias.
shadows: Final = Table(
    "shadows",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("of", String(63), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("share", Double, nullable=False),
    Column("tolerance", Double, nullable=False),
    Column("set_us", BigInteger, nullable=False),
    ForeignKeyConstraint(["name", "number"], ["versions.name", "versions.number"]),
)

# The profile of a version: the usual distribution of its values. `content` is a serialized `forwardpass.v1.Profile`,
# `digest` its SHA-256. It comes last, since SQLite reads past it to reach a column after it.
profiles: Final = Table(
    "profiles",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("set_us", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    ForeignKeyConstraint(["name", "number"], ["versions.name", "versions.number"]),
)

aliases: Final = Table(
    "aliases",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("number", BigInteger, nullable=False),
    ForeignKeyConstraint(["name", "number"], ["versions.name", "versions.number"]),
)
