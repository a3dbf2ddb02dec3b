"""Networks record the revision of their last change, so that other processes can follow."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the revision, and store contents so that pieces of them can be read."""
    op.add_column("networks", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("networks_by_revision", "networks", ["revision"])
    if op.get_bind().dialect.name == "postgresql":
        # Not compressed: PostgreSQL would unpack a whole content for each piece of it.
        op.execute("ALTER TABLE versions ALTER COLUMN content SET STORAGE EXTERNAL")
